//! One function per input and output of the engine, never inlined: what a profile says of them is what a stage costs.

use session::{Engine, Event, Instant, Outcome};

#[inline(never)]
pub(crate) fn client_segment(engine: &mut Engine, now: Instant, packet: &[u8]) {
    engine.on_client_packet(now, now, packet);
}

#[inline(never)]
pub(crate) fn online_record(engine: &mut Engine, now: Instant, headers: &[u8]) {
    engine.on_online_packet(now, now, headers);
}

#[inline(never)]
pub(crate) fn target_reply(engine: &mut Engine, now: Instant, headers: &[u8]) {
    engine.on_target_packet(now, now, headers);
}

#[inline(never)]
pub(crate) fn transmit(engine: &mut Engine, now: Instant, frame: &mut [u8]) -> Option<usize> {
    engine.poll_transmit(now, frame)
}

#[inline(never)]
pub(crate) fn timers(engine: &mut Engine, now: Instant) {
    engine.on_timeout(now);
}

#[inline(never)]
pub(crate) fn next_timeout(engine: &Engine) -> Option<Instant> {
    engine.next_timeout()
}

/// Takes all events, and returns how many turns were answered.
#[inline(never)]
pub(crate) fn events(engine: &mut Engine) -> u64 {
    let mut answered = 0;
    while let Some(event) = engine.poll_event() {
        if let Event::TurnEnded(turn) = event {
            answered += u64::from(turn.outcome == Outcome::Answered);
        }
    }
    answered
}
