//! Turns: the client's stream cut where the client had seen a response, and the rule that releases the next one.
//!
//! This file has what one session knows of its turns; [`answer`] is what the target says, [`release`] the rule by which the current
//! turn is over, [`lessons`] what is learned from that, and [`ending`] what comes of it.
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
mod departures;
mod doubt;
mod ending;
mod ends;
pub(crate) mod entry;
mod habits;
mod hearing;
mod lessons;
pub(crate) mod letting;
mod pairing;
mod release;
pub(crate) mod resting;
mod standing;
mod streaming;
pub(crate) mod told;

use core::ops::{Deref, DerefMut};

use wire::seq::OnlineSeq;

use crate::connection::Tail;
use crate::event::Outcome;
use crate::flow::captured::Captured;
use crate::flow::queue::Queue;
use crate::flow::turn::{Answer, Turn};
use crate::flow::unasked::Silences;
use crate::time::Instant;
use departures::Departures;

use doubt::Doubt;
use ends::End;
pub(crate) use habits::Habits;
use hearing::Told;
pub(crate) use lessons::Waited;
use pairing::Behind;
pub(crate) use release::{Absence, Patience, Verdict};

/// The target's side of the current turn; of the handshake, before there is one.
#[derive(Debug)]
struct Step {
    cause: OnlineSeq,
    answer: Answer,
    /// What the target has sent beyond the share of the turn before.
    carried: Carried,
    /// When the target last sent payload of any kind, in order or not, or the first bytes left after that.
    heard: Instant,
    /// Whether the last segment looked like the end of a response.
    tail: Tail,
    /// How many segments of the answer have looked like its end.
    tails: u8,
    /// How the answer to the turn before has ended, where it was taken to be complete although it is not as long as the online
    /// server's.
    before: Option<End>,
    /// What is known of the answer to the turn before, of which more may come.
    behind: Behind,
    /// Whether our window has kept the target from sending more in answer to the turn before.
    cut: bool,
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
            tail: Tail::No,
            tails: 0,
            before: None,
            behind: Behind::default(),
            cut: false,
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
    /// They leave when the target has sent enough in sum: which turn it answers is not known ([`streaming`]).
    Streaming,
    /// They are messages, and what the target says of each is told by a protocol module ([`told`]).
    Told,
}

/// The whole stream may be sent.
const NO_CEILING: u64 = u64::MAX;

/// What the target has sent beyond the share of the turn before.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    /// How much that is; more than fits means nothing more.
    bytes: u32,
    /// Whether the client said this turn in the middle of an answer, of which the target had said more by then than its share, or less:
    /// what the online server says of it next may have been said, or may not come.
    uneven: bool,
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

/// What one session knows of its turns; what was captured of them is its flow's: [`Playing`].
#[derive(Debug)]
pub(crate) struct Turns {
    /// The number of its first turn that has not ended.
    front: u64,
    /// Whether the front was released.
    current: bool,
    step: Step,
    /// When the front and those behind it have left.
    departures: Departures,
    /// Turns before this number will not be sent, and end so.
    doomed: Option<(u64, Outcome)>,
    gating: Gating,
    /// Where the session is streaming, turns before this number may be sent.
    let_go: u64,
    /// Whether bytes may come that answer other turns than they seem to.
    doubt: Doubt,
    /// Whether bytes have left since the target was last heard.
    asked: bool,
    timeouts: u8,
    /// Turns that silence has released late.
    silences: Silences,
    /// The turn before the front ended before the client had finished it: so far the stream is accounted for.
    torn: Option<u64>,
    /// Whether the server speaks first, or may.
    greeted: bool,
    /// How far the stream may be sent where turns do not wait but are held for a moment; [`NO_CEILING`] where they are not.
    ceiling: u64,
    /// What a protocol module knows of the target's side, where one reads it.
    told: Option<Box<Told>>,
}

/// A session's turns together with what was captured of them.
pub(crate) struct Playing<'a, T> {
    turns: T,
    queue: Queue<'a>,
}

impl<T: Deref<Target = Turns>> Deref for Playing<'_, T> {
    type Target = Turns;
    fn deref(&self) -> &Turns {
        &self.turns
    }
}

impl<T: DerefMut<Target = Turns>> DerefMut for Playing<'_, T> {
    fn deref_mut(&mut self) -> &mut Turns {
        &mut self.turns
    }
}

impl Turns {
    /// No turns yet; `cause` is what the client had seen before its first byte.
    pub(crate) fn new(cause: OnlineSeq, ungated: bool) -> Self {
        Self {
            front: 0,
            current: false,
            step: Step::new(cause, None),
            departures: Departures::default(),
            doomed: None,
            gating: if ungated {
                Gating::Never
            } else {
                Gating::InStep
            },
            let_go: 0,
            doubt: Doubt::default(),
            asked: false,
            timeouts: 0,
            silences: Silences::default(),
            torn: None,
            greeted: false,
            ceiling: NO_CEILING,
            told: None,
        }
    }

