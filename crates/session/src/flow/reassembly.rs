//! What of a client's stream waits behind a hole.

use std::collections::VecDeque;

use wire::seq::{ClientSeq, OnlineSeq};

use super::Flow;
use super::multipath::Data;
use super::stream::{ClientStream, Piece};
use crate::arena::Arena;
use crate::event::Counters;
use crate::holes::Holes;
use crate::limits::{ALLOCATION_COST, REASSEMBLY_BYTES_MAX, REASSEMBLY_SEGMENTS_MAX};
use crate::time::Instant;

/// A segment that waits behind a hole, or what is new in it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) seq: ClientSeq,
    pub(super) bytes: Box<[u8]>,
    pub(super) cause: OnlineSeq,
    pub(super) stamp: Instant,
}

impl Waiting {
    /// What a segment of so many bytes costs.
    pub(super) const fn cost(len: usize) -> usize {
        len + size_of::<Self>() + ALLOCATION_COST
    }

    pub(super) fn end(&self) -> ClientSeq {
        self.seq + self.bytes.len() as u32
    }
}

/// What hardly any stream has: segments that wait behind a hole, by sequence number, without overlaps; what never will be in order;
/// and what Multipath TCP says.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    pub(super) segments: VecDeque<Waiting>,
    pub(super) bytes: usize,
    /// Bytes that never will be in order, as far as is known: what stood behind a hole that was never filled, what came after the end,
    /// and what is [dropped](Self::dropped).
    pub(super) unordered_bytes: u64,
    /// Where they end.
    pub(super) unordered_end: Option<ClientSeq>,
    /// What was missing among them.
    pub(super) holes: Holes,
    /// What of a stream that has not ended did not find room, or was given up: it may come again.
    dropped: Holes,
    /// Where the data stands that the connection carries (Multipath TCP), where its segments say so.
    pub(super) data: Option<Data>,
    /// How many of its flow's sessions have left, as some do before others once it has ended.
    left: u32,
}

impl Reassembly {
    /// What the segments cost.
    pub(super) fn cost(&self) -> usize {
        self.bytes + self.segments.len() * Waiting::cost(0)
    }

    /// These bytes are given up.
    fn drop_range(&mut self, start: ClientSeq, end: ClientSeq) {
        self.unordered_bytes += u64::from(self.dropped.put(start, end));
    }

    /// These bytes have come, perhaps again: what was given up of them is not.
    pub(super) fn take_back(&mut self, start: ClientSeq, end: ClientSeq) {
        let known = u64::from(self.dropped.fill(start, end));
        self.unordered_bytes = self.unordered_bytes.saturating_sub(known);
    }

    /// The stream has ended at `next`, behind which nothing will be in order any more.
    fn end_at(&mut self, next: ClientSeq) {
        let mut from = next;
        for (start, end) in core::mem::take(&mut self.dropped).iter() {
            self.holes.open(from, start);
            (from, self.unordered_end) = (end, Some(end));
        }
    }

    /// Whether all that there is to say is which bytes are missing.
    pub(super) fn only_misses(&self) -> bool {
        self.segments.is_empty() && self.unordered_bytes == 0 && self.data.is_none()
    }
}

impl Flow {
    /// What was missing of the client's bytes before the flow was joined: what comes of it all the same is in no turn.
    pub(crate) fn inherit(&mut self, holes: Holes) {
        if !holes.is_empty() {
            self.stream.waiting.get_or_insert_default().holes = holes;
        }
    }
}

