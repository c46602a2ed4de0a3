//! The sessions of a worker, each in a slot with a number.
//!
//! Most of a million sessions are between two requests, and most of what a session consists of serves one that is under
//! way. So one that has been silent for a while is put to rest ([`Resting`]), and woken by whatever comes next for it.

use wire::flow::{Endpoint, FlowKey};

use super::awake::Awake;
use crate::flow::Flow;
use crate::flow::resting::RestingFlow;
use crate::id::{FlowId, SessionId};
use crate::session::Session;
use crate::session::resting::Resting;
use crate::time::Instant;

#[derive(Debug)]
enum Slot {
    Free,
    Awake(Box<Session>),
    Resting(Box<Resting>),
}

impl Slot {
    #[cold]
    fn wake(&mut self, id: SessionId, servers: &[Endpoint]) {
        if let Self::Resting(resting) = core::mem::replace(self, Self::Free) {
            let server = servers[usize::from(resting.rule.0)];
            *self = Self::Awake(Box::new(resting.wake(id, server)));
        }
    }
}

/// All sessions of a worker.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<SessionId>,
    awake: Awake,
    resting: u64,
    /// The target of each rule: sessions that rest do not know theirs.
    servers: Box<[Endpoint]>,
}

impl Slots {
    /// No sessions; `servers` are the targets of the rules.
    pub(crate) fn new(servers: Box<[Endpoint]>) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            awake: Awake::default(),
            resting: 0,
            servers,
        }
    }

    /// Puts the session that `make` makes into a free slot.
    pub(crate) fn insert(&mut self, make: impl FnOnce(SessionId) -> Session) -> SessionId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            (self.slots.len() - 1) as SessionId
        });
        self.slots[id as usize] = Slot::Awake(Box::new(make(id)));
        self.awake.add(id);
        id
    }

    /// Takes a session out, and frees its slot.
    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        self.wake(id)?;
        let slot = core::mem::replace(self.slots.get_mut(id as usize)?, Slot::Free);
        self.free.push(id);
        self.awake.remove(id);
        match slot {
            Slot::Awake(session) => Some(session),
            Slot::Free | Slot::Resting(_) => None,
        }
    }

    /// How many slots there are: every number is below it.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// A session that is awake.
    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        match self.slots.get(id as usize)? {
            Slot::Awake(session) => Some(session),
            Slot::Free | Slot::Resting(_) => None,
        }
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        match self.slots.get_mut(id as usize)? {
            Slot::Awake(session) => Some(session),
            Slot::Free | Slot::Resting(_) => None,
        }
    }

    /// A session, woken where it rests.
    #[inline]
    pub(crate) fn wake(&mut self, id: SessionId) -> Option<&mut Session> {
        let slot = self.slots.get_mut(id as usize)?;
        if let Slot::Resting(_) = slot {
            slot.wake(id, &self.servers);
            self.awake.add(id);
            self.resting -= 1;
        }
        match slot {
            Slot::Awake(session) => Some(session),
            Slot::Free | Slot::Resting(_) => None,
        }
    }

    /// Puts a session to rest, if there is nothing about it that a resting one cannot hold. Returns whether it did.
    pub(crate) fn rest(&mut self, id: SessionId, flow: &Flow) -> bool {
        if let Some(slot) = self.slots.get_mut(id as usize)
            && let Slot::Awake(session) = slot
            && let Some(resting) = Resting::of(session, flow)
        {
            *slot = Slot::Resting(Box::new(resting));
            self.awake.remove(id);
            self.resting += 1;
            return true;
        }
        false
    }

    /// How many sessions rest.
    pub(crate) fn resting(&self) -> u64 {
        self.resting
    }

    /// All sessions that are awake; the others have neither turns that wait nor bytes.
    pub(crate) fn awake(&self) -> impl Iterator<Item = &Session> {
        self.awake.ids().filter_map(|id| self.get(id))
    }

    /// The number of a session's flow.
    pub(crate) fn flow(&self, id: SessionId) -> Option<FlowId> {
        match self.slots.get(id as usize)? {
            Slot::Awake(session) => Some(session.flow),
            Slot::Resting(resting) => Some(resting.flow),
            Slot::Free => None,
        }
    }

    /// From where on a session needs the stream of its flow, and from which turn on its turns.
    pub(crate) fn place(&self, id: SessionId) -> Option<(u64, u64)> {
        match self.slots.get(id as usize)? {
            Slot::Awake(session) => Some((session.stock.kept, session.turns.number())),
            Slot::Resting(resting) => Some(resting.place()),
            Slot::Free => None,
        }
    }

    /// Whether a session has no use for what its client says next.
    pub(crate) fn is_deaf(&self, id: SessionId, flow: &Flow, now: Instant) -> bool {
        match self.slots.get(id as usize) {
            Some(Slot::Awake(session)) => session.is_deaf(flow, now),
            Some(Slot::Resting(resting)) => resting.is_dead(),
            Some(Slot::Free) | None => true,
        }
    }

    /// The next session of the same flow is another.
    pub(crate) fn set_sibling(&mut self, id: SessionId, sibling: Option<SessionId>) {
        match self.slots.get_mut(id as usize) {
            Some(Slot::Awake(session)) => session.sibling = sibling,
            Some(Slot::Resting(resting)) => resting.set_sibling(sibling),
            Some(Slot::Free) | None => {}
        }
    }

    /// The flow from a session's source to its target.
    pub(crate) fn local(&self, id: SessionId) -> Option<FlowKey> {
        match self.slots.get(id as usize)? {
            Slot::Awake(session) => Some(*session.local()),
            Slot::Resting(resting) => Some(FlowKey {
                client: *resting.source(),
                server: self.servers[usize::from(resting.rule.0)],
            }),
            Slot::Free => None,
        }
    }

    /// Whether that is `local`.
    #[inline]
    pub(crate) fn is_from(&self, id: SessionId, local: &FlowKey) -> bool {
        match self.slots.get(id as usize) {
            Some(Slot::Awake(session)) => session.local() == local,
            Some(Slot::Resting(resting)) => {
                *resting.source() == local.client
                    && self.servers[usize::from(resting.rule.0)] == local.server
            }
            Some(Slot::Free) | None => false,
        }
    }

    /// The next session of the same flow.
    pub(crate) fn sibling(&self, id: SessionId) -> Option<SessionId> {
        match self.slots.get(id as usize)? {
            Slot::Awake(session) => session.sibling,
            Slot::Resting(resting) => resting.sibling(),
            Slot::Free => None,
        }
    }

    /// An entry of the timer wheel fired for a session. Returns whether that is to be asked.
    pub(crate) fn fire(&mut self, id: SessionId, at: Instant) -> bool {
        match self.slots.get_mut(id as usize) {
            Some(Slot::Awake(session)) => session.armed.fire(at),
            Some(Slot::Resting(resting)) => resting.fire(at),
            Some(Slot::Free) | None => false,
        }
    }
}

/// A million sessions that rest, with their flows, slots, timers and places in the tables, take at most 531 MB; as many that are awake,
/// a gigabyte and a quarter.
const _: () = assert!(
    size_of::<Resting>() + size_of::<RestingFlow>() <= 400
        && size_of::<Session>() + size_of::<Flow>() <= 1040
);
