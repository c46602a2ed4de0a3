//! Fidelity: which share of the requests that were to be copied the target took as the online server did.
//!
//! There is one definition, and everybody who says the word asks here: table, line of progress, page, report, summary,
//! metric and exit status.
//!
//! - **Numerator**: turns that were answered, or delivered where the online server did not answer either.
//! - **Denominator**: turns that ended, but for those that the online server never took (`unserved`) and those that were not to be copied (`filtered`); what a budget of the run
//!   left out, and what was lost on the way to a worker ([`LeftOut`]). While a run goes on a turn that is open is no turn that failed; at the end it is one.
//! - Where the run was never ready, or the denominator is 0, there is **nothing to judge**, and no number says so: not 1, which would read as a success.

use crate::ledger::Tally;
use crate::left_out::LeftOut;
use crate::totals::{RunTotals, State};

/// The fidelity of a tally beside what was left out: 0 to 1, `None` where there is nothing to judge.
///
/// How many requests were in packets that were not recorded is taken from how many there are in those that were.
#[must_use]
pub fn fidelity(tally: &Tally, left_out: &LeftOut) -> Option<f64> {
    // Exact up to 2^53 turns.
    let all = tally.served() as f64 + left_out.requests(tally.captured());
    (all > 0.0).then(|| tally.taken() as f64 / all)
}

impl RunTotals {
    /// The fidelity of the run at this moment.
    #[must_use]
    pub fn fidelity(&self) -> Option<f64> {
        // What was seen before the path was proven was not to be copied.
        self.ready?;
        fidelity(&self.judged(self.ledger.total()), &self.left_out())
    }

    /// The fidelity of each rule. What a budget left out is not known rule by rule, so that with several rules there is nothing to
    /// say of any of them where something was.
    pub(crate) fn fidelity_of_rules(&self) -> impl Iterator<Item = Option<f64>> {
        let left_out = self.left_out();
        let is_known =
            self.ready.is_some() && (self.ledger.rules().len() == 1 || left_out.is_nothing());
        self.ledger.rules().iter().map(move |tally| {
            let tally = if self.ledger.rules().len() == 1 {
                self.judged(tally.clone())
            } else {
                tally.clone()
            };
            is_known.then(|| fidelity(&tally, &left_out)).flatten()
        })
    }

    /// What was left out because a budget was spent, and more.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        LeftOut::new(&self.kernel, &self.workers, &self.engine)
    }

    /// The turns that count: those that ended, and at the end all of them.
    fn judged(&self, mut tally: Tally) -> Tally {
        if self.state == State::Ended {
            tally.add_open(self.turns_open);
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use session::{Outcome, RuleId, TurnEnded};

    use super::fidelity;
    use crate::ledger::{Ledger, Tally};
    use crate::left_out::LeftOut;
    use crate::metrics::tests::totals;
    use crate::totals::State;

    fn turn(rule: u16, outcome: Outcome) -> TurnEnded {
        TurnEnded {
            bytes: 1,
            bytes_acknowledged: 1,
            ..TurnEnded::unseen(RuleId(rule), outcome)
        }
    }

    fn tally(outcomes: &[(Outcome, u32)]) -> Tally {
        let mut tally = Tally::default();
        for &(outcome, turns) in outcomes {
            for _ in 0..turns {
                tally.record(&turn(0, outcome));
            }
        }
        tally
    }

    #[test]
    fn what_was_never_served_is_left_out_and_nothing_is_not_whole() {
        let of = |outcomes: &[(Outcome, u32)]| fidelity(&tally(outcomes), &LeftOut::default());
        assert_eq!(of(&[]), None, "nothing captured, nothing to judge");
        assert_eq!(of(&[(Outcome::Unserved, 3)]), None);
        let three_of_four = [
            (Outcome::Unserved, 1),
            (Outcome::Answered, 2),
            (Outcome::Delivered, 1),
            (Outcome::TimedOut, 1),
        ];
        assert_eq!(of(&three_of_four), Some(0.75));
    }

    #[test]
    fn what_a_budget_left_out_counts() {
        let of = |turns, paused, outcomes: &[(Outcome, u32)]| {
            fidelity(&tally(outcomes), &LeftOut::of_budgets(turns, paused, 40))
        };
        assert_eq!(of(60, 0, &[(Outcome::Answered, 20)]), Some(0.25));
        assert_eq!(of(60, 0, &[]), Some(0.0));
        // Two packets to a turn, as in those that were recorded.
        assert_eq!(of(0, 40, &[(Outcome::Answered, 20)]), Some(0.5));
        assert_eq!(of(0, 40, &[]), Some(0.0));
        let half = [(Outcome::Answered, 10), (Outcome::Gap, 10)];
        assert_eq!(of(0, 0, &half), Some(0.5));
    }

    #[test]
    fn an_open_turn_has_failed_at_the_end_only() {
        let mut run = totals();
        run.ledger.record(&turn(0, Outcome::Answered));
        run.turns_open = 1;
        assert_eq!(run.fidelity(), Some(1.0));
        assert_eq!(run.fidelity_of_rules().next(), Some(Some(1.0)));
        run.state = State::Ended;
        assert_eq!(run.fidelity(), Some(0.5));
        assert_eq!(run.fidelity_of_rules().next(), Some(Some(0.5)));
    }

    #[test]
    fn a_rule_has_none_where_nobody_knows_whose_requests_were_left_out() {
        let mut run = totals();
        run.ledger = Ledger::new(2);
        run.ledger.record(&turn(1, Outcome::Answered));
        let of_rules = run.fidelity_of_rules().collect::<Vec<_>>();
        assert_eq!(of_rules, [None, Some(1.0)]);
        run.engine.sessions_shed = 3;
        assert_eq!(run.fidelity(), Some(0.25));
        assert!(run.fidelity_of_rules().all(|share| share.is_none()));
    }
}
