//! A copier's mark, taken away: what is recorded beside a target is to be replayed like any client's packets, and a replay
//! leaves out what is marked.

use wire::checksum::Sum;
use wire::segment::Segment;

/// Where the checksum and the urgent pointer stand in a TCP header.
const CHECKSUM: usize = 16;
const URGENT: usize = 18;

/// Clears the mark of a packet that has one. A checksum that was right stays right, and one that was wrong stays wrong (RFC 1624); of
/// a merged packet the kernel keeps the sum of its pseudo-header alone, in which the mark never was.
pub(crate) fn unmark(packet: &mut [u8], is_merged: bool) {
    let Ok(segment) = Segment::parse(&*packet, 0) else {
        return;
    };
    let start = usize::from(segment.tcp_offset);
    let Some(fields) = packet.get_mut(start + CHECKSUM..start + URGENT + 2) else {
        return;
    };
    let &mut [ref mut high, ref mut low, ref mut urgent @ ..] = fields else {
        return;
    };
    if !segment.is_copy() {
        return;
    }
    urgent.fill(0);
    if !is_merged {
        let sum = u16::from_be_bytes([*high, *low]);
        let without = Sum::default().word(!sum).word(!segment.urgent).finish();
        [*high, *low] = without.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use wire::checksum::pseudo_header;
    use wire::ip::PROTOCOL_TCP;
    use wire::segment::Segment;
    use wire::tcp::COPY_MARK;

    use super::unmark;

    /// A packet of a client with this urgent pointer and these control bits, whose checksum is right.
    fn packet(urgent: u16, flags: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 43, 0, 1, 0, 0, 64, 6, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40, 0, 80]);
        packet.extend([0, 0, 0, 7, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0]);
        packet.extend(urgent.to_be_bytes());
        packet.extend(b"GET");
        let sum = sum(&packet);
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// What its checksum has to be; 0 where the one that it has is right.
    fn sum(packet: &[u8]) -> u16 {
        let segment = Segment::parse(packet, 0).expect("it is whole");
        let (source, destination) = (&segment.source.addr, &segment.destination.addr);
        let sum = pseudo_header(source, destination, PROTOCOL_TCP, 23);
        sum.bytes(&packet[20..]).finish()
    }

    #[test]
    fn a_mark_goes_and_its_checksum_stays_as_right_as_it_was() {
        let mut marked = packet(COPY_MARK, 0x18);
        unmark(&mut marked, false);
        assert_eq!((&marked[38..40], sum(&marked)), (&[0, 0][..], 0));
        let mut wrong = packet(COPY_MARK, 0x18);
        wrong[36] ^= 1;
        unmark(&mut wrong, false);
        assert_ne!(sum(&wrong), 0);
        let mut merged = packet(COPY_MARK, 0x18);
        let before = merged[36..38].to_vec();
        unmark(&mut merged, true);
        assert_eq!(
            (&merged[36..38], &merged[38..40]),
            (&before[..], &[0, 0][..])
        );
    }

    #[test]
    fn what_is_no_mark_stays() {
        for (urgent, flags) in [(COPY_MARK, 0x38), (0, 0x18), (7, 0x38)] {
            let mut other = packet(urgent, flags);
            unmark(&mut other, false);
            assert_eq!(other, packet(urgent, flags));
        }
        let mut cut = packet(COPY_MARK, 0x18);
        cut.truncate(30);
        let before = cut.clone();
        unmark(&mut cut, false);
        assert_eq!(cut, before);
    }
}
