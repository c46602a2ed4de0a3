//! What a run did not copy and is in no outcome of the ledger. What was left out because a budget was spent counts against
//! `--min-fidelity`: a gate that left it out would pass a run that copied next to nothing. The rest is told beside the fidelity:
//! every byte of a client that the programs recorded is in a turn of the ledger or here.

use abi::counter::Counter;
use session::{Counters, Outcome};

use crate::figures::Figures;
use crate::kernel::KernelCounters;
use crate::ledger::Tally;

/// What names of such counters begin with.
pub(crate) const PREFIX: &str = "left_out_";

/// What was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeftOut {
    /// Requests that found no session because of --max-sessions, --max-new-sessions, --max-cpu or --memory, once per copy.
    pub turns: u64,
    /// Packets of clients that were not recorded while recording was paused.
    pub paused_packets: u64,
    /// Packets of clients that were.
    recorded: u64,
    /// What else was left out, by name: flows and bytes of clients.
    others: Figures,
}

impl LeftOut {
    /// What programs and engines counted.
    #[must_use]
    pub fn new(kernel: &KernelCounters, engine: &Counters) -> Self {
        Self {
            turns: engine.sessions_shed,
            paused_packets: kernel.get(Counter::CapturePaused),
            recorded: engine.client_packets,
            others: engine
                .iter()
                .filter_map(|(name, count)| Some((name.strip_prefix(PREFIX)?, count)))
                .collect(),
        }
    }

    /// As it stands in the summary.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures: Figures = [
            ("turns", self.turns),
            ("paused_packets", self.paused_packets),
        ]
        .into_iter()
        .collect();
        for (name, count) in self.others.iter() {
            figures.push(name, *count);
        }
        figures
    }

    /// Share of all requests that the target took as the online server did, those among them that were left out: 0 to 1, or
    /// `None` where there was no request that could be judged. How many requests were in packets that were not recorded is taken
    /// from how many there are in those that were.
    #[must_use]
    pub fn share_copied(&self, tally: &Tally) -> Option<f64> {
        let captured = tally.captured();
        let served = captured - tally.turns(Outcome::Unserved);
        let good = tally.turns(Outcome::Answered) + tally.turns(Outcome::Delivered);
        let paused = if captured > 0 && self.recorded > 0 {
            self.paused_packets as f64 * captured as f64 / self.recorded as f64
        } else {
            self.paused_packets as f64
        };
        let all = served as f64 + self.turns as f64 + paused;
        (all > 0.0).then(|| good as f64 / all)
    }
}

#[cfg(test)]
mod tests {

    use session::{Outcome, RuleId, TurnEnded};

    use super::LeftOut;
    use crate::ledger::Tally;

    fn tally(outcomes: &[(Outcome, u32)]) -> Tally {
        let mut tally = Tally::default();
        for &(outcome, turns) in outcomes {
            for _ in 0..turns {
                tally.record(&TurnEnded {
                    bytes: 1,
                    bytes_acknowledged: 1,
                    ..TurnEnded::unseen(RuleId(0), outcome)
                });
            }
        }
        tally
    }

    #[test]
    fn what_was_left_out_counts() {
        let share = |left_out: LeftOut, outcomes: &[(Outcome, u32)]| {
            left_out.share_copied(&tally(outcomes))
        };
        let left_out = |turns, paused_packets| LeftOut {
            turns,
            paused_packets,
            recorded: 40,
            ..LeftOut::default()
        };
        assert_eq!(share(left_out(0, 0), &[]), None, "nothing to judge");
        assert_eq!(share(left_out(0, 0), &[(Outcome::Unserved, 3)]), None);
        assert_eq!(share(left_out(0, 0), &[(Outcome::Answered, 20)]), Some(1.0));
        assert_eq!(
            share(left_out(60, 0), &[(Outcome::Answered, 20)]),
            Some(0.25)
        );
        assert_eq!(share(left_out(60, 0), &[]), Some(0.0));
        // Two packets to a turn, as in those that were recorded.
        assert_eq!(
            share(left_out(0, 40), &[(Outcome::Answered, 20)]),
            Some(0.5)
        );
        assert_eq!(share(left_out(0, 40), &[]), Some(0.0));
        let half = [(Outcome::Answered, 10), (Outcome::Gap, 10)];
        assert_eq!(share(left_out(0, 0), &half), Some(0.5));
    }
}
