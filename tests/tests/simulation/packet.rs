//! What is done to packets on their way: cut in two, merged, renumbered, forged. All are TCP without IP options.

use smoltcp::wire::{IpAddress, Ipv4Packet, Ipv6Packet, TcpControl, TcpPacket, TcpSeqNumber};
use wire::checksum::{Verdict, judge, pseudo_header};
use wire::ip::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP};
use wire::segment::Segment;
use wire::tcp::Flags;

use crate::address::Host;

/// Length of an IPv4 header, and of one of IPv6: smoltcp and the engine send no options.
const V4: usize = 20;
const V6: usize = 40;

/// Whether a packet is one of IPv4.
fn is_v4(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 4)
}

/// Where the TCP header begins.
fn tcp_at(packet: &[u8]) -> usize {
    if is_v4(packet) { V4 } else { V6 }
}

/// Where the source address stands, and how long an address is.
fn source_at(packet: &[u8]) -> (usize, usize) {
    if is_v4(packet) { (12, 4) } else { (8, 16) }
}

/// Both addresses and ports of a packet, which may be corrupt.
pub(crate) fn ends(packet: &[u8]) -> [u8; 36] {
    let (at, len) = source_at(packet);
    let mut ends = [0; 36];
    ends[..2 * len + 4].copy_from_slice(&packet[at..at + 2 * len + 4]);
    ends
}

/// The segment in a packet, if its checksums are right (or left to the hardware).
pub(crate) fn valid(packet: &[u8]) -> Option<Segment> {
    let sound = if is_v4(packet) {
        Ipv4Packet::new_checked(packet).is_ok_and(|header| header.verify_checksum())
    } else {
        Ipv6Packet::new_checked(packet).is_ok()
    };
    captured(packet).filter(|_| sound)
}

/// Makes an IP header say how long its packet is. Returns both addresses.
fn fit(packet: &mut [u8]) -> (IpAddress, IpAddress) {
    let len = packet.len();
    let word = |len: usize| u16::try_from(len).expect("a packet of at most 64 KiB");
    if is_v4(packet) {
        let mut ip = Ipv4Packet::new_unchecked(packet);
        ip.set_total_len(word(len));
        ip.fill_checksum();
        (
            IpAddress::Ipv4(ip.src_addr()),
            IpAddress::Ipv4(ip.dst_addr()),
        )
    } else {
        let mut ip = Ipv6Packet::new_unchecked(packet);
        ip.set_payload_len(word(len - V6));
        (
            IpAddress::Ipv6(ip.src_addr()),
            IpAddress::Ipv6(ip.dst_addr()),
        )
    }
}

/// The same without a look at the checksum of the IP header, which only a host's IP verifies, behind `capture`.
pub(crate) fn captured(packet: &[u8]) -> Option<Segment> {
    let segment = Segment::parse(packet, 0).ok()?;
    (judgement(packet)? != Verdict::Corrupt).then_some(segment)
}

/// What is to be thought of a packet's TCP checksum.
fn judgement(packet: &[u8]) -> Option<Verdict> {
    let segment = Segment::parse(packet, 0).ok()?;
    Some(judge(
        &segment.source.addr,
        &segment.destination.addr,
        PROTOCOL_TCP,
        segment.tcp(packet)?,
    ))
}

/// Whether a packet's checksum looks as if it had been left to the hardware.
pub(crate) fn looks_offloaded(packet: &[u8]) -> bool {
    judgement(packet) == Some(Verdict::Partial)
}

/// Where a packet's payload begins; its end where it is no segment.
pub(crate) fn payload_offset(packet: &[u8]) -> usize {
    Segment::parse(packet, 0).map_or(packet.len(), |segment| usize::from(segment.payload_offset))
}

/// IP and TCP headers of a packet.
pub(crate) fn headers(packet: &[u8]) -> &[u8] {
    &packet[..payload_offset(packet).min(packet.len())]
}

/// The same with the first `len` bytes of its payload, as programs record what is sampled.
pub(crate) fn beginning(packet: &[u8], len: usize) -> &[u8] {
    &packet[..(payload_offset(packet) + len).min(packet.len())]
}

/// Changes the TCP header of a packet, then makes lengths and checksums right.
pub(crate) fn edit(packet: &mut [u8], change: impl FnOnce(&mut TcpPacket<&mut [u8]>)) {
    let (source, destination) = fit(packet);
    let at = tcp_at(packet);
    let mut tcp = TcpPacket::new_unchecked(&mut packet[at..]);
    change(&mut tcp);
    tcp.fill_checksum(&source, &destination);
}

