//! Which connection a target segment is for.
//!
//! Shared by the workers, who ask for each segment, and by the connections' readers, who announce flows. Flows stand
//! in shards, each behind its own lock that is held for one look-up or one announcement only. Connections stand in
//! numbered slots; whenever they change a version goes up, and each worker then takes a new copy of them.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use abi::maps::WHOLE_REPLIES;
use channel::Refusal;
use wire::flow::{Endpoint, FlowKey};
use wire::hash::FlowHash;

use crate::connection::Connection;
use crate::sink::PayloadWanted;

/// Most tcpcopy that are connected at a time.
pub(crate) const CONNECTIONS_MAX: usize = 64;
/// Most flows announced by all of them together.
pub(crate) const FLOWS_MAX: u64 = 1 << 20;
/// Most flows that one of them announces, so that it leaves some to the others.
pub(crate) const FLOWS_OF_CONNECTION_MAX: usize = 1 << 19;
const SHARDS: usize = 64;

/// A connection: its slot and the how-manieth connection it is, so that no two are ever the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId {
    pub(crate) slot: u16,
    pub(crate) serial: u64,
}

/// What became of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// The session's replies go to the connection that announced it.
    Ours,
    /// They go to another one, which announced it first.
    Taken,
    /// There are [`FLOWS_MAX`] flows already.
    NoSpace,
    /// It is none of those that the connection subscribed for.
    NotIts,
}

/// A connection that is subscribed, as workers see it.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) id: ConnectionId,
    pub(crate) targets: Arc<HashSet<Endpoint>>,
    /// Those among them whose replies it asks for as a whole.
    pub(crate) whole: Arc<HashSet<Endpoint>>,
    /// Payload bytes of each other reply that it asks for.
    pub(crate) payload_max: u8,
    pub(crate) connection: Arc<Connection>,
}

/// What a connection subscribes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) targets: HashSet<Endpoint>,
    /// Those among them whose replies it asks for as a whole.
    pub(crate) whole: HashSet<Endpoint>,
    /// Payload bytes of each other reply that it asks for.
    pub(crate) payload_max: u8,
}

impl Subscriber {
    /// Payload bytes of this target's replies that it asks for, in the words of [`PayloadWanted`].
    fn payload_of(&self, target: &Endpoint) -> u64 {
        if self.whole.contains(target) {
            WHOLE_REPLIES
        } else if self.targets.contains(target) {
            self.payload_max.into()
        } else {
            0
        }
    }
}

/// All that is known about who wants what.
#[derive(Debug)]
pub(crate) struct Router {
    /// The `-x` list, each target with its place in it.
    targets: HashMap<Endpoint, usize>,
    shards: Vec<RwLock<Shard>>,
    /// Says which shard a flow stands in. With the clients' own addresses clients choose what a flow's hash is made of, so it has
    /// a key; that of the shards' tables is another one, or all flows of a shard would share their low bits.
    sharding: FlowHash,
    flows: AtomicU64,
    subscribers: Mutex<Slots>,
    version: AtomicU64,
    /// Where `sink` is told how much payload anybody asks for.
    payload_wanted: OnceLock<PayloadWanted>,
}

type Shard = HashMap<FlowKey, ConnectionId, FlowHash>;

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Option<Subscriber>>,
    serial: u64,
}

impl Router {
    /// A router for these targets, without connections.
    pub(crate) fn new(targets: impl IntoIterator<Item = Endpoint>) -> Self {
        // std draws its keys from the kernel.
        let keys = RandomState::new();
        let table = FlowHash::new(keys.hash_one("table"));
        let shard = |_| RwLock::new(Shard::with_hasher(table));
        Self {
            targets: { targets.into_iter() }.zip(0..).collect(),
            shards: (0..SHARDS).map(shard).collect(),
            sharding: FlowHash::new(keys.hash_one("sharding")),
            flows: AtomicU64::new(0),
            subscribers: Mutex::default(),
            version: AtomicU64::new(0),
            payload_wanted: OnceLock::new(),
        }
    }

    /// Has `sink` told from now on how much payload is asked for. Without this none is left in place.
    pub(crate) fn tell(&self, payload_wanted: PayloadWanted) {
        // There is one `sink`, which is loaded once.
        let _ = self.payload_wanted.set(payload_wanted);
    }

