//! In which order the packets of a flow are handed on. Interfaces are read one after the other and their clocks differ, so a file may
//! show an answer before its request, or a request before the answer that its client had seen; one of both waits for the other. And a
//! packet of a wrong checksum waits for a good copy of it, or for the online server's word that it was right.

use capture::Sum;
use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::Flags;

use super::{Player, Seen};
use crate::cue::Cue;
use crate::flows::Id;
use crate::waiting::{For, Held};

impl Player {
    /// A client's packet: is it its turn?
    pub(super) fn client(
        &mut self,
        seen: &Seen<'_>,
        sum: Sum,
        now_ns: u64,
        take: &mut dyn FnMut(Cue<'_>),
    ) {
        let Seen { id, segment, .. } = seen;
        let start = ClientSeq::new(segment.seq);
        let end = start + segment.sequence_len();
        if sum == Sum::Bad && segment.sequence_len() > 0 {
            self.counts.doubtful += 1;
            self.hold(seen, For::Confirmation { start, end });
            return;
        }
        let ack = segment.flags.contains(Flags::ACK);
        let ack = ack.then(|| OnlineSeq::new(segment.ack));
        if self.waits(id) {
            let is_known_now = |what: &For| matches!(what, For::Confirmation { start: from, end: to } if start <= *from && *to <= end);
            while self.take_held(id, is_known_now).is_some() {
                self.counts.doubtful_dropped += 1;
            }
            // What the client has seen was there before.
            let was_seen = |what: &For| matches!(what, For::Request { end, .. } if ack.is_some_and(|ack| *end <= ack));
            while let Some(held) = self.take_held(id, was_seen) {
                self.hand_on_held(&held, now_ns, take);
            }
        }
        if let Some(ack) = ack
            && !segment.is_pure_ack()
            && !self.is_one_sided
            && self.flows.get_mut(id).is_some_and(|flow| flow.lacks(ack))
        {
            self.counts.late += 1;
            self.hold(seen, For::Answer { ack });
            return;
        }
        self.hand_on_client(seen, now_ns, take);
        self.settle(id, now_ns, take);
    }

    /// A packet of the online server: is it its turn?
    pub(super) fn online(&mut self, seen: &Seen<'_>, now_ns: u64, take: &mut dyn FnMut(Cue<'_>)) {
        let Seen { id, segment, .. } = seen;
        let ack = ClientSeq::new(segment.ack);
        let acknowledges = segment.flags.contains(Flags::ACK);
        if acknowledges && self.waits(id) {
            let is_confirmed =
                |what: &For| matches!(what, For::Confirmation { end, .. } if *end <= ack);
            while let Some(held) = self.take_held(id, is_confirmed) {
                self.hand_on_held(&held, now_ns, take);
            }
        }
        let next = self.flows.get_mut(id).and_then(|flow| flow.client_next);
        let opens = segment.flags.contains(Flags::SYN);
        if acknowledges && next.map_or(opens, |next| ack > next) {
            self.counts.early += 1;
            let end = OnlineSeq::new(segment.seq) + segment.sequence_len();
            self.hold(seen, For::Request { ack, end });
            return;
        }
        self.hand_on_online(seen, now_ns, take);
        self.settle(id, now_ns, take);
    }

    /// Hands on what has waited for what was just handed on.
    fn settle(&mut self, id: &Id, now_ns: u64, take: &mut dyn FnMut(Cue<'_>)) {
        while self.waits(id) {
            let flow = self.flows.get_mut(id);
            let (client, online) =
                flow.map_or((None, None), |flow| (flow.client_next, flow.online_next));
            let is_ready = |what: &For| match what {
                For::Request { ack, .. } => client.is_some_and(|next| *ack <= next),
                For::Answer { ack } => online.is_some_and(|next| *ack <= next),
                For::Confirmation { .. } => false,
            };
            let Some(held) = self.take_held(id, is_ready) else {
                return;
            };
            self.hand_on_held(&held, now_ns, take);
        }
    }

    /// A packet has waited long enough: it must not be due before what was played meanwhile.
    pub(super) fn release(
        &mut self,
        held: &Held,
        own_ns: u64,
        now_ns: u64,
        take: &mut dyn FnMut(Cue<'_>),
    ) {
        if let Some(flow) = self.flows.get_mut(&held.id) {
            flow.waiting = flow.waiting.saturating_sub(1);
            if let For::Answer { ack } = held.what {
                flow.goes_on_without(ack);
            }
        }
        if let Some(seen) = Seen::of(held) {
            self.hand_on(&Seen { own_ns, ..seen }, held.what, now_ns, take);
            self.settle(&held.id, now_ns, take);
        }
    }

    fn hand_on_held(&mut self, held: &Held, now_ns: u64, take: &mut dyn FnMut(Cue<'_>)) {
        if let Some(seen) = Seen::of(held) {
            self.hand_on(&seen, held.what, now_ns, take);
        }
    }

    fn hand_on(&mut self, seen: &Seen<'_>, what: For, now_ns: u64, take: &mut dyn FnMut(Cue<'_>)) {
        match what {
            For::Request { .. } => self.hand_on_online(seen, now_ns, take),
            For::Confirmation { .. } | For::Answer { .. } => {
                self.hand_on_client(seen, now_ns, take);
            }
        }
    }

    fn waits(&mut self, id: &Id) -> bool {
        self.flows.get_mut(id).is_some_and(|flow| flow.waiting > 0)
    }

    fn hold(&mut self, seen: &Seen<'_>, what: For) {
        if let Some(flow) = self.flows.get_mut(&seen.id) {
            flow.waiting = flow.waiting.saturating_add(1);
        }
        let times = (seen.at_ns, seen.own_ns);
        let held = Held::new(seen.id, what, times, seen.missing, seen.bytes);
        self.waiting.push(held);
    }

    fn take_held(&mut self, id: &Id, is_over: impl Fn(&For) -> bool) -> Option<Held> {
        let held = self.waiting.take(id, is_over)?;
        if let Some(flow) = self.flows.get_mut(id) {
            flow.waiting = flow.waiting.saturating_sub(1);
        }
        Some(held)
    }
}
