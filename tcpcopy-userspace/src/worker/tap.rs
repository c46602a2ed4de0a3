//! What a worker sends and receives, copied for the file of `--tap`.
//!
//! **Invariant:** the worker never waits for the file. It copies into memory that the thread which writes has given back; where there is
//! none, or no room, the packet is counted and missing in the file alone. Nothing is allocated, and no lock is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abi::record::{KIND_CLIENT, KIND_REPLY, RECORD_HEADER_LEN, RecordHeader};
use crossbeam_channel::{Receiver, Sender, bounded};
use session::Instant;
use wire::ethernet;
use wire::flow::Addr;

/// Bytes of a batch.
const BATCH_LEN: usize = 256 << 10;
/// Batches of each worker: 8 MiB, of which a quiet run touches the first pages alone.
const BATCHES: usize = 32;
/// How long a batch that is not full waits.
const HAND_OVER_EVERY: Duration = Duration::from_millis(100);

/// Packets on their way to the file: records as those of the programs, of the kinds [`KIND_CLIENT`] (sent) and [`KIND_REPLY`]
/// (received).
#[derive(Debug)]
pub(crate) struct Batch {
    /// Whose memory it is.
    worker: usize,
    bytes: Vec<u8>,
}

impl Batch {
    /// The packets, each with its record's header.
    pub(crate) fn packets(&self) -> impl Iterator<Item = (RecordHeader, &[u8])> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (header, packet) = RecordHeader::split(rest)?;
            rest = rest.get(RECORD_HEADER_LEN + packet.len()..)?;
            Some((header, packet))
        })
    }
}

/// The end of the thread that writes.
#[derive(Debug)]
pub(crate) struct Drain {
    full: Receiver<Batch>,
    free: Vec<Sender<Vec<u8>>>,
}

impl Drain {
    /// What workers hand over; closed once all of them have ended.
    pub(crate) const fn batches(&self) -> &Receiver<Batch> {
        &self.full
    }

    /// Gives the memory of a batch back.
    pub(crate) fn give_back(&self, mut batch: Batch) {
        batch.bytes.clear();
        if let Some(free) = self.free.get(batch.worker) {
            // There is room for all that a worker has; one that has ended needs none.
            let _ = free.try_send(batch.bytes);
        }
    }

    /// Gives nothing back any more: from then on workers find no memory, and count.
    pub(crate) fn close(&mut self) {
        self.free.clear();
    }
}

/// The ends of the workers, and that of the thread that writes.
pub(crate) fn channel(workers: usize, lost: &Arc<Lost>) -> (Vec<Tap>, Drain) {
    let (hand_over, full) = bounded(BATCHES * workers);
    let mut drain = Drain {
        full,
        free: Vec::new(),
    };
    let tap = |worker| {
        let (give_back, free) = bounded(BATCHES);
        for _ in 1..BATCHES {
            let sent = give_back.send(Vec::with_capacity(BATCH_LEN));
            sent.expect("both ends are here");
        }
        drain.free.push(give_back);
        Tap {
            worker,
            batch: Vec::with_capacity(BATCH_LEN),
            begun: None,
            free,
            full: hand_over.clone(),
            lost: Arc::clone(lost),
        }
    };
    let taps = (0..workers).map(tap).collect();
    (taps, drain)
}

/// A worker's end.
#[derive(Debug)]
pub(crate) struct Tap {
    worker: usize,
    /// Without any memory where there was none.
    batch: Vec<u8>,
    /// When the batch was begun, where something is in it.
    begun: Option<Instant>,
    free: Receiver<Vec<u8>>,
    full: Sender<Batch>,
    lost: Arc<Lost>,
}

impl Tap {
    /// A frame was put into the ring of those that leave.
    pub(super) fn sent(&mut self, now: Instant, frame: &[u8]) {
        let packet = frame.get(ethernet::HEADER_LEN..).unwrap_or_default();
        self.put(KIND_CLIENT, now, packet);
    }

