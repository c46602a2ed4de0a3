//! Where sessions begin: at the online server's SYN-ACK, at the first payload after it, or mid-stream at a turn boundary.
//!
//! Never at a SYN alone: the programs stand before the firewall, and a SYN flood must not reach the target.

use wire::flow::FlowKey;
use wire::segment::Segment;
use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::Flags;

use super::Engine;
use super::joining::Tried;
use super::multipath::mapping_of;
use crate::config::{Join, RuleId};
use crate::flow::advertised::Advertised;
use crate::flow::stream::Piece;
use crate::id::FlowId;
use crate::limits::{CONNECTION_DISTANCE_MAX, SYN_PAYLOAD_MAX, UNCONFIRMED_MAX};
use crate::nursery::{Before, Handshake, Infant};
use crate::running::{Running, Seen, Why};
use crate::session::Beginning;
use crate::time::Instant;

impl Engine {
    pub(crate) fn on_client_syn(
        &mut self,
        now: Instant,
        flow: FlowKey,
        segment: &Segment,
        packet: &[u8],
    ) {
        if segment.flags.contains(Flags::ACK) {
            return;
        }
        let isn = ClientSeq::new(segment.seq);
        let session = self.flow_of(&flow);
        if session.is_none() && self.is_left_out_by_sample(&flow, segment.payload_len) {
            return;
        }
        let known = session.and_then(|id| self.flows.wake(id)?.client_isn());
        let is_answered = |it: &mut Infant| matches!(it, Infant::Syn(syn, ..) if syn.isn == isn && syn.online_isn.is_some());
        // One that comes again after its answer says nothing new.
        let again = self.nursery.get(&flow, now).map(is_answered);
        if known == Some(isn) || again == Some(true) {
            return;
        }
        // Believed only once the online server answers it.
        let handshake = Handshake::new(isn, &segment.options(packet));
        let data = segment.payload(packet).unwrap_or_default();
        // A server that takes more is not known to have a session that could be copied.
        let data = &data[..data.len().min(SYN_PAYLOAD_MAX)];
        let before = again.and_then(|_| self.nursery.before(&flow, now));
        self.put_infant(now, flow, Infant::Syn(handshake, data.into(), before));
    }

    /// Opens the sessions of a flow that has none, if this segment is where they may begin.
    pub(crate) fn begin(
        &mut self,
        (now, stamp): (Instant, Instant),
        flow: FlowKey,
        (segment, packet): (&Segment, &[u8]),
        payload: &[u8],
    ) -> Option<FlowId> {
        if segment.flags.intersects(Flags::RST.with(Flags::FIN)) && payload.is_empty() {
            self.end_trial_of(now, &flow);
        }
        if segment.flags.contains(Flags::RST) || payload.is_empty() {
            self.forget_ended(now, &flow, ClientSeq::new(segment.seq));
            return None;
        }
        let (seq, cause) = (ClientSeq::new(segment.seq), OnlineSeq::new(segment.ack));
        if !self.is_of_syn(now, &flow, seq, cause) {
            self.nursery.restore(&flow, now);
        }
        let why_unknown = if self.nursery.may_have_given_up(&flow, now) {
            Why::Missed
        } else {
            Why::OpenBefore
        };
        let mut running = match self.nursery.get(&flow, now) {
            Some(Infant::Running(running)) => running.clone(),
            Some(Infant::Syn(handshake, data, _))
                if is_rubbish(seq, segment.payload_len.into(), first_byte(handshake, data)) =>
            {
                return None;
            }
            Some(Infant::Syn(..)) => match self.begin_whole(now, flow, seq, cause) {
                Ok(opened) => return Some(opened),
                Err(why) => Running::new(why, self.weight(&flow)),
            },
            None => Running::new(why_unknown, self.weight(&flow)),
        };
        if running.weight == 0 {
            self.nursery.remove(&flow);
            return None;
        }
        let opened = match self.try_client((now, stamp), flow, (segment, packet), &mut running) {
            Tried::Opened(opened) => return Some(opened),
            Tried::Held => None,
            Tried::Passes => self.go_on_running(now, flow, (segment, packet), &mut running),
        };
        if opened.is_none() {
            self.put_running(now, flow, running);
        }
        opened
    }

