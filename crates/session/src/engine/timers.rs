//! When sessions are to be asked: the wheel, and beside it a queue for the one timer that nearly every turn sets.
//!
//! An acknowledgement is delayed by a constant, so those that wait stand in the order of their times without being sorted. Most
//! of them leave earlier, with the next turn: what is left in the queue is then recognised as stale by what the session
//! itself remembers.

use std::collections::VecDeque;

use crate::id::SessionId;
use crate::time::Instant;
use crate::wheel::{Armed, Entry, Wheel};

/// What a worker's sessions wait for.
#[derive(Debug)]
pub(crate) struct Timers {
    wheel: Wheel,
    /// Delayed acknowledgements, the next one first. One entry for each that was delayed within the constant delay.
    acknowledgements: VecDeque<Entry>,
}

impl Timers {
    /// None, from `now` on.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            wheel: Wheel::new(now),
            acknowledgements: VecDeque::new(),
        }
    }

    /// A session is to be asked at `deadline`, or earlier.
    pub(crate) fn arm(&mut self, armed: &mut Armed, session: SessionId, deadline: Instant) {
        if armed.arm(deadline) {
            let at = deadline;
            self.wheel.insert(Entry { session, at });
        }
    }

    /// A session's acknowledgement is to leave at `at`, if none leaves before; `armed` is the
    /// time that it was told before.
    #[inline(never)]
    pub(crate) fn arm_acknowledgement(
        &mut self,
        armed: &mut Option<Instant>,
        session: SessionId,
        at: Instant,
    ) {
        if armed.replace(at) != Some(at) {
            debug_assert!(
                self.acknowledgements
                    .back()
                    .is_none_or(|last| last.at <= at),
                "the delay is constant"
            );
            self.acknowledgements.push_back(Entry { session, at });
        }
    }

    /// The next acknowledgement that is due at `now`.
    pub(crate) fn due_acknowledgement(&mut self, now: Instant) -> Option<Entry> {
        self.acknowledgements.pop_front_if(|next| next.at <= now)
    }

    /// Time has passed up to `now`. Returns whether [`Timers::expire`] has anything to do.
    pub(crate) fn pass(&mut self, now: Instant) -> bool {
        self.wheel.pass(now)
    }

    /// Hands out everything else that is due.
    pub(crate) fn expire(&mut self, now: Instant, due: &mut Vec<Entry>) {
        self.wheel.expire(now, due);
    }

    /// A time at or before that of the next entry.
    pub(crate) fn next(&self) -> Option<Instant> {
        let acknowledgement = self.acknowledgements.front().map(|next| next.at);
        match (acknowledgement, self.wheel.next()) {
            (Some(acknowledgement), wheel) => Some(acknowledgement.or_earlier(wheel)),
            (None, wheel) => wheel,
        }
    }
}
