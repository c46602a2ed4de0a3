//! Histograms of both servers' responses and of our own lag.
//!
//! Only paired turns enter the response histograms: a session out of step would compare different requests.
//! One set per worker, merged when read.

use core::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use session::TurnEnded;

/// Longest time that a histogram tells apart; longer ones count as this, in microseconds.
const MICROS_MAX: u64 = 3_600_000_000;
/// Significant decimal digits that are kept.
const DIGITS: u8 = 3;

/// What is measured of each turn.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Online server: last request byte to first response byte.
    pub online_first: Histogram<u64>,
    /// Online server: last request byte to last response byte.
    pub online_last: Histogram<u64>,
    /// Target: last request byte to first response byte.
    pub target_first: Histogram<u64>,
    /// Target: last request byte to last response byte.
    pub target_last: Histogram<u64>,
    /// From the capture of a turn's first byte until it left.
    pub lag: Histogram<u64>,
    /// From a target's reply, as its hook saw it, until the frames that it let go were handed to the kernel.
    pub reaction: Histogram<u64>,
}

/// Figures of one histogram, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Number of measurements.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    #[serde(rename = "p99.9")]
    pub p999: u64,
    /// Largest.
    pub max: u64,
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            mean: (histogram.mean() * 10.0).round() / 10.0,
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

/// Both times of one server's responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ResponseQuantiles {
    /// Last request byte to first response byte.
    pub first: Quantiles,
    /// Last request byte to last response byte.
    pub last: Quantiles,
}

/// Everything that was measured, in microseconds. The target's figures contain the path between the two machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencySummary {
    /// The online server's responses, of paired turns.
    pub online: ResponseQuantiles,
    /// The target's responses, of paired turns.
    pub target: ResponseQuantiles,
    /// From the capture of a turn's first byte until it left, of all turns.
    pub lag: Quantiles,
    /// From a target's reply, as its hook saw it, until the frames that it let go were handed to the kernel. Of replies that
    /// a worker found together only the first counts.
    pub reaction: Quantiles,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// Empty histograms.
    #[must_use]
    pub fn new() -> Self {
        Self {
            online_first: histogram(),
            online_last: histogram(),
            target_first: histogram(),
            target_last: histogram(),
            lag: histogram(),
            reaction: histogram(),
        }
    }

    /// Adds what was measured of a turn.
    pub fn record(&mut self, turn: &TurnEnded) {
        add(&mut self.lag, turn.lag);
        if let (true, Some(online), Some(target)) = (turn.paired, turn.online, turn.target) {
            add(&mut self.online_first, online.first);
            add(&mut self.online_last, online.last);
            add(&mut self.target_first, target.first);
            add(&mut self.target_last, target.last);
        }
    }

    /// Adds how long it took from a reply until the frames that it let go were handed to the kernel.
    pub fn record_reaction(&mut self, time: Duration) {
        add(&mut self.reaction, time);
    }

    /// Moves everything measured so far into `into` and starts afresh.
    pub fn drain_into(&mut self, into: &mut Self) {
        for (from, to) in [
            (&mut self.online_first, &mut into.online_first),
            (&mut self.online_last, &mut into.online_last),
            (&mut self.target_first, &mut into.target_first),
            (&mut self.target_last, &mut into.target_last),
            (&mut self.lag, &mut into.lag),
            (&mut self.reaction, &mut into.reaction),
        ] {
            if !from.is_empty() {
                merge(to, from);
                from.reset();
            }
        }
    }

    /// Adds the measurements of another worker.
    pub fn add(&mut self, other: &Self) {
        merge(&mut self.online_first, &other.online_first);
        merge(&mut self.online_last, &other.online_last);
        merge(&mut self.target_first, &other.target_first);
        merge(&mut self.target_last, &other.target_last);
        merge(&mut self.lag, &other.lag);
        merge(&mut self.reaction, &other.reaction);
    }

    /// The figures of all histograms.
    #[must_use]
    pub fn summary(&self) -> LatencySummary {
        LatencySummary {
            online: ResponseQuantiles {
                first: Quantiles::of(&self.online_first),
                last: Quantiles::of(&self.online_last),
            },
            target: ResponseQuantiles {
                first: Quantiles::of(&self.target_first),
                last: Quantiles::of(&self.target_last),
            },
            lag: Quantiles::of(&self.lag),
            reaction: Quantiles::of(&self.reaction),
        }
    }
}

fn histogram() -> Histogram<u64> {
    #[expect(
        clippy::expect_used,
        reason = "the bounds are constants that the library accepts; a test runs this"
    )]
    Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).expect("constant bounds")
}

fn add(histogram: &mut Histogram<u64>, time: Duration) {
    // Below a microsecond counts as one: the histogram has no zero.
    let micros = u64::try_from(time.as_micros()).unwrap_or(MICROS_MAX).max(1);
    histogram.saturating_record(micros);
}

fn merge(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    // Both have the same bounds, so nothing can fall outside.
    let merged = to.add(from);
    debug_assert!(merged.is_ok(), "histograms of different bounds");
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use session::{Outcome, Response, RuleId, TurnEnded};

    use super::Latency;

    fn turn(paired: bool, micros: u64) -> TurnEnded {
        let response = |micros| {
            let time = Duration::from_micros(micros);
            Some(Response {
                first: time,
                last: time * 2,
                bytes: 1,
            })
        };
        TurnEnded {
            rule: RuleId(0),
            outcome: Outcome::Answered,
            bytes: 1,
            bytes_acknowledged: 1,
            paired,
            online: response(micros),
            target: response(micros * 10),
            lag: Duration::from_secs(10_000),
        }
    }

    #[test]
    fn only_paired_turns_are_compared_and_outliers_are_clamped() {
        let mut latency = Latency::new();
        latency.record(&turn(true, 100));
        latency.record(&turn(false, 7));
        let summary = latency.summary();
        assert_eq!(summary.online.first.count, 1);
        assert_eq!(summary.online.first.p50, 100);
        assert_eq!(summary.online.last.p50, 200);
        assert_eq!(summary.target.first.max / 10, 100);
        assert_eq!(summary.lag.count, 2);
        assert!(summary.lag.max >= 3_600_000_000);
    }

    #[test]
    fn draining_moves_and_merging_adds() {
        let (mut worker, mut slot, mut all) = (Latency::new(), Latency::new(), Latency::new());
        for micros in 1..=100 {
            worker.record(&turn(true, micros));
            if micros % 10 == 0 {
                worker.drain_into(&mut slot);
            }
        }
        all.add(&slot);
        all.add(&slot);
        assert_eq!(worker.summary().online.first.count, 0);
        assert_eq!(all.summary().online.first.count, 200);
        assert_eq!(all.summary().online.first.p50, 50);
    }
}
