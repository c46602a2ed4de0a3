//! How the target's responses differ from the online server's, turn by turn.
//!
//! Lengths and resets are compared, and never contents unless a user asked for it: then [`Beginnings`] are. A turn of a
//! session that is out of step (*unpaired*) is counted and not compared: its response may belong to another one.

use std::time::SystemTime;

use protocol::Mask;
use serde::Serialize;
use session::{Outcome, TurnEnded};

use crate::figures::Figures;
use crate::samples::Beginnings;

/// Counts of turns, by what was different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    compared: u64,
    unpaired: u64,
    paced: u64,
    longer: u64,
    shorter: u64,
    no_response: u64,
    target_reset: u64,
    online_reset: u64,
    /// Turns that differ in one way or in several.
    differing: u64,
    /// With `--sample-bytes`.
    beginnings: Option<Box<Beginnings>>,
}

impl Differences {
    /// Nothing compared yet; `sample_bytes` of each response will be, if any, of which values that `mask` hides are never kept.
    #[must_use]
    pub fn sampling(sample_bytes: u8, mask: &Mask) -> Self {
        let beginnings = || Box::new(Beginnings::new(sample_bytes, mask.clone()));
        Self {
            beginnings: (sample_bytes > 0).then(beginnings),
            ..Self::default()
        }
    }

    /// Compares both sides of a turn that ended; `now` is asked where the turn is to be listed.
    pub fn record(&mut self, turn: &TurnEnded, now: impl FnOnce() -> SystemTime) {
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
        // Its length is compared, its times are not: see `Latency::record`.
        self.paced += u64::from(turn.paced);
        self.compared += 1;
        let length = turn.target.map_or(0, |target| target.bytes);
        let is_reset = turn.outcome == Outcome::Reset;
        match turn.target.filter(|target| target.bytes > 0) {
            None => self.no_response += 1,
            Some(target) if target.bytes > online.bytes => self.longer += 1,
            Some(target) if target.bytes < online.bytes => self.shorter += 1,
            Some(_) => {}
        }
        match (turn.online_reset, is_reset) {
            (true, false) => self.online_reset += 1,
            (false, true) => self.target_reset += 1,
            _ => {}
        }
        let beginnings = self.beginnings.as_mut();
        let contents_differ = beginnings.is_some_and(|beginnings| beginnings.record(turn, now));
        if length != online.bytes || turn.online_reset != is_reset || contents_differ {
            self.differing += 1;
        }
    }

    /// Adds those of another worker.
    pub fn add(&mut self, other: &Self) {
        self.compared += other.compared;
        self.unpaired += other.unpaired;
        self.paced += other.paced;
        self.longer += other.longer;
        self.shorter += other.shorter;
        self.no_response += other.no_response;
        self.target_reset += other.target_reset;
        self.online_reset += other.online_reset;
        self.differing += other.differing;
        match (&mut self.beginnings, &other.beginnings) {
            (Some(beginnings), Some(other)) => beginnings.add(other),
            (None, Some(other)) => self.beginnings = Some(other.clone()),
            (_, None) => {}
        }
    }

    /// What responses begin with, where that was asked for.
    #[must_use]
    pub fn beginnings(&self) -> Option<&Beginnings> {
        self.beginnings.as_deref()
    }

    /// What the summary says.
    #[must_use]
    pub fn summary(&self) -> DifferencesSummary {
        let mut kinds: Figures = [
            ("target_longer", self.longer),
            ("target_shorter", self.shorter),
            ("target_silent", self.no_response),
            ("target_reset_only", self.target_reset),
            ("online_reset_only", self.online_reset),
        ]
        .into_iter()
        .collect();
        let beginnings = self.beginnings.as_ref();
        if let Some(beginnings) = beginnings {
            beginnings.push_kinds(&mut kinds);
        }
        DifferencesSummary {
            compared: self.compared,
            unpaired: self.unpaired,
            paced: self.paced,
            sampled: beginnings.map(|beginnings| beginnings.sampled()),
            unsampled: beginnings.map(|beginnings| beginnings.unsampled()),
            differing: self.differing,
            kinds,
        }
    }
}

/// Differences as they stand in the summary, in turns.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DifferencesSummary {
    /// Turns that the online server answered and that reached the target in step.
    pub compared: u64,
    /// Turns that were not compared, because their session was out of step.
    pub unpaired: u64,
    /// Compared turns whose times are not compared, because the target was held back.
    pub paced: u64,
    /// With `--sample-bytes`: turns of which both beginnings are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled: Option<u64>,
    /// With `--sample-bytes`: turns of which one is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsampled: Option<u64>,
    /// Turns that differ in one way or in several.
    pub differing: u64,
    /// Turns by how they differ; one turn may count under several.
    pub kinds: Figures,
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::time::UNIX_EPOCH;

    use protocol::Mask;
    use session::{Outcome, Response, RuleId, TurnEnded};

    use super::Differences;

    fn turn(outcome: Outcome, online: u64, target: Option<u64>) -> TurnEnded {
        let response = |bytes| Response {
            first: Duration::ZERO,
            last: Duration::ZERO,
            bytes,
        };
        TurnEnded {
            bytes: 1,
            bytes_acknowledged: 1,
            paired: true,
            online: Some(response(online)),
            target: target.map(response),
            ..TurnEnded::unseen(RuleId(0), outcome)
        }
    }

    #[test]
    fn each_difference_is_counted_once_and_by_its_name() {
        let mut counted = Differences::default();
        let mut record =
            |turn: &TurnEnded| counted.record(turn, || unreachable!("nothing is listed"));
        record(&turn(Outcome::Answered, 100, Some(100)));
        record(&turn(Outcome::Answered, 100, Some(101)));
        record(&turn(Outcome::Answered, 100, Some(99)));
        record(&turn(Outcome::TimedOut, 100, None));
        record(&turn(Outcome::Reset, 100, Some(100)));
        record(&TurnEnded {
            online_reset: true,
            paced: true,
            ..turn(Outcome::Answered, 100, Some(100))
        });
        record(&TurnEnded {
            paired: false,
            ..turn(Outcome::Answered, 100, Some(5))
        });
        // What never reached the target is the ledger's business.
        record(&turn(Outcome::Shed, 100, None));
        let mut all = Differences::default();
        all.add(&counted);
        let said = all.summary();
        let kinds: Vec<u64> = said.kinds.iter().map(|(_, count)| *count).collect();
        assert_eq!(kinds, [1, 1, 1, 1, 1]);
        let counts = (said.compared, said.unpaired, said.paced, said.differing);
        assert_eq!(counts, (6, 1, 1, 5));
    }

    #[test]
    fn beginnings_are_compared_where_that_was_asked_for() {
        let ended = turn(Outcome::Answered, 100, Some(100));
        let mut worker = Differences::sampling(16, &Mask::default());
        worker.record(&ended, || UNIX_EPOCH);
        // Out of step: not compared, and so not sampled.
        let unpaired = TurnEnded {
            paired: false,
            ..ended
        };
        worker.record(&unpaired, || UNIX_EPOCH);
        let mut all = Differences::default();
        assert!(all.summary().unsampled.is_none() && all.beginnings().is_none());
        all.add(&worker);
        all.add(&worker);
        assert_eq!(all.summary().unsampled, Some(2));
        assert!(
            Differences::sampling(0, &Mask::default())
                .beginnings()
                .is_none()
        );
    }
}
