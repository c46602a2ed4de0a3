//! The nursery: flows that have no session, because their handshake is under way, because they were open before the start, or
//! because they are not to be copied.
//!
//! It is a table of sets of [`WAYS`] slots: in a full set a newer flow takes the place of another one. So it can neither
//! grow under a SYN flood nor be slow, and what is lost by it is counted. Which one has to go is as good as random: with
//! one slot per set, or with the oldest going first, flows that take turns would push each other out for ever.

use core::ops::Range;

use wire::flow::FlowKey;
use wire::hash::FlowHash;
use wire::multipath::Multipath;
use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::Options;

use crate::flow::advertised::Advertised;
use crate::limits::{FLOW_MEMORY, NURSERY_AGE, NURSERY_SLOTS, RESET_AHEAD_MAX};
use crate::running::{Running, Why};
use crate::time::Instant;

/// Slots of a set: their marks fill a line of the cache, and where a third of all slots is taken one set in 100,000 is full.
const WAYS: usize = 16;

/// The mark of an empty slot, which no flow has.
const EMPTY: u32 = 0;

const _: () = assert!(NURSERY_SLOTS.is_multiple_of(WAYS));

/// What is known of a flow without a session.
#[derive(Clone, Debug)]
pub(crate) enum Infant {
    /// Its SYN was captured, with the payload that it carried (RFC 7413): at first all of it, and what the online server took
    /// of it once that has answered.
    Syn(Handshake, Box<[u8]>, Before),
    /// It runs without a session.
    Running(Running),
}

impl Infant {
    /// Whether a segment of the client at `seq` that ends something is this connection's, and not an older one's of the same port.
    pub(crate) fn may_have_sent(&self, seq: ClientSeq) -> bool {
        match self {
            // A reset anywhere else may be forged (RFC 5961 section 3.2), or be about the connection before.
            Self::Syn(handshake, data, _) => {
                usize::try_from(seq - (handshake.isn + 1)).is_ok_and(|sent| sent <= data.len())
            }
            Self::Running(running) => running.may_end_at(seq),
        }
    }

    /// The same of a segment of the online server.
    pub(crate) fn may_be_answered_by(&self, seq: OnlineSeq) -> bool {
        match self {
            Self::Syn(handshake, ..) => handshake
                .online_isn
                .is_none_or(|isn| isn <= seq && seq.ahead_of(isn) <= RESET_AHEAD_MAX),
            Self::Running(_) => true,
        }
    }

    /// Whether it is copied once it goes on: a handshake that both sides have said their part of, or a flow that was copied.
    fn is_to_be_copied(&self) -> bool {
        match self {
            Self::Syn(handshake, ..) => handshake.online_isn.is_some(),
            Self::Running(running) => running.why == Why::Missed,
        }
    }
}

/// What was known of a flow before a SYN that the online server has not answered yet: it may be forged, or be answered never.
pub(crate) type Before = Option<Box<Infant>>;

/// The client's half of a handshake, and the online server's answer once it was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake {
    /// The client's initial sequence number.
    pub(crate) isn: ClientSeq,
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    pub(crate) timestamps: bool,
    /// Whether it is a further path of another connection (Multipath TCP, RFC 8684).
    pub(crate) is_subflow: bool,
    /// The online server's initial sequence number, where a SYN-ACK came and no session was opened for it.
    pub(crate) online_isn: Option<OnlineSeq>,
    /// ... with the window that it advertised.
    pub(crate) advertised: Advertised,
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
            is_subflow: options.multipath == Some(Multipath::Join),
            online_isn: None,
            advertised: Advertised::unknown(),
        }
    }
}

#[derive(Clone, Debug)]
struct Slot {
    flow: FlowKey,
    infant: Infant,
    at: Instant,
}

impl Slot {
    fn is_alive(&self, now: Instant) -> bool {
        let age = match self.infant {
            Infant::Syn(_, _, None) => NURSERY_AGE,
            Infant::Syn(..) | Infant::Running(_) => FLOW_MEMORY,
        };
        now.since(self.at) < age
    }

    /// A SYN that nobody has answered for so long changes nothing of what was known before.
    fn outgrow(&mut self, now: Instant) {
        if now.since(self.at) >= NURSERY_AGE
            && let Infant::Syn(_, _, before) = &mut self.infant
            && let Some(before) = before.take()
        {
            self.infant = *before;
        }
    }
}

