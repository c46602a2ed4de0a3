//! What becomes of a session whose connection the target has refused or ended, or left unanswered.

use wire::tcp::Flags;

use super::advance::knows_service;
use super::outcome::Cause;
use super::{After, Life, Session};
use crate::context::Context;
use crate::event::Outcome;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, RECONNECTS_MAX};
use crate::time::Instant;

impl Session {
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
            self.release_answered(ctx);
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
            if answered {
                self.end(Cause::Over, ctx);
            } else {
                self.end(Cause::Lost(outcome), ctx);
            }
        }
    }

    /// Another tcpcopy has a session with the same source. From a pool it is tried from another port; the client's own address
    /// is the other's for as long as that session runs.
    pub(crate) fn on_taken(&mut self, ctx: &mut Context<'_>) {
        if !self.is_connected() {
            return;
        }
        let outcome = Outcome::Collision;
        ctx.shared.counters.sessions_collided += 1;
        if ctx.target.pool.is_some() {
            self.reconnect(outcome, None, ctx);
            self.advance(ctx);
        } else {
            self.given_up.get_or_insert(outcome);
            self.doom_waiting(outcome, ctx);
            self.settle(After::Dead(outcome), ctx);
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

    /// The target has ended a connection. That of a joined flow which it has not answered once, and which the online server keeps,
    /// says that no such flow makes sense to the target.
    fn note_unanswered_join(&self, outcome: Outcome, ctx: &mut Context<'_>) {
        let ended = matches!(outcome, Outcome::Reset | Outcome::TargetClosed);
        let goes_on = ctx.flow.ended().is_none() && !ctx.flow.is_online_closed();
        if ended && goes_on && ctx.flow.is_joined() && !self.answered && self.leads {
            ctx.rule.joins_unanswered = ctx.rule.joins_unanswered.saturating_add(1);
        }
    }

    /// Leaves the connection, so that the front turn opens another; after several in a row that came to nothing, only
    /// after a while. `last` tells the target, where it does not know.
    pub(super) fn reconnect(
        &mut self,
        outcome: Outcome,
        last: Option<Flags>,
        ctx: &mut Context<'_>,
    ) {
        self.note_unanswered_join(outcome, ctx);
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
}
