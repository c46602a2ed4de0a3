//! What the estimates are made of: the sorted times of each series that is compared, and how much they vary; and the interval of a
//! quantile that follows from them.
//!
//! An interval may also be asked for as many times the turns: with the same distribution and the same noise. That is how
//! [`super::settling`] knows what a longer run would say.

use core::time::Duration;

use hdrhistogram::Histogram;

use super::Interval;
use crate::latency::{Latency, Series};
use crate::spread::{Noise, STRETCHES_KEPT, Spread, TURNS_MIN};

/// So many standard deviations of the normal distribution leave 0.25 % on one side: two intervals have four sides, and 1 %
/// together.
const NORMAL: f64 = 2.807_033_768;

/// A quantile that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantile {
    /// The median.
    P50,
    /// The 99th percentile.
    P99,
}

impl Quantile {
    const ALL: [Self; 2] = [Self::P50, Self::P99];

    pub(super) const fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P99 => 0.99,
        }
    }
}

/// What was measured of both servers.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    series: [Sorted<'a>; Series::COMPARED.len()],
    /// By series and quantile; `None` where the run is too short to know.
    noise: [[Option<Noise>; Quantile::ALL.len()]; Series::COMPARED.len()],
    stretches: usize,
    captured_for: Duration,
}

/// A run that is longer than the measured one, and otherwise the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Longer {
    /// So many times the turns; 1 is the run itself.
    pub(super) scale: f64,
    /// Whether turns are taken to be independent of each other.
    pub(super) is_calm: bool,
}

impl<'a> Measured<'a> {
    /// Of a run that has captured for so long.
    pub(crate) fn new(latency: &'a Latency, spread: &Spread, captured_for: Duration) -> Self {
        Self {
            series: Series::COMPARED.map(|series| Sorted::new(latency.series(series))),
            noise: core::array::from_fn(|place| {
                Quantile::ALL.map(|quantile| spread.noise(place, quantile.share()))
            }),
            stretches: spread.stretches(),
            captured_for,
        }
    }

    /// Stretches that the noise was estimated from.
    pub(super) const fn stretches(&self) -> usize {
        self.stretches
    }

    /// Compared turns: each is in every series.
    pub(super) fn turns(&self) -> u64 {
        self.series[0].histogram.len()
    }

    /// How long the run has captured.
    pub(super) const fn captured_for(&self) -> Duration {
        self.captured_for
    }

    /// What is known of the noise of this series (by its place in [`Series::COMPARED`]).
    pub(super) const fn noise(&self, place: usize, quantile: Quantile) -> Option<Noise> {
        self.noise[place][quantile as usize]
    }

    /// The estimate of a quantile.
    pub(super) fn interval(&self, place: usize, quantile: Quantile) -> Interval {
        let effect = self.noise(place, quantile).map(|noise| noise.effect);
        self.series[place].interval(quantile.share(), effect, self.stretches, 1.0)
    }

    /// The estimate that a longer run would give.
    pub(super) fn interval_of(&self, longer: Longer, place: usize, quantile: Quantile) -> Interval {
        let noise = self.noise(place, quantile).filter(|_| !longer.is_calm);
        let effect = noise.map_or(1.0, |noise| noise.effect);
        self.series[place].interval(
            quantile.share(),
            Some(effect),
            self.stretches_of(longer.scale),
            longer.scale,
        )
    }

    /// The stretches of a run with so many times the turns: at least as many as stay when neighbours have become one.
    fn stretches_of(&self, scale: f64) -> usize {
        let turns = self.turns() as f64;
        let grown = if self.stretches < 2 {
            turns * scale / (turns / self.captured_for.as_secs_f64().max(1.0)).max(TURNS_MIN as f64)
        } else {
            self.stretches as f64 * scale
        };
        self.stretches.max(whole(grown.min(STRETCHES_KEPT as f64)))
    }
}

/// Times in their order, each with how many there are up to it.
#[derive(Debug)]
struct Sorted<'a> {
    histogram: &'a Histogram<u64>,
    up_to: Vec<(u64, u64)>,
}

impl<'a> Sorted<'a> {
    fn new(histogram: &'a Histogram<u64>) -> Self {
        let up_to = histogram.iter_recorded().scan(0, |count, point| {
            *count += point.count_at_value();
            Some((*count, point.value_iterated_to()))
        });
        Self {
            histogram,
            up_to: up_to.collect(),
        }
    }

    /// The interval with `scale` times the turns; `effect` is `None` where it is not known, and then nothing is.
    fn interval(
        &self,
        quantile: f64,
        effect: Option<f64>,
        stretches: usize,
        scale: f64,
    ) -> Interval {
        let value = self.histogram.value_at_quantile(quantile);
        let Some(effect) = effect.filter(|_| !self.histogram.is_empty()) else {
            return Interval {
                value,
                ..Interval::default()
            };
        };
        let n = self.histogram.len() as f64 * scale;
        let deviation = (effect * n * quantile * (1.0 - quantile)).sqrt();
        let reach = student(stretches.saturating_sub(1)) * deviation;
        // Cornish and Fisher's term for the skew of the binomial distribution: beyond a high quantile there are few turns.
        let skew = effect * (NORMAL * NORMAL - 1.0) / 6.0 * (2.0 * quantile - 1.0).max(0.0);
        let below = (quantile * n - reach - skew).floor();
        let above = (quantile * n + reach).ceil() + 1.0;
        let low = (below >= 1.0).then(|| {
            self.histogram
                .lowest_equivalent(self.at_rank(below / scale))
        });
        let high = (above <= n).then(|| {
            // The microsecond was cut off, not rounded.
            self.histogram
                .highest_equivalent(self.at_rank(above / scale))
                + 1
        });
        Interval {
            value,
            low: low.unwrap_or(0),
            high,
            turns_effective: whole_turns(n / effect),
        }
    }

    /// The time at this rank, counted from 1.
    fn at_rank(&self, rank: f64) -> u64 {
        let place = self
            .up_to
            .partition_point(|(count, _)| (*count as f64) < rank);
        self.up_to
            .get(place)
            .map_or_else(|| self.histogram.max(), |(_, micros)| *micros)
    }
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

/// As a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is counted is not negative, and the cast saturates"
)]
pub(super) const fn whole_turns(turns: f64) -> u64 {
    turns as u64
}

fn whole(stretches: f64) -> usize {
    usize::try_from(whole_turns(stretches)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
