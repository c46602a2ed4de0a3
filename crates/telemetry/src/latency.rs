//! Histograms of both servers' responses and of our own lag.
//!
//! Only paired turns enter the response histograms: a session out of step would compare different requests. Nor do turns
//! whose target was held back to the pace of the online server (`paced`).
//! One set per worker, merged when read. A worker writes into a [`Recorder`], which is cheap; what others read is a [`Latency`].

mod cells;
mod recorder;

#[cfg(test)]
use core::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::figures::Figures;
pub use recorder::Recorder;

/// Longest time that a histogram tells apart; longer ones count as this, in microseconds.
const MICROS_MAX: u64 = 3_600_000_000;
/// Significant decimal digits that are kept.
const DIGITS: u8 = 3;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// Online server: last request byte to first response byte.
    OnlineFirst,
    /// Online server: last request byte to last response byte.
    OnlineLast,
    /// Target: last request byte, when it was sent, to first response byte.
    TargetFirst,
    /// Target: last request byte, when it was sent, to last response byte.
    TargetLast,
    /// [`Series::TargetFirst`] less the session's shortest round trip: the way there and back, which the online server's
    /// figure does not contain.
    TargetFirstNet,
    /// [`Series::TargetLast`] less the same.
    TargetLastNet,
    /// [`Series::TargetFirst`] from when the request should have left: a target that keeps its clients waiting delays the
    /// requests behind, and their waiting is its doing (coordinated omission).
    TargetFirstIntended,
    /// [`Series::TargetLast`] from the same moment.
    TargetLastIntended,
    /// From the capture of a turn's first byte until it left.
    Lag,
    /// From a target's reply, as its hook saw it, until the frames that it let go were handed to the kernel.
    Reaction,
    /// How long a round of a worker's loop took that found work: whatever comes meanwhile waits for its end.
    Round,
}

impl Series {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::OnlineFirst,
        Self::OnlineLast,
        Self::TargetFirst,
        Self::TargetLast,
        Self::TargetFirstNet,
        Self::TargetLastNet,
        Self::TargetFirstIntended,
        Self::TargetLastIntended,
        Self::Lag,
        Self::Reaction,
        Self::Round,
    ];

    /// Those that a verdict compares: the online server's, then the target's net of the path.
    pub const COMPARED: [Self; 4] = [
        Self::OnlineFirst,
        Self::OnlineLast,
        Self::TargetFirstNet,
        Self::TargetLastNet,
    ];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnlineFirst => "online_first_byte",
            Self::OnlineLast => "online_last_byte",
            Self::TargetFirst => "target_first_byte",
            Self::TargetLast => "target_last_byte",
            Self::TargetFirstNet => "target_first_byte_net",
            Self::TargetLastNet => "target_last_byte_net",
            Self::TargetFirstIntended => "target_first_byte_intended",
            Self::TargetLastIntended => "target_last_byte_intended",
            Self::Lag => "lag",
            Self::Reaction => "reaction",
            Self::Round => "round",
        }
    }
}

impl Series {
    /// Where it stands in a summary: side and end, or a word alone.
    #[must_use]
    pub const fn path(self) -> (&'static str, Option<&'static str>) {
        const FIRST: Option<&str> = Some("first_byte");
        const LAST: Option<&str> = Some("last_byte");
        match self {
            Self::OnlineFirst => ("online", FIRST),
            Self::OnlineLast => ("online", LAST),
            Self::TargetFirst => ("target", FIRST),
            Self::TargetLast => ("target", LAST),
            Self::TargetFirstNet => ("target_net", FIRST),
            Self::TargetLastNet => ("target_net", LAST),
            Self::TargetFirstIntended => ("target_intended", FIRST),
            Self::TargetLastIntended => ("target_intended", LAST),
            Self::Lag => ("lag", None),
            Self::Reaction => ("reaction", None),
            Self::Round => ("round", None),
        }
    }
}

/// The percentiles of a curve: denser towards 100, where the slow ones are.
const PERCENTILES: [f64; 24] = [
    0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 92.5, 95.0, 97.5,
    99.0, 99.5, 99.75, 99.9, 99.95, 99.975, 99.99, 100.0,
];

/// A point of a curve: percentile, microseconds, and how many measurements lie up to there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point(pub f64, pub u64, pub u64);

/// The curves at one place of a summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Curves {
    /// Of a series that has no ends.
    One(Vec<Point>),
    /// By end.
    Ends(Figures<Vec<Point>>),
}

