//! The world of one seed: three hosts, the paths between them, the rings of records, and the engines, in virtual time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use session::{Instant, TurnEnded};

use crate::account;
use crate::application::Ending;
use crate::calm;
use crate::client::Client;
use crate::engines::Engines;
use crate::gro::Gro;
use crate::link::{Impairment, Link};
use crate::oracle::Oracle;
use crate::pace;
use crate::plan::{Cut, Faults, Happening, Plan};
use crate::random::Random;
use crate::server::{Server, Side};
use crate::setting::{CLIENT, CLIENT_PORT, ONLINE, START, STRANGER, TARGET};
use crate::stack::{MILLISECOND, SECOND, Stack, set_timestamp_base};
use crate::trace::Trace;
use crate::verdict;

/// Longest that the clients may take, in virtual time.
const CLIENTS_MAX: u64 = 300 * SECOND;
/// What happens when all faults end, besides.
const HAPPY: [Happening; 4] = [
    Happening::Refuse(false),
    Happening::Deaf(false),
    Happening::Channel(true),
    Happening::Admit(true),
];
/// How long after each other clients go on once all faults are over.
const CALM_APART: u64 = 100 * MILLISECOND;
/// Longest that the engine may take afterwards.
const DRAIN_MAX: u64 = 1200 * SECOND;
/// How long it is watched after that.
const LINGER: u64 = 90 * SECOND;
/// How long a FIN is sent again at most that nobody acknowledges (RFC 9293 section 3.8.3, R2).
const RETRIES_MAX: u64 = 600 * SECOND;
/// Most steps of a simulation: more is a livelock.
const STEPS_MAX: u64 = 1_000_000;
/// Most steps until the clients are done: smoltcp may send the rest of a stream byte by byte.
const CLIENTS_STEPS_MAX: u64 = STEPS_MAX / 2;
/// How long before their wrap timestamps begin, where sequence numbers wrap too; in milliseconds after the start.
const TIMESTAMPS_WRAP_AFTER: u64 = 700;

/// Where a packet is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Arrival {
    Online,
    Client,
    Target,
    /// A reply, at the place of the program that consumes it.
    Reply,
    /// A router's message about a segment of the engine's.
    TooBig,
    ClientRecord,
    OnlineRecord,
    ReplyRecord,
    ForgedReplyRecord,
    TooBigRecord,
    /// What was held to be merged is handed on, before the online server and where replies are taken.
    ClientsMerged,
    RepliesMerged,
}

/// What is on its way: when it arrives, its number, where, when it was stamped, and the packet.
type Underway = Reverse<(u64, u64, Arrival, u64, Vec<u8>)>;

/// The paths.
pub(crate) struct Links {
    pub(crate) to_online: Link,
    pub(crate) to_client: Link,
    pub(crate) to_target: Link,
    pub(crate) to_engine: Link,
    pub(crate) report: Option<Link>,
    pub(crate) reply_ring: Link,
}

/// A world.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) now: u64,
    steps: u64,
    number: u64,
    pub(crate) underway: BinaryHeap<Underway>,
    /// When the latest record of either ring arrives.
    pub(crate) record_at: [u64; 2],
    pub(crate) records_lost: u64,
    pub(crate) links: Links,
    pub(crate) capture_merge: Gro,
    pub(crate) reply_merge: Gro,
    pub(crate) client_stack: Stack,
    pub(crate) online_stack: Stack,
    pub(crate) target_stack: Stack,
    pub(crate) clients: Vec<Client>,
    pub(crate) online: Server,
    pub(crate) target: Server,
    pub(crate) engine: Engines,
    pub(crate) oracle: Oracle,
    /// The life of each connection that the target accepted.
    pub(crate) lives: Vec<Option<usize>>,
    /// Whose bytes it carries: the client's number and where in its stream they begin, once that is known.
    pub(crate) origins: Vec<Option<(usize, usize)>>,
    /// Whether a client never came to its end.
    pub(crate) stuck: bool,
    /// Whether clients say nothing any more.
    pub(crate) clients_are_silent: bool,
    happenings: VecDeque<(u64, Happening)>,
    pub(crate) channel_up: bool,
    /// MTU of the route to the target, as the engine was told.
    pub(crate) route_mtu: u16,
    /// Turns that ended, each with the time.
    pub(crate) ended: Vec<TurnEnded>,
    pub(crate) ended_at: Vec<u64>,
    /// Bytes that came of turns which had been missed by then.
    pub(crate) missed_bytes: u64,
    pub(crate) frames: u64,
    pub(crate) inputs: u64,
    /// When all faults were over, or later the clients went on, and how many turns were open then.
    pub(crate) calm: Option<(u64, u64)>,
    /// Stamps from which on nothing is captured any more.
    pub(crate) captured_until: u64,
    /// SYN-ACKs of the target that a real client has got.
    pub(crate) astray: u64,
    pub(crate) forged: u64,
    /// How long the drain took, in virtual time.
    pub(crate) drained_in: u64,
    /// When each host wants to be run.
    pub(crate) due: [Option<u64>; 3],
    pub(crate) trace: Trace,
}

