//! Which bytes of a stream are missing among those that came: so that each is counted once, in whatever order it comes.

use wire::seq::ClientSeq;

use crate::limits::HOLES_MAX;

/// Ranges that are missing, in no order, without overlaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holes(Vec<(ClientSeq, ClientSeq)>);

impl Holes {
    /// None.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The bytes from `start` to `end` are missing, which none were before. Beyond [`HOLES_MAX`] the oldest hole is forgotten: what
    /// still comes of it is taken for what was counted.
    pub(crate) fn open(&mut self, start: ClientSeq, end: ClientSeq) {
        if end <= start {
            return;
        }
        if self.0.len() >= HOLES_MAX {
            self.0.remove(0);
        }
        self.0.push((start, end));
    }

    /// Whether no byte is missing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a byte at `seq` or behind it is missing.
    pub(crate) fn reach_beyond(&self, seq: ClientSeq) -> bool {
        self.0.iter().any(|(_, end)| *end > seq)
    }

    /// The bytes from `start` to `end` arrive. Returns how many of them were missing.
    pub(crate) fn fill(&mut self, start: ClientSeq, end: ClientSeq) -> u32 {
        let mut filled = 0;
        let mut rest = Vec::new();
        self.0.retain_mut(|(from, to)| {
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
    use crate::limits::HOLES_MAX;

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
            holes.open(at(10 * number), at(10 * number + 5));
        }
        assert_eq!(holes.0.len(), HOLES_MAX);
        assert_eq!(holes.fill(at(0), at(10_000)) as usize, 5 * HOLES_MAX);
    }
}
