//! Turns: the client's stream cut where the client had seen a response, and the rule that releases the next one.
//!
//! This file has the queue, which the client and the online server fill; [`answer`] is what the target says, [`release`] the rule by
//! which the current turn is over, [`lessons`] what is learned from that, and [`ending`] what comes of it.
//!
//! The front of the queue is the *current* turn once it was released; everything behind it waits. Turn k+1 departs
//! when the target has answered turn k as far as the client had seen the online server answer it: N bytes, the
//! difference of the two turns' causes. R is what the target has sent since it began to acknowledge turn k; what
//! acknowledges nothing of it belongs to the turn before. Both are counted per turn, never cumulatively, or a target that
//! answers a little more each time would run ahead of its cause.
//!
//! A client that pipelines goes on while a response is on its way: those *early* bytes are part of N for the turn that it
//! sent meanwhile, and what the target has sent beyond its share of the turn before is taken for them, up to as many.

mod answer;
mod doubt;
mod ending;
mod ends;
mod habits;
mod lessons;
mod release;
pub(crate) mod resting;
mod standing;
mod unasked;

use std::collections::VecDeque;

use wire::seq::OnlineSeq;

use crate::event::Outcome;
use crate::limits::UNPROMPTED_PAUSE;
use crate::running::LastAnswer;
use crate::time::Instant;
use crate::turn::{Answer, Turn};

use doubt::Doubt;
use ends::End;
pub(crate) use habits::Habits;
pub(crate) use lessons::Waited;
pub(crate) use release::{Patience, Verdict};
use unasked::Signs;

/// The target's side of the current turn; of the handshake, before there is one.
#[derive(Debug)]
struct Step {
    cause: OnlineSeq,
    answer: Answer,
    /// What the target has sent beyond the share of the turn before.
    carried: Carried,
    /// When the target last sent payload of any kind, in order or not.
    heard: Instant,
    /// Whether the last segment looked like the end of a response.
    tail: bool,
    /// How many segments of the answer have looked like its end.
    tails: u8,
    /// How the answer to the turn before has ended, where it was taken to be complete although it is not as long as the online
    /// server's.
    before: Option<End>,
    /// Whether what the target sends is known to answer this turn.
    paired: bool,
    acknowledged_at: Option<Instant>,
    /// What the online server has sent since its client had seen `cause`, less what the target has sent since the turn was
    /// released, in bytes: the target's window is this and the slack.
    credit: i64,
    /// Whether the target was kept from sending more.
    paced: bool,
    /// Where the online server's bytes would end if it had sent as many as the target has on this connection.
    target_at: OnlineSeq,
}

impl Step {
    fn new(cause: OnlineSeq, acknowledged_at: Option<Instant>) -> Self {
        Self {
            cause,
            answer: Answer::default(),
            carried: Carried::default(),
            heard: Instant::default(),
            tail: false,
            tails: 0,
            before: None,
            paired: true,
            acknowledged_at,
            credit: 0,
            paced: false,
            target_at: cause,
        }
    }
}

/// Whether turns wait for the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gating {
    InStep,
    /// They leave when they are captured (`-W`).
    Never,
    /// The same since the session is streaming: which turn the target answers is not known.
    Streaming,
}

/// The whole stream may be sent.
const NO_CEILING: u64 = u64::MAX;

/// What the target has sent beyond the share of the turn before.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    bytes: u64,
    /// When the last of it came, or of the answer to the turn before.
    last: Instant,
}

/// What must have happened before the next turn, or the end of the stream, may depart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    /// What the client had seen when it sent it; `None` where that is unknown.
    pub(crate) cause: Option<OnlineSeq>,
    pub(crate) captured: Instant,
    /// Whether its client had seen all that the online server had sent by then: the response was complete.
    pub(crate) saw_all: bool,
    /// Whether it is the client's RST, which wants nothing of the response any more.
    pub(crate) is_reset: bool,
}

/// The turns of one session.
#[derive(Debug)]
pub(crate) struct Turns {
    queue: VecDeque<Turn>,
    /// Whether the front was released.
    current: bool,
    step: Step,
    gating: Gating,
    /// Whether bytes may come that answer other turns than they seem to.
    doubt: Doubt,
    timeouts: u8,
    /// Whether the online server has spoken without having been asked, as far as can be told.
    unprompted: bool,
    signs: Signs,
    /// Where the online server's bytes end, as far as they were seen.
    online_end: OnlineSeq,
    /// The cause of a turn that ended before the client had finished it.
    torn: Option<OnlineSeq>,
    /// How far the stream may be sent where turns do not wait but are held for a moment; [`NO_CEILING`] where they are not.
    ceiling: u64,
    /// How many turns there have been.
    pub(crate) count: u32,
    /// How the online server has answered the latest turn that ended.
    last_answer: LastAnswer,
}

impl Turns {
    /// A segment of the client with payload; `pushes` says whether it has PSH.
    pub(crate) fn on_client(&mut self, pushes: bool) {
        self.signs.on_client(pushes);
    }

    /// The first bytes of the client's stream.
    pub(crate) fn on_beginning(&mut self, first: &[u8]) {
        self.signs.on_beginning(first);
    }

