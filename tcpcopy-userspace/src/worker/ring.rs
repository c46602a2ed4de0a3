//! The ring of a worker: the records that the programs leave for it.

use std::os::fd::{AsFd as _, BorrowedFd};

use abi::record::{KIND_CLIENT, KIND_CLONE, KIND_ONLINE, KIND_REPLY, KIND_TOO_BIG, RecordHeader};
use ring::Entries;
use session::{Engine, Instant};

use super::duplicates::Duplicates;
use super::merge::Merge;
use super::payload::Payload;
use super::tap::Tap;

/// The records of one worker.
pub(super) struct Ring {
    entries: Entries,
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
    /// Where some rule has a protocol module.
    payload: Option<Payload>,
}

impl Ring {
    pub(super) fn new(entries: Entries, payload: Option<Payload>) -> Self {
        Self {
            entries,
            reader: Reader {
                bulk: false,
                replied: None,
                broken: 0,
                clients: Duplicates::new(),
                online: Duplicates::new(),
                payload,
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

    /// What came of the responses that a protocol module reads.
    pub(super) const fn payload(&self) -> Option<&Payload> {
        self.reader.payload.as_ref()
    }

    /// Whether a reply came, since this was last asked, that is more than one segment: its sender may wait for us.
    pub(super) fn take_bulk(&mut self) -> bool {
        std::mem::take(&mut self.reader.bulk)
    }

    /// When the first reply came since this was last asked.
    pub(super) fn take_replied(&mut self) -> Option<Instant> {
        self.reader.replied.take()
    }

    /// Becomes readable where a program wakes the worker.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.entries.as_fd()
    }

    /// Hands at most `budget` records to the engine; with `merge`, those of the online server are held.
    pub(super) fn take(
        &mut self,
        engine: &mut Engine,
        mut merge: Option<&mut Merge>,
        mut tap: Option<&mut Tap>,
        now: Instant,
        budget: usize,
    ) -> usize {
        let Self { entries, reader } = self;
        let mut taken = 0;
        // What the kernel does not map stays there, and `is_empty` says why.
        let _ = entries.read(|entry| {
            taken += reader.hand_on(engine, merge.as_deref_mut(), tap.as_deref_mut(), now, entry);
            taken < budget
        });
        taken
    }

    /// Whether there are no records.
    ///
    /// # Errors
    ///
    /// Where there are some that cannot be read.
    pub(super) fn is_empty(&mut self) -> nix::Result<bool> {
        self.entries.is_empty()
    }
}

impl Reader {
    /// Hands a record to the engine; returns 1, or 0 where it is none.
    #[inline]
    fn hand_on(
        &mut self,
        engine: &mut Engine,
        merge: Option<&mut Merge>,
        tap: Option<&mut Tap>,
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
        if let Some(payload) = &mut self.payload {
            match header.kind {
                KIND_ONLINE => payload.of_online(packet),
                KIND_REPLY => payload.of_target(packet),
                _ => {}
            }
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
                if let Some(tap) = tap {
                    tap.received(stamp, packet);
                }
                engine.on_target_packet(now, stamp, packet);
            }
            (KIND_CLONE, Some(merge)) => {
                if let Some(held) = merge.expect(stamp, header.frames()) {
                    engine.on_online_packet(now, held.stamp, held.headers());
                }
            }
            (KIND_TOO_BIG, _) => {
                if let Some(tap) = tap {
                    tap.received(stamp, packet);
                }
                engine.on_too_big(now, packet);
            }
            _ => self.broken += 1,
        }
        1
    }
}
