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

    /// Of a hash behind another one.
    pub(super) fn behind(self, before: u64, hash: u64) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(&before.to_le_bytes());
        hasher.write(&hash.to_le_bytes());
        hasher.finish()
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
