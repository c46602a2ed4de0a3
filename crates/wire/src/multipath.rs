//! The option of Multipath TCP (RFC 8684), as far as a copier must know it: which connections are further paths of others, and
//! whether all of a client's data came by the path that is copied.

/// Kind of the option.
pub const KIND: u8 = 30;

/// What a segment says of Multipath TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multipath {
    /// A connection that may have further paths (`MP_CAPABLE`).
    Capable,
    /// A further path of another connection (`MP_JOIN`).
    Join,
    /// A data sequence signal with a mapping (`DSS`): the data sequence number of its first byte less the one that the path has
    /// for it, both in their low 32 bits. It stays the same as long as all data takes this path.
    Mapping(u32),
}

impl Multipath {
    /// Reads the option behind its kind and length; `None` where it says nothing that counts here, or contradicts itself.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        match body.first()? >> 4 {
            0 => Some(Self::Capable),
            1 => Some(Self::Join),
            2 => Self::parse_signal(body),
            _ => None,
        }
    }

    /// Section 3.3: flags, then the acknowledgement of data, then the mapping; acknowledgement and data sequence number have 4 or
    /// 8 bytes each.
    fn parse_signal(body: &[u8]) -> Option<Self> {
        let flags = *body.get(1)?;
        let has = |bit: u8| flags & bit != 0;
        if !has(4) {
            return None;
        }
        let ack = match (has(1), has(2)) {
            (false, _) => 0,
            (true, false) => 4,
            (true, true) => 8,
        };
        let mapping = body.get(2 + ack..)?;
        let low = if has(8) { mapping.get(4..)? } else { mapping };
        let [a, b, c, d, e, f, g, h, length_high, length_low, ..] = low else {
            return None;
        };
        if (*length_high, *length_low) == (0, 0) {
            // The infinite mapping (section 3.7): from here on it is plain TCP.
            return None;
        }
        let data = u32::from_be_bytes([*a, *b, *c, *d]);
        let path = u32::from_be_bytes([*e, *f, *g, *h]);
        Some(Self::Mapping(data.wrapping_sub(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::Multipath;

    #[test]
    fn what_linux_sends_is_read() {
        let capable = [0x01, 0x81];
        assert_eq!(Multipath::parse(&capable), Some(Multipath::Capable));
        let join = [0x10, 2, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(Multipath::parse(&join), Some(Multipath::Join));
        // An acknowledgement of 8 bytes, a data sequence number of 8, the path's first byte, 100 bytes.
        let signal = [
            0x20, 0x0f, 0, 0, 0, 1, 0, 0, 0, 2, 9, 9, 9, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 100,
        ];
        assert_eq!(Multipath::parse(&signal), Some(Multipath::Mapping(7)));
        let short = [0x20, 0x04, 0, 0, 0, 3, 0, 0, 0, 5, 0, 100, 7, 7];
        assert_eq!(
            Multipath::parse(&short),
            Some(Multipath::Mapping(u32::MAX - 1))
        );
        let acknowledgement = [0x20, 0x01, 0, 0, 0, 3];
        assert_eq!(Multipath::parse(&acknowledgement), None);
        let infinite = [0x20, 0x04, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0];
        assert_eq!(Multipath::parse(&infinite), None);
    }

    #[test]
    fn what_is_cut_off_says_nothing() {
        let signal = [
            0x20, 0x0f, 0, 0, 0, 1, 0, 0, 0, 2, 9, 9, 9, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 100,
        ];
        for len in 0..signal.len() {
            assert_eq!(Multipath::parse(&signal[..len]), None, "{len}");
        }
    }
}
