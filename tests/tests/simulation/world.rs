//! The world of one seed: three hosts, the paths between them, the ring of records, and the engine, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use session::{Engine, Event, Instant, TurnEnded};
use wire::segment::Segment;

use crate::client::Client;
use crate::link::Link;
use crate::oracle::Oracle;
use crate::plan::{Cut, Ending, Plan};
use crate::random::Random;
use crate::server::{PORT, Server, Side};
use crate::setting::{CLIENT, CLIENT_PORT, ONLINE, TARGET, config, earlier, headers, is_let_in};
use crate::stack::{MILLISECOND, SECOND, Stack};
use crate::trace::Trace;
use crate::verdict;

/// When a simulation begins.
const START: u64 = 5 * SECOND;
/// Longest that the clients may take, in virtual time.
const CLIENTS_MAX: u64 = 300 * SECOND;
/// Longest that the engine may take afterwards.
const DRAIN_MAX: u64 = 300 * SECOND;
/// How long it is watched after that.
const LINGER: u64 = 90 * SECOND;
/// Most steps of a simulation: more is a livelock.
const STEPS_MAX: u64 = 1_000_000;
/// Calls of `on_timeout` until nothing is due any more.
const TIMEOUTS_AT_ONCE_MAX: u32 = 1000;
/// Where a packet is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    Online,
    Client,
    Target,
    /// A reply, at the place of the program that consumes it.
    Reply,
    ClientRecord,
    OnlineRecord,
    ReplyRecord,
}

/// What is on its way: when it arrives, its number, where, when it was stamped, and the packet.
type Underway = Reverse<(u64, u64, Arrival, u64, Vec<u8>)>;

