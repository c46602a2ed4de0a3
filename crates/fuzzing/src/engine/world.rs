//! Everybody around the engine, and what must hold after every call of it.

use core::time::Duration;

use session::{Config, Engine, Instant, Source};
use wire::checksum::{Verdict, judge};
use wire::ethernet;
use wire::flow::{Addr, Endpoint};
use wire::hash::EndpointHash;
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;

use super::client::Client;
use super::ledger::{Ledger, SAMPLE_LEN};
use super::packet::Input;
use super::plan::{FLOWS, Plan};
use super::target::Targets;

/// Most calls of `on_timeout` at one time, and frames at one time: more would mean that it never ends.
const CALLS_MAX: u32 = 200_000;
/// How far one packet may take a session beyond the budget, in bytes: what is charged is charged afterwards.
const PAYLOAD_SLACK: u64 = 70_000;
/// Most packets that are remembered, to come once more.
const REMEMBERED_MAX: usize = 16;
/// The smallest MTU that the engine believes.
const MTU_MIN: u16 = session::limits::MTU_MIN;
/// How long the engine believes a router.
const PATH_MTU_AGE: Duration = session::limits::PATH_MTU_AGE;
/// Longest frame that a worker has place for.
const FRAME_LEN_MAX: usize = ethernet::HEADER_LEN + 9000;

/// The engine's picture of a target, as it was told.
struct Route {
    target: Endpoint,
    mtu: u16,
    /// What a router said, and how long that is believed.
    narrower: Option<(u16, Instant)>,
    exists: bool,
}

impl Route {
    fn mtu(&self, now: Instant) -> u16 {
        match self.narrower {
            Some((mtu, until)) if now < until => mtu.min(self.mtu),
            _ => self.mtu,
        }
    }
}