    /// A segment of a client's flow that runs without a session: it is joined here, or what was said is counted.
    fn go_on_running(
        &mut self,
        now: Instant,
        flow: FlowKey,
        (segment, packet): (&Segment, &[u8]),
        running: &mut Running,
    ) -> Option<FlowId> {
        let (seq, cause) = (ClientSeq::new(segment.seq), OnlineSeq::new(segment.ack));
        let (seen, is_torn) = see(running, segment, packet);
        if seen.boundary && running.is_joinable() && !is_torn {
            let joins = |rule: &RuleId| match self.join_of(*rule) {
                // What logs in makes no sense without its login, and is joined otherwise if at all.
                _ if self.logs_in(*rule) => seen.beginning.is_some(),
                Join::Always => true,
                Join::Standalone => seen.stands_alone,
                Join::Never => seen.beginning.is_some(),
            };
            let rules: Vec<RuleId> = self.rules_of(&flow).filter(joins).collect();
            let timestamps = segment.options(packet).timestamps.is_some();
            let beginning = Beginning::Joined(seq, seen.beginning.unwrap_or(cause), timestamps);
            match self.open(now, flow, beginning, rules, None) {
                Ok(opened) => {
                    let holes = running.clone().into_holes();
                    self.tell(opened, now, |flow, _| flow.inherit(holes));
                    return Some(opened);
                }
                Err(Some(why)) => running.why = why,
                // No rule joins it here.
                Err(None) => {}
            }
        }
        self.leave_out(&flow, segment, running, seen);
        None
    }

    /// Whether the sessions of a rule log in by themselves.
    fn logs_in(&self, rule: RuleId) -> bool {
        let module = self.shared.config.rules[usize::from(rule.0)]
            .module
            .as_ref();
        module.is_some_and(|module| module.logs_in())
    }

    /// A segment of a client is not copied, and is counted.
    pub(crate) fn pass_by(
        &mut self,
        flow: &FlowKey,
        (segment, packet): (&Segment, &[u8]),
        running: &mut Running,
    ) {
        let (seen, _) = see(running, segment, packet);
        self.leave_out(flow, segment, running, seen);
    }

    fn leave_out(&mut self, flow: &FlowKey, segment: &Segment, running: &mut Running, seen: Seen) {
        if segment.flags.contains(Flags::FIN) {
            let seq = ClientSeq::new(segment.seq);
            running.on_client_end(seq + u32::from(segment.payload_len));
        }
        self.account(flow, running, seen);
    }

    /// A client has ended a flow that has no session, at `seq`.
    fn forget_ended(&mut self, now: Instant, flow: &FlowKey, seq: ClientSeq) {
        let known = self.nursery.get(flow, now);
        if known.is_some_and(|it| it.may_have_sent(seq)) {
            self.nursery.remove(flow);
        }
    }

    /// Whether this is the first byte after a SYN that may still be answered: where there is no total order, a first request may
    /// overtake the SYN-ACK. One that cannot be the connection's that was known before is so in any case: its answer was not seen.
    fn is_of_syn(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        seq: ClientSeq,
        cause: OnlineSeq,
    ) -> bool {
        let in_order = self.shared.config.in_order;
        let is_elsewhere = |before: &Before| matches!(before.as_deref(), Some(Infant::Running(it)) if it.is_elsewhere(seq) || it.is_of_another(seq, cause));
        matches!(self.nursery.get(flow, now),
            Some(Infant::Syn(handshake, _, before))
                if handshake.isn + 1 == seq && (!in_order || is_elsewhere(before)))
    }

