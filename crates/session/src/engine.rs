//! The engine of one worker: every input and output of the room, and the tables that sessions share.
//!
//! Packets are parsed here, once, and handed to the sessions of their flow. After each input the session is
//! *settled*: put into the queue of those that may have something to send, armed with its deadline, or removed.

mod admission;
mod flows;
mod following;
mod gates;
mod holds;
mod inputs;
mod openings;
mod outside;
mod parked;
mod reach;
mod sampling;
mod slots;
mod state;
mod tables;
mod timers;

use core::time::Duration;
use std::collections::VecDeque;

use wire::flow::{Addr, FlowKey};
use wire::hash::{EndpointHash, FlowHash};
use wire::seq::LocalSeq;

use crate::arena::Arena;
use crate::config::{Config, RuleId, Source};
use crate::context::{Clock, Context, SessionId, TargetState};
use crate::echo::Echoes;
use crate::event::{Counters, Event};
use crate::flow::Flow;
use crate::gate::Gate;
use crate::index::Index;
use crate::inflow::Inflow;
use crate::nursery::Nursery;
use crate::path::Path;
use crate::pool::Pool;
use crate::sample::Sampler;
use crate::session::{Life, Session};
use crate::sights::{Sight, Sights};
use crate::time::Instant;
use crate::turns::Habits;
use crate::wheel::Entry;
use flows::Flows;
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
        let (targets, target_of) = targets_of(&config, hash);
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
        self.finish_flows();
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
                self.touch(session, now, Session::on_acknowledgement_due);
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
            let is_last = matches!(session.life, Life::Leaving(_));
            if !self.pass_gate(id, now) {
                continue;
            }
            // But for a last segment, after which there is no connection, what it needs stays as it is.
            let sent = self.lend_to(id, now, is_last, |session, ctx| {
                session.transmit(ctx, frame)
            });
            if let Some(len) = sent.flatten() {
                return Some(len);
            }
        }
        None
    }

    /// What was seen of each rule's service, in the order of the command line.
    #[must_use]
    pub fn sights(&self) -> &[Sight] {
        self.sights.of_rules()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop_front()
    }
}

/// The targets of all rules, each once, and which of them each rule has.
fn targets_of(config: &Config, hash: FlowHash) -> (Vec<TargetState>, Vec<usize>) {
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
    (targets, target_of)
}
