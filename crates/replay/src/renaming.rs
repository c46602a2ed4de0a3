//! Another port for a client, where its own is another flow's in another network.

use wire::segment::Segment;

use crate::sides::Side;

/// Puts a packet into `scratch`, with the client's port that its flow is replayed under.
pub(crate) fn rename(
    bytes: &[u8],
    segment: &Segment,
    side: Side,
    alias: Option<u16>,
    scratch: &mut Vec<u8>,
) {
    scratch.clear();
    scratch.extend_from_slice(bytes);
    let at = usize::from(segment.tcp_offset);
    let Some(tcp) = scratch.get_mut(at..) else {
        return;
    };
    let place = match side {
        Side::Client => 0..2,
        Side::Online => 2..4,
    };
    let (Some(port), Some(field)) = (alias, tcp.get_mut(place)) else {
        return;
    };
    let old = u16::from_be_bytes([field[0], field[1]]);
    field.copy_from_slice(&port.to_be_bytes());
    if let Some(field) = tcp.get_mut(16..18) {
        let sum = u16::from_be_bytes([field[0], field[1]]);
        field.copy_from_slice(&amended(sum, old, port).to_be_bytes());
    }
}

/// A checksum after one word under it has changed (RFC 1624 section 3).
fn amended(sum: u16, old: u16, new: u16) -> u16 {
    let total = u32::from(!sum) + u32::from(!old) + u32::from(new);
    let once = (total & 0xffff) + (total >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "it was folded twice")]
    let folded = ((once & 0xffff) + (once >> 16)) as u16;
    !folded
}
