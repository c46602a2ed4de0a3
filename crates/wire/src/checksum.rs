//! The Internet checksum (RFC 1071), and the unfinished one that offloading leaves behind.
//!
//! A segment captured on its way through the kernel often carries only the sum of its pseudo-header: the sender
//! left the rest to hardware that never saw it (`CHECKSUM_PARTIAL`), or GRO put it there when it merged segments.
//! Such a segment is as good as verified, and must never have its checksum updated incrementally.

use crate::flow::Addr;

/// A running one's-complement sum; fold it with [`Sum::fold`].
///
/// It adds words as they stand in memory and swaps the result: the sum is the same in either byte order (RFC 1071
/// section 2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes that start at an even offset of the summed data; an odd length is padded with a zero byte.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut sum = u128::from(self.0);
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            // An addition and its carry for every eight bytes, which no vector unit without wide lanes beats.
            for word in block.as_chunks::<8>().0 {
                sum += u128::from(u64::from_ne_bytes(*word));
            }
        }
        let (words, rest) = rest.as_chunks::<8>();
        for word in words {
            sum += u128::from(u64::from_ne_bytes(*word));
        }
        // 2^32 words of 32 bits fit into the accumulator before it can wrap; a segment has at most 2^14.
        let [low, middle, high] = [sum as u32, (sum >> 32) as u32, (sum >> 64) as u32];
        self.0 = u64::from(low) + u64::from(middle) + u64::from(high);
        let (words, rest) = rest.as_chunks::<4>();
        for word in words {
            self.0 += u64::from(u32::from_ne_bytes(*word));
        }
        let (words, rest) = rest.as_chunks::<2>();
        for word in words {
            self.0 += u64::from(u16::from_ne_bytes(*word));
        }
        for byte in rest {
            self.0 += u64::from(u16::from_ne_bytes([*byte, 0]));
        }
        self
    }

    /// Adds the bytes of an address that stand on the wire.
    #[inline(always)]
    #[must_use]
    pub fn addr(self, addr: &Addr) -> Self {
        if addr.is_v4() {
            return self.v4(addr);
        }
        self.bytes(addr.octets())
    }

    /// Adds the bytes of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub(crate) fn v4(mut self, addr: &Addr) -> Self {
        self.0 += u64::from(u32::from_ne_bytes(addr.v4_octets()));
        self
    }

    /// Adds one 16-bit word.
    #[inline(always)]
    #[must_use]
    pub const fn word(mut self, word: u16) -> Self {
        self.0 += word.to_be() as u64;
        self
    }

    /// Adds 32 bits that are on the wire with the highest byte first, at an even offset of the summed data.
    #[inline(always)]
    #[must_use]
    pub const fn double_word(mut self, word: u32) -> Self {
        self.0 += word.to_be() as u64;
        self
    }

    /// The sum folded to 16 bits, not complemented.
    #[inline(always)]
    #[must_use]
    pub const fn fold(self) -> u16 {
        // A carry out of either addition is added in again, and cannot come a second time.
        let (sum, carry) = (self.0 as u32).overflowing_add((self.0 >> 32) as u32);
        let sum = sum + carry as u32;
        let (sum, carry) = (sum as u16).overflowing_add((sum >> 16) as u16);
        u16::from_be(sum + carry as u16)
    }

    /// The checksum: the complement of the folded sum.
    #[inline(always)]
    #[must_use]
    pub const fn finish(self) -> u16 {
        !self.fold()
    }
}

/// The pseudo-header of RFC 9293 section 3.1 (IPv4) or RFC 8200 section 8.1 (IPv6).
///
/// `length` is that of the TCP header and its payload, in bytes.
#[inline(always)]
#[must_use]
pub fn pseudo_header(source: &Addr, destination: &Addr, protocol: u8, length: u16) -> Sum {
    // The prefix ::ffff:0:0/96 of a mapped address would add to the sum, so an IPv4 address counts by its four
    // bytes alone; for IPv6 the upper half of the 32-bit length is always zero here.
    Sum::default()
        .addr(source)
        .addr(destination)
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

    /// Against 16-bit words added one by one, carries last: any length, and bytes that carry all the way.
    #[test]
    fn the_sum_is_that_of_its_words() {
        for fill in [0u8, 1, 0x7f, 0xff] {
            let bytes: [u8; 1500] = core::array::from_fn(|at| fill ^ (at as u8 & fill >> 7));
            for len in (0..200).chain([1459, 1460, 1500]) {
                let words = bytes[..len].chunks(2).map(|pair| match *pair {
                    [high, low] => u64::from(u16::from_be_bytes([high, low])),
                    _ => u64::from(pair[0]) << 8,
                });
                let mut oracle: u64 = 7 + words.sum::<u64>();
                while oracle > 0xffff {
                    oracle = (oracle & 0xffff) + (oracle >> 16);
                }
                let sum = Sum::default().word(7).bytes(&bytes[..len]).fold();
                assert_eq!(u64::from(sum), oracle, "{len} bytes of {fill:#x}");
            }
        }
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