/// All the infants of a worker.
#[derive(Debug)]
pub(crate) struct Nursery {
    slots: Box<[Option<Slot>]>,
    /// The mark of each slot's flow, [`EMPTY`] where there is none: a set's lie in one line of the cache, and its slots in many.
    marks: Box<[u32]>,
    /// When each set last had to give up a flow that was to be copied: one that comes to this set, and is not known, may be it.
    given_up: Box<[Option<Instant>]>,
    /// Changes with each flow that has to go; its state decides which.
    dice: u32,
    hash: FlowHash,
}

impl Nursery {
    /// An empty one.
    pub(crate) fn new(hash: FlowHash) -> Self {
        Self {
            slots: vec![None; NURSERY_SLOTS].into_boxed_slice(),
            marks: vec![EMPTY; NURSERY_SLOTS].into_boxed_slice(),
            given_up: vec![None; NURSERY_SLOTS / WAYS].into_boxed_slice(),
            dice: 1,
            hash,
        }
    }

    /// What is known of `flow`.
    pub(crate) fn get(&mut self, flow: &FlowKey, now: Instant) -> Option<&mut Infant> {
        let place = self.find(flow)?;
        let slot = self.slots[place].as_mut()?;
        if !slot.is_alive(now) {
            return None;
        }
        slot.outgrow(now);
        if let Infant::Running(_) = slot.infant {
            // As long as it speaks.
            slot.at = now;
        }
        Some(&mut slot.infant)
    }

    /// Remembers `infant`, and returns whether another living flow had to make place.
    pub(crate) fn put(&mut self, flow: FlowKey, infant: Infant, now: Instant) -> bool {
        let (set, mark) = self.set(&flow);
        let is_empty = |place: &usize| self.marks[*place] == EMPTY;
        let is_old = |place: &usize| {
            self.slots[*place]
                .as_ref()
                .is_none_or(|slot| !slot.is_alive(now))
        };
        let free = || {
            set.clone()
                .find(is_empty)
                .or_else(|| set.clone().find(is_old))
        };
        let own = self.find(&flow).or_else(free);
        let is_full = own.is_none();
        let place = own.unwrap_or_else(|| set.start + self.throw());
        let new = Slot {
            flow,
            infant,
            at: now,
        };
        let old = self.slots[place].replace(new);
        self.marks[place] = mark;
        if is_full && old.is_some_and(|old| old.infant.is_to_be_copied()) {
            self.given_up[set.start / WAYS] = Some(now);
        }
        is_full
    }

    /// Whether a flow that is not known here may have been one that was to be copied, and had to make place.
    pub(crate) fn may_have_given_up(&self, flow: &FlowKey, now: Instant) -> bool {
        let (set, _) = self.set(flow);
        self.given_up[set.start / WAYS].is_some_and(|at| now.since(at) < NURSERY_AGE)
    }

    /// What is to be kept of a flow that a SYN has come for.
    pub(crate) fn before(&mut self, flow: &FlowKey, now: Instant) -> Before {
        match self.get(flow, now)? {
            Infant::Syn(handshake, _, before) if handshake.online_isn.is_none() => before.take(),
            known => Some(Box::new(known.clone())),
        }
    }

    /// A flow goes on as if a SYN had not been, which nobody has answered.
    pub(crate) fn restore(&mut self, flow: &FlowKey, now: Instant) {
        if let Some(infant @ Infant::Syn(..)) = self.get(flow, now)
            && let Infant::Syn(handshake, _, before) = infant
            && handshake.online_isn.is_none()
            && let Some(before) = before.take()
        {
            *infant = *before;
        }
    }

    /// Forgets `flow`.
    pub(crate) fn remove(&mut self, flow: &FlowKey) {
        if let Some(place) = self.find(flow) {
            self.slots[place] = None;
            self.marks[place] = EMPTY;
        }
    }

    /// The slots that a flow may stand in, and its mark.
    fn set(&self, flow: &FlowKey) -> (Range<usize>, u32) {
        let hash = self.hash.of(flow);
        let first = hash as usize % (NURSERY_SLOTS / WAYS) * WAYS;
        (first..first + WAYS, hash | 1)
    }

    /// The slot of `flow`.
    fn find(&self, flow: &FlowKey) -> Option<usize> {
        let (mut set, mark) = self.set(flow);
        set.find(|&place| {
            self.marks[place] == mark
                && self.slots[place]
                    .as_ref()
                    .is_some_and(|slot| slot.flow == *flow)
        })
    }

