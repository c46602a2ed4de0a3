//! The engine of one worker: every input and output of the room, and the tables that sessions share.
//!
//! Packets are parsed here, once, and handed to the sessions of their flow. After each input the session is
//! *settled*: put into the queue of those that may have something to send, armed with its deadline, or removed.

mod admission;
mod flows;
mod gates;
mod holds;
mod openings;
mod outside;
mod parked;
mod reach;
mod slots;
mod state;
mod tables;
mod timers;

use core::time::Duration;
use std::collections::VecDeque;

use wire::checksum::{Verdict, judge};
use wire::flow::{Addr, FlowKey};
use wire::hash::{EndpointHash, FlowHash};
use wire::icmp::TooBig;
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;
use wire::seq::{ClientSeq, LocalSeq, OnlineSeq};
use wire::tcp::Flags;

use crate::arena::Arena;
use crate::config::{Config, RuleId, Source};
use crate::context::{Clock, Context, SessionId, TargetState};
use crate::echo::Echoes;
use crate::event::{Counters, Event};
use crate::flow::Flow;
use crate::flow::advertised::Advertised;
use crate::flow::stream::Piece;
use crate::gate::Gate;
use crate::index::Index;
use crate::inflow::Inflow;
use crate::nursery::Nursery;
use crate::path::Path;
use crate::pool::Pool;
use crate::sample::Sampler;
use crate::session::Session;
use crate::sights::{Sight, Sights};
use crate::time::Instant;
use crate::turns::Habits;
use crate::wheel::Entry;
use flows::Flows;
use openings::mapping_of;
use parked::Parked;
use slots::Slots;
use timers::Timers;

/// All the sessions of one worker.
#[derive(Debug)]
pub struct Engine {
    pub(crate) sessions: Slots,
    pub(crate) flows: Flows,
    pub(crate) live: u64,
    /// Flows whose client's handshake nobody has confirmed yet.
    pub(crate) unconfirmed: u32,
    pub(crate) turns_open: u64,
    pub(crate) by_flow: Index,
    /// Sessions that wait for an older one of the same source.
    pub(crate) parked: Parked,
    pub(crate) nursery: Nursery,
    pub(crate) ready: VecDeque<SessionId>,
    pub(crate) timers: Timers,
    pub(crate) due: Vec<Entry>,
    pub(crate) admitting: bool,
    /// When the first packet of a client or an online server came.
    pub(crate) first_packet_at: Option<Instant>,
    /// Packets seen from here on are none of ours.
    pub(crate) capture_ended: Option<Instant>,
    /// The second that sessions are being counted in, and how many began in it.
    pub(crate) rate: (u64, u32),
    /// How long after one flow another may be opened for the time being, and when that is.
    pub(crate) throttle: Option<(Duration, Instant)>,
    /// Sessions whose SYN waits for the end of a hold.
    pub(crate) unopened: Vec<SessionId>,
    pub(crate) sights: Sights,
    pub(crate) shared: Shared,
}

/// What is lent to sessions.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) arena: Arena,
    pub(crate) counters: Counters,
    pub(crate) events: VecDeque<Event>,
    pub(crate) by_local: Index,
    /// Sources of clients that came free, and what was last sent from them.
    pub(crate) unparked: Vec<(FlowKey, LocalSeq)>,
    pub(crate) habits: Vec<Habits>,
    pub(crate) targets: Vec<TargetState>,
    /// The target of each rule.
    pub(crate) target_of: Vec<usize>,
    pub(crate) samples: Option<Box<Sampler>>,
    pub(crate) inflow: Inflow,
    /// How many joined flows of each rule its target has ended where the online server went on.
    pub(crate) joins_refused: Vec<u32>,
    /// How many connections of joined flows of each rule its target has ended in a row without an answer.
    pub(crate) joins_unanswered: Vec<u32>,
    pub(crate) echoes: Echoes,
}

impl Shared {
    pub(crate) fn lend<'a>(
        &'a mut self,
        rule: RuleId,
        now: Instant,
        flow: &'a mut Flow,
    ) -> Context<'a> {
        let index = usize::from(rule.0);
        Context {
            now,
            flow,
            config: &self.config,
            clock: self.clock,
            arena: &mut self.arena,
            counters: &mut self.counters,
            events: &mut self.events,
            by_local: &mut self.by_local,
            source_taken: false,
            unparked: &mut self.unparked,
            habits: &mut self.habits[index],
            target: &mut self.targets[self.target_of[index]],
            samples: self.samples.as_deref_mut(),
            inflow: &mut self.inflow,
            joins_refused: &mut self.joins_refused[index],
            joins_unanswered: &mut self.joins_unanswered[index],
            echoes: &mut self.echoes,
        }
    }
}

