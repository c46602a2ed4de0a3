//! Fragments of IP packets, put together again.
//!
//! Bounded in packets, bytes and time: what is given up for a bound is counted by its fragments. Of bytes that come twice
//! the first ones stay.

use std::collections::{HashMap, VecDeque};

use wire::flow::Addr;

/// Packets that wait for fragments at a time.
const WAITING_MAX: usize = 1024;
/// Bytes that they may take in all.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Places in the order of beginnings, at most: a packet that is done leaves its place behind.
const ORDER_MAX: usize = 4 * WAITING_MAX;
/// How long a packet waits for its last fragment, in nanoseconds of the capture's time: as long as Linux waits.
const WAIT_NS: u64 = 30_000_000_000;
/// Stretches of a packet that may stand apart. Fragments of at least 8 bytes fill 64 KB in 8,192 of them.
const STRETCHES_MAX: usize = 64;
/// The longest packet, in bytes from the IP header on.
const PACKET_BYTES_MAX: usize = 65_535;

/// Which packet a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) source: Addr,
    pub(super) destination: Addr,
    pub(super) protocol: u8,
    pub(super) id: u32,
    pub(super) network: u32,
}

/// A fragment, whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) key: Key,
    pub(super) at_ns: u64,
    /// Where its payload belongs, in bytes.
    pub(super) at: usize,
    pub(super) is_last: bool,
    /// The IP header, without extensions.
    pub(super) header: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// A packet of which not all is there.
#[derive(Debug, Default)]
struct Waiting {
    since_ns: u64,
    /// Which one of its key it is: keys come again.
    number: u64,
    fragments: u64,
    /// Header and payload; holes are zeros until they are filled.
    packet: Vec<u8>,
    header_len: usize,
    /// What is there of the payload, in order, apart from each other.
    stretches: Vec<(usize, usize)>,
    /// Length of the payload, once the last fragment has said so.
    len: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: HashMap<Key, Waiting>,
    /// In the order in which they began, some of them gone.
    order: VecDeque<(Key, u64)>,
    number: u64,
    bytes: usize,
    /// Memory of a packet that is done with, and of its stretches.
    spare: Vec<u8>,
    spare_stretches: Vec<(usize, usize)>,
}

impl Fragments {
    /// Takes a fragment, and gives the packet that it completes. `left` counts fragments that are given up.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>, left: &mut u64) -> Option<Vec<u8>> {
        self.expire(fragment.at_ns, left);
        let end = fragment.at + fragment.payload.len();
        // All fragments but the last carry a multiple of eight bytes.
        let is_odd = !fragment.is_last && !fragment.payload.len().is_multiple_of(8);
        if fragment.header.len() + end > PACKET_BYTES_MAX || is_odd || fragment.payload.is_empty() {
            *left += 1;
            return None;
        }
        if !self.waiting.contains_key(&fragment.key) {
            self.begin(fragment, left);
        }
        let waiting = self.waiting.get_mut(&fragment.key)?;
        let before = waiting.packet.capacity();
        let is_sound = waiting.take(fragment, end);
        self.bytes = (self.bytes + waiting.packet.capacity()).saturating_sub(before);
        if !is_sound {
            self.give_up(&fragment.key, left);
            return None;
        }
        if !waiting.is_whole() {
            while self.bytes > WAITING_BYTES_MAX && self.give_up_oldest(left) {}
            return None;
        }
        let mut waiting = self.waiting.remove(&fragment.key)?;
        self.bytes = self.bytes.saturating_sub(waiting.packet.capacity());
        self.spare_stretches = std::mem::take(&mut waiting.stretches);
        Some(waiting.finish(&fragment.key))
    }

    /// Takes back the memory of a packet that was given out.
    pub(super) fn give_back(&mut self, packet: Vec<u8>) {
        self.spare = packet;
    }

    fn begin(&mut self, fragment: &Fragment<'_>, left: &mut u64) {
        while self.waiting.len() >= WAITING_MAX && self.give_up_oldest(left) {}
        self.number += 1;
        let mut packet = std::mem::take(&mut self.spare);
        packet.clear();
        let mut stretches = std::mem::take(&mut self.spare_stretches);
        stretches.clear();
        packet.extend_from_slice(fragment.header);
        self.bytes += packet.capacity();
        self.order.push_back((fragment.key, self.number));
        if self.order.len() > ORDER_MAX {
            let waiting = &self.waiting;
            self.order.retain(|(key, number)| {
                *number == self.number || waiting.get(key).is_some_and(|it| it.number == *number)
            });
        }
        let waiting = Waiting {
            since_ns: fragment.at_ns,
            number: self.number,
            header_len: packet.len(),
            packet,
            stretches,
            ..Waiting::default()
        };
        self.waiting.insert(fragment.key, waiting);
    }

    /// Gives up what has waited for too long, by the time of the capture, which may jump.
    fn expire(&mut self, now_ns: u64, left: &mut u64) {
        while let Some((key, number)) = self.order.front() {
            let waiting = self
                .waiting
                .get(key)
                .filter(|waiting| waiting.number == *number);
            if waiting.is_some_and(|waiting| now_ns.abs_diff(waiting.since_ns) <= WAIT_NS) {
                return;
            }
            self.give_up_oldest(left);
        }
    }

    /// Gives up the packet that has waited longest, and says whether there was one.
    fn give_up_oldest(&mut self, left: &mut u64) -> bool {
        let Some((key, number)) = self.order.pop_front() else {
            return false;
        };
        if self
            .waiting
            .get(&key)
            .is_some_and(|waiting| waiting.number == number)
        {
            self.give_up(&key, left);
        }
        true
    }

    fn give_up(&mut self, key: &Key, left: &mut u64) {
        if let Some(waiting) = self.waiting.remove(key) {
            *left += waiting.fragments;
            self.bytes = self.bytes.saturating_sub(waiting.packet.capacity());
        }
    }
}

