//! The Internet checksum (RFC 1071), and the unfinished one that offloading leaves behind.
//!
//! A segment captured on its way through the kernel often carries only the sum of its pseudo-header: the sender
//! left the rest to hardware that never saw it (`CHECKSUM_PARTIAL`), or GRO put it there when it merged segments.
//! Such a segment is as good as verified, and must never have its checksum updated incrementally.

use crate::flow::Addr;

/// A running one's-complement sum; fold it with [`Sum::fold`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes that start at an even offset of the summed data; an odd length is padded with a zero byte.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        // 2^32 words of 32 bits fit into the accumulator before it can wrap; a segment has at most 2^14.
        for word in words {
            self.0 += u64::from(u32::from_be_bytes(*word));
        }
        let mut tail = [0u8; 4];
        for (to, from) in tail.iter_mut().zip(rest) {
            *to = *from;
        }
        self.0 += u64::from(u32::from_be_bytes(tail));
        self
    }

    /// Adds one 16-bit word.
    #[must_use]
    pub const fn word(mut self, word: u16) -> Self {
        self.0 += word as u64;
        self
    }

    /// The sum folded to 16 bits, not complemented.
    #[must_use]
    pub const fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    /// The checksum: the complement of the folded sum.
    #[must_use]
    pub const fn finish(self) -> u16 {
        !self.fold()
    }
}

/// The pseudo-header of RFC 9293 section 3.1 (IPv4) or RFC 8200 section 8.1 (IPv6).
///
/// `length` is that of the TCP header and its payload, in bytes.
#[must_use]
pub fn pseudo_header(source: &Addr, destination: &Addr, protocol: u8, length: u16) -> Sum {
    // The prefix ::ffff:0:0/96 of a mapped address would add to the sum, so an IPv4 address counts by its four
    // bytes alone; for IPv6 the upper half of the 32-bit length is always zero here.
    Sum::default()
        .bytes(source.significant())
        .bytes(destination.significant())
        .word(u16::from(protocol))
        .word(length)
}

/// What a segment's checksum field says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sum is right.
    Valid,
    /// The field holds the pseudo-header's sum alone: offloading, nothing to verify.
    Partial,
    /// The segment was damaged on its way.
    Corrupt,
}

/// Judges the checksum of a TCP header with its payload (`tcp`), whose checksum field stands at offset 16.
#[must_use]
pub fn judge(source: &Addr, destination: &Addr, protocol: u8, tcp: &[u8]) -> Verdict {
    let (Ok(length), Some(field)) = (u16::try_from(tcp.len()), tcp.get(16..18)) else {
        return Verdict::Corrupt;
    };
    let pseudo = pseudo_header(source, destination, protocol, length);
    if field == pseudo.fold().to_be_bytes() {
        return Verdict::Partial;
    }
    if pseudo.bytes(tcp).finish() == 0 {
        Verdict::Valid
    } else {
        Verdict::Corrupt
    }
}

#[cfg(test)]
mod tests {
    use super::{Sum, Verdict, judge, pseudo_header};
    use crate::flow::Addr;

    #[test]
    fn the_example_of_rfc_1071() {
        let sum = Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.fold(), 0xddf2);
    }

    #[test]
    fn an_odd_byte_is_padded_on_the_right() {
        assert_eq!(Sum::default().bytes(&[0xab]).fold(), 0xab00);
        assert_eq!(
            Sum::default().bytes(&[1, 2, 3, 4, 5]).fold(),
            0x0102 + 0x0304 + 0x0500
        );
    }

    #[test]
    fn a_pseudo_header_alone_is_partial() {
        let (a, b) = (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]));
        let mut tcp = [0u8; 23];
        tcp[20..].copy_from_slice(b"abc");
        tcp[16..18].copy_from_slice(&pseudo_header(&a, &b, 6, 23).fold().to_be_bytes());
        assert_eq!(judge(&a, &b, 6, &tcp), Verdict::Partial);
        tcp[16..18].fill(0);
        let full = pseudo_header(&a, &b, 6, 23).bytes(&tcp).finish();
        tcp[16..18].copy_from_slice(&full.to_be_bytes());
        assert_eq!(judge(&a, &b, 6, &tcp), Verdict::Valid);
        tcp[21] ^= 0x10;
        assert_eq!(judge(&a, &b, 6, &tcp), Verdict::Corrupt);
    }
}
