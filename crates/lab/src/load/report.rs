//! What a load has seen.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest latency that a histogram holds, in nanoseconds.
const LATENCY_MAX_NS: u64 = 60_000_000_000;
/// Most ids of failed requests that a report lists.
const FAILED_IDS_MAX: usize = 100;

/// Percentiles of a latency, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Largest.
    pub max: f64,
}

/// The result of a load; the last line that it prints.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Always true: tells the result from the lines of each second.
    pub end: bool,
    /// How long it ran, in seconds.
    pub seconds: f64,
    /// Requests begun.
    pub sent: u64,
    /// Requests answered as they should be.
    pub completed: u64,
    /// Requests that failed, by reason.
    pub errors: BTreeMap<String, u64>,
    /// Ids of the first requests that failed, hexadecimal.
    pub failed_ids: Vec<String>,
    /// Bytes of responses.
    pub bytes: u64,
    /// Connections opened.
    pub connections: u64,
    /// Requests answered per second.
    pub rate: f64,
    /// From sending a request to the end of its response.
    pub latency: Latency,
    /// From the time when a request should have been sent (coordinated omission).
    pub latency_intended: Latency,
}

impl Report {
    /// Requests that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// A line that a load prints once a second. All but `second`, `p50` and `p99` are totals.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Line {
    /// Seconds since the start.
    pub second: u64,
    /// Requests begun.
    pub sent: u64,
    /// Requests answered as they should be.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Median latency of this second, in microseconds.
    pub p50: f64,
    /// 99th percentile of this second, in microseconds.
    pub p99: f64,
}

/// The report in the making.
pub(super) struct Tally {
    pub(super) report: Report,
    actual: Histogram<u64>,
    intended: Histogram<u64>,
    second: Histogram<u64>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let histogram = || match Histogram::new_with_bounds(1000, LATENCY_MAX_NS, 3) {
            Ok(histogram) => histogram,
            Err(_) => unreachable!("the bounds are constants that the crate accepts"),
        };
        Self {
            report: Report {
                end: true,
                ..Report::default()
            },
            actual: histogram(),
            intended: histogram(),
            second: histogram(),
        }
    }

    pub(super) fn completed(&mut self, bytes: u64, actual: Duration, intended: Duration) {
        self.report.completed += 1;
        self.report.bytes += bytes;
        let nanoseconds =
            |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.actual.saturating_record(nanoseconds(actual));
        self.intended.saturating_record(nanoseconds(intended));
        self.second.saturating_record(nanoseconds(actual));
    }

    pub(super) fn failed(&mut self, id: u64, reason: &str) {
        // Looked up first: a report of a million errors should not allocate a million names.
        if let Some(count) = self.report.errors.get_mut(reason) {
            *count += 1;
        } else {
            self.report.errors.insert(reason.to_owned(), 1);
        }
        if self.report.failed_ids.len() < FAILED_IDS_MAX {
            self.report.failed_ids.push(format!("{id:016x}"));
        }
    }

    pub(super) fn line(&mut self, second: u64) -> Line {
        let latency = latency(&self.second);
        self.second.reset();
        Line {
            second,
            sent: self.report.sent,
            completed: self.report.completed,
            failed: self.report.failed(),
            p50: latency.p50,
            p99: latency.p99,
        }
    }

    pub(super) fn finish(mut self, elapsed: Duration) -> Report {
        self.report.seconds = elapsed.as_secs_f64();
        self.report.rate = self.report.completed as f64 / elapsed.as_secs_f64().max(1e-9);
        self.report.latency = latency(&self.actual);
        self.report.latency_intended = latency(&self.intended);
        self.report
    }
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    Latency {
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        max: histogram.max() as f64 / 1000.0,
    }
}
