//! How a session closes its connection in order, and what it waits for: the client has closed, or the target has.

use core::time::Duration;

use wire::tcp::Flags;

use super::outcome::Cause;
use super::{After, Life, Session};
use crate::context::Context;
use crate::event::Outcome;
use crate::flow::Flow;
use crate::flow::stream::{End, EndOfStream};
use crate::limits::{CLOSING_MAX, FIN_WAIT, QUIET_MAX, TIME_WAIT};
use crate::time::Instant;

impl Session {
    /// The client's end may be copied.
    pub(super) fn close(&mut self, end: EndOfStream, ctx: &mut Context<'_>) {
        match end.end {
            // First the connection that the client had: the SYN-ACK brings us back here.
            End::Fin | End::Replaced | End::Idle if self.connection.is_opening() => {}
            End::Fin | End::Replaced | End::Idle => {
                self.life = Life::Closing {
                    since: ctx.now,
                    is_last: self.connection.is_finished(),
                };
            }
            End::Reset | End::Gap => self.part(Flags::RST, After::Closed, ctx),
        }
    }

    /// The client's end has left before the response to the last turn: the turn is over when both servers have closed as
    /// well, or one has not for too long.
    pub(super) fn await_last_response(&mut self, since: Instant, ctx: &mut Context<'_>) {
        let una = self.connection.una();
        let Some(turn) = self.playing(ctx.flow).current() else {
            if ctx.flow.stream().is_abandoned() && !self.connection.is_finished() {
                // What the target still says of it is wanted by nobody.
                self.part(Flags::RST, After::Closed, ctx);
            }
            return;
        };
        if self.connection.is_finished() && ctx.flow.is_online_closed() && una >= turn.end {
            self.end(Cause::Over, ctx);
            return;
        }
        let answered = una >= turn.end && self.turns.answer_bytes() >= turn.online.bytes;
        if answered && ctx.flow.stream().is_abandoned() {
            self.end(Cause::Over, ctx);
            self.part(Flags::RST, After::Closed, ctx);
            return;
        }
        let patience = if self.playing(ctx.flow).is_answered_by_both(una) {
            FIN_WAIT
        } else {
            ctx.rule.tuning.response_timeout
        };
        let at = self.closing_until(since, patience);
        if ctx.now < at {
            self.release_at = Some(at);
            return;
        }
        self.end(Cause::LastTimeout, ctx);
        if self.ends(ctx.flow) != (true, true) {
            self.part(Flags::RST, After::Closed, ctx);
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
            if let Some(at) = self.online_goes_on_until(ctx) {
                // What has come of its response is not what the target's is compared with.
                self.release_at = Some(at);
                return;
            }
            self.end(Cause::Over, ctx);
        }
        let then = After::Detached {
            retry_at: ctx.now,
            outcome: Outcome::TargetClosed,
        };
        self.part(Flags::FIN, then, ctx);
    }

    /// Until when the online server may have more to say of the current turn, where it may.
    fn online_goes_on_until(&self, ctx: &Context<'_>) -> Option<Instant> {
        let turn = self.playing(ctx.flow).current()?;
        let at = turn.online.last + QUIET_MAX;
        (!ctx.flow.is_online_closed() && ctx.shared.seen < at).then_some(at)
    }

    /// Whether both sides have closed; the last acknowledgement may still have to leave.
    pub(crate) fn check_closed(&mut self, ctx: &mut Context<'_>) {
        if self.closed_at(ctx.flow).is_none_or(|at| ctx.now < at) {
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
        let Life::Closing { since, is_last } = self.life else {
            return None;
        };
        if self.playing(flow).current().is_some() {
            return None;
        }
        match self.ends(flow) {
            // Our FIN has acknowledged the target's, and it has acknowledged ours: there is no TIME-WAIT after LAST-ACK.
            (true, true) if is_last => Some(since),
            (true, true) => Some(since + TIME_WAIT),
            (true, false) => Some(self.closing_until(since, FIN_WAIT)),
            _ => None,
        }
    }

    /// Until when a target that has not closed is waited for: it may still be at work on what it was sent, and is then heard. One
    /// that speaks on without an end is not waited for without an end.
    fn closing_until(&self, since: Instant, patience: Duration) -> Instant {
        (since.max(self.active_at) + patience).min(since + CLOSING_MAX.max(patience))
    }

    /// Whether the client's end has left and the target may still be at work on what came before it: for a drain.
    pub(crate) fn awaits_target_close(&self, silence: Duration, now: Instant) -> bool {
        matches!(self.life, Life::Closing { .. })
            && !self.connection.is_finished()
            && now.since(self.active_at) <= silence
    }
}
