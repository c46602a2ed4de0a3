//! Sessions by flow: the two tables that every packet asks.
//!
//! An entry is a slot number and the hash of the flow that it stands for; the flow itself stands in the session, so
//! that a million of them are not kept twice more.

use hashbrown::HashTable;
use wire::flow::FlowKey;
use wire::hash::FlowHash;

use crate::id::SessionId;

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    id: SessionId,
}

/// Sessions by one of their flows.
#[derive(Debug)]
pub(crate) struct Index {
    table: HashTable<Entry>,
    hash: FlowHash,
}

impl Index {
    /// An empty table. Clients choose their addresses and ports; the key of the hash they do not know.
    pub(crate) fn new(hash: FlowHash) -> Self {
        Self {
            table: HashTable::new(),
            hash,
        }
    }

    /// The session of `flow`; `stands_for` says whether a session's flow is the one.
    pub(crate) fn get(
        &self,
        flow: &FlowKey,
        stands_for: impl Fn(SessionId) -> bool,
    ) -> Option<SessionId> {
        let hash = self.hash.of(flow);
        let found = self.table.find(spread(hash), |entry| {
            entry.hash == hash && stands_for(entry.id)
        });
        found.map(|entry| entry.id)
    }

    /// Adds a session that is not in the table.
    pub(crate) fn insert(&mut self, flow: &FlowKey, id: SessionId) {
        let hash = self.hash.of(flow);
        self.table
            .insert_unique(spread(hash), Entry { hash, id }, |entry| spread(entry.hash));
    }

    /// Removes a session. Returns whether it stood there.
    pub(crate) fn remove(&mut self, flow: &FlowKey, id: SessionId) -> bool {
        let place = spread(self.hash.of(flow));
        let entry = self.table.find_entry(place, |entry| entry.id == id);
        entry
            .map(hashbrown::hash_table::OccupiedEntry::remove)
            .is_ok()
    }

    /// All sessions, in no order.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.table.iter().map(|entry| entry.id)
    }
}

/// hashbrown takes the top bits for its tags and the low ones for its buckets.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use wire::flow::{Addr, Endpoint, FlowKey};
    use wire::hash::FlowHash;

    use super::{Index, spread};

    fn flow(number: u32) -> FlowKey {
        let [_, a, b, c] = (number / 1000).to_be_bytes();
        FlowKey {
            client: Endpoint::new(Addr::v4([100, a, b, c]), 40_000 + (number % 1000) as u16),
            server: Endpoint::new(Addr::v4([10, 0, 0, 1]), 80),
        }
    }

    #[test]
    fn sessions_are_found_by_their_own_flow_alone() {
        let mut index = Index::new(FlowHash::new(1));
        for id in 0..1000 {
            index.insert(&flow(id), id);
        }
        let find = |index: &Index, number| index.get(&flow(number), |id| flow(id) == flow(number));
        assert!((0..1000).all(|id| find(&index, id) == Some(id)));
        assert_eq!(find(&index, 1000), None);
        assert!(index.remove(&flow(7), 7) && !index.remove(&flow(7), 7));
        assert_eq!(find(&index, 7), None);
        assert_eq!(index.sessions().count(), 999);
    }

    /// Flows that differ in a few bits fall into different buckets, nearly as if they were thrown.
    #[test]
    fn hashes_are_even() {
        let hash = FlowHash::new(1);
        let hashes: HashSet<u32> = (0..100_000).map(|number| hash.of(&flow(number))).collect();
        assert!(hashes.len() > 99_990);
        let buckets: HashSet<u64> = hashes
            .iter()
            .map(|&hash| spread(hash) % (1 << 17))
            .collect();
        // 131,072 buckets, 100,000 throws: about 70,000 hit.
        assert!(buckets.len() > 65_000, "{}", buckets.len());
    }
}
