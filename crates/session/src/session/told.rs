//! A session whose flow a protocol module reads: what may depart, and what is over, is told by the target's own words.

use wire::checksum::{Verdict, judge};
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;
use wire::seq::TargetSeq;
use wire::tcp::Flags;

use super::outcome::{Cause, Progress};
use super::{After, Session};
use crate::connection::Arrival;
use crate::context::Context;
use crate::event::{Event, Outcome, TurnEnded};
use crate::flow::stream::{End, EndOfStream};
use crate::limits::SERVICE_WAIT;
use crate::time::Instant;
use crate::turns::letting::Takes;
use crate::turns::told::Standing;

impl Session {
    /// One step of a connected session whose turns are messages. Returns whether another may follow.
    #[cold]
    pub(super) fn advance_told(&mut self, ctx: &mut Context<'_>) -> bool {
        if !self.advance_login(ctx) {
            return self.is_entering() && self.follow_end(ctx);
        }
        let Some(messages) = ctx.flow.captured().messages() else {
            self.untell(false, ctx);
            return true;
        };
        if self.playing(ctx.flow).has_left(messages) {
            self.untell(true, ctx);
            return true;
        }
        if messages.is_reopened {
            // Its user has changed, to whom nobody knows: what follows means something else to a session that is another's.
            self.give_up(Outcome::Missed, ctx);
            return false;
        }
        if self.playing(ctx.flow).is_behind_another_login(messages) {
            self.log_in_anew(ctx);
            return true;
        }
        let mut playing = self.turns.of_mut(ctx.flow.captured());
        let is_finished = self.connection.is_finished();
        match playing.let_go_of_messages(messages, is_finished, ctx.now) {
            Takes::Them => {}
            Takes::NoMore(at) => self.release_at = Some(at),
            Takes::OtherWords => {
                self.untell(false, ctx);
                return true;
            }
            Takes::Nothing => {
                self.give_up(Outcome::TargetClosed, ctx);
                return false;
            }
        }
        let is_deaf = messages.is_deaf;
        let una = self.connection.una();
        let is_cut = ctx.flow.ended().is_some_and(|end| end.end == End::Gap);
        let is_over = is_cut || ctx.flow.is_online_closed() || ctx.flow.stream().is_replaced();
        let standing = self.playing(ctx.flow).message_standing(
            messages,
            una,
            (self.connection.is_finished(), ctx.flow.has_ended(), is_over),
            ctx.rule.tuning.response_timeout,
            ctx.shared.seen,
        );
        match standing {
            Standing::Answered if is_deaf && !is_over && self.awaits_word(ctx) => {
                self.release_at = Some(ctx.flow.active_at() + SERVICE_WAIT);
                return self.follow_end(ctx);
            }
            Standing::Answered | Standing::Closed => self.finish_message(Cause::Over, ctx),
            Standing::Unasked => {
                self.turns.skip_to_rest();
                self.end_after(Cause::Over, Progress::Delivered, ctx);
            }
            Standing::TimedOut => self.finish_message(Cause::ResponseTimeout, ctx),
            Standing::At(at) => {
                self.release_at = Some(at);
                return self.follow_end(ctx);
            }
            Standing::Wait => return self.go_on_told(ctx),
        }
        true
    }

    /// The connection is gone, and the front message may have its answer although the one before it was not over: that counts.
    #[cold]
    pub(super) fn release_answered(&mut self, ctx: &Context<'_>) {
        if self.turns.is_told()
            && self.turns.is_done()
            && self.playing(ctx.flow).current().is_none()
        {
            let una = self.connection.una();
            self.playing_mut(ctx.flow).release_message(una, ctx.now);
        }
    }

    /// The session is given up: messages that have their answers have them all the same.
    #[cold]
    pub(super) fn end_answered(&mut self, ctx: &mut Context<'_>) {
        loop {
            self.release_answered(ctx);
            let una = self.connection.una();
            let is_answered = self.playing(ctx.flow).looks_answered()
                && self.playing(ctx.flow).outcome(una) == Outcome::Answered;
            if !is_answered || self.turns.fate().is_some() {
                return;
            }
            self.end(Cause::Over, ctx);
        }
    }

    /// Whether the online server's word of the latest message may be on its way: where its answers cannot be read, that it has taken
    /// the message is all that it tells.
    fn awaits_word(&self, ctx: &Context<'_>) -> bool {
        self.playing(ctx.flow).len() == 1
            && !ctx.flow.stream().is_served()
            && ctx.now < ctx.flow.active_at() + SERVICE_WAIT
    }