    /// Opens the sessions of a flow whose SYN was seen, if its first payload begins here; otherwise why there is none.
    fn begin_whole(
        &mut self,
        now: Instant,
        flow: FlowKey,
        seq: ClientSeq,
        cause: OnlineSeq,
    ) -> Result<FlowId, Why> {
        let in_order = self.shared.config.in_order;
        let why_unmet = self.why_unmet(now);
        let Some(Infant::Syn(handshake, data, _)) = self.nursery.get(&flow, now) else {
            return Err(why_unmet);
        };
        let handshake = *handshake;
        let is_met = handshake.online_isn.is_some();
        let first = first_byte(&handshake, data);
        if (seq - first).unsigned_abs() > CONNECTION_DISTANCE_MAX {
            // The SYN was another connection's, or forged.
            return Err(Why::OpenBefore);
        }
        // Where the handshake is known, a segment that has overtaken the first one opens the session as well.
        if seq != first && !is_met {
            return Err(why_unmet);
        }
        // A first request that starts where its SYN's payload did says that the server did not take that.
        let early = if is_met {
            core::mem::take(data)
        } else {
            Box::default()
        };
        if !is_met && in_order {
            self.sights.on_unmet(&flow);
            return Err(why_unmet);
        }
        // In one total order a request without a SYN-ACK before it is nobody's; otherwise it may have overtaken it, and its
        // acknowledgement number says what the SYN-ACK will say.
        let isn = handshake.online_isn.unwrap_or(cause - 1);
        let rules = self.rules_of(&flow).collect();
        let opened = self.open(now, flow, Beginning::Handshake(handshake, isn), rules, None);
        match opened {
            Ok(opened) => self.take_early(now, opened, &early),
            Err(Some(Why::Shed)) => {
                let bytes = early.len() as u64 * u64::from(self.weight(&flow));
                self.shared.counters.left_out_shed_bytes += bytes;
            }
            Err(_) => {}
        }
        opened.map_err(|why| why.unwrap_or(Why::Missed))
    }

    pub(crate) fn on_online_syn(
        &mut self,
        now: Instant,
        flow: FlowKey,
        seq: OnlineSeq,
        ack: ClientSeq,
        advertised: Advertised,
    ) {
        let why_unmet = self.why_unmet(now);
        let Some(Infant::Syn(handshake, data, before)) = self.nursery.get(&flow, now) else {
            self.on_unasked_syn(now, flow, why_unmet);
            return;
        };
        let taken = usize::try_from(ack - (handshake.isn + 1)).ok();
        let Some(early) = taken.and_then(|taken| data.get(..taken)) else {
            return;
        };
        let early: Box<[u8]> = early.into();
        if handshake.online_isn.is_none() {
            self.sights.on_met(&flow);
        }
        (handshake.online_isn, handshake.advertised) = (Some(seq), advertised);
        *before = None;
        *data = early.clone();
        let handshake = *handshake;
        self.end_trial_of(now, &flow);
        if let Some(old) = self.flow_of(&flow) {
            self.replace(old, now);
        }
        if self.unconfirmed < UNCONFIRMED_MAX {
            let rules = self.rules_of(&flow).collect();
            match self.open(now, flow, Beginning::Handshake(handshake, seq), rules, None) {
                Ok(opened) => self.take_early(now, opened, &early),
                // A flow that is refused here asks again with its first payload, and is counted there if at all.
                Err(Some(Why::Shed) | None) => {}
                Err(Some(why)) => {
                    let running = Running::new(why, self.weight(&flow));
                    self.put_running(now, flow, running.seen_up_to(ack));
                }
            }
        }
    }

    /// The online server answers a SYN that was not seen. Where there is no session either, which it would be an answer of that
    /// was sent again, one side of its handshake is missed.
    fn on_unasked_syn(&mut self, now: Instant, flow: FlowKey, why: Why) {
        // Where there is no total order it may come after the flow's end.
        if why == Why::Missed
            && self.shared.config.in_order
            && self.flow_of(&flow).is_none()
            && self.nursery.get(&flow, now).is_none()
        {
            let running = Running::new(why, self.weight(&flow));
            self.put_running(now, flow, running);
        }
    }

