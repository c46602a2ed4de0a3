//! How the current turn stands, for those who do not release the next.

use core::ops::Deref;
use core::time::Duration;

use super::{Gating, Next, Playing, Turns};
use crate::connection::Tail;
use crate::event::Outcome;
use crate::flow::turn::Turn;
use crate::time::Instant;

impl<T: Deref<Target = Turns>> Playing<'_, T> {
    /// Whether the client had seen nothing of a response to the current turn when it sent what is `next`.
    pub(crate) fn ends_unanswered(&self, next: Next) -> bool {
        let unanswered = next.cause.is_some_and(|cause| cause <= self.step.cause);
        self.current().is_some() && self.queue.len() == 1 && unanswered
    }

    /// Whether the response to the current turn looks complete, as far as can be known before the client goes on:
    /// its acknowledgement may wait for the next turn. Of one that is longer than the online server's more may follow, and
    /// a target whose congestion window is full waits for the acknowledgement to go on.
    pub(crate) fn looks_answered(&self) -> bool {
        let Some(turn) = self.current() else {
            return false;
        };
        if let Some(is_done) = self.told_done() {
            return is_done;
        }
        let wanted = match self.queue.get(1) {
            Some(next) => u64::from(next.cause.ahead_of(turn.cause)),
            None => turn.online.bytes,
        };
        wanted > 0 && self.step.tail != Tail::No && self.received() == wanted
    }

    /// Whether the target has something of the current turn and has not answered it as the online server did.
    pub(crate) fn is_in_flight(&self, una: u64) -> bool {
        self.current().is_some_and(|turn| {
            let received = self.received();
            let is_complete = self
                .told_done()
                .unwrap_or(received > 0 && received >= turn.online.bytes);
            let answered = una >= turn.end && is_complete;
            self.departures.has_begun() && !answered
        })
    }

    /// Whether the current turn waits for the target although the client has not gone on: for a drain.
    pub(crate) fn is_waiting(
        &self,
        una: u64,
        silence: Duration,
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
        let acknowledged_at = self.step.acknowledged_at;
        let silent = acknowledged_at.is_some_and(|at| now.since(at) > response_timeout);
        self.is_under_way(silence, now) && (self.step.answer.bytes > 0 || !silent)
    }

    /// Whether the response to the current turn may not be over: it is not as long as the online server's, and the target has not been
    /// silent for long. Nobody waits behind the last turn of a run, so that this is a longer silence than the one which lets the next
    /// turn go.
    pub(crate) fn is_under_way(&self, silence: Duration, now: Instant) -> bool {
        let Some(turn) = self.current() else {
            return false;
        };
        if self.gating == Gating::Streaming {
            // Whether it is answered cannot be known.
            return false;
        }
        if let Some(is_done) = self.told_done() {
            return !is_done;
        }
        let answer = &self.step.answer;
        let wanted = self.sent_online(turn);
        let received = match wanted {
            0 => answer.bytes,
            _ => self.received(),
        };
        let last = if answer.bytes > 0 {
            answer.last
        } else {
            self.step.heard
        };
        received != wanted && !(received > 0 && now.since(last) > silence)
    }

    /// How many bytes the online server has sent in answer to the current turn, by what is known best.
    fn sent_online(&self, turn: &Turn) -> u64 {
        match self.queue.get(1) {
            Some(next) => u64::from(next.cause.ahead_of(turn.cause)),
            None => turn.online.bytes,
        }
    }

    /// What the target has to send to have answered the current turn as the online server has; where there is no turn, to have greeted so.
    /// What answers later turns, and is known already where a session is behind, is not asked for yet.
    pub(crate) fn owed(&self) -> u32 {
        let credit = self.allowance(0);
        let Some(turn) = self.current() else {
            return credit;
        };
        let left = self.sent_online(turn).saturating_sub(self.received());
        credit.min(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Whether the target has left the current turn without the answer that the online server gave for so long.
    pub(crate) fn has_timed_out(&self, response_timeout: Duration, now: Instant) -> bool {
        let acknowledged_at = self.step.acknowledged_at;
        self.current().is_some_and(|turn| turn.online.bytes > 0)
            && self.step.answer.bytes == 0
            && acknowledged_at.is_some_and(|at| now.since(at) > response_timeout)
    }

    /// Whether the target has left a turn without a word that the online server has answered, and has said nothing at all for longer
    /// than it may take, whatever it was asked: where turns do not wait, nobody has waited for it.
    pub(crate) fn is_mute(&self, response_timeout: Duration, now: Instant) -> bool {
        let heard = self.step.heard;
        let is_answered = self.current().is_some_and(|turn| turn.online.bytes > 0);
        let left = self.departures.front_last();
        is_answered
            && self.step.answer.bytes == 0
            && self.asked
            && left.is_some_and(|left| heard <= left)
            && now.since(heard) > response_timeout
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
        let is_done = self.told_done().unwrap_or(true);
        match (una >= turn.end, self.step.answer.bytes, turn.online.bytes) {
            (true, 1.., _) if is_done => Outcome::Answered,
            (true, 1.., _) => Outcome::Pending,
            (true, 0, 0) => Outcome::Delivered,
            (true, 0, 1..) if self.credit() > 0 => Outcome::Answered,
            // Whatever the target has said of it was taken for another.
            (true, 0, 1..)
                if self.gating == Gating::Streaming || self.is_even() || self.is_overtaken() =>
            {
                Outcome::Delivered
            }
            _ => Outcome::Pending,
        }
    }
}
