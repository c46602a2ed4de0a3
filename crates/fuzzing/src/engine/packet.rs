//! Packets as the hooks would hand them over.

use wire::flow::Endpoint;
use wire::ip;
use wire::tcp::{Flags, Header, Options};
use wire::{checksum, ethernet};

use super::talk::Talk;

/// Which input of the engine a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Client,
    Online,
    Target,
    TooBig,
}

/// What a segment is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) options: Options,
}

impl Fields {
    fn header(&self) -> Header {
        Header {
            source: self.source,
            destination: self.destination,
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: self.window,
            urgent: 0,
            options: self.options,
        }
    }

    /// The packet with the payload that `fill` writes.
    pub(super) fn packet(&self, len: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let header = self.header();
        let at = header.payload_offset();
        let mut frame = vec![0; at + len];
        fill(&mut frame[at..]);
        assert!(header.emit(&mut frame), "{len} bytes fit into IP");
        frame.drain(..ethernet::HEADER_LEN);
        frame
    }

    /// The headers of a packet with `len` bytes of payload, which the hook did not record.
    pub(super) fn headers(&self, len: u16) -> Vec<u8> {
        let mut packet = self.packet(0, |_| ());
        let v4 = self.destination.addr.is_v4();
        let at = if v4 { 2 } else { 4 };
        let fixed = if v4 { 0 } else { ip::V6_HEADER_LEN };
        let total = (packet.len() - fixed) as u16 + len;
        packet[at..at + 2].copy_from_slice(&total.to_be_bytes());
        packet
    }
}

impl Fields {
    /// A packet with `len` bytes of a server, which stand at `at` of its stream: their headers, or all of it where a protocol module reads.
    pub(super) fn said(&self, len: u16, at: u32, talk: Option<&Talk>) -> Vec<u8> {
        match talk {
            Some(talk) => self.packet(len.into(), |payload| talk.answer(at, payload)),
            None => self.headers(len),
        }
    }
}

/// Makes the TCP checksum of a packet right again, or leaves it as offloading would.
pub(super) fn mend(packet: &mut [u8], partial: bool) {
    let Ok(segment) = wire::segment::Segment::parse(&packet[..], 0) else {
        return;
    };
    let (start, len) = (
        usize::from(segment.tcp_offset),
        segment.payload_offset - segment.tcp_offset + segment.payload_len,
    );
    let Some(tcp) = packet.get_mut(start..start + usize::from(len)) else {
        return;
    };
    tcp[16..18].fill(0);
    let pseudo = checksum::pseudo_header(
        &segment.source.addr,
        &segment.destination.addr,
        ip::PROTOCOL_TCP,
        len,
    );
    let sum = if partial {
        pseudo.fold()
    } else {
        pseudo.bytes(tcp).finish()
    };
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
}

/// An ICMP message that a segment of ours, whose IP header and first bytes are `quoted`, did not fit `mtu`.
pub(super) fn too_big(v4: bool, quoted: &[u8], mtu: u16) -> Vec<u8> {
    let (source, destination) = if v4 {
        (
            wire::flow::Addr::v4([10, 9, 9, 9]),
            wire::flow::Addr::v4([10, 0, 4, 2]),
        )
    } else {
        (
            wire::flow::Addr::v6([0xfd; 16]),
            wire::flow::Addr::v6([0xfe; 16]),
        )
    };
    let ip_len = ip::emitted_len(&destination);
    let mut packet = vec![0; ip_len + 8 + quoted.len()];
    let protocol = if v4 {
        ip::PROTOCOL_ICMP
    } else {
        ip::PROTOCOL_ICMPV6
    };
    ip::emit(
        &mut packet,
        &source,
        &destination,
        protocol,
        8 + quoted.len() as u16,
    );
    let [high, low] = mtu.to_be_bytes();
    let icmp = if v4 {
        [3, 4, 0, 0, 0, 0, high, low]
    } else {
        [2, 0, 0, 0, 0, 0, high, low]
    };
    packet[ip_len..ip_len + 8].copy_from_slice(&icmp);
    packet[ip_len + 8..].copy_from_slice(quoted);
    packet
}
