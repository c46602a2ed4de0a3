//! The ring of a worker: the records that the programs leave for it.
//!
//! A ring starts small. A worker that finds much in it at a time asks once for a larger one ([`Growth`]), and reads both until
//! no program writes into the first any more. A record in the larger ring is not handed on before what the first held when it
//! was found: what caused it was written, and its packet had gone on, before its own program began.

use std::os::fd::{AsFd as _, BorrowedFd};

use abi::record::{KIND_CLIENT, KIND_CLONE, KIND_ONLINE, KIND_REPLY, KIND_TOO_BIG, RecordHeader};
use aya::maps::{MapData, RingBuf};
use crossbeam_channel::Sender;
use session::{Engine, Instant};

use super::duplicates::Duplicates;
use super::merge::Merge;

/// How a worker asks for a larger ring.
#[derive(Debug)]
pub(crate) struct Growth {
    /// The worker's number is what it says.
    pub(crate) worker: u32,
    pub(crate) asks: Sender<u32>,
    /// Bytes that it finds at a time before it asks.
    pub(crate) asks_from: usize,
}

/// The records of one worker.
pub(super) struct Ring {
    buffer: RingBuf<MapData>,
    /// The larger ring, while both are read.
    next: Option<RingBuf<MapData>>,
    /// Whether no program writes into `buffer` any more.
    settled: bool,
    /// Until it was used.
    growth: Option<Growth>,
    /// Bytes of the records that were taken since there were none left.
    backlog: usize,
    reader: Reader,
}

/// What becomes of a record.
struct Reader {
    bulk: bool,
    replied: Option<Instant>,
    broken: u64,
    /// What several devices show, of clients and of the online server.
    clients: Duplicates,
    online: Duplicates,
}

impl Ring {
    pub(super) fn new(buffer: RingBuf<MapData>, growth: Option<Growth>) -> Self {
        Self {
            buffer,
            next: None,
            settled: false,
            growth,
            backlog: 0,
            reader: Reader {
                bulk: false,
                replied: None,
                broken: 0,
                clients: Duplicates::new(),
                online: Duplicates::new(),
            },
        }
    }

    /// Entries that made no sense.
    pub(super) const fn broken(&self) -> u64 {
        self.reader.broken
    }

    /// Records of packets that another device had shown, of clients and of the online server.
    pub(super) const fn duplicates(&self) -> (u64, u64) {
        (self.reader.clients.found(), self.reader.online.found())
    }

    /// Whether a reply came, since this was last asked, that is more than one segment: its sender may wait for us.
    pub(super) fn take_bulk(&mut self) -> bool {
        std::mem::take(&mut self.reader.bulk)
    }

    /// When the first reply came since this was last asked.
    pub(super) fn take_replied(&mut self) -> Option<Instant> {
        self.reader.replied.take()
    }

    /// Becomes readable where a program wakes the worker. While [two rings are read](Self::is_growing) it may be the other one.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.buffer.as_fd()
    }

    /// Whether a larger ring takes the place of the first just now.
    pub(super) const fn is_growing(&self) -> bool {
        self.next.is_some()
    }

    /// The larger ring; programs begin to write into it.
    pub(super) fn grow(&mut self, next: RingBuf<MapData>) {
        self.next = Some(next);
    }

    /// No program writes into the first ring any more.
    pub(super) const fn settle(&mut self) {
        self.settled = true;
    }

    /// Hands at most `budget` records to the engine, or a few more while the ring grows; with `merge`, those of the online
    /// server are held.
    pub(super) fn take(
        &mut self,
        engine: &mut Engine,
        mut merge: Option<&mut Merge>,
        now: Instant,
        budget: usize,
    ) -> usize {
        let Self { buffer, reader, .. } = self;
        let mut taken = 0;
        while taken < budget {
            let Some(entry) = buffer.next() else { break };
            self.backlog += entry.len();
            taken += reader.hand_on(engine, merge.as_deref_mut(), now, &entry);
        }
        if self.next.is_some() && taken < budget {
            taken += self.take_next(engine, merge, now, budget - taken);
        }
        if let Some(growth) = &self.growth
            && self.backlog >= growth.asks_from
        {
            self.ask();
        }
        if taken < budget {
            self.backlog = 0;
        }
        taken
    }

    /// The same of the larger ring, where the first had nothing.
    #[cold]
    fn take_next(
        &mut self,
        engine: &mut Engine,
        mut merge: Option<&mut Merge>,
        now: Instant,
        budget: usize,
    ) -> usize {
        let Self {
            buffer,
            next,
            reader,
            ..
        } = self;
        let Some(next) = next else { return 0 };
        let mut taken = 0;
        while taken < budget {
            let entry = next.next();
            while let Some(earlier) = buffer.next() {
                taken += reader.hand_on(engine, merge.as_deref_mut(), now, &earlier);
            }
            let Some(entry) = entry else { break };
            taken += reader.hand_on(engine, merge.as_deref_mut(), now, &entry);
        }
        if self.settled
            && let Some(next) = self.next.take()
        {
            // Nothing was left in the first one.
            self.buffer = next;
        }
        taken
    }

    /// Asks for a larger ring, once.
    #[cold]
    fn ask(&mut self) {
        if let Some(growth) = self.growth.take() {
            // Whoever would make it has ended with the run, or is as busy as can be with those of the other workers.
            let _ = growth.asks.try_send(growth.worker);
        }
    }

    pub(super) fn is_empty(&mut self) -> bool {
        let has_next = self.next.as_mut().is_some_and(|next| !is_empty(next));
        !has_next && is_empty(&mut self.buffer)
    }
}

fn is_empty(buffer: &mut RingBuf<MapData>) -> bool {
    match buffer.next() {
        None => true,
        Some(entry) => {
            // Leaves the entry in the ring.
            std::mem::forget(entry);
            false
        }
    }
}

impl Reader {
    /// Hands a record to the engine; returns 1, or 0 where it is none.
    #[inline]
    fn hand_on(
        &mut self,
        engine: &mut Engine,
        merge: Option<&mut Merge>,
        now: Instant,
        entry: &[u8],
    ) -> usize {
        let Some((header, packet)) = RecordHeader::split(entry) else {
            self.broken += 1;
            return 0;
        };
        let stamp = Instant::from_nanos(header.stamp_ns);
        let is_second = match header.kind {
            KIND_CLIENT => self.clients.is_second(header.ifindex, stamp, packet),
            KIND_ONLINE => self.online.is_second(header.ifindex, stamp, packet),
            _ => false,
        };
        if is_second {
            return 1;
        }
        match (header.kind, merge) {
            (KIND_CLIENT, _) => engine.on_client_packet(now, stamp, packet),
            (KIND_ONLINE, None) => engine.on_online_packet(now, stamp, packet),
            (KIND_ONLINE, Some(merge)) => {
                if let Some(held) = merge.hold(stamp, packet) {
                    engine.on_online_packet(now, held.stamp, held.headers());
                }
            }
            (KIND_REPLY, _) => {
                self.bulk |= header.gso_size != 0;
                self.replied.get_or_insert(stamp);
                engine.on_target_packet(now, stamp, packet);
            }
            (KIND_CLONE, Some(merge)) => {
                if let Some(held) = merge.expect(stamp, header.frames()) {
                    engine.on_online_packet(now, held.stamp, held.headers());
                }
            }
            (KIND_TOO_BIG, _) => engine.on_too_big(now, packet),
            _ => self.broken += 1,
        }
        1
    }
}