    /// In a dry run: this packet, from its IP header on, was not sent.
    pub(super) fn would_be_sent(&mut self, now: Instant, packet: &[u8]) {
        self.put(KIND_CLIENT, now, packet);
    }

    /// A packet of a target came, or as much of it as is known.
    pub(super) fn received(&mut self, stamp: Instant, packet: &[u8]) {
        self.put(KIND_REPLY, stamp, packet);
    }

    /// When a batch that is not full is to be handed over all the same.
    pub(super) fn due(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + HAND_OVER_EVERY)
    }

    /// Hands over what is due.
    pub(super) fn look(&mut self, now: Instant) {
        match self.begun {
            None if !self.batch.is_empty() => self.begun = Some(now),
            Some(begun) if now.since(begun) >= HAND_OVER_EVERY => self.hand_over(),
            _ => {}
        }
    }

    /// Hands over what is there.
    pub(super) fn hand_over(&mut self) {
        self.begun = None;
        if self.batch.is_empty() {
            return;
        }
        let next = self.free.try_recv().unwrap_or_default();
        let bytes = std::mem::replace(&mut self.batch, next);
        let worker = self.worker;
        // There is room for all that the workers have, so it fails where nobody writes any more.
        if let Err(error) = self.full.try_send(Batch { worker, bytes }) {
            self.lost.count_all(&error.into_inner());
        }
    }

    fn put(&mut self, kind: u32, stamp: Instant, packet: &[u8]) {
        let len = RECORD_HEADER_LEN + packet.len();
        if self.batch.len() + len > self.batch.capacity() && !self.make_room(len) {
            self.lost.count(kind, packet);
            return;
        }
        let header = RecordHeader {
            stamp_ns: stamp.as_nanos(),
            kind,
            captured_len: u32::try_from(packet.len()).unwrap_or(u32::MAX),
            ifindex: 0,
            gso_size: 0,
        };
        self.batch.extend_from_slice(&header.to_bytes());
        self.batch.extend_from_slice(packet);
    }

    #[cold]
    fn make_room(&mut self, len: usize) -> bool {
        self.hand_over();
        if self.batch.capacity() == 0 {
            self.batch = self.free.try_recv().unwrap_or_default();
        }
        len <= self.batch.capacity()
    }
}

/// Packets that are missing in the file, of each target.
#[derive(Debug)]
pub(crate) struct Lost {
    targets: Vec<Addr>,
    packets: Vec<AtomicU64>,
}

impl Lost {
    /// Nothing is missing of these targets.
    pub(crate) fn new(targets: Vec<Addr>) -> Self {
        let packets = targets.iter().map(|_| AtomicU64::new(0)).collect();
        Self { targets, packets }
    }

    /// Which of the targets a packet went to or came from. What routers say of a packet counts as the first one's.
    pub(crate) fn target_of(&self, kind: u32, packet: &[u8]) -> usize {
        let end = far_end(kind, packet);
        let known = self.targets.iter().position(|target| Some(*target) == end);
        known.unwrap_or(0)
    }

    /// The packets of a batch are missing.
    pub(crate) fn count_all(&self, batch: &Batch) {
        for (header, packet) in batch.packets() {
            self.count(header.kind, packet);
        }
    }

    fn count(&self, kind: u32, packet: &[u8]) {
        self.add(self.target_of(kind, packet), 1);
    }