/// What every packet of a simulation is drawn from, and its plan.
pub(crate) fn plan_of(seed: u64) -> (Random, Plan) {
    let mut random = Random::new(seed);
    let rest = random.fork();
    (rest, Plan::random(&mut random))
}

impl World {
    /// The world of a seed, with its plan or another one.
    pub(crate) fn new(seed: u64, plan: Plan, trace: Trace) -> Self {
        let (mut random, _) = plan_of(seed);
        let random = &mut random;
        let [wraps, online_wraps, target_wraps, _] = plan.oddities.wraps;
        let base = START / MILLISECOND + TIMESTAMPS_WRAP_AFTER;
        set_timestamp_base(if wraps || target_wraps {
            0u32.wrapping_sub(base as u32)
        } else {
            0
        });
        let network = &plan.network;
        let mut client_stack =
            Stack::new(plan.host(CLIENT), network.client_mtu, wraps, START, random);
        client_stack.add_address(plan.host(STRANGER));
        Self {
            links: Links::new(&plan, random),
            online_stack: Stack::new(plan.host(ONLINE), 1500, online_wraps, START, random),
            target_stack: Stack::new(
                plan.host(TARGET),
                network.target_mtu,
                target_wraps,
                START,
                random,
            ),
            clients: clients(&plan, &mut client_stack),
            client_stack,
            capture_merge: Gro::default(),
            reply_merge: Gro::default(),
            online: Server::new(Side::Online, plan.online_options, Faults::default()),
            target: Server::new(Side::Target, plan.target_options, plan.faults),
            engine: Engines::new(&plan, seed, Instant::from_nanos(START)),
            oracle: Oracle::default(),
            lives: vec![],
            origins: vec![],
            stuck: false,
            clients_are_silent: false,
            happenings: plan.happenings.iter().copied().collect(),
            channel_up: true,
            route_mtu: network.target_mtu,
            ended: vec![],
            ended_at: vec![],
            missed_bytes: 0,
            frames: 0,
            inputs: 0,
            calm: None,
            captured_until: u64::MAX,
            astray: 0,
            forged: 0,
            drained_in: 0,
            now: START,
            steps: 0,
            number: 0,
            underway: BinaryHeap::new(),
            record_at: [0; 2],
            records_lost: 0,
            due: [Some(START); 3],
            trace,
            random: random.fork(),
            plan,
        }
    }

    /// Runs the clients, then the drain, then the end, and judges.
    pub(crate) fn run(&mut self) {
        let cut = self.plan.cut.map(|(at, cut)| (START + at, cut));
        self.run_clients_until_done(cut);
        if let Some(rest) = self.plan.calm.filter(|_| !self.stuck) {
            self.calm_down(rest);
            self.run_clients_until_done(cut);
        }
        if cut.is_none() {
            // The last acknowledgements still have to pass the programs.
            self.run_until(self.now + 5 * SECOND);
        }
        self.end(cut.map(|(_, cut)| cut));
    }

