//! The release rule: whether the current turn is over, and how it ends.

use core::num::NonZeroU8;
use core::time::Duration;

use super::doubt::Doubt;
use super::ends::End;
use super::habits::Habits;
use super::{Gating, Next, Playing, Turns};
use crate::event::Outcome;
use crate::limits::{
    CUT_OFF, PATIENCE_MAX, QUIET_MAX, QUIET_SETTLED, RESYNC_CHECKS, TIMEOUTS_UNTIL_STREAMING,
    UNASKED_STALL,
};
use crate::time::Instant;
use core::ops::{Deref, DerefMut};

/// A target that has said all but this part of what the client had seen is not taken to be silent because it is slow.
const OWED_PART: u32 = 4;

/// Whether the current turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is answered as the online server answered it.
    Over,
    /// It is answered differently, and responses of this rule are known to end like this one.
    Learned(End),
    /// It is answered differently, and the target has been quiet.
    Quiet,
    /// Either side speaks unasked, and there is nothing to wait for.
    Streaming,
    /// The response timeout has passed.
    TimedOut,
    /// Ask again at this time.
    At(Instant),
    /// Only another event can tell.
    Wait,
}

/// What the verdict depends on besides the turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience<'a> {
    /// What is known of the target's responses.
    pub(crate) habits: &'a Habits,
    /// Two round trips: silence means nothing before they have passed.
    pub(crate) trips: Duration,
    /// Whether the response has a hole: then more must come.
    pub(crate) has_hole: bool,
    pub(crate) response_timeout: Duration,
    /// Whether the target has closed: its response is complete.
    pub(crate) target_closed: bool,
    /// Whether our window keeps it silent.
    pub(crate) is_held: bool,
    /// Whether either side may speak unasked: there are signs of it ([`Playing::seems_unasked`]), and the next turn needs what came
    /// before it.
    pub(crate) unasked: bool,
    /// From so many bytes more than the online server's on, only silence ends a response: in the middle of a long one there are
    /// segments that look like its end, because Linux sets PSH after each piece that a server has written.
    pub(crate) longer: u32,
}

/// How long the next turn has waited when the current one is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited {
    pub(crate) time: Duration,
    /// Whether that is longer than the response timeout.
    pub(crate) overdue: bool,
    /// As in [`Patience::unasked`].
    pub(crate) unasked: bool,
}

