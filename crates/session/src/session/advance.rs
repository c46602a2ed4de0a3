//! What may depart and what is over: the release rule, the end of the client's stream, and what becomes of turns
//! whose connection was lost.

use core::time::Duration;

use wire::tcp::Flags;

use super::outcome::{Cause, Progress};
use super::{After, Life, Session};
use crate::config::Join;
use crate::context::Context;
use crate::event::Outcome;
use crate::flow::Flow;
use crate::flow::stream::{End, EndOfStream};
use crate::flow::turn::Turn;
use crate::limits::{DRAIN_SILENCE, JOINS_REFUSED_MAX, SERVICE_WAIT};
use crate::standalone;
use crate::time::Instant;
use crate::turns::{Next, Verdict, Waited};

impl Session {
    /// Releases what may depart, ends what is over. To be called after every input; each pass of the loop ends a turn
    /// or changes the state, so it is bounded by the turns that wait.
    #[inline]
    pub(crate) fn advance(&mut self, ctx: &mut Context<'_>) {
        self.release_at = None;
        if self.has_nothing_ahead(ctx.flow) {
            if self.connection.is_finished() {
                self.follow_target_close(ctx);
            }
            return;
        }
        while self.advance_step(ctx) {}
    }

    /// Whether a connected session has neither a turn to release nor an end to copy: so it is while its target answers.
    #[inline]
    fn has_nothing_ahead(&self, flow: &Flow) -> bool {
        matches!(self.life, Life::Connected)
            && self.turns.fate().is_none()
            && !flow.has_ended()
            && !self.turns.is_told()
            && self.playing(flow).waiting().is_none()
    }

    /// One pass. Returns whether another may follow. Out of line: nearly always there is one, and what a loop keeps at hand would be
    /// prepared for it each time.
    #[inline(never)]
    fn advance_step(&mut self, ctx: &mut Context<'_>) -> bool {
        self.end_doomed(ctx);
        match self.life {
            Life::Detached { outcome, .. } => self.advance_detached(outcome, ctx),
            Life::Connected => self.advance_once(ctx),
            Life::Closing { since, .. } => {
                self.await_last_response(since, ctx);
                false
            }
            Life::Dead(_)
                if self.playing(ctx.flow).front().is_none() && ctx.flow.ended().is_some() =>
            {
                self.life = Life::Closed;
                false
            }
            Life::Parked | Life::Dead(_) | Life::Leaving(_) | Life::Closed => false,
        }
    }

    /// A turn of a session without a connection opens one, where it may begin with it; or its flow is over.
    fn advance_detached(&mut self, outcome: Outcome, ctx: &mut Context<'_>) -> bool {
        match (self.playing(ctx.flow).front(), ctx.flow.ended()) {
            (Some(_), _) if core::mem::take(&mut self.answered) => {
                // The client has more to say, so the online server has gone on.
                ctx.shared.counters.target_closes += 1;
                true
            }
            (Some(turn), None) if self.turns.fate().is_none() && self.may_yet_begin(turn, ctx) => {
                false
            }
            (Some(turn), _) if self.turns.fate().is_none() && !self.may_begin(turn, ctx) => {
                ctx.shared.counters.flows_without_beginning += 1;
                // A flow that was joined: it may be that no such flow makes sense to the target.
                ctx.rule.joins_refused += u32::from(ctx.flow.is_joined() && self.leads);
                self.doom_waiting(outcome, ctx);
                self.life = Life::Dead(outcome);
                true
            }
            (Some(_), _) if self.turns.fate().is_none() => {
                self.connect(ctx);
                match self.life {
                    Life::Connected => self.advance_once(ctx),
                    // There was no source, and the turn is doomed: perhaps it is the last.
                    Life::Detached { .. } => true,
                    _ => false,
                }
            }
            (None, Some(end)) => {
                self.count_gap(end, ctx);
                self.life = Life::Closed;
                false
            }
            _ => false,
        }
    }

