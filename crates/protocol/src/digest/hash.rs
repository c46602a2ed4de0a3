//! Hashes with a key that nobody outside knows: a server cannot make two bodies that collide, nor can a hash be looked up in a table of
//! likely values. SipHash-1-3 for what is short, as a field's value is, and HighwayHash for bodies, of which it reads several bytes in a cycle.

use core::hash::Hasher as _;

use highway::{HighwayHash as _, HighwayHasher};
use siphasher::sip::SipHasher13;

/// The key of all hashes of a run. It should be random, and belongs in no file and no log.
#[derive(Clone, Copy)]
pub struct Key {
    /// Half of it.
    pub k0: u64,
    /// The other half.
    pub k1: u64,
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    pub(super) fn hasher(self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.k0, self.k1)
    }

    fn hasher_of_bodies(self) -> HighwayHasher {
        let (k0, k1) = (self.k0, self.k1);
        HighwayHasher::new(highway::Key([k0, k1, !k0, !k1]))
    }

    /// Of bytes of one kind: equal bytes of different kinds have different hashes.
    pub(super) fn of(self, kind: u8, bytes: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(&[kind]);
        hasher.write(bytes);
        hasher.finish()
    }

    /// What hashes of values are put in order by.
    pub(super) fn order(self) -> Order {
        let factor = self.of(ORDER, &[]);
        // An even factor would lose a bit.
        Order(factor | 1)
    }
}

/// The kind of what is hashed to have the factor of [`Order`]; keys of fields are of the kinds 0 and 1.
const ORDER: u8 = 2;

/// Makes one hash of several, one behind the other. They have to be hashes with the same key: whoever could choose them could make two
/// rows of them that collide. A multiplication whose halves are folded is enough for what nobody can choose, and takes a twentieth
/// of SipHash.
#[derive(Clone, Copy)]
pub(super) struct Order(u64);

impl core::fmt::Debug for Order {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Order(..)")
    }
}

impl Order {
    /// Of a hash behind those that have made `before`, which is 0 where there are none.
    pub(super) fn behind(self, before: u64, hash: u64) -> u64 {
        let product = u128::from(before ^ hash) * u128::from(self.0);
        (product as u64) ^ ((product >> 64) as u64)
    }
}

/// How long something is, in bytes, and its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Bytes.
    pub len: u64,
    /// Their hash.
    pub hash: u64,
}

/// An [`Extent`] in the making.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    len: u64,
    hasher: HighwayHasher,
}

impl Measure {
    pub(super) fn new(key: Key) -> Self {
        Self {
            len: 0,
            hasher: key.hasher_of_bodies(),
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.len = self.len.saturating_add(bytes.len() as u64);
        self.hasher.append(bytes);
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn extent(&self) -> Extent {
        Extent {
            len: self.len,
            hash: self.hasher.clone().finalize64(),
        }
    }
}
