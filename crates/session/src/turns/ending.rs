//! The end of the current turn, the release of the next, and what of an answer goes from one to the other.

use core::ops::DerefMut;
use core::time::Duration;

use super::departures::Departures;
use super::doubt::Doubt;
use super::pairing::Behind;
use super::{Playing, Step, Turns};
use crate::config::RuleId;
use crate::event::{Outcome, TurnEnded};
use crate::flow::turn::{Answer, Turn};
use crate::time::Instant;

impl<T: DerefMut<Target = Turns>> Playing<'_, T> {
    /// Ends the front turn, and makes room for the next to be released. Inlined, so that what it tells is put where it is to stand.
    #[inline(always)]
    pub(crate) fn end_front(
        &mut self,
        outcome: Outcome,
        una: u64,
        rule: RuleId,
    ) -> Option<TurnEnded> {
        let credit = self.credit();
        let released = core::mem::take(&mut self.current);
        let turn = self.queue.front()?;
        let departed = self.departures.pass();
        self.queue.pass();
        self.front += 1;
        self.take_credit(credit);
        let target = if released {
            Answer {
                bytes: self.step.answer.bytes - self.beyond_share(turn),
                ..self.step.answer
            }
            .measured_from(departed.last)
        } else {
            self.step.answer = Answer::default();
            None
        };
        self.step.cause = turn.cause;
        Some(TurnEnded {
            rule,
            outcome,
            bytes: turn.end - turn.start,
            bytes_acknowledged: una.clamp(turn.start, turn.end) - turn.start,
            paired: credit == 0 && self.is_paired(turn),
            online: turn.online.measured_from(Some(turn.captured_last)),
            target,
            lag: departed.first.map_or(Duration::ZERO, |departed| {
                departed.since(turn.captured_first)
            }),
            online_reset: turn.online_reset,
            paced: released && self.step.paced,
            round_trip: None,
            samples: None,
        })
    }

    /// What the target had sent before the current turn counts for it.
    pub(super) fn take_credit(&mut self, credit: u64) {
        if credit > 0 {
            let carried = self.step.carried;
            let answer = &mut self.step.answer;
            answer.bytes += credit;
            answer.first = Some(carried.last);
            answer.last = answer.last.max(carried.last);
            let counted = u32::try_from(credit).unwrap_or(u32::MAX);
            self.step.carried.bytes = carried.bytes.saturating_sub(counted);
        }
    }

    /// Where turns do not wait: what the target has sent beyond the share of the turn that ends, for the next.
    pub(super) fn beyond_share(&self, turn: &Turn) -> u64 {
        match self.queue.front() {
            Some(next) if self.is_ungated() && !self.is_told() => {
                let share = u64::from(next.cause.ahead_of(turn.cause));
                self.step.answer.bytes.saturating_sub(share)
            }
            _ => 0,
        }
    }

    /// Whether what the two servers have sent after the turn that ends can be compared. Where the client had not waited for the
    /// end of a response, its bytes may count for one turn here and for the next there: only if they are as many they are the
    /// same.
    pub(super) fn is_paired(&self, turn: &Turn) -> bool {
        let split = self.queue.front().is_some_and(|next| next.early > 0);
        let known = turn.early == 0 && (!split || turn.online.bytes == self.step.answer.bytes);
        let mixed = self.queue.signs().have_been_mixed();
        known && self.step.paired && !self.is_ungated() && !mixed
    }

    /// Releases the front turn. In a session that does not wait, it may have been acknowledged already.
    #[inline(always)]
    pub(crate) fn release(&mut self, una: u64, now: Instant) {
        let Some(turn) = self.queue.front() else {
            return;
        };
        let answerable = una >= turn.end;
        let Step {
            cause,
            mut answer,
            carried,
            tail,
            ..
        } = self.step;
        if turn.amid && !self.is_ungated() {
            // It is the same answer that goes on: what the target has said of it beforehand is not lost with the turn before.
            answer.bytes += u64::from(carried.bytes);
            answer.last = answer.last.max(carried.last);
        }
        let share = u64::from(turn.cause.ahead_of(cause));
        let credit = self.step.credit;
        let (before, behind, cut) = (self.step.before, self.step.behind, self.step.cut);
        let target_at = self.step.target_at;
        // Of one that has not said anything yet, on this connection, it is not known that it is silent.
        let never = Instant::default();
        let heard = if self.step.heard == never {
            now
        } else {
            self.step.heard
        };
        self.step = Step::new(turn.cause, answerable.then_some(now));
        self.step.heard = heard;
        (self.step.before, self.step.behind, self.step.cut) = (before, behind, cut);
        self.step.paired = !self.doubt.is_open() && behind.unsure.is_none();
        self.step.target_at = target_at;
        self.step.carried.last = answer.last;
        // What was on its way to the client may have come from the target already, and what is missing of the response before
        // may still come.
        let ahead = answer.bytes.saturating_sub(share).min(turn.early.into());
        let missing = share.saturating_sub(answer.bytes);
        self.step.credit = i64::from(self.queue.online_end().ahead_of(turn.cause))
            + missing.cast_signed()
            - ahead.cast_signed();
        if self.is_ungated() {
            // Responses to turns before this one are still to come.
            self.step.credit = self.step.credit.max(credit);
        }
        self.step.carried.uneven = turn.amid && answer.bytes != share;
        if answer.bytes > share && (answerable || !self.is_ungated()) {
            self.step.carried.bytes = u32::try_from(answer.bytes - share).unwrap_or(u32::MAX);
            self.step.tail = tail;
        }
        self.current = true;
    }

    /// How many bytes the client has added to a turn that ended before it had finished it.
    pub(crate) fn skip_torn(&mut self) -> u64 {
        let Some(torn) = self.torn else {
            return 0;
        };
        let end = match self.queue.front() {
            // It does not grow any more.
            Some(next) => {
                self.torn = None;
                next.start
            }
            None => {
                let end = self.queue.end();
                self.torn = Some(end);
                end
            }
        };
        end - torn
    }

    /// The latest turn ends now, with all that the client may still add to it.
    pub(crate) fn tear_last(&mut self) {
        self.torn = Some(self.queue.end());
    }

    /// A new connection begins with the front turn: whatever of it was sent is to be sent again, and nothing has to
    /// be waited for first, but for the greeting where that turn is the first and was not sent yet.
    pub(crate) fn begin_anew(&mut self) {
        let was_sent = core::mem::take(&mut self.current) || self.front > 0;
        self.departures = Departures::default();
        let cause = match self.queue.front() {
            Some(turn) if was_sent => turn.cause,
            _ => self.step.cause,
        };
        self.step = Step::new(cause, None);
        self.step.credit = i64::from(self.queue.online_end().ahead_of(cause));
        (self.doubt, self.asked) = (Doubt::default(), false);
        // It is not known how much of what comes is a greeting, unless that is waited for.
        let may_greet = self.greeted || was_sent && self.queue.is_greeted();
        self.step.behind = Behind::greeted(may_greet);
        self.tell_anew();
    }
}
