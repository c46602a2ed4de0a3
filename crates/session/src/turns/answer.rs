//! What the target sends, and which turn it answers.
//!
//! R is what it has sent since it began to acknowledge the current turn. What acknowledges nothing of it belongs to the turn
//! before, of which it was *carried* over.

use core::ops::{Deref, DerefMut};

use super::doubt::{Doubt, Why};
use super::habits::Habits;
use super::{Playing, Turns};
use crate::connection::Tail;
use crate::time::Instant;

impl<T: Deref<Target = Turns>> Playing<'_, T> {
    /// How much of what the target has sent beyond the share of the turn before counts for the current turn: where turns
    /// wait, as much as its client had still to see; where they do not, several responses may have come at once.
    #[inline]
    pub(super) fn credit(&self) -> u64 {
        match self.step.carried.bytes {
            0 => 0,
            carried => self.credit_of(carried.into()),
        }
    }

    fn credit_of(&self, carried: u64) -> u64 {
        match self.current() {
            Some(_) if self.is_ungated() => carried,
            // To the byte what the online server answered between this turn and the next. This turn asked nothing (an
            // acknowledgement of settings in HTTP/2, say): the answer to the turn before came after it online, and before it
            // at the target.
            Some(turn)
                if self.step.before.is_none()
                    && self.queue.get(1).is_some_and(|next| {
                        u64::from(next.cause.ahead_of(turn.cause))
                            == carried + self.step.answer.bytes
                    }) =>
            {
                carried
            }
            Some(turn) => carried.min(u64::from(turn.early) + u64::from(turn.rest)),
            None => 0,
        }
    }

    /// R, the bytes that the target has sent in answer to the current turn.
    #[inline]
    pub(super) fn received(&self) -> u64 {
        self.step.answer.bytes + self.credit()
    }
}

impl<T: DerefMut<Target = Turns>> Playing<'_, T> {
    /// The target sent `bytes` in order, acknowledging the stream up to `acknowledged`; `tail` says whether the segment
    /// looks like the end of a response.
    pub(crate) fn on_target_bytes(
        &mut self,
        acknowledged: u64,
        bytes: u32,
        tail: Tail,
        stamp: Instant,
        habits: &mut Habits,
    ) {
        let answers_before = self
            .current()
            .is_some_and(|turn| acknowledged <= turn.start);
        if answers_before {
            self.on_late_bytes(bytes, stamp, habits);
            if self.step.answer.bytes == 0 {
                self.step.tail = tail;
            }
            return;
        }
        // What came before the target had all of the turn was no part of its response.
        let whole_at = self.step.acknowledged_at;
        if self.step.answer.bytes > 0 && whole_at.is_some_and(|at| at <= self.step.answer.last) {
            if self.step.tail != Tail::No
                && let Some(end) = self.end_so_far()
            {
                habits.refute_part(end);
            }
            habits.on_pause(stamp.since(self.step.answer.last));
        }
        self.step.answer.add(bytes, stamp);
        self.step.tail = tail;
        self.step.tails = self.step.tails.saturating_add(u8::from(tail != Tail::No));
        if tail != Tail::No {
            self.suspect();
        }
    }

    /// A response that was taken to be complete for its kind alone, and exactly what it lacked comes next: that may be its rest.
    pub(super) fn suspect(&mut self) {
        let Some(before) = self.step.before.filter(|before| !before.is_exact) else {
            return;
        };
        let missing = u32::try_from(before.missing).unwrap_or(0);
        if self.step.answer.bytes == u64::from(missing) && !self.doubt.is_open() {
            self.doubt = Doubt::about(missing, Why::Guess);
            self.step.paired = false;
        }
    }

    /// The rest of a response came after it had been taken to be complete.
    pub(super) fn on_late_bytes(&mut self, bytes: u32, stamp: Instant, habits: &mut Habits) {
        let carried = &mut self.step.carried;
        let last = core::mem::replace(&mut carried.last, stamp);
        carried.bytes = carried.bytes.saturating_add(bytes);
        if self.current().is_some_and(|turn| turn.early > 0) {
            // Its client had not waited for it either.
            return;
        }
        self.step.behind.on_late_bytes(habits);
        self.step.paired = false;
        let Some(end) = self.step.before else {
            return;
        };
        habits.refute(end, Some(stamp.since(last)));
        self.doubt.pay(bytes);
        self.step.paired = false;
    }

    /// The target acknowledged the stream up to `una`.
    pub(crate) fn on_acknowledged(&mut self, una: u64, stamp: Instant) {
        if self.step.acknowledged_at.is_none() && self.current().is_none_or(|turn| turn.end <= una)
        {
            self.step.acknowledged_at = Some(stamp);
        }
    }
}

impl Turns {
    /// What the target has sent in answer to the current turn, without what it had sent before, in bytes.
    pub(crate) fn answer_bytes(&self) -> u64 {
        self.step.answer.bytes
    }

    /// The target has sent `bytes`, in order, in answer to whatever.
    pub(crate) fn charge(&mut self, bytes: u32) {
        self.step.credit = self.step.credit.saturating_sub(i64::from(bytes));
        self.step.target_at += bytes;
    }

    /// The target may send `bytes` more than the online server has sent.
    pub(crate) fn grant(&mut self, bytes: u32) {
        self.step.credit = self.step.credit.saturating_add(i64::from(bytes));
    }

    /// How many more bytes the target may send now, where it may be ahead of the online server by `slack`.
    pub(crate) fn allowance(&self, slack: u32) -> u32 {
        let allowed = self.step.credit.saturating_add(i64::from(slack));
        u32::try_from(allowed.max(0)).unwrap_or(u32::MAX)
    }

    /// The target was kept from sending more; returns whether this is new of the current turn.
    pub(crate) fn note_paced(&mut self) -> bool {
        !core::mem::replace(&mut self.step.paced, true)
    }

    /// The target sent payload, be it in order or not.
    pub(crate) fn on_heard(&mut self, stamp: Instant) {
        (self.asked, self.step.heard) = (false, stamp);
    }
}
