//! What is remembered of each flow of a file. The table is bounded: of two halves the older one is forgotten when the younger one is
//! full, so that what is in use stays.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use wire::flow::{Endpoint, FlowKey};
use wire::hash::FlowHash;
use wire::segment::Segment;
use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::Flags;

use crate::sides::Side;
use crate::sight::Sight;

/// Flows in each half of the table; a flow takes some 220 bytes with its home. std's tables double once they are full to seven eighths,
/// so with one flow more a half would take twice as much.
const HALF_MAX: usize = (1 << 18) / 8 * 7;
/// How many ports are tried for a flow whose addresses and ports are another's, in another network.
const ALIAS_TRIES: u16 = 256;

/// A flow of a file, by the network that it was seen in and its addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) network: u32,
    pub(crate) key: FlowKey,
}

/// What is remembered of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// The networks that its client's packets, and the online server's, were seen in: they may differ, as behind a router.
    networks: [Option<u32>; 2],
    /// What each of them was seen to say last, there.
    sights: [Option<Sight>; 2],
    /// A network that each is seen in once more, as behind a router.
    again: [Option<u32>; 2],
    /// When the client's latest payload stood in the file, and which stamp it got.
    pub(crate) asked: Option<(u64, u64)>,
    /// Behind the client's bytes so far.
    pub(crate) client_next: Option<ClientSeq>,
    /// Behind the online server's.
    pub(crate) online_next: Option<OnlineSeq>,
    /// Whether the online server's packets are missing, so that nothing waits for them.
    is_unanswered: bool,
    /// Packets of it that wait for others.
    pub(crate) waiting: u16,
    /// Whether its client has said something, and not its last word.
    pub(crate) is_open: bool,
    /// The client's port in what is replayed, where its own is another flow's.
    pub(crate) alias: Option<u16>,
}

/// What became of the search for a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is known, or has its addresses and ports for itself.
    Known(Id),
    /// It is new, and its addresses and ports are another's: it got a port of its own.
    Aliased(Id),
    /// The same, and no port was free.
    NoPort,
    /// It is known, and so is what the packet says, from another network.
    Again,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Flows {
    /// Drawn here: who made a file is not to choose its places in tables.
    hash: FlowHash,
    young: Table<Id, Flow>,
    old: Table<Id, Flow>,
    /// Under which network a flow was seen first.
    homes: [Table<FlowKey, u32>; 2],
}

type Table<K, V> = HashMap<K, V, FlowHash>;

impl Default for Flows {
    fn default() -> Self {
        // std draws its keys from the kernel.
        let hash = FlowHash::new(RandomState::new().hash_one("flows of files"));
        Self {
            hash,
            young: Table::with_hasher(hash),
            old: Table::with_hasher(hash),
            homes: [Table::with_hasher(hash), Table::with_hasher(hash)],
        }
    }
}

impl Flow {
    const fn new() -> Self {
        Self {
            networks: [None; 2],
            sights: [None; 2],
            again: [None; 2],
            asked: None,
            client_next: None,
            online_next: None,
            is_unanswered: false,
            waiting: 0,
            is_open: false,
            alias: None,
        }
    }

    /// A segment of the client: opens the flow, or says its last word. Of so many open flows of the file, gives how many there are now.
    pub(crate) fn follow(&mut self, segment: &Segment, flows_open: u32) -> u32 {
        let was_open = self.is_open;
        if segment.flags.intersects(Flags::FIN.with(Flags::RST)) {
            self.is_open = false;
        } else if segment.sequence_len() > 0 {
            self.is_open = true;
        }
        match (was_open, self.is_open) {
            (false, true) => flows_open + 1,
            (true, false) => flows_open.saturating_sub(1),
            _ => flows_open,
        }
    }

    /// A segment of the client: what it says is said.
    pub(crate) fn say(&mut self, segment: &Segment) {
        let end = ClientSeq::new(segment.seq) + segment.sequence_len();
        if self.client_next.is_none_or(|next| next < end) {
            self.client_next = Some(end);
        }
    }

    /// A segment of the online server: what it says is said.
    pub(crate) fn answer(&mut self, segment: &Segment) {
        self.is_unanswered = false;
        let end = OnlineSeq::new(segment.seq) + segment.sequence_len();
        if self.online_next.is_none_or(|next| next < end) {
            self.online_next = Some(end);
        }
    }

    /// Whether the client has seen up to `ack` what the file has not shown yet. Of a flow that begins in the middle nobody knows.
    pub(crate) fn lacks(&self, ack: OnlineSeq) -> bool {
        !self.is_unanswered
            && match self.online_next {
                Some(next) => ack > next,
                None => self.client_next.is_some(),
            }
    }

    /// What the client has seen up to `ack` does not come.
    pub(crate) fn goes_on_without(&mut self, ack: OnlineSeq) {
        self.is_unanswered = true;
        self.online_next = Some(self.online_next.map_or(ack, |next| next.max(ack)));
    }

    /// Whether this side is seen in this network, or was not seen yet.
    fn may_be_seen_in(&self, side: Side, network: u32) -> bool {
        self.networks[side as usize].is_none_or(|known| known == network)
    }

