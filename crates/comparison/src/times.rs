//! Response times of a group, in microseconds, with two significant digits.

use core::fmt;
use core::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest time that is told apart; longer ones count as this, in microseconds.
const MICROS_MAX: u64 = 3_600_000_000;
/// Significant decimal digits: two, so that a histogram of times up to a second has some 7 kB.
const DIGITS: u8 = 2;

/// Times of one server. There is no histogram before the first.
#[derive(Clone, Default, PartialEq)]
pub struct Times(Option<Box<Histogram<u32>>>);

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.quantiles().fmt(f)
    }
}

impl Times {
    /// One more.
    pub(crate) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(MICROS_MAX);
        if self.0.is_none() {
            self.0 = Histogram::new_with_max(2, DIGITS)
                .ok()
                .map(|mut histogram| {
                    histogram.auto(true);
                    Box::new(histogram)
                });
        }
        if let Some(histogram) = &mut self.0 {
            // It grows up to the longest time, and counts no further than a cell can.
            let _ = histogram.record(micros.clamp(1, MICROS_MAX));
        }
    }

    /// Those of another worker.
    pub(crate) fn unite(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Some(one), Some(other)) => {
                // Both are of one kind, and grow.
                let _ = one.add(&**other);
            }
            (none @ None, Some(other)) => *none = Some(other.clone()),
            (_, None) => {}
        }
    }

    /// What the summary says of them.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        let Some(histogram) = &self.0 else {
            return Quantiles::default();
        };
        Quantiles {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        }
    }
}

/// Figures of one server's times, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Number of measurements.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{MICROS_MAX, Quantiles, Times};

    #[test]
    fn times_of_workers_add_up() {
        let mut one = Times::default();
        assert_eq!(one.quantiles(), Quantiles::default());
        (1..=100).for_each(|millis| one.add(Duration::from_millis(millis)));
        let mut other = Times::default();
        other.unite(&one);
        other.add(Duration::MAX);
        other.add(Duration::ZERO);
        let said = other.quantiles();
        assert_eq!(said.count, 102);
        assert!(said.p50.abs_diff(50_000) < 1_000, "{said:?}");
        assert!(said.max >= MICROS_MAX);
    }
}
