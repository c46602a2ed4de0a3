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

/// SipHash-1-3 of bytes that are all at hand. siphasher has it as well, but spends as much again on taking the bytes as on the hash, where
/// they are as few as a value of JSON has.
#[derive(Clone, Copy)]
pub(super) struct Short([u64; 4]);

impl core::fmt::Debug for Short {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Short(..)")
    }
}

impl Short {
    pub(super) const fn new(key: Key) -> Self {
        Self([
            key.k0 ^ 0x736f_6d65_7073_6575,
            key.k1 ^ 0x646f_7261_6e64_6f6d,
            key.k0 ^ 0x6c79_6765_6e65_7261,
            key.k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    /// What [`Key::hasher`] has for the same bytes.
    #[inline(always)]
    pub(super) fn of(self, bytes: &[u8]) -> u64 {
        let mut state = self.0;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            block(&mut state, u64::from_le_bytes(*word));
        }
        // The highest byte of the last word is the length.
        let tail = match words.last() {
            Some(_) if rest.is_empty() => 0,
            // The last eight bytes, without those that have been read.
            Some(_) => bytes.last_chunk().map_or(0, |last| {
                u64::from_le_bytes(*last) >> (8 * (8 - rest.len()))
            }),
            None => few(rest),
        };
        block(&mut state, (bytes.len() as u64) << 56 | tail);
        state[2] ^= 0xff;
        (0..3).for_each(|_| round(&mut state));
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

/// Less than eight bytes as a word.
#[inline]
fn few(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(first) | u64::from(last) << (8 * (bytes.len() - 4))
        }
        _ => bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[inline(always)]
fn block(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

#[inline(always)]
fn round([v0, v1, v2, v3]: &mut [u64; 4]) {
    *v0 = v0.wrapping_add(*v1);
    *v2 = v2.wrapping_add(*v3);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.rotate_left(32).wrapping_add(*v3);
    *v2 = v2.wrapping_add(*v1);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
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

#[cfg(test)]
mod tests {
    use core::hash::Hasher as _;

    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{Key, Short};

    proptest! {
        #[test]
        fn what_is_short_has_the_same_hash(k0: u64, k1: u64, bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let key = Key { k0, k1 };
            let mut hasher = key.hasher();
            hasher.write(&bytes);
            prop_assert_eq!(Short::new(key).of(&bytes), hasher.finish());
        }
    }
}
