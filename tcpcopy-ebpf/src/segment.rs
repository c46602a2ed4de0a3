//! A segment, as far as the programs ask: who sends it to whom, what its ports can be, and what it carries.
//!
//! Most of a host's traffic is not ours, and each packet pays for being looked at. So the cheapest questions come first: the
//! protocol, then whether either port is a rule's. The addresses are read of what is left alone.
//!
//! Nearly every packet is *plain*: its headers are in the linear part, IPv4 without options or IPv6 without extension headers.
//! Those are read here, word by word. Everything else goes through the parser of [`wire`], which says what is wrong with it.
//!
//! **Invariant:** both ways say the same of the same packet.

use core::arch::asm;
use core::mem::MaybeUninit;

use wire::ethernet::HEADER_LEN;
use wire::ip::{
    Header, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_IPV6_FRAGMENT, PROTOCOL_TCP, Skip,
    V4_HEADER_LEN, V6_HEADER_LEN,
};
use wire::tcp::{self, Flags};

use crate::load::{Linear, Words};
use crate::rules::port_bits;
use crate::side::Side;
use crate::skb::Skb;

/// A segment.
pub struct Segment {
    /// Where it comes from.
    pub source: Side,
    /// Where it goes.
    pub destination: Side,
    /// What the source's port can be: the `PORT_` bits.
    pub source_bits: u32,
    /// What the destination's port can be.
    pub destination_bits: u32,
    /// Where the payload starts, in bytes from the IP header on.
    pub payload_offset: u16,
    /// Length of the payload by the IP header's word, in bytes.
    pub payload_len: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// Control bits.
    pub flags: Flags,
}

impl Segment {
    /// Whether a copier made this segment.
    #[inline(always)]
    pub fn is_copy(&self) -> bool {
        tcp::is_copy(self.urgent, self.flags)
    }

    /// Whether the segment is a bare acknowledgement.
    #[inline(always)]
    pub fn is_pure_ack(&self) -> bool {
        self.payload_len == 0 && self.flags.are_bare()
    }
}

/// Which `PORT_` bits a program cares for: a segment with none of them is nothing of ours, and others it does not get.
pub struct Interest {
    /// Of the source's port.
    pub source: u32,
    /// Of the destination's port.
    pub destination: u32,
}

impl Interest {
    /// In every segment.
    pub const ALL: Self = Self {
        source: 0,
        destination: 0,
    };

    /// The bits of both ports, as far as they are cared for; `None` where neither has any of them.
    #[inline(always)]
    fn bits(&self, ports: &Ports) -> Option<(u32, u32)> {
        let mut bits = (0, 0);
        if self.source != 0 {
            bits.0 = port_bits(ports.source) & self.source;
        }
        if self.destination != 0 {
            bits.1 = port_bits(ports.destination) & self.destination;
        }
        let is_all = self.source | self.destination == 0;
        (is_all || bits.0 | bits.1 != 0).then_some(bits)
    }
}

/// What a packet is.
pub enum Packet<'a> {
    /// A segment that may be ours.
    Segment(&'a Segment),
    /// A message of ICMP.
    Icmp,
    /// Nothing of ours.
    Other,
    /// What cannot be looked at.
    Skipped(Skip),
}

/// The same without the segment.
enum Kind {
    Segment,
    Icmp,
    Other,
    Skipped(Skip),
    /// It is not plain.
    Unusual,
}

/// Looks at a packet. A segment is read into `room`.
#[inline(always)]
pub fn look<'a>(skb: &Skb, interest: &Interest, room: &'a mut MaybeUninit<Segment>) -> Packet<'a> {
    let mut segment = room.as_mut_ptr();
    let kind = match plain(&skb.linear(), interest, segment) {
        Kind::Unusual => unusual(skb, interest, segment),
        kind => kind,
    };
    match kind {
        Kind::Segment => {
            // Behind this the compiler knows nothing of the segment but that it is in memory: see [`Side::write`].
            // SAFETY: the register keeps its value.
            unsafe {
                asm!("{0} = {0}", inout(reg) segment, options(nostack, preserves_flags));
            }
            // SAFETY: it has been read, all of it.
            Packet::Segment(unsafe { &*segment })
        }
        Kind::Icmp => Packet::Icmp,
        Kind::Skipped(skip) => Packet::Skipped(skip),
        Kind::Other | Kind::Unusual => Packet::Other,
    }
}

#[inline(always)]
fn plain(linear: &Linear, interest: &Interest, to: *mut Segment) -> Kind {
    let Some(ip) = linear.words::<V4_HEADER_LEN>(HEADER_LEN) else {
        return Kind::Unusual;
    };
    match ip.bytes::<0>()[0] {
        // With options it is 0x46 and more.
        0x45 => plain_v4(linear, &ip, interest, to),
        0x60..=0x6f => plain_v6(linear, interest, to),
        _ => Kind::Unusual,
    }
}

