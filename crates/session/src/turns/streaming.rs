//! When turns leave in a streaming session: by time, and by causality.
//!
//! Which turn the target answers is not known there, but what it has sent in sum is. A turn departs when the target has sent as
//! much as the online server had when the client sent it, which for an equal target is exact. Where the target has less to
//! say it is waited for until it is silent, and what it owes is forgotten: it will not come. No turn waits for longer than
//! [`STREAMING_WAIT_MAX`] after its capture, whatever the target does, so that a copy never lags by more for its target's sake.

use core::ops::{Deref, DerefMut};

use wire::seq::OnlineSeq;

use super::{Gating, Next, Patience, Playing, Turns, Verdict};
use crate::limits::{PATIENCE_MAX, QUIET_SETTLED, STREAMING_WAIT_MAX};
use crate::time::Instant;

impl Turns {
    /// From now on turns leave by what the target has sent in sum. Returns whether this is new.
    pub(super) fn stream(&mut self, online_end: OnlineSeq) -> bool {
        if self.gating != Gating::InStep {
            return false;
        }
        self.gating = Gating::Streaming;
        self.let_go = self.front + u64::from(self.current);
        self.step.before = None;
        // What was not waited for while the session was in step, and came later, is not to count twice.
        self.step.target_at = self.step.target_at.min(online_end);
        true
    }

    pub(crate) fn is_streaming(&self) -> bool {
        self.gating == Gating::Streaming
    }
}

impl<T: Deref<Target = Turns>> Playing<'_, T> {
    /// How far the stream may be sent where the session is streaming.
    pub(super) fn let_go_end(&self, stream_end: u64) -> u64 {
        let kept_back = self.let_go.max(self.front + u64::from(self.current)) - self.front;
        self.queue
            .get(kept_back as usize)
            .map_or(stream_end, |turn| turn.start)
    }

    /// Whether the target, which has all that was let go, has said all that it had to say.
    fn silence_at(&self, patience: &Patience<'_>, now: Instant) -> Instant {
        let trips = patience.trips.min(PATIENCE_MAX);
        let quiet = patience.habits.quiet().max(QUIET_SETTLED).max(trips);
        if patience.is_shut {
            // It may not say more.
            now + quiet
        } else {
            self.silent_since(now) + quiet
        }
    }

    /// Whether the current turn is over: what is behind it was let go, or is the end of the stream and may follow.
    pub(super) fn streamed(&self, next: Next, patience: &Patience<'_>, now: Instant) -> Verdict {
        if self.waiting().is_some() {
            return if self.let_go > self.front + u64::from(self.current) {
                Verdict::Over
            } else {
                // Turns are let go by themselves.
                Verdict::Wait
            };
        }
        let is_due = next.cause.is_none_or(|cause| self.step.target_at >= cause);
        let at = (next.captured + STREAMING_WAIT_MAX).min(self.silence_at(patience, now));
        if is_due || next.is_reset || now >= at {
            Verdict::Over
        } else {
            Verdict::At(at)
        }
    }
}

impl<T: DerefMut<Target = Turns>> Playing<'_, T> {
    /// Lets go of the turns that may leave; returns when to ask again, if one may not yet.
    pub(crate) fn let_go(
        &mut self,
        una: u64,
        patience: &Patience<'_>,
        now: Instant,
    ) -> Option<Instant> {
        self.let_go = self.let_go.max(self.front + u64::from(self.current));
        loop {
            let index = self.let_go - self.front;
            let turn = self.queue.get(index as usize)?;
            let mut at = turn.captured_first + STREAMING_WAIT_MAX;
            if index <= u64::from(self.current) && una >= turn.start {
                let silence_at = self.silence_at(patience, now);
                if now >= silence_at {
                    // It is no further behind than it was left, and no further ahead than the online server was.
                    let most = turn.cause + turn.early;
                    self.step.target_at = self.step.target_at.max(turn.cause).min(most);
                }
                at = at.min(silence_at);
            }
            let is_due = self.step.target_at >= turn.cause || patience.target_closed;
            if !is_due && now < at {
                return Some(at);
            }
            self.let_go += 1;
        }
    }
}
