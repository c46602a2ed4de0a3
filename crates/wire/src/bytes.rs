//! The cursor that every parser of this crate reads through.
//!
//! In user space it is a slice; in a program it is a socket buffer, of which only a part may be linear. Asking
//! for a fixed number of bytes at an offset is the one question that both can answer and that the verifier can
//! follow.

/// A source of bytes that is read at absolute offsets.
pub trait Bytes {
    /// The `N` bytes that start at `offset`, or `None` where they do not all exist.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Bytes for [u8] {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk::<N>().copied()
    }
}

/// Two big-endian bytes of an array at a constant place; the compiler removes the bounds check.
#[inline(always)]
pub(crate) const fn be16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Four big-endian bytes of an array at a constant place.
#[inline(always)]
pub(crate) const fn be32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn reads_only_what_exists() {
        let bytes: &[u8] = &[1, 2, 3, 4];
        assert_eq!(bytes.read::<2>(2), Some([3, 4]));
        assert_eq!(bytes.read::<2>(3), None);
        assert_eq!(bytes.read::<1>(usize::MAX), None);
        assert_eq!(bytes.read::<0>(4), Some([]));
    }
}