    /// Runs until the clients are done, or wait for all faults to be over.
    fn run_clients_until_done(&mut self, cut: Option<(u64, Cut)>) {
        let limit = self.now + CLIENTS_MAX;
        while !self.clients_are_done() && cut.is_none_or(|(at, _)| self.now < at) {
            // smoltcp can lose a FIN for good, or fall into sending single bytes; that is not what is tried here.
            let endless = self.steps >= CLIENTS_STEPS_MAX;
            if self.now >= limit || endless {
                // Single bytes of the clients are single bytes of each copy, with an acknowledgement each.
                let copied =
                    2 * u64::from(self.plan.setting.copies) * self.links.to_online.done.taken;
                assert!(
                    !endless || self.frames < self.steps / 10 + copied,
                    "a livelock of the engine: {} frames in {} steps",
                    self.frames,
                    self.steps
                );
                self.clients_are_silent = endless;
                self.stuck = true;
                break;
            }
            self.step(cut.map_or(limit, |(at, _)| at));
        }
    }

    /// Ends all faults, now and for good, and lets the clients go on after a `rest`.
    fn calm_down(&mut self, rest: u64) {
        if let Some((last, _)) = self.happenings.back() {
            self.run_until(self.now.max(START + last + MILLISECOND));
        }
        self.happenings = HAPPY.map(|happening| (self.now - START, happening)).into();
        let route = Happening::Route(Some(self.plan.network.target_mtu));
        self.happenings.push_back((self.now - START, route));
        self.run_until(self.now + MILLISECOND);
        self.run_until(self.now.max(START + self.plan.setting.astray_until));
        self.trace.note(self.now, "all faults are over");
        self.links.calm();
        self.target.faults = Faults::default();
        self.oracle.on_calm();
        self.calm = Some((self.now, self.engine.turns_open()));
        self.run_until(self.now + rest);
        self.calm = Some((self.now, self.engine.turns_open()));
        let mut at = self.now;
        for client in &mut self.clients {
            if client.is_resting() {
                client.calm(at);
                at += CALM_APART;
            }
        }
        self.run_clients();
    }

    /// Stops capture, drains, ends and judges.
    fn end(&mut self, cut: Option<Cut>) {
        self.trace.note(self.now, "capture stops");
        self.engine.stop_capture(self.instant());
        self.captured_until = self.now;
        let begin = self.now;
        let now_ends = cut == Some(Cut::Finish);
        let limit = self.now + if now_ends { 0 } else { DRAIN_MAX };
        while self.engine.turns_waiting(self.instant()) > 0 && self.now < limit {
            self.step((self.now + MILLISECOND * 500).min(limit));
        }
        self.drained_in = self.now - begin;
        let waiting = self.engine.turns_waiting(self.instant());
        self.run_until(self.now + if now_ends { 0 } else { LINGER });
        let limit = self.now + if now_ends { 0 } else { RETRIES_MAX };
        while self.engine.sessions() > self.endless() && self.now < limit {
            self.step(limit);
        }
        verdict::before_the_end(self, waiting);
        self.trace.note(self.now, "the end");
        self.engine.finish(self.instant());
        self.captured_until = 0;
        self.run_engine();
        verdict::nothing_is_left(self);
        self.run_until(self.now + SECOND);
        verdict::nothing_is_left(self);
        verdict::ledgers_add_up(self);
        pace::is_kept(self);
        account::every_byte(self);
        account::taken_up_again(self);
        calm::every_new_turn_is_answered(self);
        verdict::no_timer_is_left(self);
    }

