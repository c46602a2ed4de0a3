//! Whether the target is slower or faster than the online server, and whether the run can tell.
//!
//! A quantile of a run is an estimate: the next run of the same two servers would give another one. So each has an
//! interval, and a difference is called one only where the intervals do not explain it.
//!
//! 1. **Interval of a quantile.** Distribution-free, by order statistics: of n sorted times, the one at rank r is below
//!    the true q-quantile with a probability that only the binomial distribution of (n, q) decides. Its standard
//!    deviation is widened by the design effect (see [`crate::spread`]), because turns of one moment share their fate,
//!    and Student's t takes the place of the normal quantile, because the design effect is itself estimated from so many
//!    stretches. This is Woodruff's interval (1952) for clustered samples. Both tails of both intervals together have at
//!    most 1 %.
//! 2. **Resolution.** The interval is widened to the ends of the histogram's buckets (three significant digits) and by
//!    the microsecond that was cut off.
//! 3. **Difference.** Target less online, lowest against highest: with 99 % or more the true difference lies between,
//!    whatever the two have to do with each other.
//! 4. **Accuracy.** What the hooks and the shortest round trip leave open ([`ACCURACY_US`]) is never called a
//!    difference.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use crate::latency::{Latency, Series};
use crate::spread::Spread;

/// Probability that a difference lies between its two ends, at least.
const CONFIDENCE: f64 = 0.99;
/// Differences up to this are not called differences, in microseconds: the time between a hook and the wire, and how much
/// longer a usual round trip is than the shortest one, are not known better.
pub const ACCURACY_US: u64 = 50;
/// So many standard deviations of the normal distribution leave 0.25 % on one side: two intervals have four sides, and 1 %
/// together.
const NORMAL: f64 = 2.807_033_768;

/// What is compared.
const P50: f64 = 0.5;
const P99: f64 = 0.99;

/// An estimate of a quantile, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// As measured.
    pub value: u64,
    /// The true one is not below; 0 where nothing is known.
    pub low: u64,
    /// The true one is not above; `null` where the run was too short to say.
    pub high: Option<u64>,
    /// As many independent turns would say as much.
    pub turns_effective: u64,
}

/// The quantiles of one series that are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Median.
    pub p50: Interval,
    /// 99th percentile.
    pub p99: Interval,
}

/// What can be said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Slower than what it is compared with.
    Slower,
    /// Faster.
    Faster,
    /// No difference above noise: if there is one, it lies between the ends.
    NoDifference,
    /// Too few turns, or too much noise: even twice the time would not have shown.
    CannotTell,
}

/// A difference of two quantiles, in microseconds; positive where the second is slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In a word.
    #[serde(rename = "verdict")]
    pub says: Says,
    /// As measured.
    #[serde(rename = "difference_us")]
    pub difference: i64,
    /// The true difference is not below; `null` where unknown.
    #[serde(rename = "low_us")]
    pub low: Option<i64>,
    /// The true difference is not above; `null` where unknown.
    #[serde(rename = "high_us")]
    pub high: Option<i64>,
}

/// Findings for both quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Of the medians.
    pub p50: Finding,
    /// Of the 99th percentiles.
    pub p99: Finding,
}

/// The target's response times beside the online server's, net of the round trip.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// See [`Finding`]: the probability that a true difference lies between its ends is at least this.
    pub confidence: f64,
    /// Differences up to this are not called differences, in microseconds.
    #[serde(rename = "accuracy_us")]
    pub accuracy: u64,
    /// Stretches of the run that the noise was estimated from.
    pub stretches: usize,
    /// To the first response byte.
    #[serde(rename = "first_byte")]
    pub first: Findings,
    /// To the last response byte.
    #[serde(rename = "last_byte")]
    pub last: Findings,
    /// The estimates in microseconds, by [`Series::path`].
    #[serde(rename = "intervals_us")]
    pub intervals: Figures<Figures<Intervals>>,
}

impl Verdict {
    /// Compares what was measured.
    #[must_use]
    pub fn new(latency: &Latency, spread: &Spread) -> Self {
        let intervals = [0, 1, 2, 3].map(|place| intervals(latency, spread, place));
        let [online_first, online_last, target_first, target_last] = intervals;
        Self {
            confidence: CONFIDENCE,
            accuracy: ACCURACY_US,
            stretches: spread.stretches(),
            first: Findings::new(&online_first, &target_first),
            last: Findings::new(&online_last, &target_last),
            intervals: [
                ("online", [online_first, online_last]),
                ("target_net", [target_first, target_last]),
            ]
            .into_iter()
            .map(|(side, ends)| {
                (
                    side,
                    ["first_byte", "last_byte"].into_iter().zip(ends).collect(),
                )
            })
            .collect(),
        }
    }
}

