//! The early warning of a run that sees packets and captures nothing of them. That it sees none at all is [`super::lookout`]'s to say.

use std::time::Duration;

use telemetry::warning::Kind;
use telemetry::{RunTotals, nothing};

use super::sides::Change;
use super::warnings::{Subject, Warnings};

/// How long after `ready` a request should have come where packets do.
const EMPTY_AFTER: Duration = Duration::from_secs(10);

/// Whether anything was captured up to now.
#[derive(Debug, Default)]
pub(super) struct Emptiness {
    is_over: bool,
    holds: bool,
}

impl Emptiness {
    /// Looks at what was counted; to be called about once a second. `are_seen` says whether packets of any rule are.
    pub(super) fn look(
        &mut self,
        ready_for: Duration,
        totals: &RunTotals,
        are_seen: bool,
        warnings: &mut Warnings,
    ) {
        let captured = totals.ledger.total().captured() + totals.turns_open;
        match self.judge(ready_for, captured, are_seen) {
            Some(Change::Begins) => {
                let words = words(ready_for, totals);
                warnings.raise(Kind::NothingCaptured, Subject::Run, &words);
            }
            Some(Change::Ends) => {
                let words = "requests are captured now";
                warnings.end(Kind::NothingCaptured, Subject::Run, words);
            }
            None => {}
        }
    }

    fn judge(&mut self, ready_for: Duration, captured: u64, are_seen: bool) -> Option<Change> {
        if self.is_over {
            return None;
        }
        if captured > 0 {
            self.is_over = true;
            return self.holds.then_some(Change::Ends);
        }
        let begins = !self.holds && are_seen && ready_for >= EMPTY_AFTER;
        self.holds |= begins;
        begins.then_some(Change::Begins)
    }
}

fn words(ready_for: Duration, totals: &RunTotals) -> String {
    use abi::counter::Counter;
    let count = |counter| totals.kernel.get(counter);
    format!(
        "{} in the first {} s ({} packets of clients seen, {} of them left out by -r). `tcpcopy doctor` with the options of this run looks",
        nothing::why_nothing_was_captured(totals),
        ready_for.as_secs(),
        count(Counter::CaptureMatched) + count(Counter::CapturePureAck),
        count(Counter::CaptureSampledOut),
    )
}

#[cfg(test)]
mod tests {
    use super::{Change, EMPTY_AFTER, Emptiness};

    #[test]
    fn it_is_told_once_where_packets_come_and_no_request() {
        let mut empty = Emptiness::default();
        assert_eq!(empty.judge(EMPTY_AFTER / 2, 0, true), None);
        assert_eq!(empty.judge(EMPTY_AFTER, 0, false), None, "told by others");
        assert_eq!(empty.judge(EMPTY_AFTER, 0, true), Some(Change::Begins));
        assert_eq!(empty.judge(EMPTY_AFTER * 2, 0, true), None);
        assert_eq!(empty.judge(EMPTY_AFTER * 3, 1, true), Some(Change::Ends));
        assert_eq!(empty.judge(EMPTY_AFTER * 4, 1, true), None);
    }

    #[test]
    fn a_run_that_captures_is_not_empty() {
        let mut empty = Emptiness::default();
        assert_eq!(empty.judge(EMPTY_AFTER / 2, 3, true), None);
        assert_eq!(empty.judge(EMPTY_AFTER, 3, true), None);
    }
}