    /// The same; where the online server's first word was not seen, it is not known whether it speaks first.
    pub(crate) fn begun(mut self, was_met: bool) -> Self {
        self.step.behind = Behind::greeted(!was_met);
        self.greeted = !was_met;
        self
    }

    /// Together with what was captured of them.
    pub(crate) fn of<'t, 'a>(&'t self, captured: &'a Captured) -> Playing<'a, &'t Self> {
        Playing {
            queue: captured.queue(self.front),
            turns: self,
        }
    }

    /// The same, to change them.
    pub(crate) fn of_mut<'t, 'a>(
        &'t mut self,
        captured: &'a Captured,
    ) -> Playing<'a, &'t mut Self> {
        Playing {
            queue: captured.queue(self.front),
            turns: self,
        }
    }

    /// The number of the first turn that has not ended.
    pub(crate) fn number(&self) -> u64 {
        self.front
    }

    /// Whether turns leave without waiting.
    fn is_ungated(&self) -> bool {
        self.gating != Gating::InStep
    }

    /// How the front will end although it was never sent.
    pub(crate) fn fate(&self) -> Option<Outcome> {
        let (before, outcome) = self.doomed?;
        (self.front < before).then_some(outcome)
    }

    /// How far the stream is accounted for of a turn that ended before the client had finished it.
    pub(crate) fn torn(&self) -> Option<u64> {
        self.torn
    }

    /// The online server sent bytes up to `end`; those up to `before` were known.
    pub(crate) fn on_online_bytes(&mut self, before: OnlineSeq, end: OnlineSeq) {
        // Bytes whose record was lost have left all the same; those before the turn's cause, whose record comes late, answer
        // nothing of it.
        let since_cause = end.ahead_of(before.max(self.step.cause));
        self.step.credit = self.step.credit.saturating_add(i64::from(since_cause));
    }

    /// The next turn stands alone: its protocol answers each request.
    pub(crate) fn on_standalone(&mut self) {
        self.silences = Silences::default();
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
}

impl<'a, T: Deref<Target = Turns>> Playing<'a, T> {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn front(&self) -> Option<&'a Turn> {
        self.queue.front()
    }

    /// The current turn, if one was released and is not over.
    pub(crate) fn current(&self) -> Option<&'a Turn> {
        self.queue.front().filter(|_| self.current)
    }

    /// The first turn that is to be sent, or may have to be sent again.
    pub(crate) fn first_kept(&self) -> Option<&'a Turn> {
        let doomed = self.doomed.map_or(0, |(before, _)| before);
        self.queue.get(doomed.saturating_sub(self.front) as usize)
    }

    /// How far the stream may be sent.
    pub(crate) fn limit(&self, stream_end: u64) -> u64 {
        match self.gating {
            Gating::InStep => {}
            Gating::Never => return self.ceiling.min(stream_end),
            Gating::Streaming | Gating::Told => {
                return self.ceiling.min(self.let_go_end(stream_end));
            }
        }
        match (self.queue.front(), self.current) {
            (Some(turn), true) => turn.end,
            (Some(turn), false) => turn.start,
            (None, _) => stream_end,
        }
    }

    /// The turn after the current one.
    pub(crate) fn waiting(&self) -> Option<&'a Turn> {
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
}

impl<T: DerefMut<Target = Turns>> Playing<'_, T> {
    /// Turn `number` has grown.
    pub(crate) fn on_grown(&mut self, number: u64) {
        if let Some(index) = number.checked_sub(self.front) {
            self.departures.on_grown(index as usize);
            if index == 0 && self.current {
                self.step.acknowledged_at = None;
            }
        }
    }

    /// None of the turns that there are will be sent.
    pub(crate) fn doom(&mut self, outcome: Outcome) {
        if !self.queue.is_empty() {
            let before = self.front + self.queue.len() as u64;
            self.doomed = Some((before, outcome));
        }
    }

    /// Bytes `start..end` were sent for the first time.
    pub(crate) fn on_sent(&mut self, start: u64, end: u64, now: Instant) {
        if !self.asked {
            // Until now it had nothing to say.
            (self.asked, self.step.heard) = (true, now);
        }
        for index in 0.. {
            let Some(turn) = self.queue.get(index).filter(|turn| turn.start < end) else {
                return;
            };
            if turn.end > start {
                self.departures.on_sent(index, turn.end <= end, now);
            }
        }
    }
}
