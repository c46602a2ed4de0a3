//! "Packet too big" about one of our own segments: ICMP type 3 code 4 (RFC 1191), ICMPv6 type 2 (RFC 4443).
//!
//! Anybody can send one, so a caller believes it only where the quoted segment lies in a session's send window
//! (RFC 5927) and the MTU is not below the protocol's minimum.

use crate::bytes::{Bytes, be16, be32};
use crate::flow::{Endpoint, FlowKey};
use crate::ip::{self, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Skip};

/// Longest part of a too-big message that [`TooBig::parse`] looks at, from its IP header on, in bytes:
/// an IPv4 header with options (or an IPv6 one), the ICMP header, an inner IP header and eight bytes of TCP.
pub const TOO_BIG_LEN_MAX: usize = 60 + 8 + 60 + 8;

/// A router's word that a segment did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// The session's own flow: we are the client of the quoted segment.
    pub flow: FlowKey,
    /// Sequence number of the quoted segment.
    pub seq: u32,
    /// MTU of the next hop, in bytes; 0 from routers older than RFC 1191.
    pub mtu: u32,
}

impl TooBig {
    /// Reads a too-big message whose IP header starts at `offset`.
    ///
    /// # Errors
    ///
    /// A [`Skip`] where the packet is anything else, or quotes anything but a TCP segment.
    #[inline(always)]
    pub fn parse<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Result<Self, Skip> {
        let outer = ip::Header::parse(bytes, offset)?;
        Self::parse_icmp(bytes, offset, &outer)
    }

    /// Reads the message behind an IP header that stands at `offset`.
    ///
    /// # Errors
    ///
    /// As for [`TooBig::parse`].
    #[inline(always)]
    pub fn parse_icmp<B: Bytes + ?Sized>(
        bytes: &B,
        offset: usize,
        outer: &ip::Header,
    ) -> Result<Self, Skip> {
        let at = offset + usize::from(outer.header_len);
        let h = bytes.read::<8>(at).ok_or(Skip::Malformed)?;
        let mtu = match (outer.protocol, h[0], h[1]) {
            (PROTOCOL_ICMP, 3, 4) => u32::from(be16(&h, 6)),
            (PROTOCOL_ICMPV6, 2, _) => be32(&h, 4),
            _ => return Err(Skip::OtherProtocol),
        };
        let inner_at = at + 8;
        let inner = ip::Header::parse(bytes, inner_at)?;
        if inner.protocol != PROTOCOL_TCP {
            return Err(Skip::OtherProtocol);
        }
        // RFC 792 promises no more than eight bytes of the transport header.
        let t = bytes
            .read::<8>(inner_at + usize::from(inner.header_len))
            .ok_or(Skip::Malformed)?;
        Ok(Self {
            flow: FlowKey {
                client: Endpoint::new(inner.source, be16(&t, 0)),
                server: Endpoint::new(inner.destination, be16(&t, 2)),
            },
            seq: be32(&t, 4),
            mtu,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::TooBig;
    use crate::flow::{Addr, Endpoint};
    use crate::ip::{self, PROTOCOL_ICMP, PROTOCOL_TCP, Skip};

    #[test]
    fn a_quoted_segment_is_found() {
        let (ours, target) = (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]));
        let mut packet = [0u8; 56];
        ip::emit(
            &mut packet,
            &Addr::v4([10, 0, 0, 9]),
            &ours,
            PROTOCOL_ICMP,
            36,
        );
        packet[20..28].copy_from_slice(&[3, 4, 0, 0, 0, 0, 0x05, 0x78]);
        ip::emit(&mut packet[28..], &ours, &target, PROTOCOL_TCP, 1400);
        packet[48..56].copy_from_slice(&[0x27, 0x10, 0, 80, 0, 0, 0, 9]);
        let too_big = TooBig::parse(&packet[..], 0).expect("a too-big message");
        assert_eq!(too_big.mtu, 1400);
        assert_eq!(too_big.seq, 9);
        assert_eq!(too_big.flow.client, Endpoint::new(ours, 10_000));
        assert_eq!(too_big.flow.server, Endpoint::new(target, 80));
        for len in 0..packet.len() {
            assert_eq!(
                TooBig::parse(&packet[..len], 0),
                Err(Skip::Malformed),
                "cut to {len}"
            );
        }
    }
}
