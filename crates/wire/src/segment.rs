//! A whole TCP segment as captured: who sends it to whom, its header fields, and where its payload stands.
//!
//! The payload's length comes from the IP header, which GRO and GSO keep right, never from the captured length.

use crate::bytes::{Bytes, be16, be32};
use crate::flow::Endpoint;
use crate::ip::{self, PROTOCOL_TCP, Skip};
use crate::tcp::{Flags, HEADER_LEN, Options, is_copy};

/// A TCP segment's header. Offsets count from the first byte of the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it comes from.
    pub source: Endpoint,
    /// Where it goes.
    pub destination: Endpoint,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// The window field, not scaled.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// Where the TCP header starts, in bytes.
    pub tcp_offset: u16,
    /// Where the payload starts, in bytes.
    pub payload_offset: u16,
    /// Length of the payload by the IP header's word, in bytes.
    pub payload_len: u16,
}

impl Segment {
    /// Reads the segment whose IP header starts at `offset`.
    ///
    /// # Errors
    ///
    /// A [`Skip`] where this is not one whole TCP segment.
    #[inline(always)]
    pub fn parse<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Result<Self, Skip> {
        let ip = ip::Header::parse(bytes, offset)?;
        if ip.protocol != PROTOCOL_TCP {
            return Err(Skip::OtherProtocol);
        }
        Self::parse_tcp(bytes, offset, &ip)
    }

    /// Reads the TCP header behind an IP header that stands at `offset`.
    ///
    /// # Errors
    ///
    /// [`Skip::Malformed`] where the lengths contradict each other or bytes are missing.
    #[inline(always)]
    pub fn parse_tcp<B: Bytes + ?Sized>(
        bytes: &B,
        offset: usize,
        ip: &ip::Header,
    ) -> Result<Self, Skip> {
        let t = bytes
            .read::<HEADER_LEN>(offset + usize::from(ip.header_len))
            .ok_or(Skip::Malformed)?;
        let header_len = u16::from(t[12] >> 4) * 4;
        if header_len < 20 || ip.payload_len < header_len {
            return Err(Skip::Malformed);
        }
        Ok(Self {
            source: Endpoint::new(ip.source, be16(&t, 0)),
            destination: Endpoint::new(ip.destination, be16(&t, 2)),
            seq: be32(&t, 4),
            ack: be32(&t, 8),
            flags: Flags(t[13]),
            window: be16(&t, 14),
            urgent: be16(&t, 18),
            tcp_offset: ip.header_len,
            payload_offset: ip.header_len + header_len,
            payload_len: ip.payload_len - header_len,
        })
    }

    /// Whether a copier made this segment: see [`crate::tcp::COPY_MARK`].
    #[inline(always)]
    #[must_use]
    pub const fn is_copy(&self) -> bool {
        is_copy(self.urgent, self.flags)
    }

    /// Whether the segment is a bare acknowledgement: no payload and none of SYN, FIN, RST.
    #[inline(always)]
    #[must_use]
    pub const fn is_pure_ack(&self) -> bool {
        self.payload_len == 0 && self.flags.are_bare()
    }

    /// How much of the sequence space the segment takes: payload, SYN and FIN.
    #[must_use]
    pub fn sequence_len(&self) -> u32 {
        let control =
            u32::from(self.flags.contains(Flags::SYN)) + u32::from(self.flags.contains(Flags::FIN));
        u32::from(self.payload_len) + control
    }

    /// The options, read from the packet that this header was parsed from (at offset 0).
    #[must_use]
    pub fn options(&self, packet: &[u8]) -> Options {
        let start = usize::from(self.tcp_offset) + HEADER_LEN;
        Options::parse(
            packet
                .get(start..usize::from(self.payload_offset))
                .unwrap_or_default(),
        )
    }

    /// The whole payload, or `None` where the packet was captured without all of it.
    #[must_use]
    pub fn payload<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::from(self.payload_offset);
        packet.get(start..start + usize::from(self.payload_len))
    }

    /// TCP header and payload, or `None` where the packet was captured without all of it.
    #[must_use]
    pub fn tcp<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        let end = usize::from(self.payload_offset) + usize::from(self.payload_len);
        packet.get(usize::from(self.tcp_offset)..end)
    }
}
