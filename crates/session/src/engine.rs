//! The engine of one worker: every input and output of the room, and the tables that sessions share.
//!
//! Packets are parsed here, once, and handed to the sessions of their flow. After each input the session is
//! *settled*: put into the queue of those that may have something to send, armed with its deadline, or removed.

mod admission;
mod awake;
mod flows;
mod following;
mod gates;
mod holds;
mod joining;
mod multipath;
mod openings;
mod outputs;
mod outside;
pub mod owed;
mod packets;
mod parked;
mod reach;
mod shared;
mod slots;
mod state;
mod tables;
mod timers;
mod trials;
mod tuned;

use core::time::Duration;
use std::collections::VecDeque;

use wire::flow::Addr;
use wire::hash::FlowHash;

use crate::config::Config;
use crate::context::Shared;
use crate::event::Event;
use crate::id::SessionId;
use crate::index::Index;
use crate::nursery::Nursery;
use crate::sample::Sampler;
use crate::session::Session;
use crate::sights::{Sight, Sights};
use crate::time::Instant;
use crate::tuning::Tuning;
use crate::wheel::Entry;
use flows::Flows;
use holds::Trickle;
use parked::Parked;
use shared::Known;
use slots::Slots;
use timers::Timers;
use trials::Joining;
use tuned::Sampling;

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
    pub(crate) joining: Joining,
    pub(crate) ready: VecDeque<SessionId>,
    pub(crate) timers: Timers,
    pub(crate) due: Vec<Entry>,
    pub(crate) admitting: bool,
    /// When the first packet of a client or an online server came.
    pub(crate) first_packet_at: Option<Instant>,
    /// Packets seen from here on are none of ours.
    pub(crate) capture_ended: Option<Instant>,
    /// The end of the run: slots before this one hold no session any more, or one that leaves.
    pub(crate) finished: usize,
    /// The second that sessions are being counted in, and how many began in it.
    pub(crate) rate: (u64, u32),
    /// How connections are opened for the time being, if not as they come.
    pub(crate) trickle: Option<Trickle>,
    /// Sessions whose SYN waits for the end of a hold, or for its place in the trickle.
    pub(crate) unopened: Vec<SessionId>,
    pub(crate) sampling: Sampling,
    pub(crate) sights: Sights,
    pub(crate) known: Known,
    pub(crate) shared: Shared,
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
        let servers = config.rules.iter().map(|rule| rule.target).collect();
        let sights = Sights::new(&config.rules);
        let tuning = Tuning::of(&config);
        let known = Known::new(&config, hash, &tuning);
        let shared = Shared::new(config, hash, now);
        Self {
            sessions: Slots::new(servers),
            flows: Flows::default(),
            live: 0,
            unconfirmed: 0,
            turns_open: 0,
            by_flow: Index::new(hash),
            parked: Parked::new(hash),
            nursery: Nursery::new(hash),
            joining: Joining::default(),
            ready: VecDeque::new(),
            timers: Timers::new(now),
            due: Vec::new(),
            admitting: true,
            first_packet_at: None,
            capture_ended: None,
            finished: 0,
            rate: (0, 0),
            trickle: None,
            unopened: Vec::new(),
            sampling: Sampling::new(&tuning),
            sights,
            known,
            shared,
        }
    }

    /// The route to a target changed: its MTU in bytes, or `None` where there is no route.
    pub fn on_route(&mut self, now: Instant, target: Addr, mtu: Option<u16>) {
        for index in 0..self.known.targets.len() {
            let state = &mut self.known.targets[index];
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
        for index in 0..self.known.targets.len() {
            self.known.targets[index].gate.set_channel(connected, now);
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
        while !self.finish_some(now, usize::MAX) {}
    }

    /// Ends up to `most` sessions as [`Engine::finish`] does, and returns whether all are ended. A million of them that rest hold half
    /// of the memory that they need awake, and none of the frames and events that each leaves to poll: so whoever has many polls
    /// after each call.
    pub fn finish_some(&mut self, now: Instant, most: usize) -> bool {
        if self.finished == 0 {
            self.throttle(now, None);
            self.end_hold(now);
            self.capture_ended = Some(Instant::default());
            self.end_trials(now, core::time::Duration::ZERO);
        }
        let all = self.sessions.len();
        let until = self.finished.saturating_add(most).min(all);
        for id in self.finished..until {
            self.with(id as SessionId, now, Session::finish);
        }
        self.finished = until;
        let is_over = until == all;
        if is_over {
            self.finish_flows();
        }
        is_over
    }

    /// After [`Engine::finish`]: takes packets again, as if none had been seen. A file that is replayed again has the same clients
    /// with the same sequence numbers.
    pub fn begin_anew(&mut self) {
        self.capture_ended = None;
        self.finished = 0;
        self.nursery = Nursery::new(FlowHash::new(self.shared.config.hash_seed));
    }

    /// What was seen of each rule's service, in the order of the command line.
    #[must_use]
    pub fn sights(&self) -> Vec<Sight> {
        let mut sights = self.sights.of_rules();
        for (sight, rule) in sights.iter_mut().zip(&self.known.rules) {
            sight.set_joins_refused(rule.joins_refused, rule.joins_unanswered);
        }
        sights
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop_front()
    }

    /// Keeps the first `len` payload bytes of every response, at most [`crate::sample::SAMPLE_LEN_MAX`]; 0 keeps none, as does
    /// an engine that was told nothing. To be called before the first packet.
    pub fn sample_responses(&mut self, len: usize) {
        self.shared.samples = (len > 0).then(|| Box::new(Sampler::new(len)));
    }
}
