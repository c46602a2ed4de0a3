//! What may depart and what is over: the release rule, the end of the client's stream, and what becomes of turns
//! whose connection was lost.

use wire::tcp::Flags;

use super::{After, Life, Session};
use crate::context::Context;
use crate::event::{Event, Outcome, TurnEnded};
use crate::flow::Flow;
use crate::flow::stream::{End, EndOfStream};
use crate::flow::turn::Turn;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, FIN_WAIT, RECONNECTS_MAX, SERVICE_WAIT, TIME_WAIT};
use crate::time::Instant;
use crate::turns::{Next, Verdict, Waited};

use core::time::Duration;

impl Session {
    /// Releases what may depart, ends what is over. To be called after every input; each pass of the loop ends a turn
    /// or changes the state, so it is bounded by the turns that wait.
    pub(crate) fn advance(&mut self, ctx: &mut Context<'_>) {
        self.release_at = None;
        loop {
            self.end_doomed(ctx);
            match self.life {
                Life::Detached { outcome, .. } => {
                    match (self.playing(ctx.flow).front(), ctx.flow.ended()) {
                        (Some(_), _) if core::mem::take(&mut self.answered) => {
                            // The client has more to say, so the online server has gone on.
                            ctx.counters.target_closes += 1;
                            continue;
                        }
                        (Some(turn), _)
                            if self.turns.fate().is_none() && !self.may_begin(turn, ctx) =>
                        {
                            ctx.counters.flows_without_beginning += 1;
                            // A flow that was joined: it may be that no such flow makes sense to the target.
                            *ctx.joins_refused += u32::from(ctx.flow.is_joined());
                            self.doom_waiting(outcome, ctx);
                            self.life = Life::Dead(outcome);
                            continue;
                        }
                        (Some(_), _) if self.turns.fate().is_none() => {
                            self.connect(ctx);
                            match self.life {
                                Life::Connected => {}
                                // There was no source, and the turn is doomed: perhaps it is the last.
                                Life::Detached { .. } => continue,
                                _ => return,
                            }
                        }
                        (None, Some(end)) => {
                            self.count_gap(end, ctx);
                            self.life = Life::Closed;
                            return;
                        }
                        _ => return,
                    }
                }
                Life::Dead(_)
                    if self.playing(ctx.flow).front().is_none() && ctx.flow.ended().is_some() =>
                {
                    self.life = Life::Closed;
                    return;
                }
                Life::Connected => {}
                Life::Closing { since } => {
                    self.await_last_response(since, ctx);
                    return;
                }
                Life::Parked | Life::Dead(_) | Life::Leaving(_) | Life::Closed => return,
            }
            if !self.advance_once(ctx) {
                return;
            }
        }
    }

    /// Whether a connection may begin with this turn: after one that the target has ended, it must be the flow's first or make
    /// sense by itself.
    fn may_begin(&self, turn: &Turn, ctx: &Context<'_>) -> bool {
        let anywhere = ctx.config.rules[usize::from(self.rule.0)].resume_anywhere;
        anywhere || !self.opened || turn.start == 0 || self.stands_alone(turn, ctx)
    }

