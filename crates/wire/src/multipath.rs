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
    /// A data sequence signal (`DSS`).
    Signal(Signal),
}

/// A data sequence signal: which data a path carries, and which data has come by all of them. Numbers are the low 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The data sequence number up to which its sender has the other side's data.
    pub acknowledged: Option<u32>,
    /// Which data the segment's payload is a part of.
    pub mapping: Option<Mapping>,
}

/// So many bytes of the data are so many of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The data sequence number of its first byte.
    pub data: u32,
    /// That byte's number on this path, whose first one is 1.
    pub path: u32,
    /// Bytes, with the end of the data (`DATA_FIN`) as one.
    pub len: u16,
}

impl Mapping {
    /// By how much the data's numbers are ahead of the path's: the same as long as all data takes this path.
    #[must_use]
    pub fn shift(&self) -> u32 {
        self.data.wrapping_sub(self.path)
    }
}

impl Multipath {
    /// Reads the option behind its kind and length; `None` where it says nothing that counts here, or contradicts itself.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        match body.first()? >> 4 {
            0 => Some(Self::Capable),
            1 => Some(Self::Join),
            2 => Signal::parse(body).map(Self::Signal),
            _ => None,
        }
    }
}

impl Signal {
    /// Section 3.3: flags, then the acknowledgement of data, then the mapping; acknowledgement and data sequence number have 4 or
    /// 8 bytes each. A mapping without payload, which only ends the data, and the infinite one (section 3.7: from there on it is plain
    /// TCP) say nothing of a path.
    fn parse(body: &[u8]) -> Option<Self> {
        const INFINITE: u16 = 0;
        let (flags, mut rest) = (*body.get(1)?, body.get(2..)?);
        let has = |bit: u8| flags & bit != 0;
        let acknowledged = match (has(1), has(2)) {
            (false, _) => None,
            (true, is_long) => Some(take_low(&mut rest, is_long)?),
        };
        let mapping = if has(4) {
            let data = take_low(&mut rest, has(8))?;
            let path = take_low(&mut rest, false)?;
            let len = u16::from_be_bytes(*rest.first_chunk()?);
            let is_of_payload = len != INFINITE && path != 0;
            is_of_payload.then_some(Mapping { data, path, len })
        } else {
            None
        };
        (acknowledged.is_some() || mapping.is_some()).then_some(Self {
            acknowledged,
            mapping,
        })
    }
}

/// The low half of a number of 8 bytes, or one of 4.
fn take_low(rest: &mut &[u8], is_long: bool) -> Option<u32> {
    let (number, behind) = rest
        .get(if is_long { 4.. } else { 0.. })?
        .split_first_chunk()?;
    *rest = behind;
    Some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::{Mapping, Multipath, Signal};

    fn signal(acknowledged: Option<u32>, mapping: Option<(u32, u32, u16)>) -> Option<Multipath> {
        let mapping = mapping.map(|(data, path, len)| Mapping { data, path, len });
        Some(Multipath::Signal(Signal {
            acknowledged,
            mapping,
        }))
    }

    #[test]
    fn what_linux_sends_is_read() {
        let capable = [0x01, 0x81];
        assert_eq!(Multipath::parse(&capable), Some(Multipath::Capable));
        let join = [0x10, 2, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(Multipath::parse(&join), Some(Multipath::Join));
        // An acknowledgement of 8 bytes, a data sequence number of 8, the path's first byte, 100 bytes.
        let long = [
            0x20, 0x0f, 0, 0, 0, 1, 0, 0, 0, 2, 9, 9, 9, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 100,
        ];
        assert_eq!(Multipath::parse(&long), signal(Some(2), Some((8, 1, 100))));
        let short = [0x20, 0x04, 0, 0, 0, 3, 0, 0, 0, 5, 0, 100, 7, 7];
        assert_eq!(Multipath::parse(&short), signal(None, Some((3, 5, 100))));
        let acknowledgement = [0x20, 0x01, 0, 0, 0, 3];
        assert_eq!(Multipath::parse(&acknowledgement), signal(Some(3), None));
        let end_of_data = [0x20, 0x15, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1];
        assert_eq!(Multipath::parse(&end_of_data), signal(Some(3), None));
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
