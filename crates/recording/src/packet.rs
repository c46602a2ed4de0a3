//! A packet from its IP header on: how long it was, and whether its checksum is one.

use wire::checksum::{Verdict, judge, pseudo_header};
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;

use crate::blocks::ETHERNET_LEN;

/// Where the checksum stands in a TCP header.
const CHECKSUM: std::ops::Range<usize> = 16..18;

/// How long a packet's frame was on the wire.
pub(crate) fn wire_len(packet: &[u8]) -> u32 {
    let len = said_len(packet).max(packet.len()) + ETHERNET_LEN;
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// How long a packet says that it is, in bytes from its IP header on.
fn said_len(packet: &[u8]) -> usize {
    let word = |at: usize| {
        let bytes = packet.get(at..at + 2);
        bytes.map_or(0, |bytes| {
            usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
        })
    };
    match packet.first().map(|first| first >> 4) {
        Some(4) => word(2),
        Some(6) => wire::ip::V6_HEADER_LEN + word(4),
        _ => 0,
    }
}

/// Writes the checksum of a packet of which nothing is missing; of another one nobody can tell.
pub(crate) fn sum_again(segment: &Segment, packet: &mut [u8]) {
    let (start, payload) = (segment.tcp_offset, segment.payload_offset);
    let len = payload - start + segment.payload_len;
    let end = usize::from(start) + usize::from(len);
    let Some(tcp) = packet.get_mut(start.into()..end) else {
        return;
    };
    tcp[CHECKSUM].fill(0);
    let (source, destination) = (&segment.source.addr, &segment.destination.addr);
    let sum = pseudo_header(source, destination, PROTOCOL_TCP, len).bytes(tcp);
    tcp[CHECKSUM].copy_from_slice(&sum.finish().to_be_bytes());
}

/// Fills in the checksum that was left to a network card, of a packet of which nothing is missing. One that is wrong stays so.
pub(crate) fn complete_sum(packet: &mut [u8]) {
    let Ok(segment) = Segment::parse(&*packet, 0) else {
        return;
    };
    let (start, payload) = (segment.tcp_offset, segment.payload_offset);
    let end = usize::from(payload) + usize::from(segment.payload_len);
    let Some(tcp) = packet.get(start.into()..end) else {
        return;
    };
    let (source, destination) = (&segment.source.addr, &segment.destination.addr);
    if judge(source, destination, PROTOCOL_TCP, tcp) == Verdict::Partial {
        sum_again(&segment, packet);
    }
}

#[cfg(test)]
mod tests {
    use wire::checksum::{Verdict, judge, pseudo_header};
    use wire::flow::Addr;

    use super::complete_sum;

    #[test]
    fn a_sum_is_filled_in_where_it_was_left_to_a_card_and_nowhere_else() {
        let (from, to) = (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]));
        let mut packet = vec![
            0x45, 0, 0, 44, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        packet.extend([
            0x9c, 0x40, 0, 80, 0, 0, 0, 9, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0,
        ]);
        packet.extend(b"GET ");
        let verdict = |packet: &[u8]| judge(&from, &to, 6, &packet[20..]);
        let wrong = packet.clone();
        let partial = pseudo_header(&from, &to, 6, 24).fold().to_be_bytes();
        packet[36..38].copy_from_slice(&partial);
        let cut = packet[..40].to_vec();
        for (mut packet, after) in [(packet, Verdict::Valid), (wrong, Verdict::Corrupt)] {
            complete_sum(&mut packet);
            assert_eq!(verdict(&packet), after);
            assert_eq!(&packet[40..], b"GET ");
        }
        let mut same = cut.clone();
        complete_sum(&mut same);
        assert_eq!(same, cut, "nobody can tell without the rest");
    }
}
