//! How much response times vary from one stretch of a run to the next.
//!
//! Turns are not independent of each other: what delays one (a pause of the server, a neighbour on the machine) delays
//! those beside it. An interval that took them for independent would be far too narrow, and would find differences
//! between two equal targets. So the run is cut into stretches, and the share of turns below a quantile is looked at
//! stretch by stretch: where it varies more than independent turns would make it, the turns count for less. The figure
//! is the *design effect* of survey sampling, with stretches as clusters.
//!
//! Stretches are a second long at first. There are at most [`STRETCHES_MAX`]; when they are full, neighbours become one,
//! and later ones are twice as long. Memory is bounded (about 1 MB) however long the run is.

use hdrhistogram::Histogram;

use crate::latency::{Latency, Series};

/// Most stretches that are told apart.
const STRETCHES_MAX: usize = 64;
/// As many are told apart at least in a run that is long enough: neighbours have just become one.
pub(crate) const STRETCHES_KEPT: usize = STRETCHES_MAX / 2;
/// A stretch of fewer turns goes on: shares of a handful say nothing.
pub(crate) const TURNS_MIN: u64 = 20;
/// Classes per doubling of time; each is then about 2 % wide. A power of two, so that no bucket of a histogram with
/// three digits straddles two classes.
const CLASSES_PER_DOUBLING: u32 = 32;
/// Doublings from 1 us to more than an hour.
const DOUBLINGS: u32 = 32;
const CLASSES: usize = (CLASSES_PER_DOUBLING * DOUBLINGS) as usize;

/// Fewer stretches cannot show that times go one way.
const DRIFT_STRETCHES_MIN: usize = 12;
/// Correlation of neighbours from which times are said to go one way. Of twelve independent stretches 5 in 100 reach it.
const DRIFT_CORRELATION_MIN: f64 = 0.5;
/// Below this design effect times do not vary enough for it to matter which way.
const DRIFT_EFFECT_MIN: f64 = 2.0;

/// How much the share of turns below a quantile varies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Noise {
    /// How many turns weigh as much as one independent turn; at least 1.
    pub(crate) effect: f64,
    /// Whether neighbouring stretches are alike, so that the noise does not shrink as stretches are added.
    pub(crate) drifts: bool,
}

/// Turns per class of time, one array per series that is compared.
type Counts = [Vec<u32>; Series::COMPARED.len()];

/// The stretches of a run.
#[derive(Clone, Debug)]
pub struct Spread {
    stretches: Vec<Counts>,
    /// Everything up to the end of the last stretch.
    until: Counts,
    /// Looks that make a stretch, and those since the last one.
    looks_per_stretch: u32,
    looks: u32,
}

impl Default for Spread {
    fn default() -> Self {
        Self::new()
    }
}

impl Spread {
    /// Of a run that begins.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stretches: Vec::new(),
            until: zeroes(),
            looks_per_stretch: 1,
            looks: 0,
        }
    }

    /// Ends a stretch where one is due; to be called once a second, with everything measured since the start.
    pub fn look(&mut self, latency: &Latency) {
        self.looks += 1;
        // Every turn is in each of the series, so one count is that of all.
        let measured = latency.series(Series::COMPARED[0]).len();
        let known: u64 = self.until[0].iter().map(|&n| u64::from(n)).sum();
        if self.looks < self.looks_per_stretch || measured.saturating_sub(known) < TURNS_MIN {
            return;
        }
        self.looks = 0;
        let now = Series::COMPARED.map(|series| classes(latency.series(series)));
        let mut stretch = now.clone();
        for (new, old) in stretch.iter_mut().zip(&self.until) {
            for (new, old) in new.iter_mut().zip(old) {
                *new = new.saturating_sub(*old);
            }
        }
        self.until = now;
        self.stretches.push(stretch);
        if self.stretches.len() == STRETCHES_MAX {
            self.halve();
        }
    }

    /// Makes one stretch of each two.
    fn halve(&mut self) {
        let mut halved = Vec::with_capacity(STRETCHES_MAX);
        let mut stretches = std::mem::take(&mut self.stretches).into_iter();
        while let Some(mut first) = stretches.next() {
            for (mine, theirs) in first.iter_mut().zip(stretches.next().iter().flatten()) {
                for (mine, theirs) in mine.iter_mut().zip(theirs) {
                    *mine = mine.saturating_add(*theirs);
                }
            }
            halved.push(first);
        }
        self.stretches = halved;
        self.looks_per_stretch = self.looks_per_stretch.saturating_mul(2);
    }

    /// Stretches so far.
    #[must_use]
    pub fn stretches(&self) -> usize {
        self.stretches.len()
    }

    /// How much the turns of a compared series (by its place in [`Series::COMPARED`]) vary where the share below `quantile` is
    /// estimated. `None` with fewer than two stretches.
    #[must_use]
    pub(crate) fn noise(&self, series: usize, quantile: f64) -> Option<Noise> {
        let stretches = self.stretches.len();
        if stretches < 2 {
            return None;
        }
        let mut totals = vec![0u64; CLASSES];
        for stretch in &self.stretches {
            for (total, n) in totals.iter_mut().zip(&stretch[series]) {
                *total += u64::from(*n);
            }
        }
        let turns: u64 = totals.iter().sum();
        let Some((class, share)) = nearest(&totals, turns, quantile) else {
            // All in one class of 2 %: nothing varies that could be seen.
            return Some(Noise {
                effect: 1.0,
                drifts: false,
            });
        };
        let off: Vec<f64> = self
            .stretches
            .iter()
            .map(|stretch| {
                let of = |counts: &[u32]| counts.iter().map(|&n| f64::from(n)).sum::<f64>();
                of(&stretch[series][..=class]) - share * of(&stretch[series])
            })
            .collect();
        let squares: f64 = off.iter().map(|off| off.powi(2)).sum();
        let neighbours: f64 = off.windows(2).map(|pair| pair[0] * pair[1]).sum();
        // The variance of a ratio over clusters, against that of independent turns.
        let of_stretches = stretches as f64 / (stretches as f64 - 1.0) * squares;
        let effect = (of_stretches / (turns as f64 * share * (1.0 - share))).max(1.0);
        Some(Noise {
            effect,
            drifts: stretches >= DRIFT_STRETCHES_MIN
                && effect >= DRIFT_EFFECT_MIN
                && neighbours >= DRIFT_CORRELATION_MIN * squares,
        })
    }
}