/// A histogram of each series, in microseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    histograms: [Histogram<u64>; Series::ALL.len()],
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
    #[serde(rename = "first_byte")]
    pub first: Quantiles,
    /// Last request byte to last response byte.
    #[serde(rename = "last_byte")]
    pub last: Quantiles,
}

/// Everything that was measured, in microseconds. The target's figures contain the path between the two machines, but for
/// `target_net`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencySummary {
    /// The online server's responses, of paired turns.
    pub online: ResponseQuantiles,
    /// The target's responses, of paired turns.
    pub target: ResponseQuantiles,
    /// The target's, less the shortest round trip of each session: what to compare with the online server's.
    pub target_net: ResponseQuantiles,
    /// The target's, from when each turn should have left.
    pub target_intended: ResponseQuantiles,
    /// From the capture of a turn's first byte until it left, of all turns.
    pub lag: Quantiles,
    /// From a target's reply, as its hook saw it, until the frames that it let go were handed to the kernel. Of replies that
    /// a worker found together only the first counts.
    pub reaction: Quantiles,
    /// A round of a worker's loop that found work.
    pub round: Quantiles,
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
            histograms: core::array::from_fn(|_| histogram()),
        }
    }

    /// The histogram of a series, in microseconds.
    #[must_use]
    pub fn series(&self, series: Series) -> &Histogram<u64> {
        &self.histograms[series as usize]
    }

    /// Adds `count` measurements of so many microseconds.
    fn add_micros(&mut self, series: Series, micros: u64, count: u64) {
        let recorded = self.histograms[series as usize].record_n(micros.min(MICROS_MAX), count);
        debug_assert!(recorded.is_ok(), "a histogram that does not grow");
    }

    #[cfg(test)]
    pub(crate) fn add_time(&mut self, series: Series, time: Duration) {
        // Below a microsecond counts as one: the histogram has no zero.
        let micros = u64::try_from(time.as_micros()).unwrap_or(MICROS_MAX).max(1);
        self.add_micros(series, micros, 1);
    }

    /// Adds the measurements of another worker.
    pub fn add(&mut self, other: &Self) {
        for (to, from) in self.histograms.iter_mut().zip(&other.histograms) {
            // Memory of a histogram that holds nothing is not touched.
            if !from.is_empty() {
                merge(to, from);
            }
        }
    }

    /// The percentile curve of each series that has any measurement, by [`Series::path`].
    #[must_use]
    pub fn curves(&self) -> Figures<Curves> {
        let mut places: Vec<(&str, Curves)> = Vec::new();
        let measured = Series::ALL
            .iter()
            .filter(|&&series| !self.series(series).is_empty());
        for &series in measured {
            let points = curve(self.series(series));
            match (series.path(), places.last_mut()) {
                // Both ends of a side stand beside each other.
                ((side, Some(end)), Some((last, Curves::Ends(ends)))) if *last == side => {
                    ends.push(end, points);
                }
                ((side, Some(end)), _) => {
                    let ends = std::iter::once((end, points)).collect();
                    places.push((side, Curves::Ends(ends)));
                }
                ((name, None), _) => places.push((name, Curves::One(points))),
            }
        }
        places.into_iter().collect()
    }

    /// The figures of all histograms.
    #[must_use]
    pub fn summary(&self) -> LatencySummary {
        let of = |series| Quantiles::of(self.series(series));
        let response = |first, last| ResponseQuantiles {
            first: of(first),
            last: of(last),
        };
        LatencySummary {
            online: response(Series::OnlineFirst, Series::OnlineLast),
            target: response(Series::TargetFirst, Series::TargetLast),
            target_net: response(Series::TargetFirstNet, Series::TargetLastNet),
            target_intended: response(Series::TargetFirstIntended, Series::TargetLastIntended),
            lag: of(Series::Lag),
            reaction: of(Series::Reaction),
            round: of(Series::Round),
        }
    }
}

/// One pass over the histogram: a summary is made each second.
fn curve(histogram: &Histogram<u64>) -> Vec<Point> {
    let total = histogram.len();
    let mut points = Vec::with_capacity(PERCENTILES.len());
    let mut percentiles = PERCENTILES.iter().copied().peekable();
    let mut count = 0;
    for recorded in histogram.iter_recorded() {
        count += recorded.count_at_value();
        let value = histogram.highest_equivalent(recorded.value_iterated_to());
        while let Some(percentile) =
            percentiles.next_if(|percentile| percentile / 100.0 * total as f64 <= count as f64)
        {
            points.push(Point(percentile, value, count));
        }
    }
    points
}

