//! The turns of a session that rests: at most one, whose response is there as far as anybody can tell.

use wire::seq::OnlineSeq;

use super::departures::Departed;
use super::pairing::{Behind, Unsure};
use super::{Gating, NO_CEILING, Step, Turns};
use crate::connection::Tail;
use crate::event::Outcome;
use crate::flow::captured::Captured;
use crate::flow::turn::Answer;
use crate::flow::unasked::Silences;
use crate::time::Instant;

/// What is left of them.
#[derive(Debug)]
pub(crate) struct RestingTurns {
    front: u64,
    departed: Departed,
    doomed: Option<Outcome>,
    current: bool,
    cause: OnlineSeq,
    answer: Answer,
    tail: Tail,
    paced: bool,
    credit: i32,
    acknowledged_at: Option<Instant>,
    gating: Gating,
    target_at: OnlineSeq,
    paired: bool,
    unsure: Option<Unsure>,
    timeouts: u8,
    greeted: bool,
}

impl RestingTurns {
    /// What is left of `turns`; `None` where that would lose something.
    pub(crate) fn of(turns: &Turns, captured: &Captured) -> Option<Self> {
        let Turns {
            front,
            current,
            step,
            departures,
            doomed,
            gating,
            // At most one is open, which was.
            let_go: _,
            doubt,
            // It has spoken since, or is as good as not asked.
            asked: _,
            timeouts,
            // Long ago.
            silences: _,
            torn,
            greeted,
            ceiling,
            told,
        } = turns;
        let Step {
            cause,
            answer,
            carried,
            // No earlier than the answer, and long ago.
            heard: _,
            tail,
            tails: _,
            before: _,
            behind,
            // Long ago.
            cut: _,
            paired,
            target_at: _,
            acknowledged_at,
            credit,
            paced,
        } = step;
        let open = captured.queue(*front).len();
        if open > 1
            || carried.bytes > 0
            || doubt.is_open()
            || torn.is_some()
            || told.is_some()
            || *ceiling != NO_CEILING
        {
            return None;
        }
        Some(Self {
            front: *front,
            departed: departures.only()?,
            doomed: doomed.filter(|_| turns.fate().is_some()).map(|it| it.1),
            current: *current,
            cause: *cause,
            answer: *answer,
            tail: *tail,
            paced: *paced,
            credit: (*credit).clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            acknowledged_at: *acknowledged_at,
            gating: *gating,
            // All is there, as far as anybody can tell.
            target_at: captured.online_end(),
            paired: *paired,
            unsure: behind.unsure,
            timeouts: *timeouts,
            greeted: *greeted,
        })
    }

    /// The number of the first turn that has not ended.
    pub(crate) fn number(&self) -> u64 {
        self.front
    }

    /// The turns as they were.
    pub(crate) fn wake(self) -> Turns {
        Turns {
            front: self.front,
            departures: self.departed.into(),
            doomed: self.doomed.map(|outcome| (self.front + 1, outcome)),
            current: self.current,
            step: Step {
                answer: self.answer,
                heard: self.answer.last,
                tail: self.tail,
                paced: self.paced,
                paired: self.paired,
                behind: Behind::resumed(self.unsure),
                target_at: self.target_at,
                credit: self.credit.into(),
                ..Step::new(self.cause, self.acknowledged_at)
            },
            gating: self.gating,
            silences: Silences::default(),
            timeouts: self.timeouts,
            greeted: self.greeted,
            ..Turns::new(self.cause, false)
        }
    }
}
