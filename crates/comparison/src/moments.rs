//! In which moments of a run something happened: a bounded set that is as fine as the run is short.
//!
//! A moment is 10 ms long at first. When one comes that does not fit, all become twice as long, so a run has 64 to 128 of them in the
//! end. Sets unite exactly, whatever their lengths were and in whatever order: what is coarse stays coarse, and a finer one becomes as
//! coarse beforehand.

use core::time::Duration;

/// How long a moment is at first, in microseconds.
const MOMENT_US: u128 = 10_000;
/// Most moments that are told apart.
const MOMENTS_MAX: u32 = u128::BITS;

/// Largest likeness that is believed, in thousandths.
const LIKENESS_MAX: f64 = 950.0;

/// A set of moments since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    bits: u128,
    /// How often they became twice as long.
    doublings: u32,
}

impl Moments {
    /// Something happened so long after the run began.
    pub fn add(&mut self, at: Duration) {
        *self = self.coarsened(doublings_for(at));
        self.bits |= 1 << ((at.as_micros() / MOMENT_US) >> self.doublings);
    }

    /// Adds those of another set.
    pub fn unite(&mut self, other: Self) {
        let doublings = self.doublings.max(other.doublings);
        let (one, other) = (self.coarsened(doublings), other.coarsened(doublings));
        *self = Self {
            bits: one.bits | other.bits,
            doublings,
        };
    }

    /// These moments, of a run that is so long, among those in which they could have been.
    #[must_use]
    pub fn among(self, all: Self, span: Duration) -> Among {
        let doublings = doublings_for(span);
        let these = self.coarsened(doublings).bits;
        let all = all.coarsened(doublings).bits | these;
        let neighbours = |bits: u128| (bits & bits >> 1).count_ones();
        Among {
            all: all.count_ones(),
            all_neighbours: neighbours(all),
            count: these.count_ones(),
            neighbours: neighbours(these),
        }
    }

    /// The same with moments that are at least so long.
    fn coarsened(mut self, doublings: u32) -> Self {
        while self.doublings < doublings {
            let mut halved = 0;
            for index in 0..MOMENTS_MAX / 2 {
                let pair = self.bits >> (2 * index) & 0b11;
                halved |= u128::from(pair != 0) << index;
            }
            self.bits = halved;
            self.doublings += 1;
        }
        self
    }
}

/// Moments of a run, 128 at most, among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Among {
    /// Those in which something could have happened.
    pub all: u32,
    /// How often two of them follow each other.
    pub all_neighbours: u32,
    /// Those in which it happened.
    pub count: u32,
    /// How often it did so in two that follow each other.
    pub neighbours: u32,
}

impl Among {
    /// How much two moments that follow each other have in common, in thousandths: 0 where they are independent, 1,000 where one
    /// cannot be told from the other. Chance makes neighbours as well: what it makes, a standard deviation more, and one more, do not
    /// count.
    #[must_use]
    pub fn likeness(self) -> u64 {
        let of = |count: u32| f64::from(count);
        let pairs = of(self.all) * (of(self.all) - 1.0);
        if self.count < 2 || pairs <= 0.0 {
            return 0;
        }
        let share = of(self.count) / of(self.all);
        let by_chance = of(self.all_neighbours) * of(self.count) * (of(self.count) - 1.0) / pairs;
        let deviation = of(self.all_neighbours).sqrt() * share * (1.0 - share);
        let excess = of(self.neighbours) - by_chance - deviation - 1.0;
        let most = of(self.all_neighbours) * share * (1.0 - share);
        if excess <= 0.0 || most <= 0.0 {
            return 0;
        }
        let mille = (excess / most * 1000.0).min(LIKENESS_MAX);
        (0..=1000).rev().find(|n| *n as f64 <= mille).unwrap_or(0)
    }
}

/// How often moments must become twice as long so that this one is among them.
fn doublings_for(at: Duration) -> u32 {
    let moment = at.as_micros() / MOMENT_US;
    let bits = u128::BITS - moment.leading_zeros();
    bits.saturating_sub(MOMENTS_MAX.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{Among, Moments};

    fn of(times_ms: &[u64]) -> Moments {
        let mut moments = Moments::default();
        for at in times_ms {
            moments.add(Duration::from_millis(*at));
        }
        moments
    }

    fn among(times: &[u64], span: Duration) -> Among {
        let mut all = Moments::default();
        for share in 0..1000 {
            all.add(span.mul_f64(f64::from(share) / 1000.0));
        }
        of(times).among(all, span)
    }

    #[test]
    fn a_run_has_64_to_128_moments() {
        let count = |step: usize, end: u64| {
            let times: Vec<u64> = (0..end).step_by(step).collect();
            let span = Duration::from_millis(end - 1);
            of(&times).among(Moments::default(), span).count
        };
        assert_eq!(count(1, 1280), 128);
        assert_eq!(count(1, 1281), 65);
        assert_eq!(count(100, 20_000), 125);
        assert_eq!(count(60_000, 7 * 86_400_000), 116);
        // What happened in two moments did so however long the run went on, unless both have become one.
        assert_eq!(among(&[0, 15], Duration::from_secs(1)).count, 2);
        assert_eq!(among(&[0, 15], Duration::from_secs(3)).count, 1);
        let mut longest = Moments::default();
        longest.add(Duration::MAX);
        assert_eq!(longest.among(longest, Duration::MAX).count, 1);
    }

    #[test]
    fn moments_in_a_row_are_alike() {
        let span = Duration::from_secs(128);
        let of = |times: &[u64]| among(times, span);
        let row: Vec<u64> = (40_000..60_000).step_by(1000).collect();
        let found = of(&row);
        assert_eq!((found.all, found.count, found.neighbours), (100, 16, 15));
        assert!(found.likeness() > 700, "{}", found.likeness());
        let apart: Vec<u64> = (0..128_000).step_by(8000).collect();
        assert_eq!(of(&apart).likeness(), 0);
        let every: Vec<u64> = (0..=128_000).step_by(100).collect();
        assert_eq!(of(&every).likeness(), 0);
        assert_eq!(of(&[]).likeness(), 0);
        assert_eq!(of(&[5]).likeness(), 0);
    }

    #[test]
    fn moments_in_a_row_are_no_wonder_where_there_were_no_others() {
        let times: Vec<u64> = (40_000..60_000).step_by(100).collect();
        let row = of(&times);
        let found = row.among(row, Duration::from_secs(128));
        assert_eq!((found.all, found.count, found.likeness()), (16, 16, 0));
    }

    proptest! {
        #[test]
        fn sets_unite_in_any_order(
            a in proptest::collection::vec(0_u64..1 << 40, 0..20),
            b in proptest::collection::vec(0_u64..1 << 20, 0..20),
            is_swapped in any::<bool>(),
        ) {
            let (mut united, other) = if is_swapped { (of(&b), of(&a)) } else { (of(&a), of(&b)) };
            united.unite(other);
            prop_assert_eq!(united, of(&[a, b].concat()));
        }
    }
}
