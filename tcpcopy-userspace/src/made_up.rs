//! A target that is made up, and a session engine with it: what the engine would send, and what it is answered, without a network
//! between them. For a dry run.

use obliging::Obliging;
use recording::Direction;
use session::{Engine, Instant, Owed};
use wire::ethernet;
use wire::flow::FlowKey;

use crate::bandwidth::Bandwidth;

/// Longest frame that a session sends, in bytes: with the target's MSS no longer one comes.
const FRAME_LEN: usize = 1514;
const NANOS_PER_MS: u64 = 1_000_000;

/// The target, and who waits for it.
pub(crate) struct MadeUp {
    target: Obliging,
    /// Sessions that the target may owe something.
    owed: Vec<FlowKey>,
    frame: Box<[u8]>,
}

impl MadeUp {
    /// For this engine, before its first packet.
    pub(crate) fn new(engine: &mut Engine, seed: u64) -> Self {
        engine.tell_of_online();
        Self {
            target: Obliging::new(seed),
            owed: Vec::new(),
            frame: vec![0; FRAME_LEN].into(),
        }
    }

    /// The online server has sent something that the target has not.
    pub(crate) fn owes(&mut self, flow: FlowKey) {
        // As a rule there are several segments of one response.
        if self.owed.last() != Some(&flow) {
            self.owed.push(flow);
        }
    }

    /// Takes at most so many frames of sessions, and answers them; tells `seen` of each packet, from its IP header on. Returns how many
    /// frames there were.
    pub(crate) fn exchange(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        (bandwidth, most): (&mut Bandwidth, usize),
        seen: &mut dyn FnMut(Direction, &[u8]),
    ) -> usize {
        let now_ms = now_ms(now);
        let mut frames = 0;
        loop {
            self.settle(engine, now, seen);
            while frames < most && bandwidth.closed_until(now).is_none() {
                let Some(len) = engine.poll_transmit(now, &mut self.frame) else {
                    break;
                };
                bandwidth.spend(now, len);
                frames += 1;
                let packet = &self.frame[ethernet::HEADER_LEN..len];
                seen(Direction::Sent, packet);
                let flow = self.target.on_packet(now_ms, packet, &mut |answer| {
                    seen(Direction::Received, answer);
                    engine.on_target_packet(now, now, answer);
                });
                if let Some(flow) = flow {
                    self.owes(flow);
                }
            }
            if self.owed.is_empty() {
                return frames;
            }
        }
    }

    /// Pays what is owed.
    fn settle(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        seen: &mut dyn FnMut(Direction, &[u8]),
    ) {
        let now_ms = now_ms(now);
        for flow in self.owed.drain(..) {
            let owed = engine.owed(&flow).unwrap_or_default();
            let mut pay = |engine: &mut Engine, owed: Owed| {
                let pays = (owed.bytes, owed.closes);
                self.target.settle(now_ms, &flow, pays, &mut |answer| {
                    seen(Direction::Received, answer);
                    engine.on_target_packet(now, now, answer);
                });
            };
            pay(engine, owed);
            // What was acknowledged by that may have been answered already.
            if owed == Owed::default()
                && let Some(owed) = engine.owed(&flow).filter(|owed| *owed != Owed::default())
            {
                pay(engine, owed);
            }
        }
    }
}

/// Milliseconds of a clock that goes round.
#[expect(clippy::cast_possible_truncation, reason = "it goes round")]
const fn now_ms(now: Instant) -> u32 {
    (now.as_nanos() / NANOS_PER_MS) as u32
}
