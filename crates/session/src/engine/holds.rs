//! What an engine does for whoever looks for loops: it counts echoes by spans of time, holds departures in one of them, and opens
//! few flows for a while. [`crate::echo`] is what it knows of echoes.
//!
//! A held turn waits as a session's own deadline ([`Session::release_at`](crate::session::Session)), a held SYN in the
//! engine's list; both go on when the hold ends, early or in time.

use core::time::Duration;

use super::Engine;
use crate::echo::{Tally, Watch};
use crate::id::SessionId;
use crate::time::Instant;

impl Engine {
    /// From here on echoes are counted by the spans of `watch`, and departures are held in one of them: turns and connections
    /// that begin, while acknowledgements, retransmissions and what is under way go on.
    pub fn watch(&mut self, now: Instant, watch: Watch) {
        self.end_hold(now);
        self.shared.echoes.watch(now, watch);
    }

    /// A hold or a watch ends.
    #[cold]
    pub(crate) fn on_watch_due(&mut self, now: Instant) {
        let hold_end = self.shared.echoes.hold_end();
        if hold_end.is_some_and(|until| until <= now) {
            self.end_hold(now);
        }
        self.shared.echoes.end_watch(now);
    }

    /// What is held departs now, and nothing is held any more.
    #[cold]
    pub fn end_hold(&mut self, now: Instant) {
        let Some(until) = self.shared.echoes.end_hold() else {
            return;
        };
        self.ready.extend(self.unopened.drain(..));
        let held = self
            .sessions
            .awake()
            .filter(|session| session.release_at == Some(until) || session.turns.has_ceiling());
        let held: Vec<SessionId> = held.map(|session| session.id).collect();
        for id in held {
            self.with(id, now, |session, ctx| {
                session.turns.lift_ceiling();
                session.advance(ctx);
            });
        }
    }

    /// For the time being one flow may be opened in each `interval`, whatever [`Config::sessions_per_second_max`] allows.
    pub fn throttle(&mut self, now: Instant, interval: Option<Duration>) {
        self.throttle = interval.map(|interval| (interval, now));
    }

    /// Sessions whose target has a turn, or a part of one, and has not answered it yet.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let asked = self.sessions.awake();
        asked
            .filter(|session| {
                let flow = self.flows.get(session.flow);
                let una = session.connection.una();
                flow.is_some_and(|flow| session.playing(flow).is_in_flight(una))
            })
            .count() as u64
    }

    /// What was counted of echoes, of all that was captured up to `seen`.
    pub fn tally(&self, seen: Instant, into: &mut Tally) {
        self.shared.echoes.tally(seen, into);
    }

    /// Where the latest [`Watch`] ends; the earliest instant where there was none.
    #[must_use]
    pub fn watch_end(&self) -> Instant {
        self.shared.echoes.watch_end()
    }
}