impl ClientStream {
    /// Keeps what of a segment does not wait already.
    pub(super) fn store(
        &mut self,
        seq: ClientSeq,
        piece: Piece<'_>,
        arena: &mut Arena,
        counters: &mut Counters,
    ) {
        let end = seq + piece.bytes.len() as u32;
        let mut at = seq;
        while at < end {
            let segments = self.waiting.as_ref().map(|waiting| &waiting.segments);
            let index = segments.map_or(0, |s| s.partition_point(|waiting| waiting.end() <= at));
            let next = segments.and_then(|segments| segments.get(index));
            if let Some(known) = next.filter(|next| next.seq <= at) {
                at = known.end();
                continue;
            }
            let until = next.map_or(end, |next| next.seq.min(end));
            let bytes = &piece.bytes[at.ahead_of(seq) as usize..until.ahead_of(seq) as usize];
            let is_full = self.is_full(bytes.len()) || arena.is_full();
            let store = self.waiting.get_or_insert_default();
            if is_full {
                counters.reassembly_dropped += bytes.len() as u64;
                store.drop_range(at, until);
                at = until;
                continue;
            }
            arena.charge(Waiting::cost(bytes.len()));
            store.take_back(at, until);
            store.bytes += bytes.len();
            let waiting = Waiting {
                seq: at,
                bytes: bytes.into(),
                cause: piece.cause,
                stamp: piece.stamp,
            };
            store.segments.insert(index, waiting);
            at = until;
        }
    }

    /// Whether there is no room for another `len` bytes behind the hole.
    fn is_full(&self, len: usize) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| {
            waiting.segments.len() >= REASSEMBLY_SEGMENTS_MAX
                || waiting.bytes + len > REASSEMBLY_BYTES_MAX
        })
    }

    pub(super) fn drain_waiting(
        &mut self,
        arena: &mut Arena,
        take: &mut dyn FnMut(&mut Arena, Piece<'_>),
    ) {
        let Some(store) = &mut self.waiting else {
            return;
        };
        // In order of sequence number, so one pass fills everything up to the next hole.
        while let Some(waiting) = store
            .segments
            .pop_front_if(|waiting| waiting.seq <= self.next)
        {
            arena.discharge(Waiting::cost(waiting.bytes.len()));
            store.bytes -= waiting.bytes.len();
            let known = self.next.ahead_of(waiting.seq) as usize;
            if let Some(bytes) = waiting.bytes.get(known..).filter(|bytes| !bytes.is_empty()) {
                self.next += bytes.len() as u32;
                take(
                    arena,
                    Piece {
                        bytes,
                        cause: waiting.cause,
                        stamp: waiting.stamp,
                    },
                );
            }
        }
        if store.only_misses() && store.holes.is_empty() {
            self.waiting = None;
        }
    }

    /// Forgets what waits behind a hole.
    pub(crate) fn clear(&mut self, arena: &mut Arena) {
        if let Some(waiting) = &mut self.waiting {
            arena.discharge(waiting.cost());
            for segment in core::mem::take(&mut waiting.segments) {
                waiting.drop_range(segment.seq, segment.end());
            }
            waiting.bytes = 0;
            if self.end.is_some() {
                waiting.end_at(self.next);
            }
        }
    }

    /// A session has left that was not the last.
    pub(super) fn note_left(&mut self) {
        self.waiting.get_or_insert_default().left += 1;
    }

    /// Bytes that came and are in no turn, and `held` that a module holds, as the last of the sessions leaves: so many times as there were
    /// sessions.
    pub(super) fn unordered_bytes_of_all(&self, held: u64) -> u64 {
        self.waiting.as_ref().map_or(held, |waiting| {
            let bytes = waiting.unordered_bytes + waiting.bytes as u64 + held;
            bytes * u64::from(waiting.left + 1)
        })
    }

    /// Bytes that wait behind a hole.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// What they cost.
    pub(crate) fn waiting_cost(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.cost())
    }

    /// How many turns later than `cause` have begun behind the hole.
    pub(crate) fn turns_behind_hole(&self, cause: OnlineSeq) -> u64 {
        let mut latest = cause;
        let mut turns = 0;
        let waiting = self.waiting.iter().flat_map(|waiting| &waiting.segments);
        for waiting in waiting {
            if latest < waiting.cause {
                latest = waiting.cause;
                turns += 1;
            }
        }
        turns
    }
}
