//! Which bytes of a stream are missing among those that came: so that each is counted once, in whatever order it comes.

use wire::seq::ClientSeq;

use crate::limits::{CONNECTION_DISTANCE_MAX, HOLES_MAX};

/// Ranges that are missing, in order, without overlaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holes(Vec<(ClientSeq, ClientSeq)>);

impl Holes {
    /// None.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The bytes from `start` to `end` are missing, which none were before. Beyond [`HOLES_MAX`] two become one, together with the
    /// bytes between them: should those be sent again, which is seldom, they count twice, and what was missing still counts.
    pub(crate) fn open(&mut self, start: ClientSeq, end: ClientSeq) {
        if end <= start {
            return;
        }
        let at = self.0.partition_point(|(from, _)| *from < start);
        let (touches, touched) = (
            at > 0 && self.0[at - 1].1 == start,
            self.0.get(at).is_some_and(|(from, _)| *from == end),
        );
        match (touches, touched) {
            (true, true) => self.0[at - 1].1 = self.0.remove(at).1,
            (true, false) => self.0[at - 1].1 = end,
            (false, true) => self.0[at].0 = start,
            (false, false) => self.0.insert(at, (start, end)),
        }
        if self.0.len() > HOLES_MAX {
            self.join_nearest();
        }
    }

    /// The bytes from `start` to `end` are put here, where some of them may be: how many are not. Where there is no room they are not
    /// remembered, and are new when they come again.
    pub(crate) fn put(&mut self, start: ClientSeq, end: ClientSeq) -> u32 {
        let known = self.fill(start, end);
        // One that is cut in two by what was filled becomes one again, or another.
        if self.0.len() < HOLES_MAX - 1 {
            self.open(start, end);
        }
        end.ahead_of(start) - known
    }

    /// The ranges, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClientSeq, ClientSeq)> + '_ {
        self.0.iter().copied()
    }

    /// Makes one hole of the two with the fewest bytes between them.
    fn join_nearest(&mut self) {
        let between = self.0.windows(2).map(|two| two[1].0.ahead_of(two[0].1));
        let nearest = between.enumerate().min_by_key(|(_, bytes)| *bytes);
        if let Some((at, _)) = nearest {
            self.0[at].1 = self.0.remove(at + 1).1;
        }
    }

    /// Whether no byte is missing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a byte at `seq` or behind it is missing.
    pub(crate) fn reach_beyond(&self, seq: ClientSeq) -> bool {
        self.0.iter().any(|(_, end)| *end > seq)
    }

    /// The bytes from `start` to `end` arrive. Returns how many of them were missing. What is missing so far behind them does not come
    /// any more, and its numbers will be others' bytes.
    pub(crate) fn fill(&mut self, start: ClientSeq, end: ClientSeq) -> u32 {
        let mut filled = 0;
        let mut rest = Vec::new();
        self.0.retain_mut(|(from, to)| {
            if end.ahead_of(*to) > CONNECTION_DISTANCE_MAX {
                return false;
            }
            let (first, last) = ((*from).max(start), (*to).min(end));
            if last <= first {
                return true;
            }
            filled += last.ahead_of(first);
            if *from < first && last < *to {
                rest.push((last, *to));
                *to = first;
            } else if *from < first {
                *to = first;
            } else {
                *from = last;
            }
            *from < *to
        });
        for (from, to) in rest {
            self.open(from, to);
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use wire::seq::ClientSeq;

    use super::Holes;
    use crate::limits::{CONNECTION_DISTANCE_MAX, HOLES_MAX};

    fn at(seq: u32) -> ClientSeq {
        ClientSeq::new(seq.wrapping_sub(50))
    }

    #[test]
    fn each_missing_byte_is_found_once() {
        let mut holes = Holes::new();
        holes.open(at(10), at(100));
        holes.open(at(200), at(300));
        assert_eq!(holes.fill(at(0), at(10)), 0);
        assert_eq!(holes.fill(at(20), at(30)), 10);
        assert_eq!(holes.fill(at(15), at(35)), 10);
        assert_eq!(holes.fill(at(0), at(400)), 70 + 100);
        assert_eq!(holes.fill(at(0), at(400)), 0);
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let mut holes = Holes::new();
        for number in 0..1000 {
            holes.open(at(10 * number), at(10 * number + 5 + number % 3));
        }
        assert_eq!(holes.0.len(), HOLES_MAX);
        // None of them is forgotten.
        for number in (0..1000).rev() {
            let missing = 5 + number % 3;
            assert_eq!(
                holes.fill(at(10 * number), at(10 * number + missing)),
                missing
            );
        }
    }

    #[test]
    fn what_is_far_behind_is_forgotten_before_its_numbers_come_again() {
        let mut holes = Holes::new();
        holes.open(at(10), at(20));
        let mut next = at(20);
        for _ in 0..300 {
            assert_eq!(holes.fill(next, next + CONNECTION_DISTANCE_MAX), 0);
            next += CONNECTION_DISTANCE_MAX;
            assert!(!holes.reach_beyond(next));
        }
    }
}
