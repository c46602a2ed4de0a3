//! What the target's segments do to a session, and what its timers do.

use wire::segment::Segment;
use wire::tcp::{Flags, Options};

use super::outcome::Cause;
use super::{After, Life, Session};
use crate::connection::{Arrival, Change, Expired, Tail};
use crate::context::Context;
use crate::event::Outcome;
use crate::flow::messages::Messages;
use crate::limits::DELAYED_ACK;
use crate::time::Instant;

impl Session {
    /// A segment of the target, by its headers.
    pub(crate) fn on_target(
        &mut self,
        (segment, packet): (&Segment, &[u8]),
        options: &Options,
        stamp: Instant,
        ctx: &mut Context<'_>,
    ) {
        if self.turns.is_told() && self.is_corrupt(segment, packet, ctx) {
            return;
        }
        self.active_at = ctx.now;
        let closing = matches!(self.life, Life::Closing { .. });
        let ends = closing.then(|| self.ends(ctx.flow));
        let (reach, mtu) = (self.reach(ctx.flow), ctx.target.path.mtu(ctx.now));
        let effects = self.connection.on_segment(
            segment,
            options,
            stamp,
            reach,
            mtu,
            &mut ctx.shared.counters,
        );
        if let Some(mtu) = effects.mtu {
            ctx.target.path.narrow(mtu, ctx.now);
        }
        if effects.acknowledged {
            self.on_acknowledged(stamp, ctx);
        }
        match effects.change {
            Change::None => {}
            Change::Accepted => return self.on_accepted(stamp, ctx),
            Change::Refused => return self.on_refused(ctx),
            Change::Reset => return self.on_lost(Outcome::Reset, ctx),
        }
        if !effects.accepted {
            return;
        }
        if let Some(arrival) = &effects.arrival {
            self.on_arrival(arrival, (segment, packet), stamp, ctx);
        }
        let went_on = ends.is_some_and(|ends| self.ends(ctx.flow) != ends);
        if let Life::Closing { since, .. } = &mut self.life
            && went_on
        {
            // Each step of the closing is waited for anew; the last one's wait is TIME-WAIT.
            *since = ctx.now;
        }
        self.advance(ctx);
        self.check_closed(ctx);
        self.open_window(ctx);
    }

    fn on_accepted(&mut self, stamp: Instant, ctx: &mut Context<'_>) {
        ctx.target.gate.on_accept();
        ctx.shared.counters.sessions_opened += 1;
        ctx.shared.counters.sessions_reconnected += u64::from(self.accepted);
        // From here on a greeting is waited for.
        let una = self.connection.una();
        self.playing_mut(ctx.flow).on_acknowledged(una, stamp);
        self.advance(ctx);
    }

    fn on_acknowledged(&mut self, stamp: Instant, ctx: &mut Context<'_>) {
        let una = self.connection.una();
        self.playing_mut(ctx.flow).on_acknowledged(una, stamp);
    }

    /// The target has said something, or closed.
    fn on_arrival(
        &mut self,
        arrival: &Arrival,
        (segment, packet): (&Segment, &[u8]),
        stamp: Instant,
        ctx: &mut Context<'_>,
    ) {
        if arrival.end > arrival.before {
            self.turns.on_heard(stamp);
            // A segment behind a hole may be the one that ends the response. One that fills our window may be short for that.
            let is_farther = self.tail.is_none_or(|(end, _)| end < arrival.end);
            if arrival.tail != Tail::No && is_farther && !self.is_cut_by_window(arrival, ctx) {
                self.tail = Some((arrival.end, arrival.tail));
            }
        }
        self.pacing.on_used();
        let unanswered = self.turns.answer_bytes() == 0;
        if self.turns.is_told() {
            let bytes = segment.payload(packet).unwrap_or_default();
            self.read_target(arrival, bytes, stamp, ctx);
        }
        if arrival.bytes > 0 {
            self.on_response(arrival, stamp, ctx);
        }
        // A response begins with the first byte that was taken for it; until there is one, with the next to come.
        let answered = self.turns.answer_bytes() as u32;
        let mut begins =
            unanswered.then(|| arrival.before + arrival.bytes.saturating_sub(answered));
        if self.turns.is_told() && answered != arrival.bytes {
            // It has answers to several messages: where each begins is not told.
            if begins.take().is_some() {
                ctx.restart_sample(self.id);
            }
        }
        ctx.sample_target(self.id, arrival.seq, begins);
        if !arrival.ack_now && self.playing(ctx.flow).looks_answered() {
            // A complete response: its acknowledgement may ride on the next turn.
            self.connection.acknowledge_at(ctx.now + DELAYED_ACK);
        } else {
            self.connection.acknowledge();
        }
        self.note_pace(ctx);
        if arrival.fin {
            self.follow_target_close(ctx);
        }
    }

