//! How the target's responses differ from the online server's, turn by turn.
//!
//! Lengths and resets are compared, never contents. A turn of a session that is out of step (*unpaired*) is counted and not
//! compared: its response may belong to another one.

use session::{Outcome, TurnEnded};

use crate::figures::Figures;

/// Counts of turns, by what was different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    compared: u64,
    unpaired: u64,
    longer: u64,
    shorter: u64,
    no_response: u64,
    target_reset: u64,
    online_reset: u64,
}

impl Differences {
    /// Compares both sides of a turn that ended.
    pub fn record(&mut self, turn: &TurnEnded) {
        let (
            Some(online),
            Outcome::Answered | Outcome::Reset | Outcome::TimedOut | Outcome::TargetClosed,
        ) = (turn.online, turn.outcome)
        else {
            return;
        };
        if !turn.paired {
            self.unpaired += 1;
            return;
        }
        self.compared += 1;
        match turn.target.filter(|target| target.bytes > 0) {
            None => self.no_response += 1,
            Some(target) if target.bytes > online.bytes => self.longer += 1,
            Some(target) if target.bytes < online.bytes => self.shorter += 1,
            Some(_) => {}
        }
        match (turn.online_reset, turn.outcome == Outcome::Reset) {
            (true, false) => self.online_reset += 1,
            (false, true) => self.target_reset += 1,
            _ => {}
        }
    }

    /// Adds those of another worker.
    pub fn add(&mut self, other: &Self) {
        self.compared += other.compared;
        self.unpaired += other.unpaired;
        self.longer += other.longer;
        self.shorter += other.shorter;
        self.no_response += other.no_response;
        self.target_reset += other.target_reset;
        self.online_reset += other.online_reset;
    }

    /// Each count with its name.
    #[must_use]
    pub fn figures(&self) -> Figures {
        [
            // Turns that the online server answered and that reached the target.
            ("compared", self.compared),
            ("unpaired", self.unpaired),
            ("target_longer", self.longer),
            ("target_shorter", self.shorter),
            ("target_silent", self.no_response),
            ("target_reset_only", self.target_reset),
            ("online_reset_only", self.online_reset),
        ]
        .into_iter()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use session::{Outcome, Response, RuleId, TurnEnded};

    use super::Differences;

    fn turn(outcome: Outcome, online: u64, target: Option<u64>) -> TurnEnded {
        let response = |bytes| Response {
            first: Duration::ZERO,
            last: Duration::ZERO,
            bytes,
        };
        TurnEnded {
            rule: RuleId(0),
            outcome,
            bytes: 1,
            bytes_acknowledged: 1,
            paired: true,
            online: Some(response(online)),
            target: target.map(response),
            lag: Duration::ZERO,
            online_reset: false,
            round_trip: None,
        }
    }

    #[test]
    fn each_difference_is_counted_once_and_by_its_name() {
        let mut worker = Differences::default();
        worker.record(&turn(Outcome::Answered, 100, Some(100)));
        worker.record(&turn(Outcome::Answered, 100, Some(101)));
        worker.record(&turn(Outcome::Answered, 100, Some(99)));
        worker.record(&turn(Outcome::TimedOut, 100, None));
        worker.record(&turn(Outcome::Reset, 100, Some(100)));
        worker.record(&TurnEnded {
            online_reset: true,
            ..turn(Outcome::Answered, 100, Some(100))
        });
        worker.record(&TurnEnded {
            paired: false,
            ..turn(Outcome::Answered, 100, Some(5))
        });
        // What never reached the target is the ledger's business.
        worker.record(&turn(Outcome::Shed, 100, None));
        let mut all = Differences::default();
        all.add(&worker);
        let figures = all.figures();
        let values: Vec<u64> = figures.iter().map(|(_, count)| *count).collect();
        assert_eq!(values, [6, 1, 1, 1, 1, 1, 1]);
    }
}
