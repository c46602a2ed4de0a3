//! A histogram to write into: cells and nothing else, so that a measurement costs its worker some ten instructions. What else
//! a histogram knows (count, extremes, mean) is found out when the cells are moved into one.
//!
//! The cells are those of `hdrhistogram` for the bounds of this crate, so nothing is lost on the way.

use core::time::Duration;

use super::MICROS_MAX;

/// Values of so many bits have cells of their own; longer ones share them with those of the same leading bits. It follows from
/// [`super::DIGITS`].
const EXACT_BITS: u32 = 11;
/// Cells for each further bit.
const HALF: usize = 1 << (EXACT_BITS - 1);
/// All cells there can be.
const CELLS_MAX: usize = index_of(MICROS_MAX) + 1;

/// How often each time was measured. There are as many cells as the longest one needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    /// So many are measured between two looks at most: a second of them fits by far.
    counts: Vec<u32>,
}

impl Cells {
    /// Adds a time of this cell.
    #[inline]
    pub(super) fn add(&mut self, cell: Cell) {
        match self.counts.get_mut(cell.0) {
            Some(count) => *count = count.wrapping_add(1),
            None => self.extend(cell),
        }
    }

    /// The first time that is so long.
    #[cold]
    fn extend(&mut self, cell: Cell) {
        let len = (cell.0 + 1).next_multiple_of(HALF);
        self.counts.resize(len.min(CELLS_MAX), 0);
        if let Some(count) = self.counts.get_mut(cell.0) {
            *count = 1;
        }
    }

    /// Tells `each` time in microseconds that was measured, and how often, and starts afresh.
    pub(super) fn drain(&mut self, mut each: impl FnMut(u64, u64)) {
        for (index, count) in self.counts.iter_mut().enumerate() {
            if *count > 0 {
                each(value_of(index), std::mem::take(count).into());
            }
        }
    }
}

/// Where a time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell(usize);

impl Cell {
    /// The cell of a time. Below a microsecond counts as one: the histogram has no zero.
    #[inline]
    pub(super) fn of(time: Nanos) -> Self {
        Self(index_of((time.0 / 1000).clamp(1, MICROS_MAX)))
    }
}

/// A time in one word: sums and differences of [`Duration`] cost more than what is counted with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nanos(u64);

impl Nanos {
    /// Longer ones than some 500 years come out as others: the clock has none.
    #[inline]
    pub(super) const fn of(time: Duration) -> Self {
        let seconds = time.as_secs().wrapping_mul(1_000_000_000);
        Self(seconds.wrapping_add(time.subsec_nanos() as u64))
    }

    #[inline]
    pub(super) const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    #[inline]
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

#[inline]
const fn index_of(micros: u64) -> usize {
    let bits = u64::BITS - micros.leading_zeros();
    let shift = bits.saturating_sub(EXACT_BITS);
    shift as usize * HALF + (micros >> shift) as usize
}

/// The shortest time of a cell.
const fn value_of(index: usize) -> u64 {
    let shift = (index / HALF).saturating_sub(1);
    ((index - shift * HALF) as u64) << shift
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::{prop_assert_eq, proptest};

    use super::super::{MICROS_MAX, histogram};
    use super::{CELLS_MAX, Cell, Cells, Nanos, index_of, value_of};

    fn cell(time: Duration) -> Cell {
        Cell::of(Nanos::of(time))
    }

    #[test]
    fn cells_are_a_handful_until_long_times_come() {
        let mut cells = Cells::default();
        cells.add(cell(Duration::from_micros(900)));
        assert_eq!(cells.counts.len(), 1024);
        cells.add(cell(Duration::from_secs(7200)));
        assert_eq!(cells.counts.len(), CELLS_MAX);
        for index in 0..CELLS_MAX {
            assert_eq!(index_of(value_of(index)), index);
        }
    }

    proptest! {
        /// Whatever is measured, what comes out is what the histogram had made of it.
        #[test]
        fn nothing_is_lost_on_the_way(times in proptest::collection::vec(0_u64..4_000_000_000_000, 1..200), shift in 0_u32..36) {
            let (mut cells, mut drained, mut direct) = (Cells::default(), histogram(), histogram());
            for nanos in times {
                let nanos = nanos >> shift;
                cells.add(cell(Duration::from_nanos(nanos)));
                direct.saturating_record((nanos / 1000).clamp(1, MICROS_MAX));
            }
            cells.drain(|micros, count| drained.saturating_record_n(micros, count));
            prop_assert_eq!(&drained, &direct);
            prop_assert_eq!((drained.min(), drained.max(), drained.len()), (direct.min(), direct.max(), direct.len()));
            cells.drain(|_, _| panic!("a time comes twice"));
        }
    }
}