    /// One step of a connected session. Returns whether another may follow.
    fn advance_once(&mut self, ctx: &mut Context<'_>) -> bool {
        let end = ctx.flow.ended();
        if let Some(end) = end
            && end.end == End::Gap
            && self.playing(ctx.flow).len() <= 1
        {
            self.end_at_gap(end, ctx);
            return false;
        }
        if ctx.echoes.hold_end().is_some() && self.is_held(ctx) {
            return false;
        }
        let abandoned = ctx.flow.stream().is_abandoned();
        let Some(next) = self
            .playing(ctx.flow)
            .next()
            .or(end.map(|end| boundary(end, abandoned)))
        else {
            return false;
        };
        if self.awaits_confirmation(ctx.flow) && self.end_unconfirmed(ctx) {
            return false;
        }
        let unasked = self.playing(ctx.flow).seems_unasked() && self.is_unasked(ctx);
        let patience = self.patience(next, unasked, ctx);
        let una = self.connection.una();
        let again_at = if self.turns.is_streaming() {
            let mut playing = self.turns.of_mut(ctx.flow.captured());
            playing.let_go(una, &patience, ctx.now)
        } else {
            None
        };
        let verdict = self
            .playing(ctx.flow)
            .verdict(next, una, &patience, ctx.now);
        match verdict {
            Verdict::Wait => {
                self.release_at = again_at;
                return false;
            }
            Verdict::At(at) => {
                self.release_at = Some(at);
                return false;
            }
            Verdict::TimedOut => ctx.counters.turns_unpaired += 1,
            Verdict::Over | Verdict::Learned(_) | Verdict::Quiet | Verdict::Streaming => {}
        }
        if let Some(end) = end
            && end.end == End::Fin
            && verdict == Verdict::Over
            && self.playing(ctx.flow).ends_unanswered(next)
        {
            // A half-close: the client's end leaves now, and the response to the last turn is still to come.
            self.close(end, ctx);
            return false;
        }
        let waited = Waited {
            time: ctx.now.since(next.captured),
            response_timeout: ctx.config.response_timeout,
            unasked,
        };
        let mut playing = self.playing_mut(ctx.flow);
        if playing.note(verdict, next, waited, ctx.habits, ctx.now) {
            ctx.counters.sessions_streaming += 1;
        }
        if verdict == Verdict::TimedOut && self.playing(ctx.flow).current().is_some() {
            // Out of step are those behind it: that this one has no response is a difference that can be told.
            self.end_turn(Outcome::TimedOut, ctx);
        }
        if self.playing(ctx.flow).current().is_some() {
            let outcome = match self.playing(ctx.flow).outcome(self.connection.una()) {
                Outcome::Pending if end.is_some_and(|end| end.end == End::Reset) => {
                    Outcome::Aborted
                }
                Outcome::Pending => Outcome::TargetClosed,
                outcome => outcome,
            };
            self.end_turn(outcome, ctx);
        }
        match (self.playing(ctx.flow).front().is_some(), end) {
            (true, _) if self.connection.is_finished() => {
                self.reconnect(Outcome::TargetClosed, Some(Flags::FIN), ctx);
            }
            (true, _) => {
                let una = self.connection.una();
                self.playing_mut(ctx.flow).release(una, ctx.now);
            }
            (false, Some(end)) => {
                self.close(end, ctx);
                return false;
            }
            (false, None) => return false,
        }
        true
    }

    /// Bytes wait for the online server's acknowledgement, and the client's connection may be gone: then it does not come any
    /// more. Returns whether that is so, or has to be waited for.
    fn end_unconfirmed(&mut self, ctx: &mut Context<'_>) -> bool {
        let end = ctx.flow.ended().map(|end| end.end);
        if !matches!(end, Some(End::Reset | End::Replaced | End::Idle)) {
            return false;
        }
        if !knows_service(ctx.flow, ctx.now) {
            self.release_at = Some(ctx.flow.active_at() + SERVICE_WAIT);
            return true;
        }
        while self.playing(ctx.flow).front().is_some() {
            self.end_turn(Outcome::Unserved, ctx);
        }
        self.part(Flags::RST, After::Closed, ctx);
        true
    }

    /// Whether a turn waits that may not depart for the moment.
    #[cold]
    fn is_held(&mut self, ctx: &Context<'_>) -> bool {
        let Some(until) = ctx
            .held_until()
            .filter(|_| self.playing(ctx.flow).next().is_some())
        else {
            return false;
        };
        self.release_at = Some(until);
        true
    }

    /// Whether the outcome of a turn that the target has ended waits for the online server's word, which may be on its way.
    pub(crate) fn awaits_service(&self, flow: &Flow, now: Instant) -> bool {
        self.turns.fate().is_some()
            && !flow.stream().is_served()
            && !flow.is_online_closed()
            && now < flow.active_at() + SERVICE_WAIT
    }

    /// Ends turns that were never to be sent, or were lost, up to the one that may still grow.
    fn end_doomed(&mut self, ctx: &mut Context<'_>) {
        while let Some(fate) = self.turns.fate() {
            if self.playing(ctx.flow).len() == 1 && !knows_service(ctx.flow, ctx.now) {
                self.release_at = ctx
                    .flow
                    .ended()
                    .map(|_| ctx.flow.active_at() + SERVICE_WAIT);
                return;
            }
            self.end_turn(fate, ctx);
        }
    }

    /// The client's end may be copied.
    fn close(&mut self, end: EndOfStream, ctx: &mut Context<'_>) {
        match end.end {
            // First the connection that the client had: the SYN-ACK brings us back here.
            End::Fin | End::Replaced | End::Idle if self.connection.is_opening() => {}
            End::Fin | End::Replaced | End::Idle => self.life = Life::Closing { since: ctx.now },
            End::Reset | End::Gap => self.part(Flags::RST, After::Closed, ctx),
        }
    }

