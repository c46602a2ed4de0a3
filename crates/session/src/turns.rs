//! Turns: the client's stream cut where the client had seen a response, and the rule that releases the next one.
//!
//! The front of the queue is the *current* turn once it was released; everything behind it waits. Turn k+1 departs
//! when the target has answered turn k as far as the client had seen the online server answer it: N bytes, the
//! difference of the two turns' causes. R is what the target has sent since it began to acknowledge turn k; what
//! acknowledges nothing of it belongs to the turn before. Both are counted per turn, never cumulatively, or a target that
//! answers a little more each time would run ahead of its cause.

use std::collections::VecDeque;

use core::time::Duration;

use wire::seq::OnlineSeq;

use crate::config::RuleId;
use crate::event::{Outcome, TurnEnded};
use crate::limits::{CUT_OFF, TIMEOUTS_UNTIL_STREAMING};
use crate::time::Instant;
use crate::turn::{Answer, Turn};

/// The target's side of the current turn; of the handshake, before there is one.
#[derive(Debug)]
struct Step {
    cause: OnlineSeq,
    answer: Answer,
    /// When the target last sent payload of any kind, in order or not.
    heard: Instant,
    /// Whether the last segment looked like the end of a response.
    tail: bool,
    acknowledged_at: Option<Instant>,
}

impl Step {
    fn new(cause: OnlineSeq, acknowledged_at: Option<Instant>) -> Self {
        Self {
            cause,
            answer: Answer::default(),
            heard: Instant::default(),
            tail: false,
            acknowledged_at,
        }
    }
}

/// What must have happened before the next turn, or the end of the stream, may depart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    /// What the client had seen when it sent it; `None` where that is unknown.
    pub(crate) cause: Option<OnlineSeq>,
    pub(crate) captured: Instant,
}

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
}

/// The turns of one session.
#[derive(Debug)]
pub(crate) struct Turns {
    queue: VecDeque<Turn>,
    /// Whether the front was released.
    current: bool,
    step: Step,
    /// Whether turns leave without waiting (`-W`, or the session became streaming).
    ungated: bool,
    /// Where turns leave without waiting: what the turn before had more than its share of. Its response and those of later
    /// turns may have come in one segment.
    surplus: Answer,
    paired: bool,
    timeouts: u8,
    /// The cause of a turn that ended before the client had finished it.
    torn: Option<OnlineSeq>,
    /// How many turns there have been.
    pub(crate) count: u64,
}

