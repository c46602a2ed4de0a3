//! What all workers have counted of responses' contents, and the report of it, which is made anew no more often than it costs little.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use comparison::{Report, Tally};

/// While a run goes on, a report stands for so many times as long as it took to make: with a thousand routes of 250 fields each it takes
/// 0.3 s, which the thread that watches over the run has not got each second.
const PAUSE_FOR_COST: u32 = 20;

/// The comparison of a run.
#[derive(Debug, Default)]
pub(super) struct Contents {
    tally: Arc<Mutex<Tally>>,
    latest: Mutex<Option<Latest>>,
}

#[derive(Debug)]
struct Latest {
    report: Report,
    /// It need not be made anew before.
    until: Instant,
}

impl Contents {
    /// Where workers add what they have counted.
    pub(super) const fn tally(&self) -> &Arc<Mutex<Tally>> {
        &self.tally
    }

    /// The report; of a run that `is_over` with all that was counted.
    pub(super) fn report(&self, is_over: bool) -> Report {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        if let Some(latest) = &*latest
            && began < latest.until
            && !is_over
        {
            return latest.report.clone();
        }
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let report = tally.report();
        drop(tally);
        let cost: Duration = began.elapsed();
        *latest = Some(Latest {
            report: report.clone(),
            until: began + cost * PAUSE_FOR_COST,
        });
        report
    }
}
