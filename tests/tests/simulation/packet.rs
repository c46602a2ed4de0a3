//! What is done to packets on their way: cut in two, merged, renumbered, forged. All are IPv4 with TCP.

use smoltcp::wire::{IpAddress, Ipv4Packet, TcpControl, TcpPacket, TcpSeqNumber};
use wire::checksum::{Verdict, judge, pseudo_header};
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;
use wire::tcp::Flags;

/// Where the TCP header begins: smoltcp and the engine send no IP options.
const TCP: usize = 20;

/// The segment in a packet, if its checksums are right (or left to the hardware).
pub(crate) fn valid(packet: &[u8]) -> Option<Segment> {
    let header = Ipv4Packet::new_checked(packet).ok()?;
    captured(packet).filter(|_| header.verify_checksum())
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

/// Changes the TCP header of a packet, then makes lengths and checksums right.
pub(crate) fn edit(packet: &mut [u8], change: impl FnOnce(&mut TcpPacket<&mut [u8]>)) {
    let len = packet.len();
    let mut ip = Ipv4Packet::new_unchecked(&mut packet[..]);
    ip.set_total_len(u16::try_from(len).expect("a packet of at most 64 KiB"));
    ip.fill_checksum();
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    let mut tcp = TcpPacket::new_unchecked(&mut packet[TCP..]);
    change(&mut tcp);
    tcp.fill_checksum(&IpAddress::Ipv4(source), &IpAddress::Ipv4(destination));
}

/// Leaves the TCP checksum as hardware does that has verified it and merged segments.
pub(crate) fn offload_checksum(packet: &mut [u8]) {
    let Ok(segment) = Segment::parse(&packet[..], 0) else {
        return;
    };
    let len = (packet.len() - TCP) as u16;
    let (source, destination) = (&segment.source.addr, &segment.destination.addr);
    let pseudo = pseudo_header(source, destination, PROTOCOL_TCP, len).fold();
    packet[TCP + 16..TCP + 18].copy_from_slice(&pseudo.to_be_bytes());
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
    let mut packet = like[..TCP + 20].to_vec();
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
    turned[12..16].copy_from_slice(&packet[16..20]);
    turned[16..20].copy_from_slice(&packet[12..16]);
    turned[TCP..TCP + 2].copy_from_slice(&packet[TCP + 2..TCP + 4]);
    turned[TCP + 2..TCP + 4].copy_from_slice(&packet[TCP..TCP + 2]);
    turned
}

/// What a router answers to a packet that is too big for its next hop (RFC 792, RFC 1191).
pub(crate) fn too_big(packet: &[u8], router: [u8; 4], mtu: u16) -> Vec<u8> {
    let quoted = &packet[..packet.len().min(TCP + 8)];
    let mut message = vec![0; TCP + 8];
    message.extend_from_slice(quoted);
    message[..TCP].copy_from_slice(&packet[..TCP]);
    message[12..16].copy_from_slice(&router);
    message[16..20].copy_from_slice(&packet[12..16]);
    message[9] = 1;
    let len = message.len() as u16;
    message[TCP..TCP + 2].copy_from_slice(&[3, 4]);
    message[TCP + 6..TCP + 8].copy_from_slice(&mtu.to_be_bytes());
    let sum = wire::checksum::Sum::default()
        .bytes(&message[TCP..])
        .finish();
    message[TCP + 2..TCP + 4].copy_from_slice(&sum.to_be_bytes());
    let mut ip = Ipv4Packet::new_unchecked(&mut message[..]);
    ip.set_total_len(len);
    ip.fill_checksum();
    message
}