impl Engine {
    /// An engine without sessions.
    ///
    /// # Panics
    ///
    /// If there are more than 65,535 rules; the programs allow 1,024.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let hash = FlowHash::new(config.hash_seed);
        let excluded = config.source.excluded();
        let mut targets: Vec<TargetState> = Vec::new();
        let mut target_of = Vec::new();
        for rule in &config.rules {
            let known = targets
                .iter()
                .position(|target| target.endpoint == rule.target);
            target_of.push(known.unwrap_or(targets.len()));
            if known.is_none() {
                let pool = match &config.source {
                    Source::Clients => None,
                    Source::Pool { ranges, .. } => Some(Pool::new(
                        ranges,
                        excluded.clone(),
                        &rule.target.addr,
                        config.worker,
                        config.workers,
                        EndpointHash::new(config.hash_seed),
                    )),
                };
                let gate = Gate::new(rule.target, config.prove_path, hash);
                targets.push(TargetState {
                    endpoint: rule.target,
                    gate,
                    pool,
                    path: Path::new(rule.mtu),
                });
            }
        }
        let servers = config.rules.iter().map(|rule| rule.target).collect();
        let sights = Sights::new(&config.rules);
        let shared = Shared {
            clock: Clock::new(config.unix_nanos, now),
            arena: Arena::new(config.payload_bytes_max),
            counters: Counters::default(),
            events: VecDeque::new(),
            by_local: Index::new(hash),
            unparked: Vec::new(),
            habits: config.rules.iter().map(|_| Habits::new()).collect(),
            targets,
            target_of,
            samples: None,
            joins_refused: vec![0; config.rules.len()],
            joins_unanswered: vec![0; config.rules.len()],
            inflow: Inflow::new(config.reply_bytes_per_second_max, now),
            echoes: Echoes::new(),
            config,
        };
        Self {
            sessions: Slots::new(servers),
            flows: Flows::default(),
            live: 0,
            unconfirmed: 0,
            turns_open: 0,
            by_flow: Index::new(hash),
            parked: Parked::new(hash),
            nursery: Nursery::new(hash),
            ready: VecDeque::new(),
            timers: Timers::new(now),
            due: Vec::new(),
            admitting: true,
            first_packet_at: None,
            capture_ended: None,
            rate: (0, 0),
            throttle: None,
            unopened: Vec::new(),
            sights,
            shared,
        }
    }

    /// A client's packet, from its IP header on, as seen by `capture` at `stamp`.
    pub fn on_client_packet(&mut self, now: Instant, stamp: Instant, packet: &[u8]) {
        let parsed = Segment::parse(packet, 0).ok();
        let Some((segment, payload, tcp)) = parsed
            .and_then(|segment| Some((segment, segment.payload(packet)?, segment.tcp(packet)?)))
        else {
            self.shared.counters.client_malformed += 1;
            return;
        };
        self.shared.counters.client_packets += 1;
        if judge(
            &segment.source.addr,
            &segment.destination.addr,
            PROTOCOL_TCP,
            tcp,
        ) == Verdict::Corrupt
        {
            self.shared.counters.client_corrupt += 1;
            return;
        }
        if !self.is_captured(stamp) {
            return;
        }
        let flow = FlowKey {
            client: segment.source,
            server: segment.destination,
        };
        self.sights.on_client(&flow);
        self.first_packet_at.get_or_insert(now);
        if segment.flags.contains(Flags::SYN) {
            self.on_client_syn(now, flow, &segment, packet);
            return;
        }
        if self.shared.arena.is_full() {
            self.shed_largest(now);
        }
        self.shared.counters.client_urgent += u64::from(segment.flags.contains(Flags::URG));
        if segment.payload_len > 0
            && let Some(shift) = mapping_of(&segment, packet)
        {
            self.on_mapping(now, &flow, shift);
        }
        let known = self
            .flow_of(&flow)
            .or_else(|| self.begin(now, flow, &segment, packet, payload));
        let Some(id) = known else {
            if self.throttle.is_some() {
                self.look_at_refused(&flow, payload, stamp);
            }
            return;
        };
        let piece = Piece {
            bytes: payload,
            cause: OnlineSeq::new(segment.ack),
            stamp,
        };
        let seq = ClientSeq::new(segment.seq);
        self.on_client(id, now, seq, segment.flags, piece);
    }

    /// The headers of an online server's segment, from its IP header on, as seen by `observe` at `stamp`.
    pub fn on_online_packet(&mut self, now: Instant, stamp: Instant, headers: &[u8]) {
        let Ok(segment) = Segment::parse(headers, 0) else {
            self.shared.counters.online_malformed += 1;
            return;
        };
        self.shared.counters.online_packets += 1;
        let flow = FlowKey {
            client: segment.destination,
            server: segment.source,
        };
        self.sights.on_online(&flow);
        self.first_packet_at.get_or_insert(now);
        let (seq, ack) = (OnlineSeq::new(segment.seq), ClientSeq::new(segment.ack));
        if segment.flags.contains(Flags::SYN) {
            if self.is_captured(stamp) {
                let scale = segment.options(headers).window_scale;
                let advertised = Advertised::of_handshake(scale, segment.window);
                self.on_online_syn(now, flow, seq, ack, advertised);
            }
            return;
        }
        self.shared.hold_sample(&segment, headers);
        let len = u32::from(segment.payload_len);
        let Some(id) = self.flow_of(&flow) else {
            if segment.flags.contains(Flags::RST) {
                let known = self.nursery.get(&flow, now);
                if known.is_some_and(|it| it.may_be_answered_by(seq)) {
                    self.nursery.remove(&flow);
                }
            } else if len > 0 && self.is_captured(stamp) {
                self.on_online_payload(now, flow, ack);
            }
            return;
        };
        let captured = self.is_captured(stamp);
        let known = self.flows.wake(id);
        if known.is_some_and(|flow| flow.is_elsewhere(seq, ack)) {
            // After the end of capture another connection on the same 4-tuple is none of ours.
            if captured && len > 0 {
                self.on_jump(now, flow, id, ack);
            }
            return;
        }
        let heard = self.tell(id, now, |flow, room| {
            flow.advertised().on_segment(segment.window);
            // After the end of capture the client goes on without us: that is no hole.
            let next = flow.stream().next();
            let (ack, len) = if captured || ack <= next {
                (ack, len)
            } else {
                (next, 0)
            };
            flow.on_online(seq, ack, segment.flags, len, stamp, room)
        });
        if let Some(heard) = heard {
            self.for_each_session(id, now, |session, ctx| session.on_online(heard, ctx));
        }
    }

    /// The headers of a target's reply, from its IP header on, as seen at `stamp`.
    pub fn on_target_packet(&mut self, now: Instant, stamp: Instant, headers: &[u8]) {
        let Ok(segment) = Segment::parse(headers, 0) else {
            self.shared.counters.reply_malformed += 1;
            return;
        };
        self.shared.counters.reply_packets += 1;
        let local = FlowKey {
            client: segment.destination,
            server: segment.source,
        };
        let Some(id) = self.session_from(&local) else {
            self.shared.counters.reply_unknown += 1;
            return;
        };
        self.shared.hold_sample(&segment, headers);
        let options = segment.options(headers);
        let opened = self.with(id, now, |session, ctx| {
            let client = ctx.flow.key().client.addr;
            let opened = session.tell_gate(&segment, ctx);
            session.on_target(&segment, &options, stamp, ctx);
            session.knock(&segment, ctx);
            (opened, session.rule, client)
        });
        if let Some((true, rule, client)) = opened {
            self.let_in(self.shared.target_of[usize::from(rule.0)], Some(&client));
        }
    }

    /// An ICMP too-big message about one of our segments, from its IP header on.
    pub fn on_too_big(&mut self, now: Instant, packet: &[u8]) {
        let believed = TooBig::parse(packet, 0).ok().is_some_and(|too_big| {
            let id = self.session_from(&too_big.flow);
            let mtu = u16::try_from(too_big.mtu).unwrap_or(u16::MAX);
            id.and_then(|id| {
                self.with(id, now, |session, ctx| {
                    let ours = session.connection.was_sent(LocalSeq::new(too_big.seq));
                    let believed = ours && ctx.target.path.narrow(mtu, now);
                    if believed {
                        session.connection.on_too_big(now);
                    }
                    believed
                })
            })
            .unwrap_or(false)
        });
        self.shared.counters.too_big_believed += u64::from(believed);
        self.shared.counters.too_big_ignored += u64::from(!believed);
    }

    /// The route to a target changed: its MTU in bytes, or `None` where there is no route.
    pub fn on_route(&mut self, now: Instant, target: Addr, mtu: Option<u16>) {
        for index in 0..self.shared.targets.len() {
            let state = &mut self.shared.targets[index];
            if state.endpoint.addr == target {
                if let Some(mtu) = mtu {
                    state.path.set_route(mtu);
                }
                state.gate.set_route(mtu.is_some(), now);
                self.let_in(index, None);
            }
        }
    }

    /// Assistant mode: whether reports can arrive at all. While they cannot, nothing is sent; when they can again the
    /// path is proven anew where [`Config::prove_path`] asks for it.
    pub fn on_channel(&mut self, now: Instant, connected: bool) {
        for index in 0..self.shared.targets.len() {
            self.shared.targets[index].gate.set_channel(connected, now);
            self.let_in(index, None);
        }
    }

    /// Whether new flows may get sessions (`--max-cpu`). Running sessions go on.
    pub fn admit(&mut self, admit: bool) {
        self.admitting = admit;
    }

    /// The end of capture: client packets that were seen from `now` on are ignored. Earlier ones, which may still wait
    /// in the ring, are not: they were captured.
    pub fn stop_capture(&mut self, now: Instant) {
        self.capture_ended = Some(now);
    }

    fn is_captured(&self, stamp: Instant) -> bool {
        self.capture_ended.is_none_or(|end| stamp < end)
    }

    /// Ends everything: each session is reset, each open turn ends in the ledger. Frames and events are left to poll.
    pub fn finish(&mut self, now: Instant) {
        self.end_hold(now);
        self.capture_ended = Some(Instant::default());
        for id in 0..self.sessions.len() as SessionId {
            self.with(id, now, Session::finish);
        }
    }

    /// Does what is due at `now`; to be called when [`Engine::next_timeout`] has passed.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.shared.echoes.due().is_some_and(|due| due <= now) {
            self.on_watch_due(now);
        }
        while let Some(Entry { session, at }) = self.timers.due_acknowledgement(now) {
            if self
                .sessions
                .get(session)
                .is_some_and(|it| it.acknowledges_at == Some(at))
            {
                self.with(session, now, Session::on_acknowledgement_due);
            }
        }
        let mut due = core::mem::take(&mut self.due);
        self.timers.expire(now, &mut due);
        for Entry { session, at } in due.drain(..) {
            if self.sessions.fire(session, at) {
                self.on_session_due(session, now);
            }
        }
        self.due = due;
        self.on_gates_due(now);
    }

    /// Something may be due for a session, or for its flow.
    fn on_session_due(&mut self, id: SessionId, now: Instant) {
        let number = self.sessions.flow(id);
        if let Some(number) = number
            && let Some(flow) = self.flows.get(number)
            && flow.gap_at().is_some_and(|at| at <= now)
        {
            self.on_gap_due(number, now);
        }
        let idle_timeout = self.shared.config.idle_timeout;
        let idle = self.with(id, now, |session, ctx| {
            if session.deadline(ctx.flow, idle_timeout) <= now {
                session.on_deadline(ctx);
            }
            session.is_idle(ctx)
        });
        if idle == Some(true) {
            self.on_idle(id, now);
        }
        self.rest(id, now);
    }

    /// When [`Engine::on_timeout`] wants to be called next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let all = [
            self.timers.next(),
            self.gates_due(),
            self.shared.echoes.due(),
        ];
        all.into_iter().flatten().min()
    }

    /// Writes the next frame, from its Ethernet header on, into `frame` and returns its length in bytes.
    /// `frame` must hold the largest MTU of all routes plus an Ethernet header, or 1514 bytes, whichever is less;
    /// segments are never larger than the buffer.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, frame: &mut [u8]) -> Option<usize> {
        if self.ready.is_empty() {
            return None;
        }
        self.transmit_next(now, frame)
    }

    fn transmit_next(&mut self, now: Instant, frame: &mut [u8]) -> Option<usize> {
        // A session that wants to send and cannot, into this frame, must not hold up the others or the caller.
        for _ in 0..self.ready.len() {
            let id = self.ready.pop_front()?;
            let Some(session) = self.sessions.wake(id) else {
                continue;
            };
            if session.held.is_some() {
                // Its number stood here for a session that is gone; this one waits at the gate.
                continue;
            }
            if self.shared.echoes.hold_end().is_some()
                && self.shared.echoes.held_until(now).is_some()
                && session.is_opening()
            {
                // It stays queued, so that it stands there once.
                self.unopened.push(id);
                continue;
            }
            session.queued = false;
            if !self.pass_gate(id, now) {
                continue;
            }
            if let Some(Some(len)) = self.with(id, now, |session, ctx| session.transmit(ctx, frame))
            {
                return Some(len);
            }
        }
        None
    }

    /// What was seen of each rule's service, in the order of the command line.
    #[must_use]
    pub fn sights(&self) -> Vec<Sight> {
        let counts = self.shared.joins_refused.iter();
        let counts = counts.zip(&self.shared.joins_unanswered);
        let mut sights = self.sights.of_rules().to_vec();
        for (sight, (refused, unanswered)) in sights.iter_mut().zip(counts) {
            sight.set_joins_refused(*refused, *unanswered);
        }
        sights
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop_front()
    }
}
