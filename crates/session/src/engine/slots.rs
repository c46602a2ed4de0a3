//! The sessions of a worker, each in a slot with a number.
//!
//! Most of a million sessions are between two requests, and most of what a session consists of serves one that is under
//! way. So one that has been silent for a while is put to rest ([`Resting`]), and woken by whatever comes next for it.

use wire::flow::FlowKey;

use crate::flow::Flow;
use crate::id::{FlowId, SessionId};
use crate::session::Session;
use crate::session::resting::Resting;
use crate::time::Instant;
use crate::wheel::Armed;

#[derive(Debug)]
enum Slot {
    Free,
    Awake(Box<Session>),
    Resting(Box<Resting>),
}

impl Slot {
    #[cold]
    fn wake(&mut self, id: SessionId) {
        if let Self::Resting(resting) = core::mem::replace(self, Self::Free) {
            *self = Self::Awake(Box::new(resting.wake(id)));
        }
    }
}

/// All sessions of a worker.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<SessionId>,
    resting: u64,
}

impl Slots {
    /// Puts the session that `make` makes into a free slot.
    pub(crate) fn insert(&mut self, make: impl FnOnce(SessionId) -> Session) -> SessionId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            (self.slots.len() - 1) as SessionId
        });
        self.slots[id as usize] = Slot::Awake(Box::new(make(id)));
        id
    }

    /// Takes a session out, and frees its slot.
    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        self.wake(id)?;
        let slot = core::mem::replace(self.slots.get_mut(id as usize)?, Slot::Free);
        self.free.push(id);
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

    /// A session, woken where it rests.
    #[inline]
    pub(crate) fn wake(&mut self, id: SessionId) -> Option<&mut Session> {
        let slot = self.slots.get_mut(id as usize)?;
        if let Slot::Resting(_) = slot {
            slot.wake(id);
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
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Awake(session) => Some(&**session),
            Slot::Free | Slot::Resting(_) => None,
        })
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
            Some(Slot::Resting(resting)) => resting.sibling = sibling,
            Some(Slot::Free) | None => {}
        }
    }

    /// The flow from a session's source to its target.
    pub(crate) fn local(&self, id: SessionId) -> Option<&FlowKey> {
        match self.slots.get(id as usize)? {
            Slot::Awake(session) => Some(session.local()),
            Slot::Resting(resting) => Some(resting.local()),
            Slot::Free => None,
        }
    }

    /// The next session of the same flow.
    pub(crate) fn sibling(&self, id: SessionId) -> Option<SessionId> {
        match self.slots.get(id as usize)? {
            Slot::Awake(session) => session.sibling,
            Slot::Resting(resting) => resting.sibling,
            Slot::Free => None,
        }
    }

    /// What the timer wheel holds for a session.
    pub(crate) fn armed(&mut self, id: SessionId) -> Option<&mut Armed> {
        match self.slots.get_mut(id as usize)? {
            Slot::Awake(session) => Some(&mut session.armed),
            Slot::Resting(resting) => Some(&mut resting.armed),
            Slot::Free => None,
        }
    }
}

/// A million sessions that rest, with their slots, timers and places in the tables, take at most 600 MB; as many that are
/// awake, a gigabyte.
const _: () = assert!(size_of::<Resting>() <= 448 && size_of::<Session>() <= 800);
#[cfg(test)]
mod sizes {
    #[test]
    fn sizes() {
        use crate::*;
        println!(
            "Resting {} Session {} RestingFlow {} Flow {} Turn {} RestingTurns {} RestingConnection {} Life {} Step-ish Turns {} Connection {} FlowKey {} RC {}",
            size_of::<crate::session::resting::Resting>(),
            size_of::<crate::session::Session>(),
            size_of::<crate::flow::resting::RestingFlow>(),
            size_of::<crate::flow::Flow>(),
            size_of::<crate::flow::turn::Turn>(),
            size_of::<crate::turns::resting::RestingTurns>(),
            size_of::<crate::connection::resting::RestingConnection>(),
            size_of::<crate::session::Life>(),
            size_of::<crate::turns::Turns>(),
            size_of::<crate::connection::Connection>(),
            size_of::<wire::flow::FlowKey>(),
            size_of::<crate::flow::captured::RestingCaptured>()
        );
    }
}
