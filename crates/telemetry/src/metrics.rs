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

use crate::summary::Summary;
use crate::totals::RunTotals;

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
        let mut warnings = families.gauge(
            "tcpcopy_warnings",
            "Warnings that hold now, by kind; what each says stands in the log and in the summary.",
        );
        for (kind, n) in self.totals.warnings.holding().iter() {
            warnings.count(&[("kind", kind)], *n);
        }
        outcomes::add(&mut families, &self.totals, &self.summary);
        times::add(&mut families, &self.totals.latency);
        machinery::add(&mut families, self);
        if let Some(replay) = &self.totals.replay {
            replay.add(&mut families);
        }
        families
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::time::Duration;

    use session::{Counters, Outcome, RuleId, TurnEnded};

    use super::{ProgramRuns, Snapshot};
    use crate::samples::{SamplesSummary, StatusPair};
    use crate::{
        Differences, Figures, KernelCounters, Latency, Ledger, Mode, RunTotals, Summary,
        WorkerTotals,
    };

    /// A run of one rule in which nothing has happened.
    pub(crate) fn totals() -> RunTotals {
        RunTotals {
            mode: Mode::Assistant,
            state: crate::State::Copying,
            started: std::time::SystemTime::UNIX_EPOCH,
            about: crate::About::default(),
            ready: Some(std::time::SystemTime::UNIX_EPOCH),
            ended: None,
            drain: Duration::ZERO,
            spread: crate::Spread::new(),
            duration: Duration::from_secs(1),
            rules: vec!["port 80 -> 192.0.2.9:80".to_owned()],
            ledger: Ledger::new(1),
            turns_open: 0,
            sessions_open: 3,
            budget: Figures::new(),
            latency: Latency::new(),
            differences: Differences::default(),
            engine: Counters::default(),
            workers: WorkerTotals::default(),
            kernel: KernelCounters::default(),
            cpu_seconds: [("worker-0", 0.5)].into_iter().collect(),
            notes: [("route_changes", 0), ("clock_error_us", 1500)]
                .into_iter()
                .collect(),
            warnings: crate::Warnings::default(),
            changes: crate::Changes::default(),
            feedback: None,
            replay: None,
            comparison: None,
            tap: None,
        }
    }

    fn snapshot() -> Snapshot {
        let totals = totals();
        let mut summary = Summary::new(&totals);
        summary.differences.sampled = Some(2);
        summary.samples = Some(SamplesSummary {
            bytes: 16,
            statuses: vec![StatusPair {
                online: "http 2xx",
                target: "http 5xx",
                turns: 2,
            }],
            differing: Vec::new(),
            differing_unlisted: 2,
        });
        Snapshot {
            summary,
            totals,
            // The same one twice: a series must not stand in the text twice.
            channels: vec![("a:36524".to_owned(), true), ("a:36524".to_owned(), false)],
            programs: vec![ProgramRuns {
                name: "capture",
                count: 4,
                nanos: 2_000_000_000,
            }],
        }
    }

    #[test]
    fn every_series_stands_in_the_text_once() {
        let text = snapshot().families(true).text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let series: BTreeSet<&str> = samples
            .iter()
            .map(|line| line.rsplit_once(' ').unwrap().0)
            .collect();
        assert_eq!(series.len(), samples.len());
        for line in [
            r#"tcpcopy_turns_total{rule="port 80 -> 192.0.2.9:80",outcome="answered"} 0"#,
            r#"tcpcopy_channel_connected{intercept="a:36524"} 0"#,
            r#"tcpcopy_program_run_seconds_total{program="capture"} 2"#,
            "tcpcopy_channel_clock_error_seconds 0.0015",
            "tcpcopy_ready 1",
        ] {
            assert!(samples.contains(&line), "{line} is missing in {text}");
        }
        assert!(!text.contains("tcpcopy_fidelity_ratio"), "nothing to judge");
        assert!(!text.contains("tcpcopy_replay_"), "no replay");
        let draining = snapshot().families(false).text();
        assert!(draining.contains("\ntcpcopy_ready 0\n"));
    }

    /// Whatever an engine counts stands somewhere.
    #[test]
    fn no_counter_is_forgotten() {
        let mut snapshot = snapshot();
        let mut counters = Counters::default().iter().count() as u64;
        // What a budget left out stands among the sessions too, and the programs count what was paused or lost.
        counters += 3;
        const COUNTED: [&str; 3] = [
            "tcpcopy_engine_",
            "tcpcopy_sessions_total",
            "tcpcopy_left_out_total",
        ];
        let sum = |snapshot: &Snapshot| -> f64 {
            let text = snapshot.families(true).text();
            let of = text
                .lines()
                .filter(|line| COUNTED.iter().any(|name| line.starts_with(name)));
            of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
                .sum()
        };
        assert_eq!(sum(&snapshot), 0.0);
        snapshot.totals.engine.client_packets = 1;
        assert_eq!(sum(&snapshot), 1.0);
        let series = snapshot.families(true).text();
        let told = series
            .lines()
            .filter(|line| COUNTED.iter().any(|name| line.starts_with(name)));
        assert_eq!(told.count() as u64, counters);
    }

    /// The page for readers lists every metric with its type and labels, and no other.
    #[test]
    fn the_documentation_is_of_these_metrics() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = fs::read_to_string(path).expect(path);
        let mut judged = snapshot();
        judged
            .totals
            .ledger
            .record(&TurnEnded::unseen(RuleId(0), Outcome::Answered));
        let replay = crate::replay::tests::replay();
        judged.totals.replay = Some(replay.expect_end(Duration::from_secs(20)));
        let disagreements = judged.families(true).disagreements(&page, "tcpcopy_");
        assert!(
            disagreements.is_empty(),
            "docs/metrics.md: {disagreements:#?}"
        );
    }
}