pub(super) struct World {
    pub(super) engine: Engine,
    config: Config,
    ending: u8,
    pub(super) now: Instant,
    pub(super) clients: Vec<Client>,
    pub(super) targets: Targets,
    ledger: Ledger,
    routes: Vec<Route>,
    pub(super) channel: bool,
    /// Payload bytes that clients' packets brought.
    bytes_given: u64,
    frames: u64,
    pub(super) remembered: Vec<(Input, Vec<u8>)>,
    frame: Box<[u8]>,
    /// Whether to tell what happens, packet by packet: where the environment has `FUZZ_TRACE`.
    tells: bool,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let now = Instant::from_nanos(5_000_000_000);
        let mut routes: Vec<Route> = Vec::new();
        for rule in &plan.config.rules {
            if routes.iter().all(|route| route.target != rule.target) {
                routes.push(Route {
                    target: rule.target,
                    mtu: rule.mtu.max(MTU_MIN),
                    narrower: None,
                    exists: true,
                });
            }
        }
        let mut engine = Engine::new(plan.config.clone(), now);
        // Samples change nothing: every other input goes without.
        engine.sample_responses(SAMPLE_LEN * usize::from(plan.config.in_order));
        Self {
            engine,
            config: plan.config,
            ending: plan.ending,
            now,
            clients: (0..FLOWS).map(|it| Client::new(it, plan.talk)).collect(),
            targets: Targets::new(plan.talk),
            ledger: Ledger::default(),
            routes,
            channel: true,
            bytes_given: 0,
            frames: 0,
            remembered: Vec::new(),
            frame: vec![0; FRAME_LEN_MAX].into_boxed_slice(),
            tells: std::env::var_os("FUZZ_TRACE").is_some(),
        }
    }

    /// Calls the engine; `begins` says whether turns may begin in it.
    pub(super) fn call<R>(&mut self, begins: bool, input: impl FnOnce(&mut Engine) -> R) -> R {
        let (open, ended) = (self.engine.turns_open(), self.ledger.ended);
        let missed = self.ledger.missed;
        let result = input(&mut self.engine);
        while let Some(event) = self.engine.poll_event() {
            if self.tells {
                eprintln!("    {event:?}");
            }
            self.ledger.take(event);
        }
        let ended = self.ledger.ended - ended;
        let seen = self.engine.turns_open() + ended;
        // Of a flow that a protocol module reads a session may end turns like this as well.
        let is_read = self.config.rules.iter().any(|rule| rule.module.is_some());
        let missed = (self.ledger.missed - missed) * u64::from(is_read);
        assert!(
            seen + missed >= open && (begins || seen <= open),
            "{open} turns were open, {ended} have ended, {} are open",
            self.engine.turns_open()
        );
        self.check();
        result
    }

    /// What holds between any two calls.
    fn check(&self) {
        let open = self.ledger.open.len();
        assert_eq!(self.engine.flows().count(), open, "flows and events agree");
        assert!(
            self.engine
                .flows()
                .all(|flow| self.ledger.open.contains(&flow))
        );
        assert!(open as u64 <= self.engine.sessions());
        let counters = self.engine.counters();
        assert_eq!(
            counters.sessions_begun - counters.sessions_closed,
            self.engine.sessions()
        );
        assert!(self.engine.sessions() <= u64::from(self.config.sessions_max));
        assert!(self.ledger.bytes <= self.bytes_given * self.siblings());
        let slack = self.siblings() * PAYLOAD_SLACK;
        assert!(
            self.engine.payload_bytes() <= self.config.payload_bytes_max + slack,
            "{} bytes of payload",
            self.engine.payload_bytes()
        );
        assert!(
            self.ledger.bytes_acknowledged <= self.targets.bytes_acknowledged(),
            "{} bytes of turns were acknowledged, {} by targets",
            self.ledger.bytes_acknowledged,
            self.targets.bytes_acknowledged()
        );
        assert!(
            self.ledger.bytes_answered <= self.targets.bytes_answered(),
            "{} bytes of answers were counted, {} sent",
            self.ledger.bytes_answered,
            self.targets.bytes_answered()
        );
    }

    /// Most sessions that one flow can have.
    fn siblings(&self) -> u64 {
        self.config.rules.len() as u64 * u64::from(self.config.copies)
    }

    /// Gives a packet to the engine, `earlier` before now.
    pub(super) fn give(&mut self, input: Input, packet: Vec<u8>, earlier: Duration) {
        let (now, stamp) = (self.now, self.now - earlier);
        self.tell(&format!("{input:?}"), &packet);
        match input {
            Input::Client => self.note_client(&packet),
            Input::Target => self.targets.note(&packet),
            Input::Online | Input::TooBig => {}
        }
        let believed = self.engine.counters().too_big_believed;
        self.call(input == Input::Client, |engine| match input {
            Input::Client => engine.on_client_packet(now, stamp, &packet),
            Input::Online => engine.on_online_packet(now, stamp, &packet),
            Input::Target => engine.on_target_packet(now, stamp, &packet),
            Input::TooBig => engine.on_too_big(now, &packet),
        });
        if self.engine.counters().too_big_believed > believed {
            let too_big = wire::icmp::TooBig::parse(&packet[..], 0).expect("believed");
            let mtu = u16::try_from(too_big.mtu).expect("believed");
            assert!(mtu >= MTU_MIN);
            let route = self.route(too_big.flow.server).expect("believed");
            route.narrower = Some((mtu, now + PATH_MTU_AGE));
        }
        if self.remembered.len() == REMEMBERED_MAX {
            self.remembered.remove(0);
        }
        self.remembered.push((input, packet));
    }

    /// A client's packet may say what no client says, or come from nobody: then nothing can be told from what comes out.
    fn note_client(&mut self, packet: &[u8]) {
        let Ok(segment) = Segment::parse(packet, 0) else {
            return;
        };
        let (Some(tcp), Some(payload)) = (segment.tcp(packet), segment.payload(packet)) else {
            return;
        };
        let (from, to) = (&segment.source.addr, &segment.destination.addr);
        if judge(from, to, PROTOCOL_TCP, tcp) == Verdict::Corrupt {
            return;
        }
        let ends = (segment.source, segment.destination);
        let flow = (0..FLOWS).find(|number| super::plan::flow(*number) == ends);
        let said = flow.is_some_and(|flow| {
            (segment.seq..=u32::MAX)
                .chain(0..)
                .zip(payload)
                .all(|(seq, byte)| *byte == super::content::byte(flow, seq))
        });
        self.targets.telling &= said;
        self.bytes_given += payload.len() as u64;
    }

    fn route(&mut self, target: Endpoint) -> Option<&mut Route> {
        self.routes.iter_mut().find(|route| route.target == target)
    }

    /// The route to a target changes, or goes.
    pub(super) fn reroute(&mut self, number: usize, mtu: Option<u16>) {
        let addr = self.routes[number % self.routes.len()].target.addr;
        for route in self
            .routes
            .iter_mut()
            .filter(|route| route.target.addr == addr)
        {
            if let Some(mtu) = mtu {
                (route.mtu, route.narrower) = (mtu.max(MTU_MIN), None);
            }
            route.exists = mtu.is_some();
        }
        let now = self.now;
        self.call(false, |engine| engine.on_route(now, addr, mtu));
    }

    /// Lets time pass, without saying so.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Does everything that is due.
    pub(super) fn fire(&mut self) {
        let mut calls = 0;
        while self.engine.next_timeout().is_some_and(|at| at <= self.now) {
            let now = self.now;
            self.call(false, |engine| engine.on_timeout(now));
            calls += 1;
            assert!(calls < CALLS_MAX, "timers are due for ever");
        }
    }

    /// Lets time pass up to the next timeout, at most `limit`.
    pub(super) fn fire_next(&mut self, limit: Duration) {
        let latest = self.now + limit;
        if let Some(next) = self.engine.next_timeout() {
            self.now = next.clamp(self.now, latest);
        }
        self.fire();
    }

    /// Polls frames into a buffer of `len` bytes until there is none, or `max` were sent.
    pub(super) fn poll(&mut self, len: usize, max: u32) {
        let mut frame = core::mem::take(&mut self.frame);
        let buffer = &mut frame[..len.min(FRAME_LEN_MAX)];
        let mut sent = 0;
        while sent < max {
            let now = self.now;
            self.ledger.closed.clear();
            buffer.fill(0xee);
            let Some(len) = self.call(false, |engine| engine.poll_transmit(now, buffer)) else {
                break;
            };
            sent += 1;
            assert!(sent < CALLS_MAX, "frames come for ever");
            self.judge(&buffer[..len]);
        }
        self.frame = frame;
    }

    fn judge(&mut self, frame: &[u8]) {
        self.frames += 1;
        assert!(self.channel, "a frame although replies cannot arrive");
        let (link, packet) = frame.split_at(ethernet::HEADER_LEN);
        self.tell("sent", packet);
        let kind = if packet[0] >> 4 == 4 {
            ethernet::IPV4
        } else {
            ethernet::IPV6
        };
        assert_eq!(link[12..], kind.to_be_bytes());
        let config = &self.config;
        let pooled = matches!(config.source, Source::Pool { .. });
        let copies = |flow: usize, target: Endpoint| {
            let (_, online) = super::plan::flow(flow);
            config.rules.iter().any(|rule| {
                let any = rule.online.addr == Addr::UNSPECIFIED && rule.online.port == online.port;
                rule.target == target && (any || rule.online == online)
            })
        };
        self.targets.now = self.now;
        let local = self.targets.receive(packet, pooled, copies);
        // What is sent may be the last word of its connection.
        let last = self.ledger.closed.contains(&local);
        assert!(
            last || self.ledger.open.contains(&local),
            "{local:?} is not open"
        );
        self.judge_source(local.client);
        let now = self.now;
        let route = self.route(local.server).expect("the target of a rule");
        assert!(route.exists, "a frame to {} without a route", local.server);
        assert!(
            packet.len() <= usize::from(route.mtu(now)),
            "{} bytes to {}, MTU {}",
            packet.len(),
            local.server,
            route.mtu(now)
        );
    }

    fn tell(&self, what: &str, packet: &[u8]) {
        if self.tells {
            let seconds = self.now.as_nanos() as f64 / 1e9;
            match Segment::parse(packet, 0) {
                Ok(s) => eprintln!(
                    "{seconds:.6} {what}: {} -> {} {:?} seq {} ack {} len {} window {} {:?}",
                    s.source,
                    s.destination,
                    s.flags,
                    s.seq,
                    s.ack,
                    s.payload_len,
                    s.window,
                    s.options(packet)
                ),
                Err(skip) => eprintln!("{seconds:.6} {what}: {skip:?} {packet:02x?}"),
            }
        }
    }

    fn judge_source(&self, source: Endpoint) {
        match &self.config.source {
            Source::Clients => {
                let known = (0..FLOWS).any(|number| super::plan::flow(number).0 == source);
                assert!(known || !self.targets.telling, "{source} is no client");
            }
            Source::Pool {
                ranges,
                excluded_ports,
            } => {
                assert!(ranges.iter().any(|range| range.contains(&source)));
                assert!(!excluded_ports.contains(&source.port));
                let owners = EndpointHash::new(self.config.hash_seed);
                let owner = owners.owner(&source, self.config.workers);
                assert_eq!(owner, self.config.worker);
            }
        }
    }

    /// A buffer that is long enough for every frame, as the worker's are.
    pub(super) fn frame_len(&self) -> usize {
        let mtu = self.routes.iter().map(|route| route.mtu).max().unwrap_or(0);
        (usize::from(mtu) + ethernet::HEADER_LEN).min(1514)
    }

    /// The end of the run: nothing may be left.
    pub(super) fn end(mut self) {
        if self.ending & 1 != 0 {
            self.fire();
            self.poll(self.frame_len(), u32::MAX);
        }
        if self.ending & 6 == 6 {
            self.channel = false;
            let now = self.now;
            self.call(false, |engine| engine.on_channel(now, false));
        }
        let now = self.now;
        self.call(false, |engine| engine.finish(now));
        assert_eq!(self.engine.turns_open(), 0, "every turn has ended");
        assert_eq!(self.engine.payload_bytes(), 0, "no payload is left");
        for _ in 0..1000 {
            self.poll(self.frame_len(), u32::MAX);
            if self.engine.sessions() == 0 {
                break;
            }
            self.fire_next(Duration::from_secs(1));
        }
        assert_eq!(self.engine.sessions(), 0, "no session is left");
        assert_eq!(self.engine.flows().count(), 0, "no connection is left");
        assert_eq!(self.engine.turns_waiting(self.now), 0);
        let counters = *self.engine.counters();
        assert_eq!(counters.segments_sent, self.frames);
        assert_eq!(counters.bytes_sent, self.targets.received);
        self.pass(Duration::from_secs(3600));
        self.fire();
        assert_eq!(self.engine.next_timeout(), None, "no timer is left");
        let now = self.now;
        assert_eq!(self.engine.poll_transmit(now, &mut self.frame), None);
    }
}