    /// This side is seen in its network.
    fn see(&mut self, side: Side, network: u32, segment: &Segment, at_ns: u64) {
        let side = side as usize;
        self.networks[side] = Some(network);
        self.sights[side] = Some(Sight::next(self.sights[side], segment, at_ns));
    }

    /// Whether a segment of this side, seen in another network than its own, is of this flow all the same, and whether it says something
    /// new then.
    fn sees_again(
        &mut self,
        side: Side,
        network: u32,
        segment: &Segment,
        at_ns: u64,
    ) -> Option<bool> {
        let sight = self.sights[side as usize]?;
        let again = &mut self.again[side as usize];
        let is_known = *again == Some(network) && !sight.is_before(segment);
        if !is_known && !sight.is_of(segment, at_ns) {
            return None;
        }
        *again = Some(network);
        let is_new = sight.lacks(segment);
        if is_new {
            self.sights[side as usize] = Some(Sight::next(Some(sight), segment, at_ns));
        }
        Some(is_new)
    }
}

impl Flows {
    /// Whether a flow of these addresses and ports is known.
    pub(crate) fn is_known(&self, key: &FlowKey) -> bool {
        self.homes.iter().any(|homes| homes.contains_key(key))
    }

    pub(crate) fn get_mut(&mut self, id: &Id) -> Option<&mut Flow> {
        if !self.old.is_empty()
            && !self.young.contains_key(id)
            && let Some(flow) = self.old.remove(id)
        {
            self.young.insert(*id, flow);
        }
        self.young.get_mut(id)
    }

    /// The flow that a packet of this side, seen in this network, belongs to; made where there is none.
    pub(crate) fn find(
        &mut self,
        (side, network, key): (Side, u32, FlowKey),
        segment: &Segment,
        at_ns: u64,
    ) -> Found {
        let apart = Id { network, key };
        // A flow of its own in this network goes first: both may have been seen there.
        if self.shows(&apart, (side, network), segment, at_ns) {
            return Found::Known(apart);
        }
        let mut new = Flow::new();
        new.see(side, network, segment, at_ns);
        let Some(home) = self.home_of(&key) else {
            self.insert(apart, new);
            self.set_home(key, network);
            return Found::Known(apart);
        };
        let first = Id { network: home, key };
        if home != network && self.shows(&first, (side, network), segment, at_ns) {
            return Found::Known(first);
        }
        let flow = self.get_mut(&first);
        match flow.and_then(|flow| flow.sees_again(side, network, segment, at_ns)) {
            Some(true) => return Found::Known(first),
            Some(false) => return Found::Again,
            None => {}
        }
        let is_new_home = home == network || self.get_mut(&first).is_none();
        if is_new_home {
            self.insert(apart, new);
            self.set_home(key, network);
            return Found::Known(apart);
        }
        let Some(port) = self.free_port(&key, network) else {
            return Found::NoPort;
        };
        new.alias = Some(port);
        self.insert(apart, new);
        Found::Aliased(apart)
    }

    /// Whether a flow is there that may be seen in this network, where a segment of it is.
    fn shows(
        &mut self,
        id: &Id,
        (side, network): (Side, u32),
        segment: &Segment,
        at_ns: u64,
    ) -> bool {
        let flow = self.get_mut(id);
        let Some(flow) = flow.filter(|flow| flow.may_be_seen_in(side, network)) else {
            return false;
        };
        flow.see(side, network, segment, at_ns);
        true
    }

    /// A port of the client's address that no flow to this server has; it is taken from now on.
    fn free_port(&mut self, key: &FlowKey, network: u32) -> Option<u16> {
        let tries = (0..ALIAS_TRIES).map(|step| u16::MAX - step);
        let at = |port| FlowKey {
            client: Endpoint::new(key.client.addr, port),
            ..*key
        };
        let port = { tries }.find(|port| !self.is_known(&at(*port)))?;
        self.set_home(at(port), network);
        Some(port)
    }

    fn home_of(&self, key: &FlowKey) -> Option<u32> {
        self.homes.iter().find_map(|homes| homes.get(key)).copied()
    }

    fn set_home(&mut self, key: FlowKey, network: u32) {
        let [young, old] = &mut self.homes;
        if young.len() >= HALF_MAX {
            *old = std::mem::replace(young, Table::with_hasher(self.hash));
        }
        young.insert(key, network);
    }

    fn insert(&mut self, id: Id, flow: Flow) {
        if self.young.len() >= HALF_MAX {
            self.old = std::mem::replace(&mut self.young, Table::with_hasher(self.hash));
        }
        self.young.insert(id, flow);
    }

    /// The client opens a connection with this number: where it is not the one that is known, nothing of that one holds any more.
    pub(crate) fn open(&mut self, id: &Id, isn: ClientSeq) {
        if let Some(flow) = self.get_mut(id)
            && flow.client_next != Some(isn + 1)
        {
            (flow.asked, flow.client_next, flow.online_next) = (None, None, None);
            flow.is_unanswered = false;
        }
    }

    /// Nothing of what was seen holds any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
