//! What is held of flows that are on trial whether they may be joined, within limits.

use std::collections::HashMap;

use protocol::Opening;
use protocol::joining::Trial;
use wire::flow::FlowKey;
use wire::seq::{ClientSeq, Online, OnlineSeq};

use crate::limits::{TRIAL_HELD_MAX, TRIALS_HELD_MAX};
use crate::ordered::Ordered;
use crate::time::Instant;

/// The flows of one worker that are on trial.
#[derive(Debug, Default)]
pub(crate) struct Joining {
    pub(super) candidates: HashMap<FlowKey, Candidate>,
    /// Bytes that are held of all of them.
    held: usize,
}

/// One flow on trial.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) trial: Trial,
    /// The client's next byte.
    pub(super) next: ClientSeq,
    pub(super) online: Ordered<Online>,
    /// What both sides have said since the trial began, in the order in which it came; nothing where it cannot be joined there any more.
    pub(super) held: Option<Vec<Held>>,
    held_len: usize,
    /// It may be joined at the client's next byte.
    pub(super) is_ready: Option<Box<Opening>>,
    pub(super) at: Instant,
}

/// A packet that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) is_client: bool,
    pub(super) stamp: Instant,
    pub(super) packet: Box<[u8]>,
}

impl Candidate {
    pub(super) fn new(opening: &Opening, seq: ClientSeq, cause: OnlineSeq, now: Instant) -> Self {
        Self {
            trial: Trial::new(opening),
            next: seq,
            online: Ordered::new(cause),
            held: Some(Vec::new()),
            held_len: 0,
            is_ready: None,
            at: now,
        }
    }
}

impl Candidate {
    /// A response is complete, and the flow was not joined: it may be at its client's next byte, or the next message is held for that.
    pub(super) fn goes_on(&mut self, opening: Option<Box<Opening>>) {
        self.is_ready = opening.filter(|_| self.trial.is_outside());
        if self.is_ready.is_none() {
            self.held = Some(Vec::new());
        }
    }
}

impl Joining {
    /// Holds a packet of a flow. Returns whether all since its trial began is held.
    pub(super) fn hold(&mut self, flow: &FlowKey, packet: Held) -> bool {
        let Some(candidate) = self.candidates.get_mut(flow) else {
            return false;
        };
        let Some(held) = &mut candidate.held else {
            return false;
        };
        let len = packet.packet.len() + size_of::<Held>();
        held.push(packet);
        candidate.held_len += len;
        self.held += len;
        candidate.held_len <= TRIAL_HELD_MAX && self.held <= TRIALS_HELD_MAX
    }

    pub(super) fn take_held(&mut self, flow: &FlowKey) -> Vec<Held> {
        let Some(candidate) = self.candidates.get_mut(flow) else {
            return Vec::new();
        };
        self.held -= core::mem::take(&mut candidate.held_len);
        candidate.held.take().unwrap_or_default()
    }

    pub(super) fn remove(&mut self, flow: &FlowKey) -> Vec<Held> {
        let held = self.take_held(flow);
        self.candidates.remove(flow);
        held
    }
}