    /// So many packets of a target are missing.
    pub(crate) fn add(&self, target: usize, packets: u64) {
        if let Some(count) = self.packets.get(target) {
            count.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// How many are missing, of each target.
    pub(crate) fn of_targets(&self) -> impl Iterator<Item = u64> {
        let counts = self.packets.iter();
        counts.map(|count| count.load(Ordering::Relaxed))
    }

    /// How many are missing.
    pub(crate) fn total(&self) -> u64 {
        self.of_targets().sum()
    }
}

/// Where a packet was sent to, or came from.
fn far_end(kind: u32, packet: &[u8]) -> Option<Addr> {
    let is_v4 = packet.first()? >> 4 == 4;
    let (from, to) = if is_v4 { (12, 16) } else { (8, 24) };
    let rest = packet.get(if kind == KIND_CLIENT { to } else { from }..)?;
    if is_v4 {
        rest.first_chunk().copied().map(Addr::v4)
    } else {
        rest.first_chunk().copied().map(Addr::v6)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use abi::record::{KIND_CLIENT, KIND_REPLY};
    use session::Instant;
    use wire::flow::Addr;

    use super::{BATCH_LEN, BATCHES, HAND_OVER_EVERY, Lost, channel};

    const TARGETS: [[u8; 4]; 2] = [[10, 0, 0, 1], [10, 0, 0, 2]];

    fn packet(from: [u8; 4], to: [u8; 4], len: usize) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        packet.extend(from);
        packet.extend(to);
        packet.resize(len, 0);
        packet
    }

    fn lost() -> Arc<Lost> {
        Arc::new(Lost::new(TARGETS.map(Addr::v4).to_vec()))
    }

    #[test]
    fn what_goes_in_comes_out_once_it_is_handed_over() {
        let lost = lost();
        let (mut taps, drain) = channel(2, &lost);
        let tap = &mut taps[1];
        let question = packet([9; 4], TARGETS[0], 40);
        let frame = [&[0; 14], &question[..]].concat();
        tap.sent(Instant::from_nanos(7), &frame);
        tap.received(Instant::from_nanos(5), &packet(TARGETS[0], [9; 4], 30));
        // A batch that is not full waits, and not for ever.
        let now = Instant::from_nanos(1);
        tap.look(now);
        assert_eq!(tap.due(), Some(now + HAND_OVER_EVERY));
        tap.look(now + HAND_OVER_EVERY / 2);
        assert!(drain.batches().try_recv().is_err());
        tap.look(now + HAND_OVER_EVERY);
        assert_eq!(tap.due(), None);
        tap.hand_over();
        let batch = drain.batches().try_recv().expect("a batch");
        let kinds: Vec<_> = batch
            .packets()
            .map(|(header, packet)| (header.kind, header.stamp_ns, packet.len()))
            .collect();
        assert_eq!(kinds, [(KIND_CLIENT, 7, 40), (KIND_REPLY, 5, 30)]);
        drain.give_back(batch);
        assert!(drain.batches().try_recv().is_err());
        assert_eq!(lost.total(), 0);
    }

    #[test]
    fn who_writes_nothing_costs_packets_and_no_memory_and_they_are_counted_by_target() {
        let lost = lost();
        let (mut taps, drain) = channel(1, &lost);
        let tap = &mut taps[0];
        let large = packet(TARGETS[1], [9; 4], BATCH_LEN / 2);
        for n in 0..BATCHES as u64 {
            tap.received(Instant::from_nanos(n), &large);
        }
        assert_eq!(lost.total(), 0, "each batch has room for one");
        tap.received(Instant::from_nanos(0), &large);
        tap.sent(Instant::from_nanos(0), &[0; 20]);
        assert_eq!(lost.of_targets().collect::<Vec<_>>(), [1, 1]);
        assert_eq!(drain.batches().len(), BATCHES);
        // Once something is written there is room again.
        let batch = drain.batches().try_recv().expect("a batch");
        drain.give_back(batch);
        tap.received(Instant::from_nanos(0), &large);
        assert_eq!(lost.total(), 2);
        // Where nobody writes any more everything is counted, what was in a batch included.
        drop(drain);
        tap.hand_over();
        tap.received(Instant::from_nanos(0), &large);
        assert_eq!(lost.of_targets().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_target_is_found_by_its_address() {
        let v6 = Addr::v6([0xfd; 16]);
        let lost = Lost::new(vec![Addr::v4(TARGETS[0]), v6]);
        let mut packet = vec![0x60; 40];
        packet[8..24].fill(0xfd);
        assert_eq!(lost.target_of(KIND_REPLY, &packet), 1);
        assert_eq!(lost.target_of(KIND_CLIENT, &packet), 0);
        assert_eq!(lost.target_of(KIND_CLIENT, &packet[..3]), 0);
    }
}