    /// Whether a connection may begin with this turn: it must be the flow's first, or make sense by itself, which nothing does in
    /// a flow whose server spoke first.
    fn may_begin(&self, turn: &Turn, ctx: &Context<'_>) -> bool {
        let anywhere = ctx.shared.config.rules[usize::from(self.rule.0)].resume_anywhere;
        let is_greeted = ctx.flow.captured().is_greeted();
        if self.is_not_to_be_joined(ctx) {
            return false;
        }
        let messages = ctx.flow.captured().messages();
        anywhere
            || turn.start == ctx.flow.captured().origin()
            || messages.is_some_and(|it| self.playing(ctx.flow).is_behind_a_login(it))
            || !is_greeted && self.stands_alone(turn, ctx)
    }

    /// Whether that is to be seen once more of the turn has come: what there is of it does not tell.
    fn may_yet_begin(&self, turn: &Turn, ctx: &Context<'_>) -> bool {
        let is_short = turn.end - turn.start < standalone::LEN as u64;
        is_short
            && self.playing(ctx.flow).len() == 1
            && !self.may_begin(turn, ctx)
            && !self.is_not_to_be_joined(ctx)
            && !ctx.flow.captured().is_greeted()
            && self.may_stand_alone(turn, ctx)
    }

    /// Whether this flow was joined because all are (`--join always`), and targets of its rule have ended so many of those
    /// without an answer that none is any more.
    fn is_not_to_be_joined(&self, ctx: &Context<'_>) -> bool {
        let join = ctx.shared.config.rules[usize::from(self.rule.0)].join;
        join == Join::Always
            && ctx.flow.is_joined()
            && ctx.rule.joins_unanswered >= JOINS_REFUSED_MAX
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
        if ctx.shared.echoes.hold_end().is_some() && self.is_held(ctx) {
            return false;
        }
        if self.turns.is_told() {
            return self.advance_told(ctx);
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
        let (unasked, absence) = self.unasked(ctx);
        let patience = self.patience(next, unasked, absence, ctx);
        let trips = patience.trips;
        let (una, seen) = (self.connection.una(), ctx.shared.seen);
        let is_streaming = self.turns.is_streaming();
        let again_at = is_streaming.then(|| {
            let mut playing = self.turns.of_mut(ctx.flow.captured());
            playing.let_go(una, &patience, seen)
        });
        let verdict = self.playing(ctx.flow).verdict(next, una, &patience, seen);
        match verdict {
            Verdict::Wait => {
                self.release_at = again_at.flatten();
                return false;
            }
            Verdict::At(at) => {
                self.release_at = Some(at);
                return false;
            }
            Verdict::TimedOut => {
                let is_there = self.playing(ctx.flow).front().is_some();
                ctx.shared.counters.turns_unpaired += u64::from(is_there);
            }
            _ => {}
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
        self.end_current(verdict, next, (trips, unasked), ctx);
        self.go_on(end, ctx)
    }

    /// The current turn is over: the next departs, or the client's end. Returns whether another step may follow.
    #[inline(always)]
    fn go_on(&mut self, end: Option<EndOfStream>, ctx: &mut Context<'_>) -> bool {
        match (self.playing(ctx.flow).front().is_some(), end) {
            (true, _) if self.connection.is_finished() && !self.is_over_with_both(ctx.flow) => {
                self.reconnect(Outcome::TargetClosed, Some(Flags::FIN), ctx);
                true
            }
            (true, _) => {
                let una = self.connection.una();
                self.playing_mut(ctx.flow).release(una, ctx.now);
                !self.has_nothing_ahead(ctx.flow)
            }
            (false, Some(end)) => {
                self.close(end, ctx);
                false
            }
            (false, None) => false,
        }
    }

    /// Whether the front turn was let go without waiting, the target has it, and both servers have closed: what they have said of it is
    /// said, whichever turn that was taken for.
    fn is_over_with_both(&self, flow: &Flow) -> bool {
        let front = self.playing(flow).front();
        self.turns.is_streaming()
            && flow.is_online_closed()
            && front.is_some_and(|turn| turn.end <= self.connection.una())
    }

    /// The current turn is over, if there is one.
    fn end_current(
        &mut self,
        verdict: Verdict,
        next: Next,
        (trips, unasked): (Duration, bool),
        ctx: &mut Context<'_>,
    ) {
        let seen = ctx.shared.seen;
        let time = seen.since(next.captured);
        let overdue = verdict == Verdict::TimedOut
            || verdict == Verdict::Quiet && time > ctx.rule.tuning.response_timeout;
        let waiting = self.playing(ctx.flow).waiting().filter(|_| overdue);
        let waited = Waited {
            time,
            response_timeout: ctx.rule.tuning.response_timeout,
            trips,
            unasked,
            stands_alone: waiting.is_some_and(|turn| self.stands_alone(turn, ctx)),
        };
        // What is learned from it is about the turns behind it, and says nothing else of this one.
        let was_delivered = overdue && self.progress(ctx.flow) == Progress::Delivered;
        let mut playing = self.playing_mut(ctx.flow);
        if playing.note(verdict, next, waited, &mut ctx.rule.habits, seen) {
            ctx.shared.counters.sessions_streaming += 1;
        }
        if verdict == Verdict::TimedOut && self.playing(ctx.flow).current().is_some() {
            // Out of step are those behind it: that this one has no response is a difference that can be told.
            self.end(Cause::ResponseTimeout, ctx);
            // The connection has stood for so long: if it is lost now, that is no part of a row.
            (self.reconnects, self.refusals) = (0, 0);
        }
        if self.playing(ctx.flow).current().is_some() {
            let is_reset = ctx.flow.ended().is_some_and(|end| end.end == End::Reset);
            let cause = if is_reset {
                Cause::ClientReset
            } else {
                Cause::Over
            };
            let progress = if was_delivered {
                Progress::Delivered
            } else {
                self.progress(ctx.flow)
            };
            self.end_after(cause, progress, ctx);
        }
    }

    /// Bytes wait for the online server's acknowledgement, and the client's connection may be gone: then it does not come any
    /// more. Returns whether that is so, or has to be waited for.
    fn end_unconfirmed(&mut self, ctx: &mut Context<'_>) -> bool {
        let end = ctx.flow.ended().map(|end| end.end);
        let is_gone = matches!(end, Some(End::Reset | End::Replaced | End::Idle));
        if !is_gone && !ctx.flow.stream().is_replaced() {
            return false;
        }
        if !knows_service(ctx.flow, ctx.now) {
            self.release_at = Some(ctx.flow.active_at() + SERVICE_WAIT);
            return true;
        }
        while self.playing(ctx.flow).front().is_some() {
            self.end(Cause::Lost(Outcome::Unserved), ctx);
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
            self.end(Cause::Lost(fate), ctx);
        }
    }

    fn has_timed_out(&self, ctx: &Context<'_>) -> bool {
        self.playing(ctx.flow)
            .has_timed_out(ctx.rule.tuning.response_timeout, ctx.now)
    }

    /// The end of the run: every turn ends now, the connection with a RST.
    pub(crate) fn finish(&mut self, ctx: &mut Context<'_>) {
        while self.playing(ctx.flow).front().is_some() {
            let under_way = self.playing(ctx.flow).is_under_way(DRAIN_SILENCE, ctx.now);
            let silent = self.has_timed_out(ctx);
            let cause = if under_way && !silent {
                Cause::CutOff
            } else {
                Cause::Finish { silent }
            };
            self.end(cause, ctx);
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
pub(super) fn knows_service(flow: &Flow, now: Instant) -> bool {
    flow.ended().is_some_and(|end| {
        !matches!(end.end, End::Fin | End::Reset)
            || flow.stream().is_served()
            || flow.is_online_closed()
            || flow.stream().is_replaced()
            || now >= flow.active_at() + SERVICE_WAIT
    })
}
