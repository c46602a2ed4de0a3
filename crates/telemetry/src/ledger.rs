//! The ledger: every turn and every client byte ends in exactly one outcome.
//!
//! A turn that is still open when the ledger is read counts as `pending`, so that the sum is what was captured
//! at any moment and not only at the end.

use session::{Outcome, RuleId, TurnEnded};

use crate::figures::Figures;

const OUTCOMES: usize = Outcome::ALL.len();

/// Turns and bytes by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    turns: [u64; OUTCOMES],
    bytes: [u64; OUTCOMES],
    bytes_acknowledged: u64,
}

impl Tally {
    /// Counts a turn that ended.
    pub fn record(&mut self, turn: &TurnEnded) {
        let index = turn.outcome as usize;
        self.turns[index] += 1;
        self.bytes[index] += turn.bytes;
        self.bytes_acknowledged += turn.bytes_acknowledged;
    }

    /// Counts further bytes of a turn that was missed.
    pub fn record_missed(&mut self, bytes: u64) {
        self.bytes[Outcome::Missed as usize] += bytes;
    }

    /// Counts turns that are open at the moment of reading.
    pub fn add_open(&mut self, turns: u64) {
        self.turns[Outcome::Pending as usize] += turns;
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.turns.iter_mut().zip(&other.turns) {
            *mine += theirs;
        }
        for (mine, theirs) in self.bytes.iter_mut().zip(&other.bytes) {
            *mine += theirs;
        }
        self.bytes_acknowledged += other.bytes_acknowledged;
    }

    /// Turns with this outcome.
    #[must_use]
    pub const fn turns(&self, outcome: Outcome) -> u64 {
        self.turns[outcome as usize]
    }

    /// Client bytes of turns with this outcome.
    #[must_use]
    pub const fn bytes(&self, outcome: Outcome) -> u64 {
        self.bytes[outcome as usize]
    }

    /// All turns, open ones included.
    #[must_use]
    pub fn captured(&self) -> u64 {
        self.turns.iter().sum()
    }

    /// Client bytes of all turns that ended.
    #[must_use]
    pub fn bytes_captured(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Turns that the target had a chance to take: all but those that the online server never took either, and those that a user
    /// had left out.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.captured() - self.turns(Outcome::Unserved) - self.turns(Outcome::Filtered)
    }

    /// Turns that the target took as the online server did: answered, or delivered where neither server answers.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.turns(Outcome::Answered) + self.turns(Outcome::Delivered)
    }

    /// `captured`, then each outcome, in turns.
    #[must_use]
    pub fn turn_figures(&self) -> Figures {
        let outcomes = Outcome::ALL.iter().map(|&o| (o.name(), self.turns(o)));
        std::iter::once(("captured", self.captured()))
            .chain(outcomes)
            .collect()
    }

    /// `captured`, then each outcome, in client bytes of ended turns; `acknowledged` is what targets acknowledged
    /// of them, whatever the outcome.
    #[must_use]
    pub fn byte_figures(&self) -> Figures {
        let outcomes = Outcome::ALL.iter().map(|&o| (o.name(), self.bytes(o)));
        std::iter::once(("captured", self.bytes_captured()))
            .chain(outcomes)
            .chain(std::iter::once(("acknowledged", self.bytes_acknowledged)))
            .collect()
    }
}

/// One tally per rule. A worker owns one; readers add them up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    rules: Vec<Tally>,
    /// Which of them are no part of the sum.
    aside: Vec<bool>,
}

impl Ledger {
    /// An empty ledger for this many rules.
    #[must_use]
    pub fn new(rules: usize) -> Self {
        Self {
            rules: vec![Tally::default(); rules],
            aside: vec![false; rules],
        }
    }

    /// A rule counts for itself alone: its target is a baseline, and whatever it does says nothing of the target that is tested.
    pub fn set_aside(&mut self, RuleId(rule): RuleId) {
        if let Some(aside) = self.aside.get_mut(usize::from(rule)) {
            *aside = true;
        }
    }

    /// Counts a turn that ended.
    pub fn record(&mut self, turn: &TurnEnded) {
        let RuleId(rule) = turn.rule;
        if let Some(tally) = self.rules.get_mut(usize::from(rule)) {
            tally.record(turn);
        } else {
            debug_assert!(false, "turn of rule {rule}, which does not exist");
        }
    }

    /// Counts further bytes of a turn that was missed ([`session::Event::MissedBytes`]).
    pub fn record_missed(&mut self, RuleId(rule): RuleId, bytes: u64) {
        if let Some(tally) = self.rules.get_mut(usize::from(rule)) {
            tally.record_missed(bytes);
        }
    }

    /// Adds the ledger of another worker of the same run.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.rules.iter_mut().zip(&other.rules) {
            mine.add(theirs);
        }
        for (mine, theirs) in self.aside.iter_mut().zip(&other.aside) {
            *mine |= theirs;
        }
    }

    /// The tally of each rule, in the order of the command line.
    #[must_use]
    pub fn rules(&self) -> &[Tally] {
        &self.rules
    }

    /// All rules together, but for those that are set aside.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        let rules = self.rules.iter().zip(&self.aside);
        for (tally, _) in rules.filter(|(_, aside)| !**aside) {
            total.add(tally);
        }
        total
    }
}

#[cfg(test)]
mod tests {

    use session::{Outcome, RuleId, TurnEnded};

    use super::Ledger;

    fn turn(rule: u16, outcome: Outcome, bytes: u64) -> TurnEnded {
        TurnEnded {
            bytes,
            bytes_acknowledged: bytes / 2,
            paired: true,
            ..TurnEnded::unseen(RuleId(rule), outcome)
        }
    }

    #[test]
    fn a_rule_that_is_set_aside_counts_for_itself_alone() {
        let (mut worker, mut all) = (Ledger::new(2), Ledger::new(2));
        worker.set_aside(RuleId(1));
        worker.record(&turn(0, Outcome::Answered, 10));
        worker.record(&turn(1, Outcome::Refused, 10));
        all.add(&worker);
        assert_eq!(all.total().captured(), 1);
        assert_eq!(all.total().turns(Outcome::Refused), 0);
        assert_eq!(all.rules()[1].turns(Outcome::Refused), 1);
    }

    #[test]
    fn entries_add_up_over_rules_workers_and_outcomes() {
        let (mut a, mut b) = (Ledger::new(2), Ledger::new(2));
        for (index, &outcome) in Outcome::ALL.iter().enumerate() {
            for _ in 0..=index {
                a.record(&turn(0, outcome, 10));
                b.record(&turn(1, outcome, 4));
            }
        }
        a.add(&b);
        let n = Outcome::ALL.len() as u64;
        let each = n * (n + 1) / 2;
        assert_eq!(a.rules()[0].captured(), each);
        let mut total = a.total();
        assert_eq!(total.captured(), 2 * each);
        assert_eq!(total.bytes_captured(), 14 * each);
        assert_eq!(total.byte_figures().get("acknowledged"), Some(&(7 * each)));
        total.add_open(5);
        assert_eq!(total.captured(), 2 * each + 5);
        let figures = total.turn_figures();
        let (captured, outcomes): (Vec<_>, Vec<_>) =
            figures.iter().partition(|(name, _)| *name == "captured");
        assert_eq!(
            *captured[0].1,
            outcomes.iter().map(|(_, n)| **n).sum::<u64>()
        );
        assert_eq!(outcomes.len(), Outcome::ALL.len());
    }
}
