//! The engines of all workers, fed as the programs steer: what is captured by the client's endpoint, what replies by the
//! pool's.

use session::{Counters, Engine, Event, Instant};
use wire::flow::{Addr, Endpoint};
use wire::hash::EndpointHash;
use wire::icmp::TooBig;
use wire::segment::Segment;

use crate::plan::Plan;
use crate::setting::config;

/// One engine per worker.
pub(crate) struct Engines {
    all: Vec<Engine>,
    owners: EndpointHash,
}

impl Engines {
    pub(crate) fn new(plan: &Plan, seed: u64, now: Instant) -> Self {
        let workers = 0..plan.setting.workers;
        let all = workers.map(|worker| {
            let mut engine = Engine::new(config(plan, seed, worker), now);
            engine.sample_responses(plan.setting.sample_len);
            engine
        });
        Self {
            all: all.collect(),
            owners: EndpointHash::new(seed),
        }
    }

    fn of(&mut self, endpoint: Option<Endpoint>) -> &mut Engine {
        let workers = self.all.len() as u32;
        let owner = endpoint.map_or(0, |endpoint| self.owners.owner(&endpoint, workers));
        &mut self.all[owner as usize]
    }

    pub(crate) fn on_client_packet(&mut self, now: Instant, stamp: Instant, packet: &[u8]) {
        let source = Segment::parse(packet, 0).map(|segment| segment.source).ok();
        self.of(source).on_client_packet(now, stamp, packet);
    }

    pub(crate) fn on_online_packet(&mut self, now: Instant, stamp: Instant, headers: &[u8]) {
        self.of(destination(headers))
            .on_online_packet(now, stamp, headers);
    }

    pub(crate) fn on_target_packet(&mut self, now: Instant, stamp: Instant, headers: &[u8]) {
        self.of(destination(headers))
            .on_target_packet(now, stamp, headers);
    }

    pub(crate) fn on_too_big(&mut self, now: Instant, packet: &[u8]) {
        let quoted = TooBig::parse(packet, 0).map(|too_big| too_big.flow.client);
        self.of(quoted.ok()).on_too_big(now, packet);
    }

    pub(crate) fn on_route(&mut self, now: Instant, target: Addr, mtu: Option<u16>) {
        for engine in &mut self.all {
            engine.on_route(now, target, mtu);
        }
    }

    pub(crate) fn on_channel(&mut self, now: Instant, connected: bool) {
        for engine in &mut self.all {
            engine.on_channel(now, connected);
        }
    }

    pub(crate) fn admit(&mut self, admit: bool) {
        for engine in &mut self.all {
            engine.admit(admit);
        }
    }

    pub(crate) fn stop_capture(&mut self, now: Instant) {
        for engine in &mut self.all {
            engine.stop_capture(now);
        }
    }

    pub(crate) fn finish(&mut self, now: Instant) {
        for engine in &mut self.all {
            engine.finish(now);
        }
    }

    /// One call of each engine that has something due.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        for engine in &mut self.all {
            if engine.next_timeout().is_some_and(|at| at <= now) {
                engine.on_timeout(now);
            }
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.all.iter().filter_map(Engine::next_timeout).min()
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant, frame: &mut [u8]) -> Option<usize> {
        let mut engines = self.all.iter_mut();
        engines.find_map(|engine| engine.poll_transmit(now, frame))
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.all.iter_mut().find_map(Engine::poll_event)
    }

    pub(crate) fn turns_open(&self) -> u64 {
        self.all.iter().map(Engine::turns_open).sum()
    }

    pub(crate) fn turns_waiting(&self, now: Instant) -> u64 {
        let engines = self.all.iter();
        engines.map(|engine| engine.turns_waiting(now)).sum()
    }

    pub(crate) fn sessions(&self) -> u64 {
        self.all.iter().map(Engine::sessions).sum()
    }

    pub(crate) fn payload_bytes(&self) -> u64 {
        self.all.iter().map(Engine::payload_bytes).sum()
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for engine in &self.all {
            sum.add(engine.counters());
        }
        sum
    }
}

fn destination(headers: &[u8]) -> Option<Endpoint> {
    let segment = Segment::parse(headers, 0).ok()?;
    Some(segment.destination)
}
