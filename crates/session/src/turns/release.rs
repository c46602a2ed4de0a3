//! The release rule: whether the current turn is over, and how it ends.

use core::time::Duration;

use super::{Next, Step, Turns};
use crate::event::Outcome;
use crate::limits::{CUT_OFF, TIMEOUTS_UNTIL_STREAMING};
use crate::time::Instant;

/// Whether the current turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is answered as the online server answered it.
    Over,
    /// It is answered differently, and the target has been quiet.
    Quiet,
    /// The response timeout has passed.
    TimedOut,
    /// Ask again at this time.
    At(Instant),
    /// Only another event can tell.
    Wait,
}

/// What the verdict depends on besides the turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// After this much silence a response counts as complete ...
    pub(crate) quiet: Duration,
    /// ... unless its last segment was a full one without PSH, or it has a hole: then more must come.
    pub(crate) has_hole: bool,
    pub(crate) response_timeout: Duration,
    /// Whether the target has closed: its response is complete.
    pub(crate) target_closed: bool,
    /// Whether our window keeps it silent.
    pub(crate) is_held: bool,
    /// From so many bytes more than the online server's on, only silence ends a response: in the middle of a long one there are
    /// segments that look like its end, because Linux sets PSH after each piece that a server has written.
    pub(crate) longer: u32,
}

impl Turns {
    /// Whether the current turn is over, so that `next` may depart.
    pub(crate) fn verdict(
        &self,
        next: Next,
        una: u64,
        patience: Patience,
        now: Instant,
    ) -> Verdict {
        let Step {
            cause,
            answer,
            carried,
            heard,
            tail,
            acknowledged_at,
            ..
        } = &self.step;
        let (current, received) = (self.current(), self.received());
        if current.is_some_and(|turn| turn.fate.is_some()) {
            return Verdict::Over;
        }
        // N, the bytes that the client had seen of the response before it went on; unknown for an end that is not in
        // the stream, where what was observed so far stands in.
        let wanted = match (next.cause, current) {
            (Some(next), _) => Some(u64::from(next.ahead_of(*cause))),
            (None, Some(turn)) if turn.online.bytes > 0 => Some(turn.online.bytes),
            (None, _) => None,
        };
        if current.is_none() && (wanted.is_none_or(|wanted| wanted == 0) || self.ungated) {
            return Verdict::Over;
        }
        if current.is_some_and(|turn| una < turn.end) {
            return Verdict::Wait;
        }
        // After a RST of the client the rest of the response is wanted by nobody.
        let ends = |wanted: u64| {
            let looks_whole = *tail && received - wanted < u64::from(patience.longer);
            looks_whole || next.is_reset || wanted == 0
        };
        if wanted.is_some_and(|wanted| received >= wanted && ends(wanted)) || patience.target_closed
        {
            return Verdict::Over;
        }
        // What the client had seen before it went on was on its way already: nothing shows that the online server has
        // answered this turn at all.
        let unasked = wanted
            .is_some_and(|wanted| current.is_some_and(|turn| wanted <= u64::from(turn.early)));
        if answer.bytes > 0 || wanted.is_none() || unasked {
            let since = if answer.bytes > 0 {
                answer.last.max(*heard)
            } else {
                acknowledged_at.unwrap_or(now).max(carried.last).max(*heard)
            };
            let short = wanted.is_some_and(|wanted| received < wanted);
            let cut_off = answer.bytes > 0 && short && (!*tail || patience.has_hole);
            let at = since + if cut_off { CUT_OFF } else { patience.quiet };
            return if now < at {
                Verdict::At(at)
            } else if patience.is_held {
                Verdict::At(now + patience.quiet)
            } else {
                Verdict::Quiet
            };
        }
        // What stands behind a hole is a response too, of which the target will send the beginning again.
        let since = acknowledged_at
            .unwrap_or(now)
            .max(next.captured)
            .max(*heard);
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
            turn.departed_first.is_some() && !answered
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
        if self.queue.len() == 1 && self.queue[0].fate.is_some() {
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
            _ => Outcome::Pending,
        }
    }

    /// A verdict was acted upon; `overdue` says that the next turn had waited for it longer than the response timeout, for
    /// which a target that is slow but otherwise in step may well be the reason. A session out of step is unpaired until it
    /// is in step again, and streaming after several time-outs. Returns whether it became streaming just now.
    pub(crate) fn note(&mut self, verdict: Verdict, overdue: bool) -> bool {
        match verdict {
            Verdict::Over => {
                self.paired = true;
                self.timeouts = 0;
            }
            Verdict::Quiet if !overdue => {}
            Verdict::TimedOut | Verdict::Quiet => {
                self.paired = false;
                self.timeouts = self.timeouts.saturating_add(1);
                let enough = self.unprompted || self.timeouts >= TIMEOUTS_UNTIL_STREAMING;
                if enough && !self.ungated {
                    self.ungated = true;
                    return true;
                }
            }
            Verdict::At(_) | Verdict::Wait => {}
        }
        false
    }
}
