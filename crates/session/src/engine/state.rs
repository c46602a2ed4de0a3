//! What an engine says of itself when it is asked.

use wire::flow::FlowKey;

use super::Engine;
use crate::event::Counters;
use crate::limits::DRAIN_SILENCE;
use crate::time::Instant;

impl Engine {
    /// Turns that have begun and not ended.
    #[must_use]
    pub fn turns_open(&self) -> u64 {
        self.turns_open
    }

    /// Turns that wait for the target, or for the online server's word on one that the target has ended: unlike [`Engine::turns_open`] it does not count turns that have their complete
    /// response and are open only because the client has not spoken since. A drain is over when this is 0.
    #[must_use]
    pub fn turns_waiting(&self, now: Instant) -> u64 {
        let waiting = self.sessions.awake().filter(|session| {
            let Some(flow) = self.flows.get(session.flow) else {
                return false;
            };
            let waits = session.playing(flow).is_waiting(
                session.connection.una(),
                DRAIN_SILENCE,
                self.known.rules[usize::from(session.rule.0)]
                    .tuning
                    .response_timeout,
                now,
            ) && !session.awaits_confirmation(flow);
            waits
                || session.awaits_service(flow, now)
                || session.awaits_target_close(DRAIN_SILENCE, now)
        });
        // A session that closes has ended its turns, although its target may still be at work on the last of them.
        waiting.map(|session| session.stock.open().max(1)).sum()
    }

    /// Whether the capture has ended, so that what is under way is waited for.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.capture_ended.is_some()
    }

    /// Sessions at this moment.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.live
    }

    /// How many of them have been silent for so long that they hold half the memory.
    #[must_use]
    pub fn sessions_resting(&self) -> u64 {
        self.sessions.resting()
    }

    /// Payload bytes held at this moment.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.shared.arena.used()
    }

    /// Flows of running sessions (from source to target), for an `intercept` that came back.
    pub fn flows(&self) -> impl Iterator<Item = FlowKey> + '_ {
        let connected = self.shared.by_local.sessions();
        connected.filter_map(|id| self.sessions.local(id))
    }

    /// Totals since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}