    /// Ends the front message.
    fn finish_message(&mut self, cause: Cause, ctx: &mut Context<'_>) {
        self.end(cause, ctx);
        if self.turns.has_begun_answer() {
            // What is kept of the target's words may be the response that has just ended.
            ctx.restart_sample(self.id);
        }
    }

    /// Nothing is over: the front is released where it was let go, or the client's end is followed.
    fn go_on_told(&mut self, ctx: &mut Context<'_>) -> bool {
        let playing = self.playing(ctx.flow);
        if playing.current().is_some() || !playing.is_let_go() {
            return self.follow_end(ctx);
        }
        if self.connection.is_finished() && !self.turns.is_done() {
            self.reconnect(Outcome::TargetClosed, Some(Flags::FIN), ctx);
            return true;
        }
        let una = self.connection.una();
        self.playing_mut(ctx.flow).release_message(una, ctx.now);
        true
    }

    /// Follows the client's end, where everything before it is over, or wanted by nobody. Returns whether another step may follow.
    fn follow_end(&mut self, ctx: &mut Context<'_>) -> bool {
        let Some(end) = ctx.flow.ended() else {
            return false;
        };
        if end.end == End::Reset && self.has_seen_all(end, ctx) {
            while self.playing(ctx.flow).front().is_some() {
                self.end(Cause::ClientReset, ctx);
            }
        }
        if self.playing(ctx.flow).front().is_none() {
            if self.is_entering() && self.is_cancelling(ctx) {
                // Its client has said all, and the target is to hear it.
                return false;
            }
            if self.is_entering() {
                // Nothing that it has to say would be understood.
                self.part(Flags::RST, After::Closed, ctx);
            } else {
                self.close(end, ctx);
            }
        }
        false
    }

    /// Whether the target has answered as many messages as the client had seen answered when it reset its connection.
    fn has_seen_all(&mut self, end: EndOfStream, ctx: &mut Context<'_>) -> bool {
        let seen = end.cause.and_then(|_| ctx.flow.seen_at_end());
        seen.is_none_or(|seen| self.turns.done() >= seen)
    }

    /// Nobody tells any more what the target says.
    pub(super) fn untell(&mut self, is_in_step: bool, ctx: &mut Context<'_>) {
        ctx.shared.counters.module_target_lost += u64::from(!is_in_step);
        let logs_in = ctx.flow.captured().messages().is_some_and(|it| it.logs_in);
        if !is_in_step && logs_in {
            // Messages may carry numbers of the online server's, which nobody replaces any more.
            return self.give_up(Outcome::Missed, ctx);
        }
        self.playing_mut(ctx.flow).untell(is_in_step);
    }

    /// Whether a segment of the target is not what it has sent. What a module reads must be: the programs stand before the kernel's TCP, which would
    /// drop such a segment, and its target sends it again. Of one whose payload was not recorded nothing is known.
    #[cold]
    pub(super) fn is_corrupt(
        &self,
        segment: &Segment,
        packet: &[u8],
        ctx: &mut Context<'_>,
    ) -> bool {
        let (from, to) = (&segment.source.addr, &segment.destination.addr);
        let is_corrupt = segment
            .tcp(packet)
            .is_some_and(|tcp| judge(from, to, PROTOCOL_TCP, tcp) == Verdict::Corrupt);
        ctx.shared.counters.reply_corrupt += u64::from(is_corrupt);
        is_corrupt
    }

    /// The target has sent bytes, or its end, which a module reads.
    #[cold]
    pub(super) fn read_target(
        &mut self,
        arrival: &Arrival,
        bytes: &[u8],
        stamp: Instant,
        ctx: &mut Context<'_>,
    ) {
        let Some(messages) = ctx.flow.captured().messages() else {
            return;
        };
        let len = arrival.end.ahead_of(arrival.seq);
        let place: (TargetSeq, TargetSeq) = (arrival.seq, arrival.before);
        let mut playing = self.turns.of_mut(ctx.flow.captured());
        let mut is_readable = true;
        if len > 0 {
            is_readable = playing.on_told(messages, place, len, bytes, stamp);
        }
        if arrival.fin && is_readable {
            playing.on_told_end(messages, stamp);
        }
        if !is_readable {
            self.untell(false, ctx);
        }
    }

    /// So many of the flow's messages were filtered out.
    pub(super) fn count_filtered(&self, messages: u32, ctx: &mut Context<'_>) {
        for _ in 0..messages {
            let turn = TurnEnded::unseen(self.rule, Outcome::Filtered);
            ctx.shared.events.push_back(Event::TurnEnded(turn));
        }
    }
}
