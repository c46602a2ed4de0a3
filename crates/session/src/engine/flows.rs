//! The flows of a worker, each in a slot with a number.

use wire::flow::FlowKey;

use super::awake::Awake;
use crate::flow::Flow;
use crate::flow::resting::RestingFlow;
use crate::id::FlowId;

#[derive(Debug)]
enum Slot {
    Free,
    Awake(Box<Flow>),
    Resting(Box<RestingFlow>),
}

impl Slot {
    #[cold]
    fn wake(&mut self) {
        if let Self::Resting(resting) = core::mem::replace(self, Self::Free) {
            *self = Self::Awake(Box::new(resting.wake()));
        }
    }
}

/// All flows that have a session. One rests while all of its sessions do.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    slots: Vec<Slot>,
    free: Vec<FlowId>,
    awake: Awake,
}

impl Flows {
    pub(crate) fn insert(&mut self, flow: Flow) -> FlowId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            (self.slots.len() - 1) as FlowId
        });
        self.slots[id as usize] = Slot::Awake(Box::new(flow));
        self.awake.add(id);
        id
    }

    pub(crate) fn remove(&mut self, id: FlowId) -> Option<Box<Flow>> {
        self.wake(id)?;
        let slot = core::mem::replace(self.slots.get_mut(id as usize)?, Slot::Free);
        self.free.push(id);
        self.awake.remove(id);
        match slot {
            Slot::Awake(flow) => Some(flow),
            Slot::Free | Slot::Resting(_) => None,
        }
    }

    /// A flow that is awake, as that of any session is that is.
    #[inline]
    pub(crate) fn get(&self, id: FlowId) -> Option<&Flow> {
        match self.slots.get(id as usize)? {
            Slot::Awake(flow) => Some(flow),
            Slot::Free | Slot::Resting(_) => None,
        }
    }

    /// A flow, woken where it rests.
    #[inline]
    pub(crate) fn wake(&mut self, id: FlowId) -> Option<&mut Flow> {
        let slot = self.slots.get_mut(id as usize)?;
        if let Slot::Resting(_) = slot {
            slot.wake();
            self.awake.add(id);
        }
        match slot {
            Slot::Awake(flow) => Some(flow),
            Slot::Free | Slot::Resting(_) => None,
        }
    }

    /// Puts a flow to rest, if there is nothing about it that a resting one cannot hold.
    pub(crate) fn rest(&mut self, id: FlowId) {
        if let Some(slot) = self.slots.get_mut(id as usize)
            && let Slot::Awake(flow) = slot
            && let Some(resting) = RestingFlow::of(flow)
        {
            *slot = Slot::Resting(Box::new(resting));
            self.awake.remove(id);
        }
    }

    /// From the client of a flow to its online server.
    #[inline]
    pub(crate) fn key(&self, id: FlowId) -> Option<&FlowKey> {
        match self.slots.get(id as usize)? {
            Slot::Awake(flow) => Some(flow.key()),
            Slot::Resting(resting) => Some(resting.key()),
            Slot::Free => None,
        }
    }

    /// All flows, those that rest included: from their clients to their online servers.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &FlowKey> {
        (0..self.slots.len()).filter_map(|id| self.key(id as FlowId))
    }

    /// All flows that are awake; the others hold no bytes.
    pub(crate) fn awake(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        let ids = self.awake.ids();
        ids.filter_map(|id| Some((id, self.get(id)?)))
    }
}
