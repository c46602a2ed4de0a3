//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers: where the TCP header stands, and headers for segments we send.
//!
//! What cannot be a whole TCP segment is named by a [`Skip`], so that it is counted and never guessed at.
//! IPv6 extension headers are not walked: hosts do not put them before TCP in practice, and a loop over them would
//! cost every packet of the online server.

use crate::bytes::{Bytes, be16};
use crate::checksum::Sum;
use crate::flow::Addr;

/// Protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// Protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// Protocol number of ICMPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;
/// Length of an IPv4 header without options, in bytes.
pub const V4_HEADER_LEN: usize = 20;
/// Length of an IPv6 header without extension headers, in bytes.
pub const V6_HEADER_LEN: usize = 40;
/// Protocol number of IPv6's fragment header.
pub const PROTOCOL_IPV6_FRAGMENT: u8 = 44;

const V4_MORE_FRAGMENTS: u16 = 0x2000;
const V4_FRAGMENT_OFFSET: u16 = 0x1fff;
pub(crate) const V4_DONT_FRAGMENT: u8 = 0x40;
/// What Linux uses; `inject` leaves it alone.
pub(crate) const TTL: u8 = 64;

/// Why a packet is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Neither IPv4 nor IPv6, or not the protocol asked for.
    OtherProtocol,
    /// An IP fragment: its ports are unknown.
    Fragment,
    /// IPv4 total length or IPv6 payload length 0: a BIG TCP super-packet (or a jumbogram).
    BigTcp,
    /// Headers or lengths contradict each other, or bytes are missing.
    Malformed,
}

/// An IP header, as far as a transport cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// Protocol number of what follows.
    pub protocol: u8,
    /// Length of the IP header, in bytes.
    pub header_len: u16,
    /// Length of what follows the IP header, in bytes, by the IP header's own word.
    pub payload_len: u16,
}

impl Header {
    /// Reads the IP header that starts at `offset`.
    ///
    /// # Errors
    ///
    /// A [`Skip`] where there is none, or none that a transport header can follow.
    #[inline(always)]
    pub fn parse<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Result<Self, Skip> {
        let [first] = bytes.read::<1>(offset).ok_or(Skip::Malformed)?;
        match first >> 4 {
            4 => Self::parse_v4(bytes, offset),
            6 => Self::parse_v6(bytes, offset),
            _ => Err(Skip::OtherProtocol),
        }
    }

    #[inline(always)]
    fn parse_v4<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Result<Self, Skip> {
        let h = bytes.read::<V4_HEADER_LEN>(offset).ok_or(Skip::Malformed)?;
        let header_len = u16::from(h[0] & 0x0f) * 4;
        let total_len = be16(&h, 2);
        if be16(&h, 6) & (V4_MORE_FRAGMENTS | V4_FRAGMENT_OFFSET) != 0 {
            return Err(Skip::Fragment);
        }
        if total_len == 0 {
            return Err(Skip::BigTcp);
        }
        if header_len < 20 || total_len < header_len {
            return Err(Skip::Malformed);
        }
        Ok(Self {
            source: Addr::v4([h[12], h[13], h[14], h[15]]),
            destination: Addr::v4([h[16], h[17], h[18], h[19]]),
            protocol: h[9],
            header_len,
            payload_len: total_len - header_len,
        })
    }

    #[inline(always)]
    fn parse_v6<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Result<Self, Skip> {
        let h = bytes.read::<8>(offset).ok_or(Skip::Malformed)?;
        let source = bytes.read::<16>(offset + 8).ok_or(Skip::Malformed)?;
        let destination = bytes.read::<16>(offset + 24).ok_or(Skip::Malformed)?;
        let payload_len = be16(&h, 4);
        if payload_len == 0 {
            return Err(Skip::BigTcp);
        }
        if h[6] == PROTOCOL_IPV6_FRAGMENT {
            return Err(Skip::Fragment);
        }
        Ok(Self {
            source: Addr::v6(source),
            destination: Addr::v6(destination),
            protocol: h[6],
            header_len: V6_HEADER_LEN as u16,
            payload_len,
        })
    }
}

/// Source and destination of the packet whose IP header starts at `offset`, whatever it carries: the one question
/// that a fragment can still answer.
#[inline(always)]
pub fn addresses<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Option<(Addr, Addr)> {
    let [first] = bytes.read::<1>(offset)?;
    match first >> 4 {
        4 => Some((
            Addr::v4(bytes.read::<4>(offset + 12)?),
            Addr::v4(bytes.read::<4>(offset + 16)?),
        )),
        6 => Some((
            Addr::v6(bytes.read::<16>(offset + 8)?),
            Addr::v6(bytes.read::<16>(offset + 24)?),
        )),
        _ => None,
    }
}

/// Length of the IP header that [`emit`] writes for this destination, in bytes.
#[inline(always)]
#[must_use]
pub const fn emitted_len(destination: &Addr) -> usize {
    if destination.is_v4() {
        V4_HEADER_LEN
    } else {
        V6_HEADER_LEN
    }
}

