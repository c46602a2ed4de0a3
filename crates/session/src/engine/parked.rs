//! Sessions that wait for their source: with the clients' own addresses a client's port can be used again while the
//! session before still closes its connection from there. First come, first served.
//!
//! Bounded by the sessions there may be; empty nearly always.

use std::collections::{HashMap, VecDeque};

use wire::flow::FlowKey;
use wire::hash::FlowHash;

use crate::id::SessionId;

/// Who waits for which source.
#[derive(Debug)]
pub(crate) struct Parked(HashMap<FlowKey, VecDeque<SessionId>, FlowHash>);

impl Parked {
    /// Nobody waits yet.
    pub(crate) fn new(hash: FlowHash) -> Self {
        Self(HashMap::with_hasher(hash))
    }

    /// A session waits for `source`, perhaps for some time already.
    pub(crate) fn insert(&mut self, source: FlowKey, id: SessionId) {
        let queue = self.0.entry(source).or_default();
        if !queue.contains(&id) {
            queue.push_back(id);
        }
    }

    /// Who has waited for `source` the longest.
    pub(crate) fn take(&mut self, source: &FlowKey) -> Option<SessionId> {
        let queue = self.0.get_mut(source)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.0.remove(source);
        }
        first
    }

    /// A session is gone.
    pub(crate) fn remove(&mut self, source: &FlowKey, id: SessionId) {
        if let Some(queue) = self.0.get_mut(source) {
            queue.retain(|waiting| *waiting != id);
            if queue.is_empty() {
                self.0.remove(source);
            }
        }
    }
}