impl Turns {
    /// No turns yet; `cause` is what the client had seen before its first byte.
    pub(crate) fn new(cause: OnlineSeq, ungated: bool) -> Self {
        Self {
            queue: VecDeque::new(),
            current: false,
            step: Step::new(cause, None),
            ungated,
            surplus: Answer::default(),
            paired: true,
            timeouts: 0,
            torn: None,
            count: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn front(&self) -> Option<&Turn> {
        self.queue.front()
    }

    /// The current turn, if one was released and is not over.
    pub(crate) fn current(&self) -> Option<&Turn> {
        self.queue.front().filter(|_| self.current)
    }

    /// The cause of the latest bytes.
    pub(crate) fn last_cause(&self) -> OnlineSeq {
        self.queue.back().map_or(self.step.cause, |turn| turn.cause)
    }

    /// Whether the bytes of the latest turn are kept.
    pub(crate) fn keeps_bytes(&self) -> bool {
        self.queue.back().is_some_and(|turn| turn.fate.is_none())
    }

    /// Bytes `start..end` of the stream arrived. Returns whether they begin a new turn.
    pub(crate) fn on_bytes(
        &mut self,
        start: u64,
        end: u64,
        cause: OnlineSeq,
        stamp: Instant,
    ) -> bool {
        if let Some(last) = self.queue.back_mut()
            && cause <= last.cause
        {
            last.end = end;
            last.captured_last = stamp;
            last.departed_last = None;
            if self.queue.len() == 1 {
                self.step.acknowledged_at = None;
            }
            return false;
        }
        self.count += 1;
        if self.queue.capacity() < 2 {
            // One that is open and the next are all that most sessions ever have.
            self.queue.reserve_exact(2);
        }
        self.queue.push_back(Turn {
            start,
            end,
            cause,
            captured_first: stamp,
            captured_last: stamp,
            departed_first: None,
            departed_last: None,
            online: Answer::default(),
            fate: None,
        });
        true
    }

    /// The latest turn ends now, with all that the client may still add to it.
    pub(crate) fn tear_last(&mut self) {
        self.torn = self.queue.back().map(|turn| turn.cause);
    }

    /// Whether bytes with this cause belong to a turn that has ended.
    pub(crate) fn is_torn(&self, cause: OnlineSeq) -> bool {
        self.queue.is_empty() && self.torn.is_some_and(|torn| cause <= torn)
    }

    /// The latest turn will not be sent.
    pub(crate) fn doom_last(&mut self, outcome: Outcome) {
        if let Some(turn) = self.queue.back_mut() {
            turn.fate = Some(outcome);
        }
    }

    /// The online server sent `bytes` that acknowledge the client's stream up to `acknowledged`.
    pub(crate) fn on_online_bytes(&mut self, acknowledged: u64, bytes: u32, stamp: Instant) {
        if let Some(turn) = self
            .queue
            .iter_mut()
            .rev()
            .find(|turn| turn.start < acknowledged)
        {
            turn.online.add(bytes, stamp);
        }
    }

    /// Bytes `start..end` were sent for the first time.
    pub(crate) fn on_sent(&mut self, start: u64, end: u64, now: Instant) {
        for turn in self.queue.iter_mut().take_while(|turn| turn.start < end) {
            if turn.end > start {
                turn.departed_first.get_or_insert(now);
                if turn.end <= end {
                    turn.departed_last = Some(now);
                }
            }
        }
    }

    /// The target sent `bytes` in order, acknowledging the stream up to `acknowledged`; `tail` says whether the segment
    /// looks like the end of a response. Returns the gap since its segment before, within one response.
    pub(crate) fn on_target_bytes(
        &mut self,
        acknowledged: u64,
        bytes: u32,
        tail: bool,
        stamp: Instant,
    ) -> Option<Duration> {
        if self.current
            && self
                .queue
                .front()
                .is_some_and(|turn| acknowledged <= turn.start)
        {
            // The rest of a response that was longer than we waited for.
            return None;
        }
        let gap = self
            .step
            .answer
            .first
            .map(|_| stamp.since(self.step.answer.last));
        self.step.answer.add(bytes, stamp);
        self.step.tail = tail;
        gap
    }

    /// The target sent payload, be it in order or not.
    pub(crate) fn on_heard(&mut self, stamp: Instant) {
        self.step.heard = stamp;
    }

    /// The target acknowledged the stream up to `una`.
    pub(crate) fn on_acknowledged(&mut self, una: u64, stamp: Instant) {
        if self.step.acknowledged_at.is_none() && self.current().is_none_or(|turn| turn.end <= una)
        {
            self.step.acknowledged_at = Some(stamp);
        }
    }

    /// How far the stream may be sent.
    pub(crate) fn limit(&self, stream_end: u64) -> u64 {
        if self.ungated {
            return stream_end;
        }
        match (self.queue.front(), self.current) {
            (Some(turn), true) => turn.end,
            (Some(turn), false) => turn.start,
            (None, _) => stream_end,
        }
    }

    /// What comes after the current turn, if it is a turn.
    pub(crate) fn next(&self) -> Option<Next> {
        let turn = self.queue.get(usize::from(self.current))?;
        Some(Next {
            cause: Some(turn.cause),
            captured: turn.captured_first,
        })
    }

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
            heard,
            tail,
            acknowledged_at,
        } = &self.step;
        let current = self.current();
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
        if wanted.is_some_and(|wanted| answer.bytes >= wanted && (*tail || wanted == 0))
            || patience.target_closed
        {
            return Verdict::Over;
        }
        if answer.bytes > 0 || wanted.is_none() {
            let since = if answer.bytes > 0 {
                answer.last.max(*heard)
            } else {
                acknowledged_at.unwrap_or(now)
            };
            let short = wanted.is_some_and(|wanted| answer.bytes < wanted);
            let cut_off = answer.bytes > 0 && short && (!*tail || patience.has_hole);
            let at = since + if cut_off { CUT_OFF } else { patience.quiet };
            return if now >= at {
                Verdict::Quiet
            } else {
                Verdict::At(at)
            };
        }
        let at = acknowledged_at.unwrap_or(now).max(next.captured) + patience.response_timeout;
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
        wanted > 0 && self.step.tail && self.step.answer.bytes >= wanted
    }

    /// Whether the current turn has an answer of the online server and of the target.
    pub(crate) fn is_answered_by_both(&self, una: u64) -> bool {
        self.outcome(una) == Outcome::Answered
            && self.current().is_some_and(|turn| turn.online.bytes > 0)
    }

