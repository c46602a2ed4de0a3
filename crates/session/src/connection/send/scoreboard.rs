//! What the target has reported to hold beyond SND.UNA: the scoreboard of RFC 6675.
//!
//! Positions are stream offsets, as in [`super`]. The target is free to drop what it reported (RFC 2018 section 8),
//! so nothing is given up because of a report: it decides what is sent again, and in which order.

use crate::limits::{DUPLICATE_ACKS, SACKED_RANGES_MAX};

/// Ranges that the target holds, in order, neither touching nor overlapping.
#[derive(Debug, Default)]
pub(crate) struct Scoreboard {
    ranges: Vec<(u64, u64)>,
}

impl Scoreboard {
    /// Whether nothing is reported.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.ranges = Vec::new();
    }

    /// The target holds `left..right`. Returns whether that was news. A range beyond [`SACKED_RANGES_MAX`] is not
    /// remembered: what it covers may be sent twice.
    pub(crate) fn add(&mut self, left: u64, right: u64) -> bool {
        let from = self.ranges.partition_point(|&(_, end)| end < left);
        let to = self.ranges.partition_point(|&(start, _)| start <= right);
        if from == to {
            let room = self.ranges.len() < SACKED_RANGES_MAX;
            if room {
                self.ranges.insert(from, (left, right));
            }
            return room;
        }
        let merged = (
            self.ranges[from].0.min(left),
            self.ranges[to - 1].1.max(right),
        );
        if from + 1 == to && self.ranges[from] == merged {
            return false;
        }
        self.ranges.splice(from..to, [merged]);
        true
    }

    /// Everything before `una` is acknowledged.
    pub(crate) fn advance(&mut self, una: u64) {
        let passed = self.ranges.partition_point(|&(_, end)| end <= una);
        self.ranges.drain(..passed);
        if let Some(first) = self.ranges.first_mut() {
            first.0 = first.0.max(una);
        }
        if self.ranges.is_empty() {
            self.clear();
        }
    }

    /// Positions that the target holds between `from` and `to`.
    pub(crate) fn held_between(&self, from: u64, to: u64) -> u64 {
        let overlap = |&(start, end): &(u64, u64)| end.min(to).saturating_sub(start.max(from));
        self.ranges.iter().map(overlap).sum()
    }

    /// Where the first range begins that stands above `from`.
    pub(crate) fn next_held(&self, from: u64) -> Option<u64> {
        let above = self.ranges.iter().find(|&&(start, _)| start > from)?;
        Some(above.0)
    }

    /// The first position from `from` on that the target does not hold, as far as there are some below what it holds.
    pub(crate) fn next_hole(&self, from: u64) -> Option<u64> {
        let end = self.ranges.last()?.0;
        let inside = self
            .ranges
            .iter()
            .find(|&&(start, end)| start <= from && from < end);
        let hole = inside.map_or(from, |&(_, end)| end);
        (hole < end).then_some(hole)
    }

    /// Below this, what the target does not hold is lost: it holds three separate ranges above, or more than two
    /// segments (RFC 6675 section 4, IsLost).
    pub(crate) fn lost_below(&self, mss: u16) -> Option<u64> {
        let enough = u64::from(DUPLICATE_ACKS - 1) * u64::from(mss);
        let mut held = 0;
        for (count, &(start, end)) in self.ranges.iter().rev().enumerate() {
            held += end - start;
            if count + 1 >= usize::from(DUPLICATE_ACKS) || held > enough {
                return Some(start);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Scoreboard;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    #[test]
    fn three_ranges_or_more_than_two_segments_above_mean_a_loss() {
        let mut board = Scoreboard::default();
        assert!(board.add(3000, 4000));
        assert!(!board.add(3000, 4000), "no news");
        assert!(board.add(4000, 5000));
        assert_eq!(board.lost_below(1000), None);
        assert!(board.add(5000, 5001));
        assert_eq!(board.lost_below(1000), Some(3000));
        let mut board = Scoreboard::default();
        board.add(10, 20);
        board.add(30, 40);
        board.add(50, 60);
        assert_eq!(board.lost_below(1000), Some(10));
    }

    #[test]
    fn holes_are_found_in_order() {
        let mut board = Scoreboard::default();
        board.add(100, 200);
        board.add(300, 400);
        assert_eq!(board.next_hole(0), Some(0));
        assert_eq!(board.next_held(0), Some(100));
        assert_eq!(board.next_hole(150), Some(200));
        assert_eq!(board.next_hole(250), Some(250));
        assert_eq!(board.next_hole(300), None);
        assert_eq!(board.held_between(150, 350), 100);
        board.advance(350);
        assert_eq!(board.held_between(0, 1000), 50);
        board.advance(400);
        assert!(board.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a bitmap.
        #[test]
        fn reports_in_any_order_leave_the_same_holes(
            steps in vec((0..63u64, 1..64u64, option::weighted(0.25, 0..20u64)), 1..13),
        ) {
            let mut board = Scoreboard::default();
            let mut map = [false; 64];
            for (left, len, una) in steps {
                let right = (left + len).min(63);
                let covered = &mut map[left as usize..right as usize];
                prop_assert_eq!(board.add(left, right), covered.contains(&false));
                covered.fill(true);
                if let Some(una) = una {
                    board.advance(una);
                    map[..una as usize].fill(false);
                }
                let held = |from: u64, to: u64| {
                    map[from as usize..to as usize].iter().filter(|held| **held).count() as u64
                };
                prop_assert_eq!(board.held_between(0, 64), held(0, 64));
                prop_assert_eq!(board.held_between(left, right), held(left, right));
                prop_assert_eq!(board.is_empty(), held(0, 64) == 0);
                let last = map.iter().rposition(|held| *held).unwrap_or(0) as u64;
                for from in 0..64 {
                    let hole = (from..last).find(|&at| !map[at as usize]);
                    prop_assert_eq!(board.next_hole(from), hole);
                    let begins = |at: &u64| map[*at as usize] && !map[*at as usize - 1];
                    prop_assert_eq!(board.next_held(from), (from + 1..64).find(begins));
                }
            }
        }
    }
}