#[inline(always)]
fn plain_v4(
    linear: &Linear,
    ip: &Words<V4_HEADER_LEN>,
    interest: &Interest,
    to: *mut Segment,
) -> Kind {
    let [_, _, high, low] = ip.bytes::<0>();
    let [_, _, fragment, offset] = ip.bytes::<4>();
    let [_, protocol, ..] = ip.bytes::<8>();
    let total_len = u16::from_be_bytes([high, low]);
    // All bits but "do not fragment" and the one that is reserved.
    if total_len < V4_HEADER_LEN as u16 || fragment & 0x3f != 0 || offset != 0 {
        return Kind::Unusual;
    }
    match protocol {
        PROTOCOL_TCP => {}
        PROTOCOL_ICMP => return Kind::Icmp,
        _ => return Kind::Other,
    }
    let Some(tcp) = linear.words(HEADER_LEN + V4_HEADER_LEN) else {
        return Kind::Unusual;
    };
    let len = total_len - V4_HEADER_LEN as u16;
    let ports = match plain_tcp(&tcp, V4_HEADER_LEN as u16, len, interest, to) {
        Ok(ports) => ports,
        Err(kind) => return kind,
    };
    let v4 = |address| [0, 0, V4_MAPPED, address];
    // SAFETY: `to` is a segment of our caller's.
    unsafe {
        Side::write(&raw mut (*to).source, v4(ip.word::<12>()), ports.source);
        Side::write(
            &raw mut (*to).destination,
            v4(ip.word::<16>()),
            ports.destination,
        );
    }
    Kind::Segment
}

#[inline(always)]
fn plain_v6(linear: &Linear, interest: &Interest, to: *mut Segment) -> Kind {
    let Some(ip) = linear.words::<V6_HEADER_LEN>(HEADER_LEN) else {
        return Kind::Unusual;
    };
    let [high, low, protocol, _] = ip.bytes::<4>();
    let len = u16::from_be_bytes([high, low]);
    if len == 0 {
        return Kind::Unusual;
    }
    match protocol {
        PROTOCOL_TCP => {}
        PROTOCOL_ICMPV6 => return Kind::Icmp,
        PROTOCOL_IPV6_FRAGMENT => return Kind::Unusual,
        _ => return Kind::Other,
    }
    let Some(tcp) = linear.words(HEADER_LEN + V6_HEADER_LEN) else {
        return Kind::Unusual;
    };
    let ports = match plain_tcp(&tcp, V6_HEADER_LEN as u16, len, interest, to) {
        Ok(ports) => ports,
        Err(kind) => return kind,
    };
    let source = [
        ip.word::<8>(),
        ip.word::<12>(),
        ip.word::<16>(),
        ip.word::<20>(),
    ];
    let destination = [
        ip.word::<24>(),
        ip.word::<28>(),
        ip.word::<32>(),
        ip.word::<36>(),
    ];
    // SAFETY: `to` is a segment of our caller's.
    unsafe {
        Side::write(&raw mut (*to).source, source, ports.source);
        Side::write(&raw mut (*to).destination, destination, ports.destination);
    }
    Kind::Segment
}

/// The third word of an IPv4 address among those of IPv6 (`::ffff:0:0/96`).
const V4_MAPPED: u32 = 0xffffu32.to_be();

/// The ports of a segment.
struct Ports {
    source: u16,
    destination: u16,
}

/// Reads all but the endpoints, behind an IP header of this length that says that so many bytes follow it.
#[inline(always)]
fn plain_tcp(
    tcp: &Words<{ tcp::HEADER_LEN }>,
    ip_header_len: u16,
    ip_payload_len: u16,
    interest: &Interest,
    to: *mut Segment,
) -> Result<Ports, Kind> {
    let [offset, flags, ..] = tcp.bytes::<12>();
    let header_len = u16::from(offset >> 4) * 4;
    if header_len < tcp::HEADER_LEN as u16 || ip_payload_len < header_len {
        return Err(Kind::Unusual);
    }
    let [a, b, c, d] = tcp.bytes::<0>();
    let ports = Ports {
        source: u16::from_be_bytes([a, b]),
        destination: u16::from_be_bytes([c, d]),
    };
    let Some((source_bits, destination_bits)) = interest.bits(&ports) else {
        return Err(Kind::Other);
    };
    let [_, _, high, low] = tcp.bytes::<16>();
    // SAFETY: `to` is a segment of our caller's.
    unsafe {
        (*to).payload_offset = ip_header_len + header_len;
        (*to).payload_len = ip_payload_len - header_len;
        (*to).urgent = u16::from_be_bytes([high, low]);
        (*to).flags = Flags(flags);
        (*to).source_bits = source_bits;
        (*to).destination_bits = destination_bits;
    }
    Ok(ports)
}

/// A packet that is not plain.
#[inline(always)]
fn unusual(skb: &Skb, interest: &Interest, to: *mut Segment) -> Kind {
    match parse(skb, interest) {
        Ok(Some(segment)) => {
            // SAFETY: `to` is a segment of our caller's.
            unsafe { to.write(segment) };
            Kind::Segment
        }
        Ok(None) => Kind::Icmp,
        Err(Skip::OtherProtocol) => Kind::Other,
        Err(skip) => Kind::Skipped(skip),
    }
}

/// The segment, or nothing where it is ICMP.
#[inline(always)]
fn parse(skb: &Skb, interest: &Interest) -> Result<Option<Segment>, Skip> {
    let ip = Header::parse(skb, HEADER_LEN)?;
    match ip.protocol {
        PROTOCOL_TCP => {}
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => return Ok(None),
        _ => return Err(Skip::OtherProtocol),
    }
    let segment = wire::segment::Segment::parse_tcp(skb, HEADER_LEN, &ip)?;
    let ports = Ports {
        source: segment.source.port,
        destination: segment.destination.port,
    };
    let Some((source_bits, destination_bits)) = interest.bits(&ports) else {
        return Err(Skip::OtherProtocol);
    };
    Ok(Some(Segment {
        source: Side::new(segment.source),
        payload_offset: segment.payload_offset,
        payload_len: segment.payload_len,
        urgent: segment.urgent,
        destination: Side::new(segment.destination),
        flags: segment.flags,
        source_bits,
        destination_bits,
    }))
}
