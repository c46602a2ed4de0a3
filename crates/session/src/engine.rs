//! The engine of one worker: every input and output of the room.
//!
//! SKELETON: the interface is fixed, the inside is being written.

use wire::flow::{Addr};

use crate::config::Config;
use crate::event::{Counters, Event};
use crate::time::Instant;

/// All the sessions of one worker.
#[derive(Debug)]
pub struct Engine {
    counters: Counters,
}

impl Engine {
    /// An engine without sessions.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let _ = (config, now);
        Self { counters: Counters::default() }
    }

    /// A client's packet, from its IP header on, as seen by `capture` at `stamp`.
    pub fn on_client_packet(&mut self, now: Instant, stamp: Instant, packet: &[u8]) {
        let _ = (now, stamp, packet);
    }

    /// The headers of an online server's segment, from its IP header on, as seen by `observe` at `stamp`.
    pub fn on_online_packet(&mut self, now: Instant, stamp: Instant, headers: &[u8]) {
        let _ = (now, stamp, headers);
    }

    /// The headers of a target's reply, from its IP header on, as seen at `stamp`.
    pub fn on_target_packet(&mut self, now: Instant, stamp: Instant, headers: &[u8]) {
        let _ = (now, stamp, headers);
    }

    /// An ICMP too-big message about one of our segments, from its IP header on.
    pub fn on_too_big(&mut self, now: Instant, packet: &[u8]) {
        let _ = (now, packet);
    }

    /// The route to a target changed: its MTU in bytes, or `None` where there is no route.
    pub fn on_route(&mut self, now: Instant, target: Addr, mtu: Option<u16>) {
        let _ = (now, target, mtu);
    }

    /// Assistant mode: whether reports can arrive at all. While they cannot, nothing is sent; when they can again the
    /// path is proven anew where [`Config::prove_path`] asks for it.
    pub fn on_channel(&mut self, now: Instant, connected: bool) {
        let _ = (now, connected);
    }

    /// Whether new flows may get sessions (`--max-cpu`, drain). Running sessions go on.
    pub fn admit(&mut self, admit: bool) {
        let _ = admit;
    }

    /// The end of capture: later client packets are ignored, turns that are complete as far as captured go on.
    pub fn stop_capture(&mut self, now: Instant) {
        let _ = now;
    }

    /// Ends everything: each session is reset, each open turn ends in the ledger. Frames and events are left to poll.
    pub fn finish(&mut self, now: Instant) {
        let _ = now;
    }

    /// Does what is due at `now`; to be called when [`Engine::next_timeout`] has passed.
    pub fn on_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// When [`Engine::on_timeout`] wants to be called next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Writes the next frame, from its Ethernet header on, into `frame` and returns its length in bytes.
    /// `frame` must hold the largest MTU of all routes plus an Ethernet header, or 1514 bytes, whichever is less;
    /// segments are never larger than the buffer.
    pub fn poll_transmit(&mut self, now: Instant, frame: &mut [u8]) -> Option<usize> {
        let _ = (now, frame);
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Turns that have begun and not ended.
    #[must_use]
    pub fn turns_open(&self) -> u64 {
        0
    }

    /// Turns that wait for the target: unlike [`Engine::turns_open`] it does not count turns that have their complete
    /// response and are open only because the client has not spoken since. A drain is over when this is 0.
    #[must_use]
    pub fn turns_waiting(&self) -> u64 {
        0
    }

    /// Sessions at this moment.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        0
    }

    /// Payload bytes held at this moment.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        0
    }

    /// Flows of running sessions (from source to target), for an `intercept` that came back.
    pub fn flows(&self) -> impl Iterator<Item = wire::flow::FlowKey> + '_ {
        core::iter::empty()
    }

    /// Totals since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