/// A world.
pub(crate) struct World {
    pub(crate) plan: Plan,
    random: Random,
    now: u64,
    steps: u64,
    number: u64,
    underway: BinaryHeap<Underway>,
    record_at: u64,
    pub(crate) records_lost: u64,
    to_online: Link,
    to_client: Link,
    to_target: Link,
    to_engine: Link,
    client_stack: Stack,
    online_stack: Stack,
    target_stack: Stack,
    pub(crate) clients: Vec<Client>,
    online: Server,
    pub(crate) target: Server,
    pub(crate) engine: Engine,
    pub(crate) oracle: Oracle,
    /// The life of each connection that the target accepted.
    pub(crate) lives: Vec<Option<usize>>,
    /// Whose bytes it carries: the client's number and where in its stream they begin, once that is known.
    pub(crate) origins: Vec<Option<(usize, usize)>>,
    /// Whether a client never came to its end.
    pub(crate) stuck: bool,
    channel_up: bool,
    pub(crate) ended: Vec<TurnEnded>,
    pub(crate) frames: u64,
    pub(crate) inputs: u64,
    /// When each host wants to be run.
    due: [Option<u64>; 3],
    trace: Trace,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::random(&mut random);
        let mut client_stack = Stack::new(CLIENT, plan.client_mtu, START, &mut random);
        let clients = (0u16..).zip(&plan.connections);
        let clients = clients
            .map(|(number, connection)| {
                let place = if plan.reuses_ports {
                    (CLIENT_PORT + number / 2, usize::from(number % 2))
                } else {
                    (CLIENT_PORT + number, 0)
                };
                let handle = client_stack.add(plan.client_options.socket());
                let mut connection = connection.clone();
                connection.start += START;
                Client::new(
                    usize::from(number),
                    place,
                    &connection,
                    plan.greeting.0,
                    handle,
                )
            })
            .collect();
        let mut link = |impairment| Link::new(impairment, &mut random);
        Self {
            to_online: link(plan.client_path),
            to_client: link(crate::link::Impairment {
                corruption: 0,
                ..plan.client_path
            }),
            to_target: link(plan.target_path),
            to_engine: link(plan.reply_path),
            online_stack: Stack::new(ONLINE, 1500, START, &mut random),
            target_stack: Stack::new(TARGET, plan.target_mtu, START, &mut random),
            client_stack,
            clients,
            online: Server::new(Side::Online, plan.online_options),
            target: Server::new(Side::Target, plan.target_options),
            engine: Engine::new(config(&plan, seed), Instant::from_nanos(START)),
            oracle: Oracle::default(),
            lives: vec![],
            origins: vec![],
            stuck: false,
            channel_up: true,
            ended: vec![],
            frames: 0,
            inputs: 0,
            now: START,
            steps: 0,
            number: 0,
            underway: BinaryHeap::new(),
            record_at: 0,
            records_lost: 0,
            due: [Some(START); 3],
            trace: Trace::from_environment(),
            random,
            plan,
        }
    }

    /// Runs the clients, then the drain, then the end, and judges.
    pub(crate) fn run(&mut self) {
        self.trace.note(self.now, &format!("{:#?}", self.plan));
        let limit = START + CLIENTS_MAX;
        let cut = self.plan.cut.map(|(at, cut)| (START + at, cut));
        while !self.clients_are_done() && cut.is_none_or(|(at, _)| self.now < at) {
            if self.now >= limit {
                // smoltcp can lose a FIN for good; that is not what is tried here.
                self.stuck = true;
                break;
            }
            self.step(cut.map_or(limit, |(at, _)| at));
        }
        if cut.is_none() {
            // The last acknowledgements still have to pass the programs.
            self.run_until(self.now + 5 * SECOND);
        }
        self.trace.note(self.now, "capture stops");
        self.engine.stop_capture(self.instant());
        let now_ends = cut.is_some_and(|(_, cut)| cut == Cut::Finish);
        let limit = self.now + if now_ends { 0 } else { DRAIN_MAX };
        while self.engine.turns_waiting(self.instant()) > 0 && self.now < limit {
            self.step((self.now + MILLISECOND * 500).min(limit));
        }
        let waiting = self.engine.turns_waiting(self.instant());
        self.run_until(self.now + if now_ends { 0 } else { LINGER });
        verdict::before_the_end(self, waiting);
        self.trace.note(self.now, "the end");
        self.engine.finish(self.instant());
        self.run_engine();
        verdict::after_the_end(self);
        self.run_until(self.now + SECOND);
        verdict::after_the_end(self);
    }

    fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn clients_are_done(&mut self) -> bool {
        let stack = &mut self.client_stack;
        self.clients.iter().all(|client| client.is_done(stack))
    }

    fn run_until(&mut self, until: u64) {
        while self.now < until {
            self.step(until);
        }
    }

    /// Goes on to whatever comes next, at most to `until`.
    fn step(&mut self, until: u64) {
        self.steps += 1;
        assert!(
            self.steps < STEPS_MAX,
            "a livelock: {} steps at {} ns",
            self.steps,
            self.now
        );
        let arrival = self.underway.peek().map(|Reverse((at, ..))| *at);
        let until = self.switch_channel(until);
        let engine = self.engine.next_timeout().map(Instant::as_nanos);
        let dues = self.due.into_iter().chain([arrival, engine]);
        let next = dues.flatten().min().unwrap_or(until).max(self.now);
        if next >= until {
            self.now = until;
            return;
        }
        self.now = next;
        let is_due = |at: Option<u64>| at.is_some_and(|at| at <= next);
        if is_due(self.due[0]) {
            self.run_clients();
        }
        if is_due(self.due[1]) {
            self.run_online();
        }
        if is_due(self.due[2]) {
            self.run_target();
        }
        if is_due(engine) {
            self.run_engine();
        }
        if is_due(arrival) {
            self.arrive();
        }
    }

    /// Tells the engine that the channel goes down or comes up, when it is time. Returns how far a step may go.
    fn switch_channel(&mut self, until: u64) -> u64 {
        let Some((from, end)) = self.plan.channel_down else {
            return until;
        };
        let up = !(START + from..START + end).contains(&self.now);
        if up != self.channel_up {
            self.channel_up = up;
            self.trace
                .note(self.now, if up { "channel up" } else { "channel down" });
            self.engine.on_channel(self.instant(), up);
            self.run_engine();
        }
        let next = [START + from, START + end]
            .into_iter()
            .find(|at| *at > self.now);
        next.map_or(until, |next| next.min(until))
    }

    fn send(&mut self, at: u64, arrival: Arrival, stamp: u64, packet: Vec<u8>) {
        self.number += 1;
        self.underway
            .push(Reverse((at, self.number, arrival, stamp, packet)));
    }

    fn send_all(&mut self, arrivals: Vec<(u64, Vec<u8>)>, arrival: Arrival) {
        for (at, packet) in arrivals {
            self.send(at, arrival, 0, packet);
        }
    }

    /// A program puts a record into the ring, or finds it full.
    fn record(&mut self, arrival: Arrival, packet: &[u8]) {
        let before = self.now < START + self.plan.capture_from;
        let (from, until) = self.plan.channel_down.unwrap_or_default();
        let down =
            arrival == Arrival::ReplyRecord && (START + from..START + until).contains(&self.now);
        if before || down || self.random.percent(self.plan.records_lost) {
            self.records_lost += 1;
            self.trace.packet(self.now, "record lost", packet);
            return;
        }
        self.record_at = self
            .record_at
            .max(self.now + self.random.range(0, self.plan.record_delay));
        self.send(self.record_at, arrival, self.now, packet.to_vec());
    }

    /// The next packet arrives where it goes.
    fn arrive(&mut self) {
        let Some(Reverse((_, _, arrival, stamp, packet))) = self.underway.pop() else {
            return;
        };
        let (now, stamp) = (self.instant(), Instant::from_nanos(stamp));
        match arrival {
            Arrival::Online => {
                self.trace.packet(self.now, "client -> online", &packet);
                self.oracle.on_client(&packet);
                if Segment::parse(&packet[..], 0).is_ok_and(|segment| !segment.is_pure_ack()) {
                    self.record(Arrival::ClientRecord, &packet);
                }
                if is_let_in(&packet, &mut self.online, &mut self.online_stack) {
                    self.online_stack.push(packet);
                    self.run_online();
                }
            }
            Arrival::Client => {
                self.client_stack.push(packet);
                self.run_clients();
            }
            Arrival::Target => {
                self.trace.packet(self.now, "engine -> target", &packet);
                if let Ok(segment) = Segment::parse(&packet[..], 0) {
                    self.oracle.on_reached_target(&segment);
                }
                if is_let_in(&packet, &mut self.target, &mut self.target_stack) {
                    self.target_stack.push(packet);
                    self.run_target();
                }
            }
            Arrival::Reply => self.record(Arrival::ReplyRecord, headers(&packet)),
            Arrival::ClientRecord => {
                self.inputs += 1;
                self.engine.on_client_packet(now, stamp, &packet);
                self.run_engine();
            }
            Arrival::OnlineRecord => {
                self.inputs += 1;
                self.engine.on_online_packet(now, stamp, &packet);
                self.run_engine();
            }
            Arrival::ReplyRecord => {
                self.inputs += 1;
                self.trace.packet(self.now, "target -> engine", &packet);
                self.oracle.on_reply(&packet);
                self.engine.on_target_packet(now, stamp, &packet);
                self.run_engine();
            }
        }
    }

    /// The second connection of a port waits for the first.
    fn share_ports(&mut self) {
        if !self.plan.reuses_ports {
            return;
        }
        for pair in self.clients.chunks_mut(2) {
            let [first, second] = pair else { continue };
            if !first.is_done(&mut self.client_stack) {
                second.wait(self.now + MILLISECOND);
            } else if second.due().is_some_and(|at| at <= self.now) {
                first.give_way(&mut self.client_stack);
            }
        }
    }

    fn run_clients(&mut self) {
        loop {
            self.share_ports();
            for client in &mut self.clients {
                client.run(self.now, (ONLINE, PORT), &mut self.client_stack);
            }
            self.client_stack.poll(self.now);
            let mut quiet = true;
            while let Some(packet) = self.client_stack.pop() {
                quiet = false;
                let arrivals = self.to_online.send(self.now, packet);
                self.send_all(arrivals, Arrival::Online);
            }
            if quiet {
                break;
            }
        }
        let clients = self.clients.iter().filter_map(Client::due).min();
        self.due[0] = earlier(clients, self.client_stack.due(self.now), self.now);
    }

    fn run_online(&mut self) {
        loop {
            self.online_stack.poll(self.now);
            let reads = self
                .online
                .run(self.now, &self.plan, &mut self.online_stack);
            self.online_stack.poll(self.now);
            let mut quiet = reads.is_empty();
            while let Some(packet) = self.online_stack.pop() {
                quiet = false;
                self.trace.packet(self.now, "online -> client", &packet);
                self.oracle.on_online(&packet);
                self.record(Arrival::OnlineRecord, headers(&packet));
                let arrivals = self.to_client.send(self.now, packet);
                self.send_all(arrivals, Arrival::Client);
            }
            if quiet {
                break;
            }
        }
        self.due[1] = earlier(self.online.due(), self.online_stack.due(self.now), self.now);
    }

    fn run_target(&mut self) {
        loop {
            self.target_stack.poll(self.now);
            let reads = self
                .target
                .run(self.now, &self.plan, &mut self.target_stack);
            for accepted in &self.target.accepted[self.lives.len()..] {
                self.lives.push(self.oracle.latest(accepted.port));
                self.origins.push(None);
            }
            for read in &reads {
                verdict::on_read(self, read);
            }
            self.target_stack.poll(self.now);
            let mut quiet = reads.is_empty();
            while let Some(packet) = self.target_stack.pop() {
                quiet = false;
                self.trace.packet(self.now, "target ->", &packet);
                if let Ok(segment) = Segment::parse(&packet[..], 0) {
                    self.oracle.on_target(&segment);
                }
                let arrivals = self.to_engine.send(self.now, packet);
                self.send_all(arrivals, Arrival::Reply);
            }
            if quiet {
                break;
            }
        }
        self.due[2] = earlier(self.target.due(), self.target_stack.due(self.now), self.now);
    }

    fn run_engine(&mut self) {
        let now = self.instant();
        let mut calls = 0;
        while self.engine.next_timeout().is_some_and(|at| at <= now) {
            self.engine.on_timeout(now);
            calls += 1;
            assert!(calls < TIMEOUTS_AT_ONCE_MAX, "a timer stays due at {now:?}");
            self.transmit();
        }
        self.transmit();
        while let Some(event) = self.engine.poll_event() {
            self.trace.event(self.now, &event);
            match event {
                Event::TurnEnded(ended) => self.ended.push(ended),
                Event::SessionClosed { flow, .. } => self.oracle.on_closed(flow.client.port),
                Event::SessionOpened { .. } => {}
            }
        }
    }

    fn transmit(&mut self) {
        let mut frame = [0; 1514];
        let mut burst = 0;
        while let Some(len) = self.engine.poll_transmit(self.instant(), &mut frame) {
            burst += 1;
            assert!(burst < 10_000, "frames without end");
            self.frames += 1;
            let packet = frame[14..len].to_vec();
            let segment = Segment::parse(&packet[..], 0).expect("the engine sends whole segments");
            assert!(segment.is_copy(), "a copy without its mark");
            assert!(
                packet.len() <= usize::from(self.plan.target_mtu),
                "larger than the MTU"
            );
            self.trace.packet(self.now, "engine ->", &packet);
            self.oracle.on_engine(&segment);
            let arrivals = self.to_target.send(self.now, packet);
            self.send_all(arrivals, Arrival::Target);
        }
    }

    /// Whether all paths that the engine depends on deliver everything.
    pub(crate) fn every_end_is_seen(&self) -> bool {
        let aborts = self
            .plan
            .connections
            .iter()
            .any(|connection| connection.ending == Ending::Abort);
        let unseen = self.stuck || (aborts && self.to_online.lost > 0);
        !unseen && self.plan.client_path.corruption == 0
    }
}