/// Writes an IP header of [`emitted_len`] bytes for `payload_len` bytes of `protocol`.
///
/// `buffer` must be at least that long; a shorter one is left as it is.
pub fn emit(buffer: &mut [u8], source: &Addr, destination: &Addr, protocol: u8, payload_len: u16) {
    let _ = emit_of(
        destination.is_v4(),
        buffer,
        source,
        destination,
        protocol,
        payload_len,
    );
}

/// The same of a destination of which is known whether it is an IPv4 address. Returns the sum of both addresses, which the
/// checksum of the transport has in it too.
#[inline(always)]
pub(crate) fn emit_of(
    v4: bool,
    buffer: &mut [u8],
    source: &Addr,
    destination: &Addr,
    protocol: u8,
    payload_len: u16,
) -> Sum {
    let addresses = if v4 {
        Sum::default().v4(source).v4(destination)
    } else {
        Sum::default()
            .bytes(source.octets())
            .bytes(destination.octets())
    };
    if v4 {
        let Some(h) = buffer.first_chunk_mut::<V4_HEADER_LEN>() else {
            return addresses;
        };
        let [len_high, len_low] = (payload_len + V4_HEADER_LEN as u16).to_be_bytes();
        // The identification of a packet that must not be fragmented means nothing (RFC 6864 section 4.1).
        *h = [
            0x45,
            0,
            len_high,
            len_low,
            0,
            0,
            V4_DONT_FRAGMENT,
            0,
            TTL,
            protocol,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        h[12..16].copy_from_slice(&source.v4_octets());
        h[16..20].copy_from_slice(&destination.v4_octets());
        let sum = addresses
            .word(0x4500)
            .word(payload_len + V4_HEADER_LEN as u16)
            .word(u16::from(V4_DONT_FRAGMENT) << 8)
            .word(u16::from(TTL) << 8 | u16::from(protocol));
        let checksum = sum.finish();
        h[10..12].copy_from_slice(&checksum.to_be_bytes());
    } else {
        let Some(h) = buffer.first_chunk_mut::<V6_HEADER_LEN>() else {
            return addresses;
        };
        let [len_high, len_low] = payload_len.to_be_bytes();
        h[..8].copy_from_slice(&[0x60, 0, 0, 0, len_high, len_low, protocol, TTL]);
        h[8..24].copy_from_slice(source.octets());
        h[24..40].copy_from_slice(destination.octets());
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::{Header, PROTOCOL_TCP, Skip, addresses, emit, emitted_len};
    use crate::flow::Addr;

    #[test]
    fn what_is_emitted_is_parsed() {
        let pairs = [
            (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2])),
            (Addr::v6([0xfd; 16]), Addr::v6([0xfe; 16])),
        ];
        for (source, destination) in pairs {
            let mut buffer = [0u8; 64];
            emit(&mut buffer, &source, &destination, PROTOCOL_TCP, 24);
            let header = Header::parse(&buffer[..], 0).expect("our own header");
            assert_eq!((header.source, header.destination), (source, destination));
            assert_eq!(usize::from(header.header_len), emitted_len(&destination));
            assert_eq!(header.payload_len, 24);
        }
    }

    #[test]
    fn a_fragment_still_says_who_sends_it_to_whom() {
        for (source, destination) in [
            (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2])),
            (Addr::v6([0xfd; 16]), Addr::v6([0xfe; 16])),
        ] {
            let mut h = [0u8; 40];
            emit(&mut h, &source, &destination, PROTOCOL_TCP, 24);
            h[if source.is_v4() { 7 } else { 6 }] = 44;
            assert_eq!(Header::parse(&h[..], 0), Err(Skip::Fragment));
            assert_eq!(addresses(&h[..], 0), Some((source, destination)));
            assert_eq!(addresses(&h[..19], 0), None);
        }
        assert_eq!(addresses(&[0x55; 40][..], 0), None);
    }

    #[test]
    fn what_is_not_whole_is_skipped() {
        let mut h = [0u8; 20];
        emit(
            &mut h,
            &Addr::v4([1; 4]),
            &Addr::v4([2; 4]),
            PROTOCOL_TCP,
            20,
        );
        let judge = |change: &dyn Fn(&mut [u8; 20])| {
            let mut h = h;
            change(&mut h);
            Header::parse(&h[..], 0).map(|_| ())
        };
        assert_eq!(judge(&|_| ()), Ok(()));
        assert_eq!(judge(&|h| h[0] = 0x44), Err(Skip::Malformed));
        assert_eq!(judge(&|h| h[0] = 0x55), Err(Skip::OtherProtocol));
        assert_eq!(judge(&|h| h[6] = 0x20), Err(Skip::Fragment));
        assert_eq!(judge(&|h| h[7] = 1), Err(Skip::Fragment));
        assert_eq!(judge(&|h| h[2..4].fill(0)), Err(Skip::BigTcp));
        assert_eq!(judge(&|h| h[3] = 19), Err(Skip::Malformed));
        assert_eq!(Header::parse(&h[..19], 0), Err(Skip::Malformed));
    }
}