impl Findings {
    /// What `second` is beside `first`.
    #[must_use]
    pub fn new(first: &Intervals, second: &Intervals) -> Self {
        Self {
            p50: Finding::new(&first.p50, &second.p50),
            p99: Finding::new(&first.p99, &second.p99),
        }
    }
}

impl Finding {
    /// What `second` is beside `first`.
    #[must_use]
    pub fn new(first: &Interval, second: &Interval) -> Self {
        let low = first.high.map(|high| difference(second.low, high));
        let high = second.high.map(|high| difference(high, first.low));
        let accuracy = difference(ACCURACY_US, 0);
        // As long again as the first takes: who cannot exclude that has learnt nothing.
        let hidden_max = difference(first.value, 0).max(2 * accuracy);
        let says = match (low, high) {
            (Some(low), _) if low > accuracy => Says::Slower,
            (_, Some(high)) if high < -accuracy => Says::Faster,
            (Some(low), Some(high)) if low >= -hidden_max && high <= hidden_max => {
                Says::NoDifference
            }
            _ => Says::CannotTell,
        };
        Self {
            says,
            difference: difference(second.value, first.value),
            low,
            high,
        }
    }
}

fn difference(a: u64, b: u64) -> i64 {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    signed(a) - signed(b)
}

fn intervals(latency: &Latency, spread: &Spread, place: usize) -> Intervals {
    let histogram = latency.series(Series::COMPARED[place]);
    let of = |quantile| {
        let effect = spread.design_effect(place, quantile);
        interval(histogram, quantile, effect, spread.stretches())
    };
    Intervals {
        p50: of(P50),
        p99: of(P99),
    }
}

/// `effect` is `None` where it is not known; then nothing is.
fn interval(
    histogram: &Histogram<u64>,
    quantile: f64,
    effect: Option<f64>,
    stretches: usize,
) -> Interval {
    let turns = histogram.len();
    let value = histogram.value_at_quantile(quantile);
    let Some(effect) = effect.filter(|_| turns > 0) else {
        return Interval {
            value,
            ..Interval::default()
        };
    };
    let n = turns as f64;
    let deviation = (effect * n * quantile * (1.0 - quantile)).sqrt();
    let reach = student(stretches.saturating_sub(1)) * deviation;
    // Cornish and Fisher's term for the skew of the binomial distribution: beyond a high quantile there are few turns.
    let skew = effect * (NORMAL * NORMAL - 1.0) / 6.0 * (2.0 * quantile - 1.0).max(0.0);
    let below = (quantile * n - reach - skew).floor();
    let above = (quantile * n + reach).ceil() + 1.0;
    let low = (below >= 1.0).then(|| histogram.lowest_equivalent(at_rank(histogram, below)));
    let high = (above <= n).then(|| {
        // The microsecond was cut off, not rounded.
        histogram.highest_equivalent(at_rank(histogram, above)) + 1
    });
    Interval {
        value,
        low: low.unwrap_or(0),
        high,
        turns_effective: whole(n / effect),
    }
}

/// The time at this rank, counted from 1.
fn at_rank(histogram: &Histogram<u64>, rank: f64) -> u64 {
    let mut count = 0u64;
    for point in histogram.iter_recorded() {
        count += point.count_at_value();
        if count as f64 >= rank {
            return point.value_iterated_to();
        }
    }
    histogram.max()
}

/// [`NORMAL`] for Student's t with so many degrees of freedom; infinite for none.
fn student(freedom: usize) -> f64 {
    const FEW: [f64; 9] = [
        127.321, 14.089, 7.453, 5.598, 4.773, 4.317, 4.029, 3.833, 3.690,
    ];
    match freedom.checked_sub(1) {
        None => f64::INFINITY,
        Some(index) if index < FEW.len() => FEW[index],
        // The expansion of Cornish and Fisher: right to 0.003 from here on.
        Some(_) => {
            let v = freedom as f64;
            let z = NORMAL;
            let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
            z + (z3 + z) / (4.0 * v)
                + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v)
                + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * v * v * v)
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is not negative, and the cast saturates"
)]
const fn whole(turns: f64) -> u64 {
    turns as u64
}

#[cfg(test)]
mod tests;