    /// The client's end has left before the response to the last turn: the turn is over when both servers have closed as
    /// well, or one has not for too long.
    fn await_last_response(&mut self, since: Instant, ctx: &mut Context<'_>) {
        let una = self.connection.una();
        let Some(turn) = self.playing(ctx.flow).current() else {
            if ctx.flow.stream().is_abandoned() && !self.connection.is_finished() {
                // What the target still says of it is wanted by nobody.
                self.part(Flags::RST, After::Closed, ctx);
            }
            return;
        };
        if self.connection.is_finished() && ctx.flow.is_online_closed() && una >= turn.end {
            self.end_last(Outcome::TargetClosed, ctx);
            return;
        }
        let answered = una >= turn.end && self.turns.answer_bytes() >= turn.online.bytes;
        if answered && ctx.flow.stream().is_abandoned() {
            self.end_last(Outcome::TargetClosed, ctx);
            self.part(Flags::RST, After::Closed, ctx);
            return;
        }
        let patience = if self.playing(ctx.flow).is_answered_by_both(una) {
            FIN_WAIT
        } else {
            ctx.config.response_timeout
        };
        let at = since + patience;
        if ctx.now < at {
            self.release_at = Some(at);
            return;
        }
        self.end_last(Outcome::TimedOut, ctx);
        if self.ends(ctx.flow) != (true, true) {
            self.part(Flags::RST, After::Closed, ctx);
        }
    }

    /// Ends the current turn as it stands, or as `otherwise` where it has no response.
    fn end_last(&mut self, otherwise: Outcome, ctx: &mut Context<'_>) {
        let outcome = match self.playing(ctx.flow).outcome(self.connection.una()) {
            Outcome::Pending => otherwise,
            outcome => outcome,
        };
        self.end_turn(outcome, ctx);
    }

    /// The last turn has a hole, or stands before one.
    fn end_at_gap(&mut self, end: EndOfStream, ctx: &mut Context<'_>) {
        match self.playing(ctx.flow).outcome(self.connection.una()) {
            Outcome::Answered => {
                self.end_turn(Outcome::Answered, ctx);
                self.count_gap(end, ctx);
            }
            _ if self.playing(ctx.flow).front().is_some() => self.end_turn(Outcome::Gap, ctx),
            _ => self.count_gap(end, ctx),
        }
        self.part(Flags::RST, After::Closed, ctx);
    }

    /// A turn of which no byte was captured is a turn all the same.
    fn count_gap(&mut self, end: EndOfStream, ctx: &mut Context<'_>) {
        if end.end == End::Gap {
            self.unseen = true;
            ctx.events
                .push_back(Event::TurnEnded(TurnEnded::unseen(self.rule, Outcome::Gap)));
        }
    }

    /// The target reset the connection, or has not answered for too long.
    pub(crate) fn on_lost(&mut self, outcome: Outcome, ctx: &mut Context<'_>) {
        let closing = matches!(self.life, Life::Closing { .. });
        // A target that has reset the connection knows.
        let last = (outcome == Outcome::TimedOut).then_some(Flags::RST);
        let outcome = if self.connection.is_finished() {
            Outcome::TargetClosed
        } else {
            outcome
        };
        self.end_touched(outcome, ctx);
        if (closing || ctx.flow.ended().is_some()) && self.playing(ctx.flow).front().is_none() {
            self.settle(After::Closed, ctx);
            return;
        }
        self.reconnect(outcome, last, ctx);
        self.advance(ctx);
    }

    /// Ends the turns of which the target has acknowledged a byte, and with the last of them whatever the client still adds to
    /// it: its rest alone means nothing to anybody.
    fn end_touched(&mut self, outcome: Outcome, ctx: &mut Context<'_>) {
        while self.turns.fate().is_none()
            && let Some(turn) = self.playing(ctx.flow).front()
            && turn.start < self.connection.una()
        {
            // A response that came before its request was complete answers nothing yet.
            let answered = self.playing(ctx.flow).looks_answered()
                && self.playing(ctx.flow).outcome(self.connection.una()) == Outcome::Answered;
            if !answered && self.playing(ctx.flow).len() == 1 {
                if !ctx.flow.stream().is_served() && !knows_service(ctx.flow, ctx.now) {
                    self.playing_mut(ctx.flow).doom(outcome);
                    break;
                }
                self.playing_mut(ctx.flow).tear_last();
            }
            self.end_turn(if answered { Outcome::Answered } else { outcome }, ctx);
        }
    }

    /// The target refused the connection, or did not answer the SYN.
    pub(crate) fn on_refused(&mut self, ctx: &mut Context<'_>) {
        ctx.target.gate.on_refusal(ctx.now);
        self.doom_waiting(Outcome::Refused, ctx);
        let then = self.back_off(Outcome::Refused, ctx.now);
        self.settle(then, ctx);
        self.advance(ctx);
    }

    /// Leaves the connection, so that the front turn opens another; after several in a row that came to nothing, only
    /// after a while. `last` tells the target, where it does not know.
    fn reconnect(&mut self, outcome: Outcome, last: Option<Flags>, ctx: &mut Context<'_>) {
        self.end_touched(outcome, ctx);
        let mut then = After::Detached {
            retry_at: ctx.now,
            outcome,
        };
        if self.playing(ctx.flow).front().is_some() && self.turns.fate().is_none() {
            self.reconnects = self.reconnects.saturating_add(1);
            if self.reconnects > RECONNECTS_MAX {
                self.doom_waiting(outcome, ctx);
                then = self.back_off(outcome, ctx.now);
            }
        }
        match last {
            Some(last) => self.part(last, then, ctx),
            None => self.settle(then, ctx),
        }
    }