    /// Takes a connection that wants these replies. `granted` is called where it is taken. It tells the peer, who may act on it at once: workers notice before that, but see the connection only after it, so that the peer
    /// hears of its subscription before its first report.
    pub(crate) fn subscribe(
        &self,
        wanted: Wanted,
        connection: &Arc<Connection>,
        granted: impl FnOnce(),
    ) -> Result<ConnectionId, Refusal> {
        let is_unknown = |target: &&Endpoint| !self.targets.contains_key(*target);
        if let Some(unknown) = wanted.targets.iter().find(is_unknown) {
            return Err(Refusal::UnknownTarget(*unknown));
        }
        let mut guard = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Slots { slots, serial } = &mut *guard;
        let free = slots.iter().position(Option::is_none);
        let slot = match free {
            Some(slot) => slot,
            None if slots.len() < CONNECTIONS_MAX => {
                slots.push(None);
                slots.len() - 1
            }
            None => return Err(Refusal::TooManyConnections),
        };
        let id = ConnectionId {
            slot: slot as u16,
            serial: *serial,
        };
        *serial += 1;
        // Whoever looks from here on waits for the lock.
        self.version.fetch_add(1, Ordering::Release);
        let subscriber = Subscriber {
            id,
            targets: Arc::new(wanted.targets),
            whole: Arc::new(wanted.whole),
            payload_max: wanted.payload_max,
            connection: Arc::clone(connection),
        };
        // Before the peer knows, so that none of its replies comes without what it asked for.
        let others = slots.iter().flatten();
        self.tell_payload(&others.chain([&subscriber]));
        granted();
        slots[slot] = Some(subscriber);
        Ok(id)
    }

    /// Forgets a connection and its flows, those that [`Router::open`] said are its own.
    pub(crate) fn unsubscribe(&self, id: ConnectionId, flows: &HashSet<FlowKey>) {
        let mut guard = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = guard.slots.get_mut(usize::from(id.slot))
            && slot.as_ref().is_some_and(|subscriber| subscriber.id == id)
        {
            *slot = None;
        }
        self.tell_payload(&guard.slots.iter().flatten());
        drop(guard);
        self.version.fetch_add(1, Ordering::Release);
        // Not a walk through all flows: whoever comes and goes would have the others pay for it.
        flows.iter().for_each(|flow| self.close(flow, id));
    }

