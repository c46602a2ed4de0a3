//! The turns of a session that rests: at most one, whose response is there as far as anybody can tell.

use wire::seq::OnlineSeq;

use super::unasked::Signs;
use super::{Gating, NO_CEILING, Step, Turns};
use crate::running::LastAnswer;
use crate::time::Instant;
use crate::turn::{Answer, Turn};

/// What is left of them.
#[derive(Debug)]
pub(crate) struct RestingTurns {
    turn: Option<Turn>,
    current: bool,
    cause: OnlineSeq,
    answer: Answer,
    heard: Instant,
    tail: bool,
    paced: bool,
    credit: i32,
    acknowledged_at: Option<Instant>,
    gating: Gating,
    speaks_unasked: bool,
    paired: bool,
    timeouts: u8,
    unprompted: bool,
    online_end: OnlineSeq,
    count: u32,
    last_answer: LastAnswer,
}

impl RestingTurns {
    /// What is left of `turns`, whose turn is taken away from them; `None` where that would lose something.
    pub(crate) fn of(turns: &mut Turns) -> Option<Self> {
        let Turns {
            queue,
            current,
            step,
            gating,
            signs,
            doubt,
            timeouts,
            unprompted,
            online_end,
            torn,
            ceiling,
            count,
            last_answer,
        } = turns;
        let Step {
            cause,
            answer,
            carried,
            heard,
            tail,
            tails: _,
            before: _,
            paired,
            target_at: _,
            acknowledged_at,
            credit,
            paced,
        } = step;
        if queue.len() > 1
            || carried.bytes > 0
            || doubt.is_open()
            || torn.is_some()
            || *ceiling != NO_CEILING
        {
            return None;
        }
        Some(Self {
            turn: queue.pop_front(),
            current: *current,
            cause: *cause,
            answer: *answer,
            heard: *heard,
            tail: *tail,
            paced: *paced,
            credit: (*credit).clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            acknowledged_at: *acknowledged_at,
            gating: *gating,
            speaks_unasked: signs.are_known(),
            paired: *paired,
            timeouts: *timeouts,
            unprompted: *unprompted,
            online_end: *online_end,
            count: *count,
            last_answer: *last_answer,
        })
    }

    /// The turns as they were.
    pub(crate) fn wake(self) -> Turns {
        let mut turns = Turns {
            current: self.current,
            step: Step {
                answer: self.answer,
                heard: self.heard,
                tail: self.tail,
                paced: self.paced,
                paired: self.paired,
                // All is there, as far as anybody can tell.
                target_at: self.online_end,
                credit: self.credit.into(),
                ..Step::new(self.cause, self.acknowledged_at)
            },
            gating: self.gating,
            signs: Signs::resumed(self.speaks_unasked),
            timeouts: self.timeouts,
            unprompted: self.unprompted,
            online_end: self.online_end,
            count: self.count,
            last_answer: self.last_answer,
            ..Turns::new(self.cause, false)
        };
        if let Some(turn) = self.turn {
            turns.push(turn);
        }
        turns
    }
}
