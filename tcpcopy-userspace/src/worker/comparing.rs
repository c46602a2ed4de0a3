//! Both servers' answers beside each other: what a worker counts of them, and where it leaves that.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use comparison::{Answers, Arm, Comparison, Tally};
use session::{Compared, Instant, RuleId};

use super::figures::IfRead;
use crate::clock;
use crate::plan::Comparing as Wanted;

/// What was counted is handed over again after so many times as long as that took: a thousand routes of 250 fields each, all of which
/// differ, take 0.7 s, in which the worker copies nothing.
const PAUSE_FOR_COST: u32 = 100;

/// A worker's part of the comparison.
#[derive(Debug)]
pub(crate) struct Comparing {
    comparison: Comparison,
    /// Whose answers those to each rule's requests are.
    arms: Vec<Arm>,
    began: Instant,
    /// When what was counted is handed over again, unless somebody waits for it.
    due: Instant,
    /// What all workers have counted.
    tally: Arc<Mutex<Tally>>,
}

impl Comparing {
    /// Nothing compared yet, in a run that begins now.
    pub(crate) fn new(wanted: &Wanted, tally: &Arc<Mutex<Tally>>, now: Instant) -> Self {
        Self {
            comparison: wanted.comparison(),
            arms: wanted.arms.clone(),
            began: now,
            due: now,
            tally: Arc::clone(tally),
        }
    }

    /// Whose answers those to a rule's requests are.
    pub(super) fn arm(&self, RuleId(rule): RuleId) -> Arm {
        let arm = self.arms.get(usize::from(rule));
        arm.copied().unwrap_or(Arm::Target)
    }

    /// The rules whose targets are baselines.
    pub(super) fn baselines(&self) -> impl Iterator<Item = RuleId> {
        let rules = (0..).zip(&self.arms);
        rules.filter_map(|(rule, arm)| (*arm == Arm::Baseline).then_some(RuleId(rule)))
    }

    /// Counts what both servers have answered.
    pub(super) fn record(&mut self, now: Instant, compared: &Compared) {
        let answers = Answers {
            online: &compared.online,
            online_time: compared.online_time,
            other: compared.target.as_deref(),
            other_time: compared.target_time,
        };
        let arm = self.arm(compared.rule);
        let at = now.since(self.began);
        self.comparison.record(arm, &compared.asked, &answers, at);
    }

    /// Adds what was counted since the last time to what all workers have counted. Unless it is to wait, that is put off where it was done
    /// a short while ago, for what it costs, or where somebody reads all of it now.
    pub(super) fn hand_over(&mut self, if_read: IfRead) {
        let began = clock::now();
        if if_read == IfRead::Later && began < self.due {
            return;
        }
        let mut tally = match (self.tally.try_lock(), if_read) {
            (Ok(tally), _) => tally,
            (Err(TryLockError::Poisoned(tally)), _) => tally.into_inner(),
            (Err(TryLockError::WouldBlock), IfRead::Later) => return,
            (Err(TryLockError::WouldBlock), IfRead::Wait) => {
                self.tally.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        tally.unite(&self.comparison.drain());
        let now = clock::now();
        self.due = now + now.since(began).saturating_mul(PAUSE_FOR_COST);
    }
}
