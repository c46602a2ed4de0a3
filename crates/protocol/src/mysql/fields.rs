//! Numbers and strings of a payload.

/// Goes through a payload; whatever is not there is nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    }

    /// A number that says its own length.
    pub(super) fn number(&mut self) -> Option<u64> {
        let wide = match self.u8()? {
            0xfb | 0xff => return None,
            0xfc => self.take(2)?,
            0xfd => self.take(3)?,
            0xfe => self.take(8)?,
            small => return Some(u64::from(small)),
        };
        let mut number = [0; 8];
        number[..wide.len()].copy_from_slice(wide);
        Some(u64::from_le_bytes(number))
    }

    /// A string behind such a number.
    pub(super) fn long(&mut self) -> Option<&'a [u8]> {
        let len = self.number()?;
        self.take(usize::try_from(len).ok()?)
    }

    /// A string that ends with a zero, which is left out.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let string = self.take(end);
        self.take(1)?;
        string
    }
}

/// A string behind its length, as it is written.
pub(super) fn long(string: &[u8]) -> Vec<u8> {
    let len = string.len() as u64;
    let mut all = match len {
        0..=0xfa => vec![string.len().to_le_bytes()[0]],
        0xfb..=0xffff => [&[0xfc], &len.to_le_bytes()[..2]].concat(),
        0x1_0000..=0xff_ffff => [&[0xfd], &len.to_le_bytes()[..3]].concat(),
        _ => [&[0xfe], &len.to_le_bytes()[..]].concat(),
    };
    all.extend_from_slice(string);
    all
}

#[cfg(test)]
mod tests {
    use super::{Fields, long};

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 250, 251, 65_535, 65_536, 1 << 24] {
            let string = vec![7; len];
            let written = long(&string);
            let mut fields = Fields(&written);
            assert!(
                fields.long() == Some(&string[..]) && fields.0.is_empty(),
                "{len}"
            );
            assert!(Fields(&written[..written.len() - 1]).long().is_none());
        }
        assert_eq!(Fields(b"ab\0c").string(), Some(&b"ab"[..]));
        assert_eq!(Fields(b"ab").string(), None);
        assert_eq!(Fields(&[0xff, 1]).number(), None);
    }
}
