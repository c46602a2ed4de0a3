//! Merging of segments into super-packets, as a host's receive offload does it before anybody sees them, and as its
//! send offload does it after somebody has: `capture` and `observe` stand on the inner side of both.

use std::collections::BTreeMap;

use wire::segment::Segment;
use wire::tcp::Flags;

use crate::packet;

/// Largest IP packet.
const LEN_MAX: usize = 65_535;

/// A super-packet that may still grow.
#[derive(Debug)]
struct Held {
    packet: Vec<u8>,
    /// Payload of its first segment: a shorter one is the last.
    segment_len: u16,
    next: u32,
    segments: u32,
}

/// Packets that wait to be merged with the next ones of their flow.
#[derive(Debug, Default)]
pub(crate) struct Gro {
    held: BTreeMap<(u16, u16), Held>,
    pub(crate) merged: u64,
}

impl Gro {
    /// A packet arrives. Returns what need not wait any longer, in order.
    pub(crate) fn push(&mut self, packet: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(segment) = packet::valid(&packet) else {
            return vec![packet];
        };
        let flow = (segment.source.port, segment.destination.port);
        let plain = segment.payload_len > 0
            && segment.flags.contains(Flags::ACK)
            && !segment
                .flags
                .intersects(Flags::SYN.with(Flags::RST).with(Flags::URG));
        let mut leaving = vec![];
        if let Some(held) = self.held.get_mut(&flow) {
            if plain && fits(held, &packet, &segment) {
                packet::append(&mut held.packet, &packet);
                held.next = held.next.wrapping_add(u32::from(segment.payload_len));
                held.segments += 1;
                self.merged += 1;
                if is_last(&segment, held.segment_len) {
                    leaving.extend(self.held.remove(&flow).map(finish));
                }
                return leaving;
            }
            leaving.extend(self.held.remove(&flow).map(finish));
        }
        if plain && !is_last(&segment, 0) {
            let held = Held {
                segment_len: segment.payload_len,
                next: segment.seq.wrapping_add(u32::from(segment.payload_len)),
                packet,
                segments: 1,
            };
            self.held.insert(flow, held);
        } else {
            leaving.push(packet);
        }
        leaving
    }

    /// Nothing waits any longer.
    pub(crate) fn flush(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.held)
            .into_values()
            .map(finish)
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// Whether a segment goes on where the held ones end, with the same acknowledgement and the same options.
fn fits(held: &Held, packet: &[u8], segment: &Segment) -> bool {
    let Ok(first) = Segment::parse(&held.packet[..], 0) else {
        return false;
    };
    let options = |packet: &[u8], segment: &Segment| {
        packet[usize::from(segment.tcp_offset) + 20..usize::from(segment.payload_offset)].to_vec()
    };
    segment.seq == held.next
        && segment.ack == first.ack
        && segment.payload_len <= held.segment_len
        && options(&held.packet, &first) == options(packet, segment)
        && held.packet.len() + usize::from(segment.payload_len) <= LEN_MAX
}

/// Whether nothing may be merged behind a segment.
fn is_last(segment: &Segment, segment_len: u16) -> bool {
    segment.flags.intersects(Flags::PSH.with(Flags::FIN)) || segment.payload_len < segment_len
}

fn finish(mut held: Held) -> Vec<u8> {
    if held.segments > 1 {
        packet::offload_checksum(&mut held.packet);
    }
    held.packet
}
