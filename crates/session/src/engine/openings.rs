//! Where sessions begin: at the online server's SYN-ACK, at the first payload after it, or mid-stream at a turn boundary.
//!
//! Never at a SYN alone: the programs stand before the firewall, and a SYN flood must not reach the target.

use wire::flow::{Addr, Endpoint, FlowKey};
use wire::segment::Segment;
use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::Flags;

use super::Engine;
use crate::config::{RuleId, Source};
use crate::context::SessionId;
use crate::event::{Event, Outcome, TurnEnded};
use crate::limits::UNCONFIRMED_MAX;
use crate::nursery::{Handshake, Infant};
use crate::session::{Beginning, Session};
use crate::stream::Piece;
use crate::time::Instant;

/// What is kept of a session that ended at a gap.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) rule: RuleId,
    pub(crate) flow: FlowKey,
    /// What the online server had acknowledged.
    pub(crate) acknowledged: Option<ClientSeq>,
}

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
        let known = self
            .session_of(&flow)
            .and_then(|id| self.sessions.wake(id))
            .and_then(|session| session.client_isn);
        if known != Some(isn) {
            // Believed only once the online server answers it.
            let handshake = Handshake::new(isn, &segment.options(packet));
            let data = segment.payload(packet).unwrap_or_default();
            self.put_infant(now, flow, Infant::Syn(handshake, data.into()));
        }
    }

    /// The first session of a flow that has none, if this segment is where one may begin.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        flow: FlowKey,
        segment: &Segment,
        packet: &[u8],
    ) -> Option<SessionId> {
        let (seq, cause) = (ClientSeq::new(segment.seq), OnlineSeq::new(segment.ack));
        if segment.flags.contains(Flags::RST) || segment.payload_len == 0 {
            self.nursery.remove(&flow);
            return None;
        }
        let end = seq + u32::from(segment.payload_len);
        // In one total order a request without a SYN-ACK before it is nobody's; otherwise it may have overtaken it, and
        // its acknowledgement number says what the SYN-ACK will say.
        let overtook = (!self.shared.config.in_order).then(|| cause - 1);
        let mut early = Box::default();
        let beginning = match self.nursery.get(&flow, now) {
            Some(Infant::Syn(handshake, data))
                if seq == handshake.isn + 1 + taken(handshake, data) =>
            {
                // A first request that starts where its SYN's payload did says that the server did not take that.
                if handshake.online_isn.is_some() {
                    early = core::mem::take(data);
                } else if self.shared.config.in_order {
                    self.sights.on_unmet(&flow);
                }
                handshake
                    .online_isn
                    .or(overtook)
                    .map(|isn| Beginning::Handshake(*handshake, isn))
            }
            Some(Infant::Running {
                cause: before,
                next,
                answered,
                ..
            }) => {
                // Only new bytes begin a turn: a retransmission, or the byte of a keep-alive probe, carries a newer
                // acknowledgement number in the middle of an old one.
                let goes_on = *next == Some(seq) && before.is_some_and(|before| before < cause);
                // Nor may bytes from there on have come before: they are gone, and joining would only find the hole.
                let fresh = next.is_none_or(|next| next <= seq);
                // A keep-alive probe may carry a byte of rubbish (RFC 9293 section 3.8.4); who writes one byte pushes it.
                let probe = segment.payload_len == 1 && !segment.flags.contains(Flags::PSH);
                let boundary = !probe && (goes_on || (fresh && *answered == Some(seq)));
                if next.is_none_or(|next| next < end) {
                    (*before, *next) = (Some(cause), Some(end));
                }
                boundary.then(|| {
                    Beginning::Joined(seq, cause, segment.options(packet).timestamps.is_some())
                })
            }
            Some(Infant::LeftOut) => None,
            _ => {
                self.put_infant(
                    now,
                    flow,
                    Infant::Running {
                        cause: Some(cause),
                        next: Some(end),
                        answered: None,
                        copied: None,
                    },
                );
                None
            }
        };
        let opened = beginning.and_then(|beginning| self.open(now, flow, beginning));
        self.take_early(now, opened, &early);
        if opened.is_none() {
            self.shared.counters.bytes_skipped += u64::from((end - seq).unsigned_abs());
        }
        opened
    }

    pub(crate) fn on_online_syn(
        &mut self,
        now: Instant,
        flow: FlowKey,
        seq: OnlineSeq,
        ack: ClientSeq,
    ) {
        let Some(Infant::Syn(handshake, data)) = self.nursery.get(&flow, now) else {
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
        handshake.online_isn = Some(seq);
        *data = early.clone();
        let handshake = *handshake;
        if let Some(old) = self.session_of(&flow) {
            self.by_flow.remove(&flow, old);
            self.for_each_sibling(Some(old), now, Session::on_replaced);
        }
        if self.unconfirmed < UNCONFIRMED_MAX {
            let shed = self.shared.counters.sessions_shed;
            let opened = self.open(now, flow, Beginning::Handshake(handshake, seq));
            // A flow that is refused here asks again with its first payload, and is counted there if at all.
            self.shared.counters.sessions_shed = shed;
            self.take_early(now, opened, &early);
        }
    }

    /// What the client's SYN carried, and the online server took.
    fn take_early(&mut self, now: Instant, first: Option<SessionId>, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.for_each_sibling(first, now, |session, ctx| {
            let piece = Piece {
                bytes,
                cause: session.turns.last_cause(),
                stamp: now,
            };
            session.on_client(session.input.next(), Flags::ACK, piece, ctx);
        });
    }

    /// The online server speaks of numbers that this flow's connection cannot have: its 4-tuple belongs to another one whose
    /// handshake was not seen. What was answered of that is lost, and is counted.
    pub(crate) fn on_jump(
        &mut self,
        now: Instant,
        flow: FlowKey,
        first: SessionId,
        ack: ClientSeq,
    ) {
        let Some(rule) = self.sessions.wake(first).map(|session| session.rule) else {
            return;
        };
        self.by_flow.remove(&flow, first);
        self.for_each_sibling(Some(first), now, Session::on_replaced);
        self.count_unseen(rule);
        let lost = Lost {
            rule,
            flow,
            acknowledged: Some(ack),
        };
        self.put_lost(now, &lost);
    }

    /// The online server sent payload, acknowledging the client's stream up to `ack`, in a flow that has no session.
    pub(crate) fn on_online_payload(&mut self, now: Instant, flow: FlowKey, ack: ClientSeq) {
        let infant = match self.nursery.get(&flow, now) {
            Some(Infant::Syn(..) | Infant::LeftOut) => return,
            Some(Infant::Running {
                answered, copied, ..
            }) => {
                let another = answered.is_none_or(|answered| answered < ack);
                *answered = Some(ack);
                let lost = copied.filter(|_| another);
                if let Some(rule) = lost {
                    self.count_unseen(rule);
                }
                return;
            }
            None => Infant::Running {
                cause: None,
                next: None,
                answered: Some(ack),
                copied: None,
            },
        };
        self.put_infant(now, flow, infant);
    }

    /// A flow that was copied has lost its session to a gap: what it asks before it is joined again is lost too.
    pub(crate) fn put_lost(&mut self, now: Instant, session: &Lost) {
        let infant = Infant::Running {
            cause: None,
            next: None,
            answered: session.acknowledged,
            copied: Some(session.rule),
        };
        self.put_infant(now, session.flow, infant);
    }

    /// A turn was answered online of which no byte was captured: it is a turn all the same, once per copy.
    fn count_unseen(&mut self, rule: RuleId) {
        for _ in 0..self.shared.config.copies {
            let turn = TurnEnded::unseen(rule, Outcome::Gap);
            self.shared.events.push_back(Event::TurnEnded(turn));
        }
    }

    pub(crate) fn put_infant(&mut self, now: Instant, flow: FlowKey, infant: Infant) {
        if !self.joining && matches!(infant, Infant::Running { copied: None, .. }) {
            return;
        }
        self.shared.counters.nursery_overwritten += u64::from(self.nursery.put(flow, infant, now));
    }

    /// Opens the sessions of a flow: one per matching rule and copy. Returns the first.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        flow: FlowKey,
        beginning: Beginning,
    ) -> Option<SessionId> {
        let joined = matches!(beginning, Beginning::Joined(..));
        let any = Endpoint::new(Addr::UNSPECIFIED, flow.server.port);
        let rules = &self.shared.config.rules;
        let server = if rules.iter().any(|rule| rule.online == flow.server) {
            flow.server
        } else {
            any
        };
        let mut matching: Vec<RuleId> = (0u16..)
            .zip(rules)
            .filter(|(_, rule)| rule.online == server && !(joined && rule.full_sessions_only))
            .map(|(index, _)| RuleId(index))
            .collect();
        let copies = u64::from(self.shared.config.copies);
        if self.shared.config.source == Source::Clients {
            // A client of the other address family has no address that the target could answer to.
            let named = matching.len();
            let v4 = flow.client.addr.is_v4();
            matching.retain(|rule| rules[usize::from(rule.0)].target.addr.is_v4() == v4);
            let foreign = (named - matching.len()) as u64;
            self.shared.counters.sessions_foreign += foreign * copies;
        }
        let copies = matching.len() as u64 * copies;
        if copies == 0 {
            return None;
        }
        if self.is_ours(&flow) {
            self.shared.counters.flows_from_target += 1;
            self.put_infant(now, flow, Infant::LeftOut);
            return None;
        }
        if !self.may_open(now, copies) {
            self.shared.counters.sessions_shed += copies;
            return None;
        }
        self.nursery.remove(&flow);
        let mut first = None;
        for rule in matching {
            for _ in 0..self.shared.config.copies {
                first = Some(self.insert(now, rule, flow, beginning, first));
                self.shared.counters.sessions_joined += u64::from(joined);
            }
        }
        if let Some(first) = first {
            self.by_flow.insert(&flow, first);
        }
        first
    }

    /// Whether a flow comes from a target, or from where our own sessions come: what is copied would cause it, for ever. Where
    /// a host talks to itself the address says nothing.
    fn is_ours(&self, flow: &FlowKey) -> bool {
        let client = &flow.client;
        if client.addr == flow.server.addr || client.addr.is_loopback() {
            return false;
        }
        let config = &self.shared.config;
        let is_source = match &config.source {
            Source::Clients => false,
            Source::Pool {
                ranges,
                excluded_ports,
            } => {
                ranges.iter().any(|range| range.contains(client))
                    && !excluded_ports.contains(&client.port)
            }
        };
        let mut targets = config.rules.iter().map(|rule| &rule.target.addr);
        is_source || targets.any(|target| *target == client.addr)
    }

    /// A flow that has no session because few are opened for the time being: whether its turns are echoes must be seen all the
    /// same. A segment is taken for a turn.
    #[cold]
    pub(crate) fn look_at_refused(&mut self, flow: &FlowKey, payload: &[u8], stamp: Instant) {
        let rules = &self.shared.config.rules;
        let port = flow.server.port;
        let rule = (0..).zip(rules).find(|(_, rule)| {
            rule.online == flow.server || rule.online == Endpoint::new(Addr::UNSPECIFIED, port)
        });
        if let Some((index, _)) = rule.filter(|_| !payload.is_empty()) {
            let client = &flow.client.addr;
            self.shared
                .echoes
                .on_turn(client, RuleId(index), payload, stamp);
        }
    }

    pub(crate) fn may_open(&mut self, now: Instant, copies: u64) -> bool {
        let config = &self.shared.config;
        let crowded = self.live + copies > u64::from(config.sessions_max)
            || self.shared.arena.used() > config.payload_bytes_max / 8 * 7;
        if crowded || !self.admitting {
            return false;
        }
        if let Some((interval, next)) = &mut self.throttle {
            if now < *next {
                return false;
            }
            *next = now + *interval;
        }
        let Some(max) = config.sessions_per_second_max else {
            return true;
        };
        let second = now.as_nanos() / 1_000_000_000;
        if self.rate.0 != second {
            self.rate = (second, 0);
        }
        let copies = u32::try_from(copies).unwrap_or(u32::MAX);
        if self.rate.1.saturating_add(copies) > max {
            return false;
        }
        self.rate.1 += copies;
        true
    }

    pub(crate) fn insert(
        &mut self,
        now: Instant,
        rule: RuleId,
        flow: FlowKey,
        beginning: Beginning,
        sibling: Option<SessionId>,
    ) -> SessionId {
        let ctx = self.shared.lend(rule, now);
        let unconfirmed = &mut self.unconfirmed;
        let id = self.sessions.insert(|id| {
            let mut session = Session::new(id, rule, flow, beginning, &ctx);
            session.sibling = sibling;
            *unconfirmed += u32::from(!session.confirmed);
            session
        });
        self.live += 1;
        self.shared.counters.sessions_begun += 1;
        self.with(id, now, Session::connect);
        id
    }
}

/// How many bytes of a SYN's payload the online server took, as far as it has answered.
fn taken(handshake: &Handshake, data: &[u8]) -> u32 {
    handshake.online_isn.map_or(0, |_| data.len() as u32)
}