    pub(crate) fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn clients_are_done(&mut self) -> bool {
        let stack = &mut self.client_stack;
        let mut clients = self.clients.iter();
        clients.all(|client| client.is_resting() || client.is_done(stack))
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
        let until = self.let_happen(until);
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

    /// Whatever it is time for. Returns how far a step may go.
    fn let_happen(&mut self, until: u64) -> u64 {
        while let Some(&(at, happening)) = self.happenings.front() {
            if START + at > self.now {
                return until.min(START + at);
            }
            self.happenings.pop_front();
            self.trace.note(self.now, &format!("{happening:?}"));
            let now = self.instant();
            match happening {
                Happening::Channel(up) => {
                    self.channel_up = up;
                    self.engine.on_channel(now, up);
                }
                Happening::Route(mtu) => {
                    self.route_mtu = mtu.unwrap_or(self.route_mtu);
                    let target = self.plan.host(TARGET).addr();
                    self.engine.on_route(now, target, mtu);
                }
                Happening::Admit(admit) => self.engine.admit(admit),
                Happening::Refuse(refuses) => self.target.refuses = refuses,
                Happening::Deaf(is_deaf) => self.target.is_deaf = is_deaf,
                Happening::Crash => self.target.crash(&mut self.target_stack),
            }
            self.run_target();
            self.run_engine();
        }
        until
    }

    pub(crate) fn send(&mut self, at: u64, arrival: Arrival, stamp: u64, packet: Vec<u8>) {
        self.number += 1;
        self.underway
            .push(Reverse((at, self.number, arrival, stamp, packet)));
    }

    pub(crate) fn send_all(&mut self, arrivals: Vec<(u64, Vec<u8>)>, arrival: Arrival) {
        for (at, packet) in arrivals {
            self.send(at, arrival, 0, packet);
        }
    }

    /// Whether the engine sees how a client's connection ends.
    pub(crate) fn sees_end(&self, number: usize) -> bool {
        let network = &self.plan.network;
        let aborts = self.plan.connections[number].ending == Ending::Abort;
        let flow = self.oracle.flow(&self.clients[number]);
        let believed = flow.is_none_or(|flow| !flow.resets_in_vain);
        // Whoever waits for its client's port has no end either.
        let waits = self.plan.setting.keep_addresses && self.plan.reuses_ports && number % 2 == 1;
        let recorded = !self.plan.loses_records() && network.to_online.corruption == 0;
        let seen = recorded && !self.stuck && believed && !(aborts && network.to_online.loses());
        seen && (!waits || self.sees_end(number - 1))
    }

    /// How many sessions may be left although every client has ended.
    pub(crate) fn endless(&self) -> u64 {
        let unseen = (0..self.clients.len()).filter(|number| !self.sees_end(*number));
        unseen.count() as u64 * u64::from(self.plan.setting.copies)
    }
}

impl Links {
    /// Nothing is wrong with any path any more.
    fn calm(&mut self) {
        let links = [
            &mut self.to_online,
            &mut self.to_client,
            &mut self.to_target,
            &mut self.to_engine,
            &mut self.reply_ring,
        ];
        for link in links.into_iter().chain(&mut self.report) {
            link.calm();
        }
    }

    fn new(plan: &Plan, random: &mut Random) -> Self {
        let network = &plan.network;
        let ring = Impairment {
            loss: plan.ring.reply_lost,
            ..Impairment::default()
        };
        Self {
            to_online: Link::new(network.to_online, false, random),
            to_client: Link::new(network.to_client, false, random),
            to_target: Link::new(network.to_target, false, random),
            to_engine: Link::new(network.to_engine, true, random),
            report: network.report.map(|path| Link::new(path, true, random)),
            reply_ring: Link::new(ring, true, random),
        }
    }
}

fn clients(plan: &Plan, stack: &mut Stack) -> Vec<Client> {
    let numbered = (0u16..).zip(&plan.connections);
    numbered
        .map(|(number, connection)| {
            let (port, generation) = if plan.reuses_ports {
                (CLIENT_PORT + number / 2, usize::from(number % 2))
            } else {
                (CLIENT_PORT + number, 0)
            };
            let is_stranger = plan.setting.two_networks && port % 2 == 1;
            let address = if is_stranger { STRANGER } else { CLIENT };
            let place = (plan.host(address), port, generation);
            let handle = stack.add(plan.client_options.socket());
            let mut connection = connection.clone();
            connection.start += START;
            Client::new(usize::from(number), place, &connection, plan, handle)
        })
        .collect()
}
