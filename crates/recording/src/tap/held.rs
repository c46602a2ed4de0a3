//! Packets that wait until nothing older can come.

use crate::blocks::Direction;

/// A packet, but for its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) stamp_ns: u64,
    pub(super) device: u32,
    pub(super) direction: Direction,
    /// Where its bytes stand.
    start: usize,
    len: usize,
}

/// Those that wait. Memory that was used once is used again.
#[derive(Debug, Default)]
pub(super) struct Held {
    packets: Vec<Packet>,
    bytes: Vec<u8>,
    /// What the next ones are moved to.
    spare: Vec<u8>,
}

impl Held {
    /// Bytes that are held.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn take(&mut self, stamp_ns: u64, device: u32, direction: Direction, bytes: &[u8]) {
        self.packets.push(Packet {
            stamp_ns,
            device,
            direction,
            start: self.bytes.len(),
            len: bytes.len(),
        });
        self.bytes.extend_from_slice(bytes);
    }

    /// The stamp up to which half of the packets were made, or more.
    pub(super) fn median_ns(&mut self) -> u64 {
        self.sort();
        let middle = self.packets.get(self.packets.len() / 2);
        middle.map_or(u64::MAX, |packet| packet.stamp_ns)
    }

    /// Gives those that were made up to then, in their order. Of one moment, those that were taken first come first.
    pub(super) fn release(&mut self, up_to_ns: u64, mut give: impl FnMut(Packet, &[u8])) {
        self.sort();
        let due = self.packets.partition_point(|it| it.stamp_ns <= up_to_ns);
        if due == 0 {
            return;
        }
        let Self {
            packets,
            bytes,
            spare,
        } = self;
        let of = |packet: &Packet| bytes.get(packet.start..packet.start + packet.len);
        for packet in packets.drain(..due) {
            give(packet, of(&packet).unwrap_or_default());
        }
        spare.clear();
        for packet in packets {
            let start = spare.len();
            spare.extend_from_slice(of(packet).unwrap_or_default());
            packet.start = start;
        }
        std::mem::swap(bytes, spare);
    }

    /// What is in order for the most part is sorted in one pass.
    fn sort(&mut self) {
        self.packets.sort_by_key(|packet| packet.stamp_ns);
    }
}