    /// Tells `sink` the most that any of these asks for of each target; to be called under the lock of the slots.
    fn tell_payload<'a>(&self, subscribers: &(impl Iterator<Item = &'a Subscriber> + Clone)) {
        let Some(payload_wanted) = self.payload_wanted.get() else {
            return;
        };
        for (target, place) in &self.targets {
            let asked = subscribers.clone().map(|it| it.payload_of(target));
            payload_wanted.set(*place, asked.max().unwrap_or(0));
        }
    }

    /// Whether connections changed since this `version` was read; it is brought up to date.
    pub(crate) fn changed(&self, version: &mut Option<u64>) -> bool {
        let current = Some(self.version.load(Ordering::Acquire));
        core::mem::replace(version, current) != current
    }

    /// All connections.
    pub(crate) fn subscribers(&self) -> Vec<Subscriber> {
        let guard = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        guard.slots.iter().flatten().cloned().collect()
    }

    /// A session's replies are for this connection, unless another one has them: two tcpcopy whose sessions have the same source
    /// would be given each other's replies. A tcpcopy that was killed and started again finds its flows free, since they went with
    /// its first connection.
    pub(crate) fn open(&self, flow: FlowKey, id: ConnectionId) -> Opened {
        let mut shard = self
            .shard(&flow)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = shard.get(&flow) {
            return if *owner == id {
                Opened::Ours
            } else {
                Opened::Taken
            };
        }
        if self.flows.fetch_add(1, Ordering::Relaxed) >= FLOWS_MAX {
            self.flows.fetch_sub(1, Ordering::Relaxed);
            return Opened::NoSpace;
        }
        shard.insert(flow, id);
        Opened::Ours
    }

    /// A session is gone. Another connection's flow stays.
    pub(crate) fn close(&self, flow: &FlowKey, id: ConnectionId) {
        let mut shard = self
            .shard(flow)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if shard.get(flow) == Some(&id) {
            shard.remove(flow);
            self.flows.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whose session this is, if anybody announced it.
    pub(crate) fn owner(&self, flow: &FlowKey) -> Option<ConnectionId> {
        let shard = self
            .shard(flow)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        shard.get(flow).copied()
    }

    /// Flows announced at this moment.
    pub(crate) fn flows(&self) -> u64 {
        self.flows.load(Ordering::Relaxed)
    }

    fn shard(&self, flow: &FlowKey) -> &RwLock<Shard> {
        &self.shards[self.sharding.of(flow) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use channel::Refusal;
    use wire::flow::{Addr, Endpoint, FlowKey};

    use super::{CONNECTIONS_MAX, Opened, Router, Wanted};
    use crate::connection::Connection;

    fn target(port: u16) -> Endpoint {
        Endpoint::new(Addr::v4([192, 0, 2, 1]), port)
    }

    fn flow(n: u32) -> FlowKey {
        FlowKey {
            client: Endpoint::new(
                Addr::v4([10, 0, (n >> 14) as u8, 7]),
                1024 + (n & 0x3fff) as u16,
            ),
            server: target(80),
        }
    }

    fn want(port: u16) -> Wanted {
        Wanted {
            targets: HashSet::from([target(port)]),
            ..Wanted::default()
        }
    }

    #[test]
    fn a_flow_belongs_to_whom_announced_it_first_until_that_one_closes_it_or_goes() {
        let router = Router::new([target(80)]);
        let (connection, _peer, _queue) = Connection::for_test();
        let a = router.subscribe(want(80), &connection, || ()).unwrap();
        let b = router.subscribe(want(80), &connection, || ()).unwrap();
        assert_ne!(a, b);
        assert_eq!(router.open(flow(1), a), Opened::Ours);
        assert_eq!(router.open(flow(2), a), Opened::Ours);
        // A connection announces its sessions anew when it comes back.
        assert_eq!(router.open(flow(1), a), Opened::Ours);
        assert_eq!(router.open(flow(1), b), Opened::Taken);
        assert_eq!((router.owner(&flow(1)), router.flows()), (Some(a), 2));
        router.close(&flow(1), b);
        assert_eq!(router.owner(&flow(1)), Some(a));
        router.close(&flow(1), a);
        assert_eq!(router.open(flow(1), b), Opened::Ours);
        assert_eq!(router.owner(&flow(1)), Some(b));
        router.unsubscribe(a, &HashSet::from([flow(1), flow(2)]));
        assert_eq!(router.owner(&flow(2)), None);
        assert_eq!(router.open(flow(2), b), Opened::Ours);
        router.close(&flow(2), b);
        router.close(&flow(1), b);
        assert_eq!((router.owner(&flow(1)), router.flows()), (None, 0));
    }

    #[test]
    fn targets_that_are_not_consumed_and_too_many_connections_are_refused() {
        let router = Router::new([target(80)]);
        let (connection, _peer, _queue) = Connection::for_test();
        assert_eq!(
            router.subscribe(want(81), &connection, || ()),
            Err(Refusal::UnknownTarget(target(81)))
        );
        let ids: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| router.subscribe(want(80), &connection, || ()).unwrap())
            .collect();
        assert_eq!(
            router.subscribe(want(80), &connection, || ()),
            Err(Refusal::TooManyConnections)
        );
        router.unsubscribe(ids[3], &HashSet::new());
        let new = router.subscribe(want(80), &connection, || ()).unwrap();
        assert_eq!(new.slot, ids[3].slot);
        assert_ne!(new, ids[3]);
    }

    #[test]
    fn workers_learn_of_each_change_once() {
        let router = Router::new([target(80)]);
        let (connection, _peer, _queue) = Connection::for_test();
        let mut version = None;
        assert!(router.changed(&mut version));
        assert!(!router.changed(&mut version));
        let id = router.subscribe(want(80), &connection, || ()).unwrap();
        assert!(router.changed(&mut version));
        assert_eq!(router.subscribers().len(), 1);
        router.unsubscribe(id, &HashSet::new());
        assert!(router.changed(&mut version));
        assert!(router.subscribers().is_empty());
    }
}
