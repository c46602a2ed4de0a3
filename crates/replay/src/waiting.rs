//! Packets that wait for others.
//!
//! - **A wrong checksum.** Where offload has left it wrong on all packets, they are right all the same; where one packet was damaged,
//!   its sender sends the same bytes again. So a packet of a wrong checksum is taken once the online server acknowledges its
//!   bytes, and is dropped where a good copy of them comes.
//! - **An answer before its request, and the other way round.** Interfaces are read one after the other, and stamps of several differ: an online server's
//!   packet that acknowledges bytes which the file has not shown yet waits for them a moment, and so does a client's that
//!   acknowledges what the online server has not said yet.

use std::collections::VecDeque;

use wire::seq::{ClientSeq, OnlineSeq};

use crate::flows::Id;

/// Most packets that wait.
const WAITING_MAX: usize = 4096;
/// Most bytes of them.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// How long an answer waits for its request, in the file's time.
pub(crate) const EARLY_NS: u64 = 100_000_000;
/// How long a packet of a wrong checksum waits for a good one: the sender's timeout, twice backed off.
pub(crate) const DOUBTFUL_NS: u64 = 3_000_000_000;

/// What a packet waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// For the client's bytes before `ack`, or for the client to have seen what is before `end`.
    Request { ack: ClientSeq, end: OnlineSeq },
    /// For the online server's bytes before `ack`, which the client had seen.
    Answer { ack: OnlineSeq },
    /// For the acknowledgement of the client's bytes up to `end`, or for a copy of those from `start` on.
    Confirmation { start: ClientSeq, end: ClientSeq },
}

/// A packet that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: Id,
    pub(crate) what: For,
    /// Until when, in the file's time.
    until: u64,
    pub(crate) at_ns: u64,
    pub(crate) own_ns: u64,
    pub(crate) missing: u32,
    pub(crate) bytes: Box<[u8]>,
}

impl Held {
    pub(crate) fn new(
        id: Id,
        what: For,
        (at_ns, own_ns): (u64, u64),
        missing: u32,
        bytes: &[u8],
    ) -> Self {
        let patience = match what {
            For::Request { .. } | For::Answer { .. } => EARLY_NS,
            For::Confirmation { .. } => DOUBTFUL_NS,
        };
        Self {
            id,
            what,
            until: own_ns.saturating_add(patience),
            at_ns,
            own_ns,
            missing,
            bytes: bytes.into(),
        }
    }
}

/// All of them, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    held: VecDeque<Held>,
    bytes: usize,
}

impl Waiting {
    pub(crate) fn push(&mut self, held: Held) {
        self.bytes += held.bytes.len();
        self.held.push_back(held);
    }

    /// The oldest whose time is over at `own_ns`, or for which there is no room any more.
    pub(crate) fn overdue(&mut self, own_ns: u64) -> Option<Held> {
        let is_full = self.held.len() > WAITING_MAX || self.bytes > WAITING_BYTES_MAX;
        let at = if is_full {
            0
        } else {
            // Those of a wrong checksum wait longer, so a later one may be due first.
            self.held.iter().position(|held| held.until <= own_ns)?
        };
        self.remove(at)
    }

    /// The first of a flow for which `is_over` holds.
    pub(crate) fn take(&mut self, id: &Id, is_over: impl Fn(&For) -> bool) -> Option<Held> {
        let at = self
            .held
            .iter()
            .position(|held| held.id == *id && is_over(&held.what))?;
        self.remove(at)
    }

    /// The oldest, whatever it waits for.
    pub(crate) fn pop(&mut self) -> Option<Held> {
        self.remove(0)
    }

    fn remove(&mut self, at: usize) -> Option<Held> {
        let held = self.held.remove(at)?;
        self.bytes -= held.bytes.len();
        Some(held)
    }
}
