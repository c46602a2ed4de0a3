//! The lanes of a gate: a table that never grows beyond its bound. A network that comes when it is full takes the place of one
//! that has been silent for long, whose proof is forgotten with it: that costs a probe, and no client anything.

use std::collections::{BTreeSet, HashMap};

use wire::flow::Addr;
use wire::hash::FlowHash;

use super::lane::{Lane, State};
use crate::limits::PREFIXES_MAX;
use crate::time::Instant;

/// Number of a lane.
pub(crate) type LaneId = u32;

/// How many lanes are looked at for one to be forgotten.
const LOOKED_AT: usize = 32;

#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<(Lane, Option<Instant>)>,
    by_network: HashMap<Addr, LaneId, FlowHash>,
    /// When something is due in which lane.
    due: BTreeSet<(Instant, LaneId)>,
    open: usize,
    /// Where the search for one to forget goes on.
    hand: usize,
}

impl Lanes {
    pub(super) fn new(hash: FlowHash) -> Self {
        Self {
            lanes: Vec::new(),
            by_network: HashMap::with_hasher(hash),
            due: BTreeSet::new(),
            open: 0,
            hand: 0,
        }
    }

    #[inline(never)]
    pub(super) fn find(&self, network: &Addr) -> Option<LaneId> {
        self.by_network.get(network).copied()
    }

    pub(super) fn get(&self, id: LaneId) -> &Lane {
        &self.lanes[id as usize].0
    }

    pub(super) fn get_mut(&mut self, id: LaneId) -> &mut Lane {
        &mut self.lanes[id as usize].0
    }

    pub(super) fn first(&self) -> Option<LaneId> {
        (!self.lanes.is_empty()).then_some(0)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = LaneId> + use<> {
        0..self.lanes.len() as LaneId
    }

    /// Puts a lane in. Returns its number and whether another was forgotten for it; `None` where none can be.
    pub(super) fn insert(&mut self, lane: Lane) -> Option<(LaneId, bool)> {
        let network = lane.network;
        let is_open = lane.state == State::Open;
        let forgotten = self.lanes.len() >= PREFIXES_MAX;
        let id = if forgotten {
            let id = self.stalest()?;
            self.arm(id, None);
            let old = core::mem::replace(self.get_mut(id), lane);
            self.by_network.remove(&old.network);
            self.open -= usize::from(old.state == State::Open);
            id
        } else {
            self.lanes.push((lane, None));
            (self.lanes.len() - 1) as LaneId
        };
        self.by_network.insert(network, id);
        self.open += usize::from(is_open);
        Some((id, forgotten))
    }

    /// Of the next few lanes that nobody waits for, the one that was used the longest ago.
    fn stalest(&mut self) -> Option<LaneId> {
        let len = self.lanes.len();
        let from = self.hand;
        self.hand = (from + LOOKED_AT) % len;
        let some = (0..LOOKED_AT.min(len)).map(|step| (from + step) % len);
        let idle = some.filter(|index| self.lanes[*index].0.is_idle());
        let stalest = idle.min_by_key(|index| self.lanes[*index].0.used_at);
        stalest.map(|index| index as LaneId)
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// One more is open, or one less.
    pub(super) fn count_open(&mut self, change: isize) {
        self.open = self.open.saturating_add_signed(change);
    }

    /// Sets when something is due in a lane.
    pub(super) fn arm(&mut self, id: LaneId, due: Option<Instant>) {
        let before = core::mem::replace(&mut self.lanes[id as usize].1, due);
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, id));
        }
        if let Some(due) = due {
            self.due.insert((due, id));
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The first lane in which something is due at `now`; it is disarmed.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<LaneId> {
        let (due, id) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.arm(id, None);
        Some(id)
    }
}

/// The network that a client's address stands for: what routers tell apart at the least, /24 and /64.
pub(super) fn network(client: &Addr) -> Addr {
    let mut octets = *client.octets();
    let host = if client.is_v4() { 15 } else { 8 };
    octets[host..].fill(0);
    Addr::v6(octets)
}
