//! The hash of a scalar value: of its letters from the first byte on, which tells strings (`"`), numbers and words apart.
//!
//! SipHash in one call is several times cheaper than piece by piece, so small pieces are gathered first. The hash does not depend on
//! how a value was cut.

use core::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::super::hash::Key;

/// Most bytes that are gathered before they are hashed.
const GATHERED_MAX: usize = 256;

/// Hashes values, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// Before its first byte.
    new: SipHasher13,
    /// Of the value that is being read, without what is gathered; nothing where all of it is.
    begun: Option<SipHasher13>,
    gathered: Vec<u8>,
}

impl Scalar {
    pub(super) fn new(key: Key) -> Self {
        Self {
            new: key.hasher(),
            begun: None,
            gathered: Vec::new(),
        }
    }

    /// Of a value that is at hand.
    pub(super) fn of(&self, value: &[u8]) -> u64 {
        self.new.hash(value)
    }

    /// A value that comes in pieces begins with this one.
    pub(super) fn begin(&mut self, piece: &[u8]) {
        self.begun = None;
        self.gathered.clear();
        self.add(piece);
    }

    /// Its next piece.
    pub(super) fn add(&mut self, piece: &[u8]) {
        if self.gathered.len() + piece.len() <= GATHERED_MAX {
            self.gathered.extend_from_slice(piece);
            return;
        }
        let hasher = self.begun.get_or_insert(self.new);
        hasher.write(&self.gathered);
        hasher.write(piece);
        self.gathered.clear();
    }

    /// It is complete.
    pub(super) fn end(&self) -> u64 {
        match self.begun {
            None => self.of(&self.gathered),
            Some(mut hasher) => {
                hasher.write(&self.gathered);
                hasher.finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{GATHERED_MAX, Scalar};
    use crate::digest::Key;

    proptest! {
        #[test]
        fn a_value_in_pieces_has_the_hash_of_the_whole(
            value in proptest::collection::vec(any::<u8>(), 0..3 * GATHERED_MAX),
            len in 1..2 * GATHERED_MAX,
        ) {
            let mut scalar = Scalar::new(Key { k0: 1, k1: 2 });
            scalar.begin(b"of one that was not read to its end");
            scalar.begin(b"");
            value.chunks(len).for_each(|piece| scalar.add(piece));
            prop_assert_eq!(scalar.end(), scalar.of(&value));
        }
    }
}
