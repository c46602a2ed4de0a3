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
//!
//! | module | holds |
//! |---|---|
//! | [`measured`] | what the estimates are made of, and the interval of a quantile |
//! | [`settling`] | what would settle a comparison that cannot tell |

pub(crate) mod measured;
pub(crate) mod settling;

use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use measured::{Measured, Quantile};
pub use settling::WouldTell;

/// Probability that a difference lies between its two ends, at least.
const CONFIDENCE: f64 = 0.99;
/// Differences up to this are not called differences, in microseconds: the time between a hook and the wire, and how much
/// longer a usual round trip is than the shortest one, are not known better.
pub const ACCURACY_US: u64 = 50;

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

/// Which byte of the response a time ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The first.
    First,
    /// The last.
    Last,
}

impl End {
    /// The places of the online server's series and of the target's in [`crate::latency::Series::COMPARED`].
    const fn places(self) -> (usize, usize) {
        match self {
            Self::First => (0, 2),
            Self::Last => (1, 3),
        }
    }
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
    /// What would settle it; `null` where it is settled, and where only estimates are known and not what they were made of.
    pub would_tell: Option<WouldTell>,
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
    pub(crate) fn new(measured: &Measured<'_>) -> Self {
        let intervals = [0, 1, 2, 3].map(|place| Intervals {
            p50: measured.interval(place, Quantile::P50),
            p99: measured.interval(place, Quantile::P99),
        });
        let [online_first, online_last, target_first, target_last] = intervals;
        let findings = |end, online, target| {
            let mut findings = Findings::new(online, target);
            for (quantile, finding) in [
                (Quantile::P50, &mut findings.p50),
                (Quantile::P99, &mut findings.p99),
            ] {
                finding.would_tell = (finding.says == Says::CannotTell).then(|| {
                    settling::what_would_tell(measured, end, quantile, |finding| {
                        finding.says != Says::CannotTell
                    })
                });
            }
            findings
        };
        Self {
            confidence: CONFIDENCE,
            accuracy: ACCURACY_US,
            stretches: measured.stretches(),
            first: findings(End::First, &online_first, &target_first),
            last: findings(End::Last, &online_last, &target_last),
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
            would_tell: None,
        }
    }
}

fn difference(a: u64, b: u64) -> i64 {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    signed(a) - signed(b)
}

#[cfg(test)]
mod tests;