    fn back_off(&mut self, outcome: Outcome, now: Instant) -> After {
        let wait = (BACKOFF_MIN * (1 << self.refusals.min(10))).min(BACKOFF_MAX);
        self.refusals = self.refusals.saturating_add(1);
        After::Detached {
            retry_at: now + wait,
            outcome,
        }
    }

    /// The target has closed. Where the client neither has more to say now nor has closed, and online and target have
    /// both answered, this side closes too: the next turn opens another connection.
    pub(crate) fn follow_target_close(&mut self, ctx: &mut Context<'_>) {
        let waiting = self.playing(ctx.flow).next().is_some() || ctx.flow.ended().is_some();
        if self.life != Life::Connected
            || !self.connection.is_synchronized()
            || !self.connection.is_finished()
            || waiting
        {
            return;
        }
        if self.playing(ctx.flow).current().is_some() {
            if !self
                .playing(ctx.flow)
                .is_answered_by_both(self.connection.una())
                || !ctx.flow.stream().is_served()
            {
                return;
            }
            self.end_turn(Outcome::Answered, ctx);
        }
        let then = After::Detached {
            retry_at: ctx.now,
            outcome: Outcome::TargetClosed,
        };
        self.part(Flags::FIN, then, ctx);
    }

    /// Whether both sides have closed; the last acknowledgement may still have to leave.
    pub(crate) fn check_closed(&mut self, ctx: &mut Context<'_>) {
        let Life::Closing { since } = self.life else {
            return;
        };
        if self.playing(ctx.flow).current().is_some() {
            return;
        }
        let waited = ctx.now.since(since);
        let patience = match self.ends(ctx.flow) {
            (true, true) => TIME_WAIT,
            (true, false) => FIN_WAIT,
            _ => Duration::MAX,
        };
        if waited < patience {
            return;
        }
        if self.connection.is_finished() {
            self.settle(After::Closed, ctx);
        } else {
            self.part(Flags::RST, After::Closed, ctx);
        }
    }

    /// Whether our FIN was acknowledged, and whether the target's has arrived.
    pub(crate) fn ends(&self, flow: &Flow) -> (bool, bool) {
        self.connection.ends(flow.end())
    }

    /// When [`Session::check_closed`] is to be asked again.
    pub(crate) fn closed_at(&self, flow: &Flow) -> Option<Instant> {
        let Life::Closing { since } = self.life else {
            return None;
        };
        if self.playing(flow).current().is_some() {
            return None;
        }
        match self.ends(flow) {
            (true, true) => Some(since + TIME_WAIT),
            (true, false) => Some(since + FIN_WAIT),
            _ => None,
        }
    }

    fn has_timed_out(&self, ctx: &Context<'_>) -> bool {
        self.playing(ctx.flow)
            .has_timed_out(ctx.config.response_timeout, ctx.now)
    }

    /// The end of the run: every turn ends now, the connection with a RST.
    pub(crate) fn finish(&mut self, ctx: &mut Context<'_>) {
        while self.playing(ctx.flow).front().is_some() {
            let outcome = match (
                self.turns.fate(),
                self.playing(ctx.flow).outcome(self.connection.una()),
            ) {
                (Some(fate), _) => fate,
                (None, Outcome::Pending) if self.has_timed_out(ctx) => Outcome::TimedOut,
                (None, outcome) => outcome,
            };
            self.end_turn(outcome, ctx);
        }
        if ctx.target.gate.is_open(&ctx.flow.key().client.addr) {
            self.part(Flags::RST, After::Closed, ctx);
        } else {
            // There will be no time to wait for it.
            self.settle(After::Closed, ctx);
        }
    }
}

/// The end of a stream as a boundary; `abandoned` says that its client has reset what came after it.
fn boundary(end: EndOfStream, abandoned: bool) -> Next {
    Next {
        cause: end.cause,
        captured: end.stamp,
        saw_all: false,
        is_reset: abandoned || end.end == End::Reset,
    }
}

/// Whether the last turn cannot grow any more, and it is known whether the online server took it: its acknowledgement may
/// be on its way while the target has reset already.
fn knows_service(flow: &Flow, now: Instant) -> bool {
    flow.ended().is_some_and(|end| {
        !matches!(end.end, End::Fin | End::Reset)
            || flow.stream().is_served()
            || flow.is_online_closed()
            || now >= flow.active_at() + SERVICE_WAIT
    })
}
