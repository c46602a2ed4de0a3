//! The nursery: flows that have no session yet, because their handshake is under way or because their first turn
//! boundary has not been seen.
//!
//! It is a direct-mapped table: a newer flow takes the place of an older one that hashes to the same slot. So it can
//! neither grow under a SYN flood nor be slow, and what is lost by it is counted.

use wire::flow::FlowKey;
use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::Options;

use crate::config::RuleId;
use crate::limits::{NURSERY_AGE, NURSERY_SLOTS};
use crate::time::Instant;

/// What is known of a flow without a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Infant {
    /// Its SYN was captured.
    Syn(Handshake),
    /// It was running before we came; what was last seen of either side.
    Running {
        /// The highest acknowledgement number of the client's segments with payload.
        cause: Option<OnlineSeq>,
        /// Where the client's bytes end, as far as seen.
        next: Option<ClientSeq>,
        /// What the online server had acknowledged when it last sent payload.
        answered: Option<ClientSeq>,
        /// The rule that it was copied by until a gap, where it was: what is answered until it is joined again was
        /// lost to us, and is counted.
        copied: Option<RuleId>,
    },
}

/// The client's half of a handshake, and the online server's answer once it was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake {
    /// The client's initial sequence number.
    pub(crate) isn: ClientSeq,
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    pub(crate) timestamps: bool,
    /// The online server's initial sequence number, where a SYN-ACK came and no session was opened for it.
    pub(crate) online_isn: Option<OnlineSeq>,
}

impl Handshake {
    /// What a SYN said.
    pub(crate) fn new(isn: ClientSeq, options: &Options) -> Self {
        Self {
            isn,
            mss: options.mss,
            window_scale: options.window_scale,
            sack_permitted: options.sack_permitted,
            timestamps: options.timestamps.is_some(),
            online_isn: None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    flow: FlowKey,
    infant: Infant,
    at: Instant,
}

/// All the infants of a worker.
#[derive(Debug)]
pub(crate) struct Nursery {
    slots: Box<[Option<Slot>]>,
}

impl Nursery {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![None; NURSERY_SLOTS].into_boxed_slice(),
        }
    }

    /// What is known of `flow`.
    pub(crate) fn get(&mut self, flow: &FlowKey, now: Instant) -> Option<&mut Infant> {
        let slot = self.slots[Self::place(flow)].as_mut()?;
        (slot.flow == *flow && now.since(slot.at) < NURSERY_AGE).then_some(&mut slot.infant)
    }

    /// Remembers `infant`, and returns whether another living flow had to make place.
    pub(crate) fn put(&mut self, flow: FlowKey, infant: Infant, now: Instant) -> bool {
        let slot = &mut self.slots[Self::place(&flow)];
        let displaced = slot.is_some_and(|old| old.flow != flow && now.since(old.at) < NURSERY_AGE);
        *slot = Some(Slot {
            flow,
            infant,
            at: now,
        });
        displaced
    }

    /// Forgets `flow`.
    pub(crate) fn remove(&mut self, flow: &FlowKey) {
        let slot = &mut self.slots[Self::place(flow)];
        if slot.is_some_and(|old| old.flow == *flow) {
            *slot = None;
        }
    }

    fn place(flow: &FlowKey) -> usize {
        flow.hash(0x6e75_7273) as usize % NURSERY_SLOTS
    }
}