/// The class whose upper end is nearest to the quantile, and the share of turns up to there; `None` where no end divides
/// the turns.
fn nearest(totals: &[u64], turns: u64, quantile: f64) -> Option<(usize, f64)> {
    let mut below = 0;
    let mut best: Option<(usize, f64)> = None;
    for (class, n) in totals.iter().enumerate() {
        below += n;
        if below == 0 || below == turns {
            continue;
        }
        let share = below as f64 / turns as f64;
        if best.is_none_or(|(_, other)| (share - quantile).abs() < (other - quantile).abs()) {
            best = Some((class, share));
        }
    }
    best
}

fn zeroes() -> Counts {
    core::array::from_fn(|_| vec![0; CLASSES])
}

fn classes(histogram: &Histogram<u64>) -> Vec<u32> {
    let mut counts = vec![0u32; CLASSES];
    for point in histogram.iter_recorded() {
        let count = u32::try_from(point.count_at_value()).unwrap_or(u32::MAX);
        let class = &mut counts[class_of(point.value_iterated_to())];
        *class = class.saturating_add(count);
    }
    counts
}

/// The class of a time in microseconds: the doubling, and which part of it.
fn class_of(micros: u64) -> usize {
    let micros = micros.max(1);
    let doubling = micros.ilog2();
    let part =
        (u128::from(micros - (1 << doubling)) * u128::from(CLASSES_PER_DOUBLING)) >> doubling;
    let class = (doubling * CLASSES_PER_DOUBLING) as usize + usize::try_from(part).unwrap_or(0);
    class.min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{CLASSES, Noise, STRETCHES_MAX, Spread, class_of};
    use crate::latency::{Latency, Series};

    fn record(latency: &mut Latency, micros: u64) {
        for series in Series::COMPARED {
            latency.add_time(series, Duration::from_micros(micros));
        }
    }

    #[test]
    fn classes_grow_with_time_and_never_end() {
        let mut last = 0;
        for micros in 1..100_000 {
            let class = class_of(micros);
            assert!(class >= last, "{micros}");
            last = class;
        }
        assert!(class_of(3_600_000_000) < CLASSES);
        assert_eq!(class_of(u64::MAX), CLASSES - 1);
        assert_ne!(class_of(1000), class_of(1030));
    }

    #[test]
    fn turns_that_vary_alike_weigh_little_and_independent_ones_all() {
        let (mut steady, mut bursty) = (Spread::new(), Spread::new());
        let (mut even, mut odd) = (Latency::new(), Latency::new());
        for second in 0..30 {
            for turn in 0..100 {
                record(&mut even, if turn % 2 == 0 { 100 } else { 200 });
                record(&mut odd, if second % 2 == 0 { 100 } else { 200 });
            }
            steady.look(&even);
            bursty.look(&odd);
        }
        assert_eq!(steady.stretches(), 30);
        assert!((steady.noise(0, 0.5).unwrap().effect - 1.0).abs() < 1e-9);
        let Noise { effect, drifts } = bursty.noise(0, 0.5).unwrap();
        // Each second is but one observation, of 100 turns.
        assert!((95.0..110.0).contains(&effect), "{effect}");
        assert!(!drifts, "one second is fast, the next one slow");
    }

    #[test]
    fn a_long_run_has_longer_stretches_and_loses_no_turn() {
        let (mut spread, mut latency) = (Spread::new(), Latency::new());
        assert!(spread.noise(0, 0.5).is_none());
        for second in 0..1000u64 {
            for turn in 0..20 {
                record(&mut latency, 100 + turn + second % 3);
            }
            spread.look(&latency);
            assert!(spread.stretches() < STRETCHES_MAX);
        }
        assert!(spread.stretches() >= STRETCHES_MAX / 4);
        let turns: u64 = spread
            .stretches
            .iter()
            .flat_map(|s| &s[0])
            .map(|&n| u64::from(n))
            .sum();
        assert!(turns >= 20 * (1000 - 32), "{turns}");
    }

    #[test]
    fn times_that_rise_all_the_while_drift() {
        let (mut spread, mut latency) = (Spread::new(), Latency::new());
        for second in 0..30 {
            for turn in 0..100 {
                record(&mut latency, 100 + 10 * second + turn % 2);
            }
            spread.look(&latency);
        }
        assert!(spread.noise(0, 0.5).unwrap().drifts);
    }

    #[test]
    fn a_stretch_waits_for_its_turns() {
        let (mut spread, mut latency) = (Spread::new(), Latency::new());
        for _ in 0..40 {
            record(&mut latency, 100);
            spread.look(&latency);
        }
        assert_eq!(spread.stretches(), 2);
    }
}