    /// Whether the current turn waits for the target although the client has not gone on: for a drain.
    pub(crate) fn is_waiting(&self, una: u64, quiet: Duration, now: Instant) -> bool {
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
        let complete =
            answer.bytes >= turn.online.bytes && (answer.bytes > 0) == (turn.online.bytes > 0);
        let settled = answer.bytes > 0 && now.since(answer.last) > quiet;
        !complete && !settled
    }

    /// Ends the front turn, and makes room for the next to be released.
    pub(crate) fn end_front(
        &mut self,
        outcome: Outcome,
        una: u64,
        rule: RuleId,
    ) -> Option<TurnEnded> {
        let released = core::mem::take(&mut self.current);
        let turn = self.queue.pop_front()?;
        let mut answer = core::mem::take(&mut self.step.answer);
        self.surplus = self.beyond_share(&turn, &answer);
        answer.bytes -= self.surplus.bytes;
        let target = if released {
            answer.measured_from(turn.departed_last)
        } else {
            None
        };
        self.step.cause = turn.cause;
        Some(TurnEnded {
            rule,
            outcome: turn.fate.unwrap_or(outcome),
            bytes: turn.end - turn.start,
            bytes_acknowledged: if turn.fate.is_some() {
                0
            } else {
                una.clamp(turn.start, turn.end) - turn.start
            },
            paired: self.paired && !self.ungated,
            online: turn.online.measured_from(Some(turn.captured_last)),
            target,
            lag: turn.departed_first.map_or(Duration::ZERO, |departed| {
                departed.since(turn.captured_first)
            }),
        })
    }

    /// What the answer to `turn`, which has ended, holds of answers to later turns.
    fn beyond_share(&self, turn: &Turn, answer: &Answer) -> Answer {
        let share = self
            .queue
            .front()
            .map_or(u64::MAX, |next| u64::from(next.cause.ahead_of(turn.cause)));
        if !self.ungated || answer.bytes <= share {
            return Answer::default();
        }
        Answer {
            bytes: answer.bytes - share,
            first: Some(answer.last),
            last: answer.last,
        }
    }

    /// Releases the front turn. In a session that does not wait, it may have been acknowledged already.
    pub(crate) fn release(&mut self, una: u64, now: Instant) {
        let Some(turn) = self.queue.front() else {
            return;
        };
        let answerable = una >= turn.end;
        self.step = Step::new(turn.cause, answerable.then_some(now));
        let surplus = core::mem::take(&mut self.surplus);
        if answerable && surplus.bytes > 0 {
            self.step.answer = surplus;
            self.step.tail = true;
        }
        self.current = true;
    }

    /// A new connection begins with the front turn: whatever of it was sent is to be sent again, and nothing has to
    /// be waited for first.
    pub(crate) fn begin_anew(&mut self) {
        self.current = false;
        for turn in &mut self.queue {
            (turn.departed_first, turn.departed_last) = (None, None);
        }
        let cause = self
            .queue
            .front()
            .map_or(self.step.cause, |turn| turn.cause);
        self.step = Step::new(cause, None);
    }

    /// How the current turn ends, having been sent and the session going on or closing in order.
    pub(crate) fn outcome(&self, una: u64) -> Outcome {
        let Some(turn) = self.current() else {
            return Outcome::Pending;
        };
        match (una >= turn.end, self.step.answer.bytes, turn.online.bytes) {
            (true, 1.., _) => Outcome::Answered,
            (true, 0, 0) => Outcome::Delivered,
            _ => Outcome::Pending,
        }
    }

    /// A verdict was acted upon: a session out of step is unpaired until it is in step again, and streaming after
    /// several time-outs. Returns whether it became streaming just now.
    pub(crate) fn note(&mut self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Over => {
                self.paired = true;
                self.timeouts = 0;
            }
            Verdict::TimedOut => {
                self.paired = false;
                self.timeouts = self.timeouts.saturating_add(1);
                if self.timeouts == TIMEOUTS_UNTIL_STREAMING && !self.ungated {
                    self.ungated = true;
                    return true;
                }
            }
            Verdict::Quiet | Verdict::At(_) | Verdict::Wait => {}
        }
        false
    }

    /// Bytes that the latest turn has, for budgets.
    pub(crate) const TURN_BYTES: usize = size_of::<Turn>();
}
