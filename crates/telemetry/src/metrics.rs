//! The figures of a run as metrics for Prometheus. `docs/metrics.md` lists them; a test compares.
//!
//! | module | holds |
//! |---|---|
//! | [`outcomes`] | what became of turns and sessions |
//! | [`times`] | response times of both servers, and our own |
//! | [`machinery`] | packets, frames, programs, threads: whether the copy itself is well |
//!
//! Names and labels are a contract: dashboards and alerts stand on them. A label's values are known when the run starts
//! (rules, intercepts, workers) or fixed by the program.

mod machinery;
mod outcomes;
mod times;

use exposition::Families;

use crate::summary::{RunTotals, Summary};

/// One second of a run, and everything that is shown of it.
#[derive(Debug)]
pub struct Snapshot {
    /// What was counted and measured.
    pub totals: RunTotals,
    /// The same, added up.
    pub summary: Summary,
    /// Each intercept by its address, and whether the connection to it stands; none in direct mode.
    pub channels: Vec<(String, bool)>,
    /// What each program cost, while somebody looked.
    pub programs: Vec<ProgramRuns>,
}

/// Runs of a program while the kernel measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramRuns {
    /// The program.
    pub name: &'static str,
    /// How many runs.
    pub count: u64,
    /// How long they took together, in nanoseconds.
    pub nanos: u64,
}

impl Snapshot {
    /// The metrics of this moment; `is_ready` says whether the run copies.
    #[must_use]
    pub fn families(&self, is_ready: bool) -> Families {
        let mut families = Families::new();
        families
            .gauge("tcpcopy_build_info", "1, with the version of the program.")
            .sample(&[("version", &self.summary.version)], 1.0);
        families
            .gauge(
                "tcpcopy_run_info",
                "1, with the way that replies come back.",
            )
            .sample(&[("mode", self.totals.mode.name())], 1.0);
        families
            .gauge(
                "tcpcopy_ready",
                "1 while traffic is copied; 0 while the run starts, proves its path or drains.",
            )
            .sample(&[], f64::from(u8::from(is_ready)));
        families
            .gauge(
                "tcpcopy_run_duration_seconds",
                "Time since the run was ready, or began where it is not.",
            )
            .sample(&[], self.totals.duration.as_secs_f64());
        outcomes::add(&mut families, &self.totals, &self.summary);
        times::add(&mut families, &self.totals.latency);
        machinery::add(&mut families, self);
        families
    }
}
