//! Where the client's segments ended, for bytes that wait: a turn that leaves late leaves in the same pieces.
//!
//! Bytes that leave and are acknowledged before the next arrive need none of this. Pieces larger than the target's MSS are cut all
//! the same, and what is sent again may be cut anywhere.

use std::collections::VecDeque;

use crate::limits::BOUNDARIES_MAX;

/// Stream offsets at which a captured segment ended and another began, in order, as far as they lie ahead.
#[derive(Debug, Default)]
pub(crate) struct Boundaries {
    #[expect(
        clippy::box_collection,
        reason = "hardly any session has some, and a pointer is all that the others hold"
    )]
    offsets: Option<Box<VecDeque<u64>>>,
}

impl Boundaries {
    /// A segment that starts at `offset` waits behind others. Beyond [`BOUNDARIES_MAX`] it is not remembered.
    pub(crate) fn push(&mut self, offset: u64) {
        let offsets = self.offsets.get_or_insert_default();
        if offsets.len() < BOUNDARIES_MAX {
            offsets.push_back(offset);
        }
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.offsets = None;
    }

    /// The first boundary after `offset`.
    pub(crate) fn after(&self, offset: u64) -> Option<u64> {
        let offsets = self.offsets.as_ref()?;
        let next = offsets.partition_point(|boundary| *boundary <= offset);
        offsets.get(next).copied()
    }

    /// Nothing before `offset` will be sent any more.
    pub(crate) fn pass(&mut self, offset: u64) {
        let Some(offsets) = &mut self.offsets else {
            return;
        };
        while offsets.front().is_some_and(|boundary| *boundary <= offset) {
            offsets.pop_front();
        }
        if offsets.is_empty() {
            self.offsets = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Boundaries;
    use crate::limits::BOUNDARIES_MAX;

    #[test]
    fn what_was_passed_is_forgotten() {
        let mut boundaries = Boundaries::default();
        boundaries.push(10);
        boundaries.push(30);
        assert_eq!(boundaries.after(0), Some(10));
        assert_eq!(boundaries.after(10), Some(30));
        boundaries.pass(30);
        assert!(boundaries.offsets.is_none());
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut boundaries = Boundaries::default();
        for offset in 0..2 * BOUNDARIES_MAX as u64 {
            boundaries.push(offset);
        }
        assert_eq!(boundaries.after(BOUNDARIES_MAX as u64), None);
    }
}