    /// Bytes of the target are in order.
    fn on_response(&mut self, arrival: &Arrival, stamp: Instant, ctx: &mut Context<'_>) {
        let bytes = arrival.bytes;
        ctx.shared.counters.reply_bytes += u64::from(bytes);
        self.turns.charge(bytes);
        ctx.shared.inflow.take(bytes);
        let tail = match self.tail {
            _ if arrival.fin => Tail::Short,
            Some((end, tail)) if end == arrival.nxt => tail,
            _ => Tail::No,
        };
        // What waited behind the hole that this segment fills came with acknowledgements of its own.
        let own = arrival.end.ahead_of(arrival.before).min(bytes);
        let behind = self.connection.una();
        if self.turns.is_told()
            && ctx
                .flow
                .captured()
                .messages()
                .is_some_and(Messages::is_begun)
        {
            return;
        }
        let mut answers = |bytes: u32, acknowledged| {
            if bytes > 0 {
                self.turns.of_mut(ctx.flow.captured()).on_target_bytes(
                    acknowledged,
                    bytes,
                    tail,
                    stamp,
                    &mut ctx.rule.habits,
                );
            }
        };
        answers(own, arrival.acknowledged);
        answers(bytes - own, behind);
    }

    /// What stands behind a hole that can never be filled is lost with it: so many turns.
    pub(crate) fn on_gap(&mut self, lost: u64, ctx: &mut Context<'_>) {
        self.count_unseen(lost, ctx);
        self.advance(ctx);
    }

    /// Does what is due at `ctx.now`.
    pub(crate) fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.release_at) {
            self.advance(ctx);
        }
        if self.connection.is_timer_due(now) {
            self.on_send_timer(ctx);
        }
        if due(self.pacing.due()) {
            self.on_window_timer(ctx);
        }
        self.check_closed(ctx);
    }

    /// Whether neither side has said anything for longer than the user wants to remember.
    pub(crate) fn is_idle(&self, ctx: &Context<'_>) -> bool {
        ctx.now.since(self.active_at(ctx.flow)) >= ctx.shared.config.idle_timeout
            && self.life != Life::Closed
    }

    fn on_send_timer(&mut self, ctx: &mut Context<'_>) {
        if ctx.target.gate.is_closed() {
            // Nothing could have been answered: this is no time-out of the target's.
            self.connection.postpone_timer(ctx.now);
            return;
        }
        let reach = self.reach(ctx.flow);
        match self
            .connection
            .on_timer(reach, ctx.now, &mut ctx.shared.counters)
        {
            Expired::Sending => {}
            Expired::Unanswered => self.on_refused(ctx),
            Expired::GivenUp => self.on_lost(Outcome::TimedOut, ctx),
        }
    }

    /// Its flow is forgotten, since neither side has said anything for long.
    pub(crate) fn expire(&mut self, ctx: &mut Context<'_>) {
        let cause = match self.life {
            // Nothing was asked of the target: the client's own address never came free.
            Life::Parked => Cause::Lost(Outcome::Collision),
            _ => Cause::Idle,
        };
        while self.playing(ctx.flow).front().is_some() {
            self.end(cause, ctx);
        }
        if matches!(self.life, Life::Leaving(_)) {
            // Its last segment has waited at the gate for as long.
            self.settle(After::Closed, ctx);
            return;
        }
        self.active_at = ctx.now;
        self.part(Flags::RST, After::Closed, ctx);
    }
}