impl<T: Deref<Target = Turns>> Playing<'_, T> {
    /// Whether the current turn is over, so that `next` may depart.
    pub(crate) fn verdict(
        &self,
        next: Next,
        una: u64,
        patience: &Patience<'_>,
        now: Instant,
    ) -> Verdict {
        let wanted = self.wanted(next);
        if self.waits_for_nothing(wanted) {
            return Verdict::Over;
        }
        if self.current().is_some_and(|turn| una < turn.end) {
            return Verdict::Wait;
        }
        if patience.target_closed
            || self.gating == Gating::Streaming
            || self.is_answered(wanted, next.is_reset, patience.longer)
        {
            return Verdict::Over;
        }
        if let Some(end) = self.learned_end(wanted, patience) {
            return Verdict::Learned(end);
        }
        let stalls_at = self.stalls_at(next, patience, now);
        if stalls_at.is_some_and(|at| now >= at) {
            return Verdict::Streaming;
        }
        let answered = self.step.answer.bytes > 0;
        let verdict = if answered || wanted.is_none() || self.asked_nothing(wanted) {
            self.silence(wanted, patience, now)
        } else {
            self.absence(next, patience, now)
        };
        match (verdict, stalls_at) {
            (Verdict::At(at), Some(stalls_at)) => Verdict::At(at.min(stalls_at)),
            (verdict, _) => verdict,
        }
    }

    /// Whether there are signs that either side speaks unasked.
    pub(crate) fn seems_unasked(&self) -> bool {
        let are_there = self.queue.signs().are_there() || self.silences.are_there();
        are_there && !self.is_ungated()
    }

    /// Whether the target has said less than the client had seen, by more than a response of its own may be shorter.
    fn owes(&self, next: Next) -> bool {
        next.cause.is_some_and(|cause| {
            let wanted = cause.ahead_of(self.step.cause);
            cause.ahead_of(self.step.target_at) > wanted / OWED_PART
        })
    }

    /// When a turn has waited for long enough of a flow in which either side speaks unasked. Where all that speaks for it is a client
    /// that goes on while responses are on their way, as one does that pipelines, the target must have said as much as that
    /// client had seen: it is not just slow.
    fn stalls_at(&self, next: Next, patience: &Patience<'_>, now: Instant) -> Option<Instant> {
        if !patience.unasked {
            return None;
        }
        if !self.queue.signs().are_of_pauses() && self.owes(next) {
            return None;
        }
        let acknowledged_at = self.step.acknowledged_at.unwrap_or(now);
        Some(acknowledged_at.max(next.captured) + UNASKED_STALL)
    }

    /// N, the bytes that the client had seen of the response before it went on; unknown for an end that is not in
    /// the stream, where what was observed so far stands in.
    fn wanted(&self, next: Next) -> Option<u64> {
        match (next.cause, self.current()) {
            (Some(next), _) => Some(u64::from(next.ahead_of(self.step.cause))),
            (None, Some(turn)) if turn.online.bytes > 0 => Some(turn.online.bytes),
            (None, _) => None,
        }
    }

    /// By how much R is less than N, in bytes.
    fn missing(&self, next: Next) -> u32 {
        let missing = self
            .wanted(next)
            .map_or(0, |wanted| wanted.saturating_sub(self.received()));
        u32::try_from(missing).unwrap_or(u32::MAX)
    }

    /// Whether there is no response to wait for: the current turn was never sent, or there is none and no greeting either.
    fn waits_for_nothing(&self, wanted: Option<u64>) -> bool {
        match self.current() {
            Some(_) => self.fate().is_some(),
            None => self.is_ungated() || wanted.is_none_or(|wanted| wanted == 0),
        }
    }

    /// Whether the target has answered as the online server did: R has reached N, and the last segment looks like the end. What is
    /// still owed of the turns before is waited for as well, as long as there is hope. After a RST of the client the rest of
    /// the response is wanted by nobody.
    fn is_answered(&self, wanted: Option<u64>, is_reset: bool, longer: u32) -> bool {
        let Some(wanted) = wanted else {
            return false;
        };
        if wanted == 0 {
            return true;
        }
        let Some(beyond) = self.received().checked_sub(wanted) else {
            return false;
        };
        let looks_whole = self.step.tail && beyond < u64::from(longer);
        is_reset || looks_whole && beyond >= self.doubt.waited_for()
    }

    /// How the response has ended, if this was its end: the last segment must look like it.
    fn end(&self, wanted: Option<u64>) -> Option<End> {
        if !self.step.tail || self.step.answer.bytes == 0 {
            return None;
        }
        let received = self.received();
        let missing = wanted?.cast_signed() - received.cast_signed();
        Some(End {
            received: u32::try_from(received).unwrap_or(u32::MAX),
            missing: missing.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            tails: NonZeroU8::new(self.step.tails).unwrap_or(NonZeroU8::MIN),
        })
    }

    /// The end that the response seemed to have before more of it came: nothing is shown by more than the online server's.
    pub(super) fn false_end(&self) -> Option<End> {
        let wanted = match (self.current(), self.queue.get(1)) {
            (Some(turn), Some(next)) => u64::from(next.cause.ahead_of(turn.cause)),
            (Some(turn), None) => turn.online.bytes,
            (None, _) => return None,
        };
        self.end(Some(wanted)).filter(|end| end.missing > 0)
    }

    /// The response's end, where the target's responses are known to end like this.
    fn learned_end(&self, wanted: Option<u64>, patience: &Patience<'_>) -> Option<End> {
        if patience.has_hole || patience.is_held || self.doubt.checks > 0 {
            return None;
        }
        let at_once = self.online_spread() <= patience.trips.max(PATIENCE_MAX / 500);
        self.end(wanted)
            .filter(|end| patience.habits.believe(*end, at_once))
    }

    /// How long the online server took from its response's first byte to its last.
    fn online_spread(&self) -> Duration {
        self.current()
            .and_then(|turn| Some(turn.online.last.since(turn.online.first?)))
            .unwrap_or_default()
    }

    /// Whether what the client had seen before it went on was on its way already: nothing shows that the online server has
    /// answered this turn at all.
    fn asked_nothing(&self, wanted: Option<u64>) -> bool {
        self.current()
            .is_some_and(|turn| wanted.is_some_and(|wanted| wanted <= u64::from(turn.early)))
    }

    /// Since when the target is silent, having answered something or having had nothing to answer.
    fn silent_since(&self, now: Instant) -> Instant {
        let step = &self.step;
        if step.answer.bytes > 0 {
            return step.answer.last.max(step.heard);
        }
        let acknowledged_at = step.acknowledged_at.unwrap_or(now);
        acknowledged_at.max(step.carried.last).max(step.heard)
    }

    /// The target has said something, or need not say anything: silence ends the turn.
    fn silence(&self, wanted: Option<u64>, patience: &Patience<'_>, now: Instant) -> Verdict {
        let answered = self.step.answer.bytes > 0;
        let short = wanted.is_some_and(|wanted| self.received() < wanted);
        let quiet = self.quiet(patience);
        let cut_off = answered && short && (!self.step.tail || patience.has_hole);
        let at = self.silent_since(now) + if cut_off { CUT_OFF } else { quiet };
        if now < at {
            Verdict::At(at)
        } else if patience.is_held {
            Verdict::At(now + quiet)
        } else {
            Verdict::Quiet
        }
    }

    /// How long a silence has to be: longer where the online server has paused in this response as well, and where it is to be found
    /// out whether something is still to come.
    fn quiet(&self, patience: &Patience<'_>) -> Duration {
        let trips = patience.trips.min(PATIENCE_MAX);
        if self.step.answer.bytes == 0 {
            return patience.habits.quiet().min(QUIET_SETTLED).max(trips);
        }
        let paused = (self.online_spread() * 4).min(PATIENCE_MAX);
        let quiet = patience.habits.quiet().max(trips).max(paused);
        if self.doubt.checks > 0 {
            quiet * 2
        } else {
            quiet
        }
    }

    /// The target has said nothing although the online server has. What stands behind a hole is a response too, of which the
    /// target will send the beginning again.
    fn absence(&self, next: Next, patience: &Patience<'_>, now: Instant) -> Verdict {
        let since = self
            .step
            .acknowledged_at
            .unwrap_or(now)
            .max(next.captured)
            .max(self.step.heard);
        let at = since + patience.response_timeout;
        if now >= at {
            Verdict::TimedOut
        } else {
            Verdict::At(at)
        }
    }

    /// Whether the client had seen nothing of a response to the current turn when it sent what is `next`.
    pub(crate) fn ends_unanswered(&self, next: Next) -> bool {
        let unanswered = next.cause.is_some_and(|cause| cause <= self.step.cause);
        self.current().is_some() && self.queue.len() == 1 && unanswered
    }

    /// Whether the response to the current turn looks complete, as far as can be known before the client goes on:
    /// its acknowledgement may wait for the next turn.
    pub(crate) fn looks_answered(&self) -> bool {
        let Some(turn) = self.current() else {
            return false;
        };
        let wanted = match self.queue.get(1) {
            Some(next) => u64::from(next.cause.ahead_of(turn.cause)),
            None => turn.online.bytes,
        };
        wanted > 0 && self.step.tail && self.received() >= wanted
    }

    /// Whether the target has something of the current turn and has not answered it as the online server did.
    pub(crate) fn is_in_flight(&self, una: u64) -> bool {
        self.current().is_some_and(|turn| {
            let received = self.received();
            let answered = una >= turn.end && received > 0 && received >= turn.online.bytes;
            self.departures.has_begun() && !answered
        })
    }

    /// Whether the current turn waits for the target although the client has not gone on: for a drain.
    pub(crate) fn is_waiting(
        &self,
        una: u64,
        quiet: Duration,
        response_timeout: Duration,
        now: Instant,
    ) -> bool {
        if self.queue.len() == 1 && self.fate().is_some() {
            return false;
        }
        let Some(turn) = self.current() else {
            return !self.queue.is_empty();
        };
        if self.queue.len() > 1 || una < turn.end {
            return true;
        }
        let answer = &self.step.answer;
        let received = match turn.online.bytes {
            0 => answer.bytes,
            _ => self.received(),
        };
        let complete = received >= turn.online.bytes && (received > 0) == (turn.online.bytes > 0);
        let settled = answer.bytes > 0 && now.since(answer.last) > quiet;
        let acknowledged_at = self.step.acknowledged_at;
        let silent = acknowledged_at.is_some_and(|at| now.since(at) > response_timeout);
        !(complete || settled || (answer.bytes == 0 && silent))
    }

    /// Whether the target has left the current turn without the answer that the online server gave for so long.
    pub(crate) fn has_timed_out(&self, response_timeout: Duration, now: Instant) -> bool {
        let acknowledged_at = self.step.acknowledged_at;
        self.current().is_some_and(|turn| turn.online.bytes > 0)
            && self.step.answer.bytes == 0
            && acknowledged_at.is_some_and(|at| now.since(at) > response_timeout)
    }

    /// Whether the current turn has an answer of the online server and of the target.
    pub(crate) fn is_answered_by_both(&self, una: u64) -> bool {
        self.outcome(una) == Outcome::Answered
            && self.current().is_some_and(|turn| turn.online.bytes > 0)
    }

    /// How the current turn ends, having been sent and the session going on or closing in order.
    pub(crate) fn outcome(&self, una: u64) -> Outcome {
        let Some(turn) = self.current() else {
            return Outcome::Pending;
        };
        match (una >= turn.end, self.step.answer.bytes, turn.online.bytes) {
            (true, 1.., _) => Outcome::Answered,
            (true, 0, 0) => Outcome::Delivered,
            (true, 0, 1..) if self.credit() > 0 => Outcome::Answered,
            // Whatever the target has said of it was taken for another.
            (true, 0, 1..) if self.gating == Gating::Streaming => Outcome::Delivered,
            _ => Outcome::Pending,
        }
    }
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
        if waited.unasked && self.is_unasked_and_late(verdict, &waited) {
            return self.stream();
        }
        self.silences
            .on_over(verdict == Verdict::Quiet && waited.time >= UNASKED_STALL);
        if let Some(cause) = next.cause {
            // Where a response was shorter, the next is not to make up for it.
            self.step.target_at = self.step.target_at.max(cause);
        }
        let before = self.step.before.take();
        match verdict {
            Verdict::Over => {
                self.timeouts = 0;
                if self.doubt.is_open() {
                    self.settle_doubt(next, before, habits);
                }
            }
            Verdict::Learned(end) => {
                self.step.before = Some(end);
                if self.doubt.is_open() {
                    let missing = self.missing(next);
                    self.doubt.grow(missing, 0);
                }
            }
            Verdict::Quiet if waited.overdue => {
                let missing = self.missing(next);
                self.doubt.grow(missing, 0);
                return self.count_timeout();
            }
            Verdict::Quiet => self.note_silence(next, before, habits, now),
            Verdict::TimedOut => {
                let missing = self.missing(next);
                self.doubt.grow(missing, RESYNC_CHECKS);
                return self.count_timeout();
            }
            Verdict::Streaming => return self.stream(),
            Verdict::At(_) | Verdict::Wait => {}
        }
        false
    }

    /// Whether a flow in which either side speaks unasked has come to lag, though no single turn has waited for long.
    fn is_unasked_and_late(&self, verdict: Verdict, waited: &Waited) -> bool {
        let decided = match verdict {
            Verdict::Over | Verdict::Learned(_) => self.queue.signs().are_of_pauses(),
            Verdict::Quiet => true,
            _ => false,
        };
        decided && waited.time >= UNASKED_STALL
    }

    /// From now on turns leave by time only.
    fn stream(&mut self) -> bool {
        core::mem::replace(&mut self.gating, Gating::Streaming) == Gating::InStep
    }

    /// A turn was answered while it was not known to which turn bytes belong: they are known to if all that was owed has come
    /// with it.
    fn settle_doubt(&mut self, next: Next, before: Option<End>, habits: &mut Habits) {
        let Some(wanted) = self.wanted(next).filter(|wanted| *wanted > 0) else {
            return;
        };
        let (received, owed) = (self.received(), u64::from(self.doubt.owed));
        if received < wanted + owed {
            let came = u32::try_from(received.saturating_sub(wanted)).unwrap_or(u32::MAX);
            self.doubt.owed = self.doubt.owed.saturating_sub(came);
            self.doubt.checks = self.doubt.checks.saturating_sub(1);
            return;
        }
        let doubt = core::mem::take(&mut self.doubt);
        if let Some(end) = before.filter(|_| doubt.of_silence && received == wanted + owed) {
            // The response before had a second part, and this turn both of its own.
            habits.refute(end, None);
        }
    }

    /// The target's silence has ended a turn: it teaches how responses end, at once where it was as long as it ever has to be, and
    /// otherwise if the next turn does not show that something was still to come.
    fn note_silence(&mut self, next: Next, before: Option<End>, habits: &mut Habits, now: Instant) {
        if self.step.answer.bytes == 0 {
            return;
        }
        let silence = now.since(self.silent_since(now));
        // Of one that was doubled to find out about the turn before, so much is known as well.
        let is_sure = silence >= QUIET_MAX || self.doubt.of_silence;
        let missing = self.missing(next);
        if self.doubt.of_silence {
            // What was still to come has not come.
            if let Some(end) = before {
                habits.confirm(end);
            }
            self.doubt = Doubt::default();
            self.step.paired = true;
        } else if self.doubt.is_open() {
            self.doubt.grow(missing, 0);
            self.doubt.checks = self.doubt.checks.saturating_sub(1);
            return;
        }
        let Some(end) = self.end(self.wanted(next)) else {
            return;
        };
        self.step.before = Some(end);
        if is_sure {
            habits.confirm(end);
        } else if missing > 0 {
            self.doubt = Doubt::of_silence(missing);
            self.step.paired = false;
        }
    }

    fn count_timeout(&mut self) -> bool {
        self.timeouts = self.timeouts.saturating_add(1);
        let enough = self.queue.is_unprompted() || self.timeouts >= TIMEOUTS_UNTIL_STREAMING;
        enough && !self.is_ungated() && self.stream()
    }
}