impl Waiting {
    /// Takes a fragment that ends at `end`, and says whether it fits the others.
    fn take(&mut self, fragment: &Fragment<'_>, end: usize) -> bool {
        self.fragments += 1;
        if fragment.at == 0 && fragment.header.len() == self.header_len {
            self.packet[..self.header_len].copy_from_slice(fragment.header);
        }
        if fragment.is_last && self.len.replace(end).is_some_and(|len| len != end) {
            return false;
        }
        if self
            .len
            .is_some_and(|len| end > len || self.stretches.last().is_some_and(|last| last.1 > len))
        {
            return false;
        }
        if self.packet.len() < self.header_len + end {
            self.packet.resize(self.header_len + end, 0);
        }
        self.fill(fragment.at, fragment.payload);
        self.stretches.len() <= STRETCHES_MAX
    }

    /// Copies what is not there yet.
    fn fill(&mut self, start: usize, payload: &[u8]) {
        let end = start + payload.len();
        let mut at = start;
        let mut joined = (start, end);
        let first = self.stretches.partition_point(|have| have.1 < start);
        let last = self.stretches.partition_point(|have| have.0 <= end);
        for have in self.stretches.drain(first..last) {
            if at < have.0 {
                self.packet[self.header_len + at..self.header_len + have.0]
                    .copy_from_slice(&payload[at - start..have.0 - start]);
            }
            at = at.max(have.1);
            joined = (joined.0.min(have.0), joined.1.max(have.1));
        }
        if at < end {
            self.packet[self.header_len + at..self.header_len + end]
                .copy_from_slice(&payload[at - start..]);
        }
        self.stretches.insert(first, joined);
    }

    fn is_whole(&self) -> bool {
        self.len.is_some_and(|len| self.stretches[..] == [(0, len)])
    }

    /// The packet with a header that says what it is now.
    fn finish(mut self, key: &Key) -> Vec<u8> {
        let packet = &mut self.packet;
        // Its length was looked at with each fragment.
        if key.source.is_v4() {
            let len = packet.len() as u16;
            packet[2..4].copy_from_slice(&len.to_be_bytes());
            packet[6] &= 0x40;
            packet[7] = 0;
            packet[10..12].fill(0);
            let sum = wire::checksum::Sum::default()
                .bytes(&packet[..self.header_len])
                .finish();
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            let len = (packet.len() - self.header_len) as u16;
            packet[4..6].copy_from_slice(&len.to_be_bytes());
            packet[6] = key.protocol;
        }
        self.packet
    }
}

#[cfg(test)]
mod tests {
    use wire::flow::Addr;

    use super::{Fragment, Fragments, Key, ORDER_MAX, WAITING_BYTES_MAX};

    fn fragment(id: u32, at: usize, payload: &[u8]) -> Fragment<'_> {
        let addr = Addr::v4([10, 0, 0, 1]);
        Fragment {
            key: Key {
                source: addr,
                destination: addr,
                protocol: 6,
                id,
                network: 0,
            },
            at_ns: 5,
            at,
            is_last: at > 0,
            header: &[0x45; 20],
            payload,
        }
    }

    /// While the first one waits, and the clock stands still.
    #[test]
    fn packets_that_are_done_leave_nothing_behind() {
        let (mut fragments, mut left) = (Fragments::default(), 0);
        assert!(fragments.add(&fragment(0, 0, &[1; 8]), &mut left).is_none());
        for id in 1..50_000 {
            assert!(
                fragments
                    .add(&fragment(id, 0, &[1; 8]), &mut left)
                    .is_none()
            );
            let packet = fragments
                .add(&fragment(id, 8, &[2]), &mut left)
                .expect("it is whole");
            fragments.give_back(packet);
        }
        assert!(fragments.order.len() <= ORDER_MAX);
        assert_eq!((fragments.waiting.len(), left), (1, 0));
        assert!(fragments.add(&fragment(0, 8, &[2]), &mut left).is_some());
        assert_eq!(fragments.bytes, 0);
    }

    #[test]
    fn bytes_are_bounded_whatever_waits() {
        let (mut fragments, mut left) = (Fragments::default(), 0);
        for id in 0..5000 {
            assert!(
                fragments
                    .add(&fragment(id, 64_000, &[1]), &mut left)
                    .is_none()
            );
            assert!(fragments.bytes <= WAITING_BYTES_MAX);
        }
        let held: usize = fragments
            .waiting
            .values()
            .map(|it| it.packet.capacity())
            .sum();
        assert_eq!(fragments.bytes, held);
        assert_eq!(left + fragments.waiting.len() as u64, 5000);
    }
}