    /// A way; xorshift (Marsaglia 2003), whose state is never 0.
    fn throw(&mut self) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        self.dice as usize % WAYS
    }
}

#[cfg(test)]
mod tests {
    use wire::flow::{Addr, Endpoint, FlowKey};
    use wire::hash::FlowHash;

    use super::{Infant, NURSERY_SLOTS, Nursery, WAYS};
    use crate::limits::FLOW_MEMORY;
    use crate::running::{Running, Why};
    use crate::time::Instant;

    const RUNNING: Infant = Infant::Running(Running::new(Why::OpenBefore, 1));
    const NOW: Instant = Instant::from_nanos(1);

    /// So many flows that share a set.
    fn rivals(count: usize) -> Vec<FlowKey> {
        let server = Endpoint::new(Addr::v4([10, 0, 1, 1]), 80);
        let flow = |number: u32| FlowKey {
            client: Endpoint::new(
                Addr::v4([10, 1, (number >> 24) as u8, (number >> 16) as u8]),
                number as u16,
            ),
            server,
        };
        let set = |flow: &FlowKey| FlowHash::new(1).of(flow) as usize % (NURSERY_SLOTS / WAYS);
        let first = set(&flow(0));
        (0..)
            .map(flow)
            .filter(|flow| set(flow) == first)
            .take(count)
            .collect()
    }

    #[test]
    fn flows_of_a_set_do_not_push_each_other_out() {
        let mut nursery = Nursery::new(FlowHash::new(1));
        let flows = rivals(WAYS);
        for _ in 0..2 {
            for flow in &flows {
                assert!(!nursery.put(*flow, RUNNING, NOW));
            }
        }
        assert!(flows.iter().all(|flow| nursery.get(flow, NOW).is_some()));
        nursery.remove(&flows[3]);
        assert!(nursery.get(&flows[3], NOW).is_none());
        assert!(nursery.get(&flows[4], NOW).is_some());
    }

    /// A flow that is found twice in a row has joined and leaves.
    #[test]
    fn more_flows_than_a_set_holds_all_join_in_the_end() {
        let mut nursery = Nursery::new(FlowHash::new(1));
        let mut flows = rivals(3 * WAYS);
        let mut rounds = 0;
        while !flows.is_empty() {
            rounds += 1;
            assert!(rounds < 100, "{} flows never join", flows.len());
            flows.retain(|flow| {
                if nursery.get(flow, NOW).is_some() {
                    nursery.remove(flow);
                    return false;
                }
                nursery.put(*flow, RUNNING, NOW);
                true
            });
        }
    }

    #[test]
    fn a_flow_that_was_to_be_copied_and_had_to_go_may_come_back() {
        let mut nursery = Nursery::new(FlowHash::new(1));
        let flows = rivals(2 * WAYS);
        let missed = Infant::Running(Running::new(Why::Missed, 1));
        for flow in &flows {
            nursery.put(*flow, RUNNING, NOW);
        }
        assert!(!nursery.may_have_given_up(&flows[0], NOW));
        for flow in &flows {
            nursery.put(*flow, missed.clone(), NOW);
        }
        assert!(nursery.may_have_given_up(&flows[0], NOW));
        assert!(!nursery.may_have_given_up(&flows[0], NOW + FLOW_MEMORY));
    }

    /// As when all clients of a service connect at once: with 8 ways and half as many slots two flows of 5,000 had to go.
    #[test]
    fn five_thousand_handshakes_at_once_have_room() {
        let mut nursery = Nursery::new(FlowHash::new(7));
        let client = |port| Endpoint::new(Addr::v4([10, 0, 1, 2]), port);
        let server = Endpoint::new(Addr::v4([10, 0, 1, 1]), 80);
        for port in 20_000..25_000 {
            let client = client(port);
            assert!(!nursery.put(FlowKey { client, server }, RUNNING, NOW));
        }
    }

    #[test]
    fn the_old_make_place_first() {
        let mut nursery = Nursery::new(FlowHash::new(1));
        let flows = rivals(WAYS + 1);
        for flow in &flows[..WAYS] {
            nursery.put(*flow, RUNNING, NOW);
        }
        let later = NOW + FLOW_MEMORY;
        assert!(nursery.get(&flows[0], later).is_none());
        assert!(!nursery.put(flows[WAYS], RUNNING, later));
        assert!(nursery.get(&flows[WAYS], later).is_some());
    }
}