    /// No turns yet; `cause` is what the client had seen before its first byte.
    pub(crate) fn new(cause: OnlineSeq, ungated: bool) -> Self {
        Self {
            queue: VecDeque::new(),
            current: false,
            step: Step::new(cause, None),
            gating: if ungated {
                Gating::Never
            } else {
                Gating::InStep
            },
            doubt: Doubt::default(),
            timeouts: 0,
            unprompted: false,
            signs: Signs::default(),
            online_end: cause,
            torn: None,
            ceiling: NO_CEILING,
            count: 0,
            last_answer: LastAnswer::None,
        }
    }

    /// How the online server has answered the latest turn that ended.
    pub(crate) fn last_answer(&self) -> LastAnswer {
        self.last_answer
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
            self.signs.on_client_pause(stamp.since(last.captured_last));
            last.captured_last = stamp;
            last.departed_last = None;
            if self.queue.len() == 1 && self.current {
                self.step.acknowledged_at = None;
            }
            return false;
        }
        self.count += 1;
        let early = self.online_end.ahead_of(cause);
        self.signs.on_turn(early > 0);
        self.push(Turn {
            start,
            end,
            cause,
            captured_first: stamp,
            captured_last: stamp,
            departed_first: None,
            departed_last: None,
            online: Answer::default(),
            online_reset: false,
            early,
            fate: None,
        });
        true
    }

    fn push(&mut self, turn: Turn) {
        if self.queue.capacity() < 2 {
            // One that is open and the next are all that most sessions ever have.
            self.queue.reserve_exact(2);
        }
        self.queue.push_back(turn);
    }

    /// The latest turn ends now, with all that the client may still add to it.
    pub(crate) fn tear_last(&mut self) {
        self.torn = self.queue.back().map(|turn| turn.cause);
    }

    /// Whether bytes with this cause belong to a turn that has ended.
    pub(crate) fn is_torn(&self, cause: OnlineSeq) -> bool {
        self.queue.is_empty() && self.torn.is_some_and(|torn| cause <= torn)
    }

    /// The online server has reset the connection.
    pub(crate) fn on_online_reset(&mut self) {
        if let Some(turn) = self.queue.back_mut() {
            turn.online_reset = true;
        }
    }

    /// The latest turn will not be sent.
    pub(crate) fn doom_last(&mut self, outcome: Outcome) {
        if let Some(turn) = self.queue.back_mut() {
            turn.fate = Some(outcome);
        }
    }

    /// Where the online server's bytes end, as far as they were seen.
    pub(crate) fn online_end(&self) -> OnlineSeq {
        self.online_end
    }

    /// The online server sent bytes up to `end` that acknowledge the client's stream up to `acknowledged`; those up to
    /// [`Turns::online_end`] are known. Returns where the turn starts that they answer.
    pub(crate) fn on_online_bytes(
        &mut self,
        acknowledged: u64,
        end: OnlineSeq,
        len: u32,
        pushes: bool,
        stamp: Instant,
    ) -> Option<u64> {
        let ahead = end.ahead_of(self.online_end);
        // Bytes whose record was lost have left all the same; those before the turn's cause, whose record comes late, answer
        // nothing of it.
        let since_cause = end.ahead_of(self.online_end.max(self.step.cause));
        self.step.credit = self.step.credit.saturating_add(i64::from(since_cause));
        let new = ahead.min(len);
        if new == 0 {
            return None;
        }
        self.online_end = end;
        let last = self.queue.len();
        for (index, turn) in self.queue.iter_mut().enumerate().rev() {
            if turn.start < acknowledged {
                let pause = turn.online.first.map(|_| stamp.since(turn.online.last));
                if index + 1 == last {
                    self.unprompted |= pause.is_some_and(|pause| pause >= UNPROMPTED_PAUSE);
                    self.signs.on_online(pause, pushes);
                }
                turn.online.add(new, stamp);
                return Some(turn.start);
            }
            turn.early = turn.early.max(end.ahead_of(turn.cause));
        }
        None
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

    /// How far the stream may be sent.
    pub(crate) fn limit(&self, stream_end: u64) -> u64 {
        if self.is_ungated() {
            return self.ceiling.min(stream_end);
        }
        match (self.queue.front(), self.current) {
            (Some(turn), true) => turn.end,
            (Some(turn), false) => turn.start,
            (None, _) => stream_end,
        }
    }

    /// Nothing from `start` on may be sent for the time being, also where turns do not wait.
    pub(crate) fn put_ceiling(&mut self, start: u64) {
        self.ceiling = self.ceiling.min(start);
    }

    pub(crate) fn has_ceiling(&self) -> bool {
        self.ceiling != NO_CEILING
    }

    /// It may again.
    pub(crate) fn lift_ceiling(&mut self) {
        self.ceiling = NO_CEILING;
    }

    /// Whether turns leave without waiting.
    fn is_ungated(&self) -> bool {
        self.gating != Gating::InStep
    }

    /// The turn after the current one.
    pub(crate) fn waiting(&self) -> Option<&Turn> {
        self.queue.get(usize::from(self.current))
    }

    /// What comes after the current turn, if it is a turn.
    pub(crate) fn next(&self) -> Option<Next> {
        let turn = self.waiting()?;
        Some(Next {
            cause: Some(turn.cause),
            captured: turn.captured_first,
            saw_all: turn.early == 0,
            is_reset: false,
        })
    }

    /// Bytes that the latest turn has, for budgets.
    pub(crate) const TURN_BYTES: usize = size_of::<Turn>();
}
