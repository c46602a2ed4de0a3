//! A digest of a body: FNV-1a, 64 bits. It finds corruption, it resists nobody.

/// A digest in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// The digest of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds bytes; how they are cut does not matter.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The digest so far.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn the_digest_is_fnv_1a_however_the_bytes_are_cut() {
        let mut whole = Digest::new();
        whole.update(b"foobar");
        let mut cut = Digest::new();
        cut.update(b"foo");
        cut.update(b"bar");
        assert_eq!(whole, cut);
        assert_eq!(whole.value(), 0x8594_4171_f739_67e8);
    }
}
