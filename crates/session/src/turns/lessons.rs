//! What is learned from a verdict: how responses end, whether the session is in step, and whether it ever was.

use core::ops::DerefMut;
use core::time::Duration;

use super::doubt::{Doubt, Why};
use super::ends::End;
use super::habits::Habits;
use super::release::{OWED_PART, Verdict};
use super::{Next, Playing, Turns};
use crate::limits::{
    MUTE_TIMEOUTS, QUIET_MAX, RESYNC_CHECKS, TIMEOUT, TIMEOUTS_UNTIL_STREAMING, UNASKED_STALL,
};
use crate::time::Instant;

/// How long the next turn has waited when the current one is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited {
    pub(crate) time: Duration,
    pub(crate) response_timeout: Duration,
    /// Two round trips.
    pub(crate) trips: Duration,
    /// As in [`Patience::unasked`].
    pub(crate) unasked: bool,
    /// Whether the next turn needs nothing that came before it: asked only where that matters.
    pub(crate) stands_alone: bool,
}

impl<T: DerefMut<Target = Turns>> Playing<'_, T> {
    /// A verdict is about to be acted upon; `waited` says for how long the next turn had, for which a target that is slow but
    /// otherwise in step may well be the reason. A session out of step is unpaired until it is in step again, and streaming
    /// after several time-outs, or as soon as it lags where either side speaks unasked. Returns whether it became streaming just
    /// now.
    pub(crate) fn note(
        &mut self,
        verdict: Verdict,
        next: Next,
        waited: Waited,
        habits: &mut Habits,
        now: Instant,
    ) -> bool {
        if self.is_streaming() {
            return false;
        }
        if waited.unasked && self.is_unasked_and_late(verdict, &waited) {
            return self.stream();
        }
        let is_late = verdict == Verdict::Quiet && waited.time >= UNASKED_STALL;
        self.silences
            .on_over(is_late, verdict == Verdict::Overtaken);
        if let Some(cause) = next.cause {
            // Where a response was shorter, the next is not to make up for it.
            self.step.target_at = self.step.target_at.max(cause);
        }
        let before = self.step.before.take();
        self.give_up_hope(waited, now);
        match verdict {
            Verdict::Over => {
                self.count_answer();
                if self.doubt.is_open() {
                    self.settle_doubt(next, before, habits);
                }
            }
            Verdict::Learned(end) => {
                self.count_answer();
                self.step.before = Some(end);
                if self.doubt.is_open() {
                    let missing = self.missing(next);
                    self.doubt.grow(missing, 0);
                }
            }
            // One that stands alone is of a protocol that answers each request: that it is late says nothing of it.
            Verdict::Quiet if waited.time > waited.response_timeout && !waited.stands_alone => {
                // What was said for another turn is not owed.
                let is_said = self.step.answer.bytes == 0 && self.is_even();
                if !is_said {
                    let missing = self.missing(next);
                    self.doubt.grow(missing, 0);
                }
                return self.count_timeout(waited, now);
            }
            Verdict::Quiet => self.note_silence(next, before, habits, now),
            Verdict::TimedOut => {
                let missing = self.missing(next);
                self.doubt.grow(missing, RESYNC_CHECKS);
                // Whatever it owed before, it has not said a word of this one either.
                self.step.paired |= self.step.answer.bytes == 0 && self.step.carried.bytes == 0;
                return self.count_timeout(waited, now);
            }
            Verdict::Overtaken => {
                let missing = self.missing(next);
                self.doubt.grow(missing, RESYNC_CHECKS);
                self.pair_with_none();
                return false;
            }
            Verdict::Streaming => return self.stream(),
            Verdict::At(_) | Verdict::Wait => return false,
        }
        self.pair(next, waited.trips, habits, now);
        false
    }

    /// A response that has not come by now will not come at all.
    fn give_up_hope(&mut self, waited: Waited, now: Instant) {
        if self.doubt.is_open() && now.since(self.silent_since(now)) >= waited.response_timeout {
            self.doubt = Doubt::default();
        }
    }

    /// Whether a flow in which either side speaks unasked has come to lag, though no single turn has waited for long.
    fn is_unasked_and_late(&self, verdict: Verdict, waited: &Waited) -> bool {
        let decided = match verdict {
            Verdict::Over | Verdict::Learned(_) => {
                // A target that answers all of its streams and is late is slow.
                let signs = self.queue.signs();
                signs.are_of_pauses() && !signs.has_streams()
            }
            Verdict::Quiet => true,
            _ => false,
        };
        decided && waited.time >= UNASKED_STALL
    }

    /// From now on turns leave by what the target has sent in sum.
    fn stream(&mut self) -> bool {
        let online_end = self.queue.online_end();
        self.turns.stream(online_end)
    }

    /// A turn was answered while it was not known to which turn bytes belong: they are known to if all that was owed has come
    /// with it.
    fn settle_doubt(&mut self, next: Next, before: Option<End>, habits: &mut Habits) {
        let doubt = self.doubt;
        let surplus = self.pay_surplus(next);
        if self.doubt.is_open() {
            return;
        }
        if let Some(end) =
            before.filter(|_| doubt.why != Why::TimedOut && surplus == u64::from(doubt.owed))
        {
            // The response before had a second part, and this turn both of its own.
            habits.refute(end, None);
        }
    }

    /// What has come beyond this turn's own response pays for what is owed, and nearly all of it does for all: a response that was
    /// late may be shorter as well. Returns how much that was.
    fn pay_surplus(&mut self, next: Next) -> u64 {
        let wanted = self.wanted(next).unwrap_or(0);
        let surplus = match wanted {
            0 => 0,
            _ => self.received().saturating_sub(wanted),
        };
        let owed = self.doubt.owed;
        let paid = u32::try_from(surplus).unwrap_or(u32::MAX);
        let rounding = match self.doubt.why {
            Why::TimedOut => owed / OWED_PART,
            Why::Guess => 0,
        };
        if surplus > 0 {
            self.doubt.pay(paid.saturating_add(rounding).min(owed));
        }
        self.doubt.checks = self.doubt.checks.saturating_sub(1);
        surplus
    }

    /// The target's silence has ended a turn: it teaches how responses end, at once where it was as long as it ever has to be, and
    /// otherwise if the next turn does not show that something was still to come.
    fn note_silence(&mut self, next: Next, before: Option<End>, habits: &mut Habits, now: Instant) {
        if self.step.answer.bytes == 0 {
            return;
        }
        self.count_answer();
        let missing = self.missing(next);
        let mut is_sure = now.since(self.silent_since(now)) >= QUIET_MAX;
        if self.doubt.is_open() {
            let doubt = self.doubt;
            let surplus = self.pay_surplus(next);
            if doubt.why == Why::TimedOut {
                if self.doubt.is_open() {
                    self.doubt.grow(missing, 0);
                    if self.doubt.checks == 0 && missing == 0 {
                        // Each of several turns has had its own response and then silence for longer than one takes: what never
                        // came does not come late.
                        self.doubt = Doubt::default();
                    }
                }
                return;
            }
            self.doubt = Doubt::default();
            if surplus > 0 {
                // Some of it has come, or this response is longer, as one of another length is half of the time: how the one before
                // ended is open, and that it had a pause is not likely.
                if surplus != u64::from(doubt.owed) {
                    habits.shorten();
                }
                return;
            }
            // What was still to come has not come, in a silence that was longer for that: this response is complete as well.
            if let Some(end) = before {
                habits.confirm(end);
            }
            self.step.paired = true;
            is_sure = true;
        }
        let Some(end) = self.end(self.wanted(next)) else {
            return;
        };
        self.step.before = Some(end);
        if is_sure {
            habits.confirm(end);
        } else if missing > 0 {
            self.doubt = Doubt::about(missing, Why::Guess);
            self.step.paired = false;
        }
    }

    /// A turn has got its answer: time-outs are forgotten slowly, since where each second turn asks nothing, they take turns.
    fn count_answer(&mut self) {
        self.timeouts = self.timeouts.saturating_sub(1);
    }

    fn count_timeout(&mut self, waited: Waited, now: Instant) -> bool {
        self.pair_with_none();
        self.timeouts = self.timeouts.saturating_add(TIMEOUT);
        let is_mute = now.since(self.step.heard) >= waited.response_timeout * MUTE_TIMEOUTS;
        // Where each request is answered, and the target speaks, it is known what it answers.
        let enough = self.timeouts >= TIMEOUTS_UNTIL_STREAMING && (is_mute || !waited.stands_alone);
        if !enough && !self.queue.is_unprompted() {
            return false;
        }
        if !is_mute {
            // It leaves turns out, but speaks: those that leave now have still to be waited for.
            self.asked = false;
        }
        self.stream()
    }
}