/// Leaves the TCP checksum as hardware does that has verified it and merged segments.
pub(crate) fn offload_checksum(packet: &mut [u8]) {
    let Ok(segment) = Segment::parse(&packet[..], 0) else {
        return;
    };
    let tcp = tcp_at(packet);
    let len = (packet.len() - tcp) as u16;
    let (source, destination) = (&segment.source.addr, &segment.destination.addr);
    let pseudo = pseudo_header(source, destination, PROTOCOL_TCP, len).fold();
    packet[tcp + 16..tcp + 18].copy_from_slice(&pseudo.to_be_bytes());
}

/// Cuts a segment in two at a place that `dice` decides, if it has payload enough.
pub(crate) fn split(packet: &[u8], dice: u64) -> Option<(Vec<u8>, Vec<u8>)> {
    let segment = valid(packet)?;
    let len = u64::from(segment.payload_len);
    if len < 2 || segment.flags.intersects(Flags::SYN.with(Flags::RST)) {
        return None;
    }
    let at = (1 + dice % (len - 1)) as usize;
    let payload = usize::from(segment.payload_offset);
    let mut first = packet[..payload + at].to_vec();
    edit(&mut first, |tcp| {
        tcp.set_fin(false);
        tcp.set_psh(false);
    });
    let mut second = packet[..payload].to_vec();
    second.extend_from_slice(&packet[payload + at..]);
    edit(&mut second, |tcp| {
        tcp.set_seq_number(tcp.seq_number() + at);
    });
    Some((first, second))
}

/// Appends the payload of `next` to `packet`, with the flags that end it.
pub(crate) fn append(packet: &mut Vec<u8>, next: &[u8]) {
    let flags = Segment::parse(next, 0).map_or(Flags::ACK, |segment| segment.flags);
    packet.extend_from_slice(&next[payload_offset(next)..]);
    edit(packet, |tcp| {
        tcp.set_psh(tcp.psh() || flags.contains(Flags::PSH));
        tcp.set_fin(tcp.fin() || flags.contains(Flags::FIN));
    });
}

/// A packet with the same addresses and other contents.
pub(crate) fn forge(
    like: &[u8],
    control: TcpControl,
    (seq, ack): (u32, Option<u32>),
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = like[..tcp_at(like) + 20].to_vec();
    packet.extend_from_slice(payload);
    edit(&mut packet, |tcp| {
        tcp.clear_flags();
        tcp.set_header_len(20);
        tcp.set_urgent_at(0);
        tcp.set_seq_number(TcpSeqNumber(seq.cast_signed()));
        tcp.set_ack(ack.is_some());
        tcp.set_ack_number(TcpSeqNumber(ack.unwrap_or_default().cast_signed()));
        tcp.set_psh(control == TcpControl::Psh);
        tcp.set_syn(control == TcpControl::Syn);
        tcp.set_fin(control == TcpControl::Fin);
        tcp.set_rst(control == TcpControl::Rst);
    });
    packet
}

/// The same packet in the other direction.
pub(crate) fn turned(packet: &[u8]) -> Vec<u8> {
    let mut turned = packet.to_vec();
    let (at, len) = source_at(packet);
    turned[at..at + len].copy_from_slice(&packet[at + len..at + 2 * len]);
    turned[at + len..at + 2 * len].copy_from_slice(&packet[at..at + len]);
    let tcp = tcp_at(packet);
    turned[tcp..tcp + 2].copy_from_slice(&packet[tcp + 2..tcp + 4]);
    turned[tcp + 2..tcp + 4].copy_from_slice(&packet[tcp..tcp + 2]);
    turned
}

/// What a router answers to a packet that is too big for its next hop (RFC 792, RFC 1191; RFC 4443 section 3.2).
pub(crate) fn too_big(packet: &[u8], router: Host, mtu: u16) -> Vec<u8> {
    let (at, len) = source_at(packet);
    let icmp = tcp_at(packet);
    let quoted = &packet[..packet.len().min(icmp + 8)];
    let mut message = vec![0; icmp + 8];
    message.extend_from_slice(quoted);
    message[..icmp].copy_from_slice(&packet[..icmp]);
    let router = if is_v4(packet) {
        router.numbers.to_vec()
    } else {
        router.addr().octets().to_vec()
    };
    message[at..at + len].copy_from_slice(&router);
    message[at + len..at + 2 * len].copy_from_slice(&packet[at..at + len]);
    if is_v4(packet) {
        message[9] = PROTOCOL_ICMP;
        message[icmp..icmp + 2].copy_from_slice(&[3, 4]);
        message[icmp + 6..icmp + 8].copy_from_slice(&mtu.to_be_bytes());
    } else {
        message[6] = PROTOCOL_ICMPV6;
        message[icmp] = 2;
        message[icmp + 6..icmp + 8].copy_from_slice(&mtu.to_be_bytes());
    }
    fit(&mut message);
    message
}