    /// What the client's SYN carried, and the online server took.
    fn take_early(&mut self, now: Instant, id: FlowId, bytes: &[u8]) {
        let Some(flow) = self.flows.get(id).filter(|_| !bytes.is_empty()) else {
            return;
        };
        let piece = Piece {
            bytes,
            cause: flow.captured().last_cause(),
            stamp: now,
        };
        let next = flow.stream().next();
        self.on_client(id, now, next, Flags::ACK, piece);
    }

    /// The online server speaks of numbers that this flow's connection cannot have: its 4-tuple belongs to another one whose
    /// handshake was not seen. What was answered of that is lost, and is counted.
    pub(crate) fn on_jump(&mut self, now: Instant, flow: FlowKey, id: FlowId, ack: ClientSeq) {
        self.replace(id, now);
        let mut running = Running::new(Why::Missed, self.weight(&flow));
        if running.on_online(ack) {
            self.count_unseen(&flow);
        }
        self.put_running(now, flow, running);
    }

    /// The online server sent payload, acknowledging the client's stream up to `ack`, in a flow that has no session.
    pub(crate) fn on_online_payload(
        &mut self,
        now: Instant,
        flow: FlowKey,
        seq: OnlineSeq,
        ack: ClientSeq,
    ) {
        self.nursery.restore(&flow, now);
        match self.nursery.get(&flow, now) {
            Some(Infant::Syn(..)) => {}
            Some(Infant::Running(running)) => {
                running.see(seq);
                if running.on_online(ack) && running.why == Why::Missed {
                    self.count_unseen(&flow);
                }
            }
            None => {
                let running = Running::new(Why::OpenBefore, self.weight(&flow));
                let running = running.answered(Some(ack)).having_seen(seq);
                self.put_running(now, flow, running);
            }
        }
    }

    /// The same where what is known of the flow is at hand.
    pub(crate) fn hear_online(
        &mut self,
        flow: &FlowKey,
        seq: OnlineSeq,
        ack: ClientSeq,
        running: &mut Running,
    ) {
        running.see(seq);
        if running.on_online(ack) && running.why == Why::Missed {
            self.count_unseen(flow);
        }
    }

    pub(crate) fn put_infant(&mut self, now: Instant, flow: FlowKey, infant: Infant) {
        self.shared.counters.nursery_overwritten += u64::from(self.nursery.put(flow, infant, now));
    }
}

/// A segment of a client's flow that runs without a session is seen. Returns what it is to the flow, and whether data before it took another
/// path.
fn see(running: &mut Running, segment: &Segment, packet: &[u8]) -> (Seen, bool) {
    let (seq, cause) = (ClientSeq::new(segment.seq), OnlineSeq::new(segment.ack));
    let mapping = mapping_of(segment, packet);
    let is_torn = mapping.is_some_and(|it| running.on_mapping(it.shift()));
    let pushed = segment.flags.contains(Flags::PSH);
    let payload = segment.payload(packet).unwrap_or_default();
    (running.on_client(seq, cause, pushed, payload), is_torn)
}

/// Whether a segment has nothing but rubbish before the `first` byte of its connection, as a keep-alive probe has. What is far away is of
/// another connection: the SYN was forged, say.
fn is_rubbish(seq: ClientSeq, len: u32, first: ClientSeq) -> bool {
    seq + len <= first && (seq - first).unsigned_abs() <= CONNECTION_DISTANCE_MAX
}

/// The first byte that a flow's first segment carries: what the online server took of the SYN's payload, as far as it has
/// answered, came before it.
fn first_byte(handshake: &Handshake, data: &[u8]) -> ClientSeq {
    handshake.isn + 1 + handshake.online_isn.map_or(0, |_| data.len() as u32)
}