/// One that grows with the longest time in it: all are copied once a second, and times of milliseconds take a third of the memory of
/// times of an hour.
fn histogram() -> Histogram<u64> {
    #[expect(
        clippy::expect_used,
        reason = "the number of digits is a constant that the library accepts; a test runs this"
    )]
    Histogram::new(DIGITS).expect("constant digits")
}

fn merge(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    // It grows, so nothing can fall outside.
    let merged = to.add(from);
    debug_assert!(merged.is_ok(), "a histogram that does not grow");
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use session::{Outcome, Response, RuleId, TurnEnded};

    use super::{Curves, Latency, PERCENTILES, Point, Recorder};

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
            online_reset: false,
            paced: false,
            round_trip: Some(Duration::from_micros(30)),
            samples: None,
        }
    }

    fn measured(turns: impl IntoIterator<Item = TurnEnded>) -> Latency {
        let (mut recorder, mut latency) = (Recorder::new(), Latency::new());
        turns.into_iter().for_each(|turn| recorder.record(&turn));
        recorder.drain_into(&mut latency);
        latency
    }

    #[test]
    fn a_response_of_one_segment_has_both_times() {
        let mut turn = turn(true, 100);
        turn.online = turn.online.map(|response| Response {
            last: response.first,
            ..response
        });
        let online = measured([turn]).summary().online;
        assert_eq!((online.first.count, online.last.count), (1, 1));
        assert_eq!((online.first.p50, online.last.p50), (100, 100));
    }

    #[test]
    fn only_paired_turns_are_compared_and_outliers_are_clamped() {
        let latency = measured([turn(true, 100), turn(false, 7)]);
        let summary = latency.summary();
        assert_eq!(summary.online.first.count, 1);
        assert_eq!(summary.online.first.p50, 100);
        assert_eq!(summary.online.last.p50, 200);
        assert_eq!(summary.target.first.max / 10, 100);
        let net = summary.target.first.p50 - summary.target_net.first.p50;
        assert_eq!(net, 30, "the way there and back");
        assert!(summary.target_intended.first.p50 >= 3_600_000_000);
        assert_eq!(summary.lag.count, 2);
        assert!(summary.lag.max >= 3_600_000_000);
    }

    #[test]
    fn curves_agree_with_the_quantiles_and_end_at_the_largest() {
        let latency = measured((1..=20_000).map(|micros| turn(true, micros)));
        let curves = latency.curves();
        assert!(curves.get("reaction").is_none(), "nothing was measured");
        let Some(Curves::Ends(online)) = curves.get("online") else {
            panic!("{curves:?}");
        };
        assert_eq!(online.iter().count(), 2, "first and last byte");
        let (curve, quantiles) = (
            online.get("first_byte").unwrap(),
            latency.summary().online.first,
        );
        assert_eq!(curve.len(), PERCENTILES.len());
        assert!(
            curve
                .windows(2)
                .all(|pair| pair[0].1 <= pair[1].1 && pair[0].2 <= pair[1].2)
        );
        let at = |percentile: f64| {
            curve
                .iter()
                .find(|point| (point.0 - percentile).abs() < 1e-9)
                .unwrap()
        };
        assert_eq!(
            [at(50.0).1, at(90.0).1, at(99.0).1, at(99.9).1],
            [quantiles.p50, quantiles.p90, quantiles.p99, quantiles.p999]
        );
        assert_eq!(*curve.last().unwrap(), Point(100.0, quantiles.max, 20_000));
        assert!(at(50.0).2 >= 10_000 && at(50.0).2 < 10_020);
        let Some(Curves::One(lag)) = curves.get("lag") else {
            panic!("{curves:?}");
        };
        assert_eq!(lag.first().unwrap().2, 20_000, "all in one bucket");
    }

    #[test]
    fn draining_moves_and_merging_adds() {
        let (mut worker, mut slot, mut all) = (Recorder::new(), Latency::new(), Latency::new());
        for micros in 1..=100 {
            worker.record(&turn(true, micros));
            if micros % 10 == 0 {
                worker.drain_into(&mut slot);
            }
        }
        all.add(&slot);
        all.add(&slot);
        worker.drain_into(&mut slot);
        assert_eq!(slot.summary().online.first.count, 100, "no time twice");
        assert_eq!(all.summary().online.first.count, 200);
        assert_eq!(all.summary().online.first.p50, 50);
    }
}
