//! What an engine does for whoever looks for loops: it counts echoes by spans of time, holds departures in one of them, and opens
//! connections at a trickle for a while. [`crate::echo`] is what it knows of echoes.
//!
//! A held turn waits as a session's own deadline ([`Session::release_at`](crate::session::Session)), a held SYN in the
//! engine's list; both go on when the hold ends, early or in time.
//!
//! Of the SYNs that wait for a trickle the latest goes first. A loop would otherwise take as long for one round as all that wait
//! take to leave, and nobody would know its requests again.

use core::time::Duration;

use super::Engine;
use crate::echo::{Echoes, Tally, Watch};
use crate::id::SessionId;
use crate::time::Instant;

/// Connections that are opened one after the other, while it is found out whether copies come back as requests.
#[derive(Debug)]
pub(crate) struct Trickle {
    interval: Duration,
    /// When the next one may be opened.
    next: Instant,
}

impl Trickle {
    /// Whether a connection may be opened now, which then takes this place.
    #[cold]
    fn lets_through(&mut self, now: Instant) -> bool {
        let is_due = self.next <= now;
        if is_due {
            self.next = now + self.interval;
        }
        is_due
    }
}

/// Whether a SYN that has not left yet has to wait, for the end of a hold or for its place in a trickle.
#[inline]
pub(crate) fn has_to_wait(echoes: &Echoes, trickle: &mut Option<Trickle>, now: Instant) -> bool {
    let is_held = echoes.hold_end().is_some() && echoes.held_until(now).is_some();
    is_held
        || trickle
            .as_mut()
            .is_some_and(|trickle| !trickle.lets_through(now))
}

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
        if hold_end.is_some() {
            let in_flight = self.in_flight();
            self.shared.echoes.on_under_way(now, in_flight);
        }
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
        match &mut self.trickle {
            Some(trickle) => trickle.next = trickle.next.min(now),
            None => self.ready.extend(self.unopened.drain(..)),
        }
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

    /// For the time being one connection is opened in each `interval`, and the others wait; with `None` no more.
    pub fn throttle(&mut self, now: Instant, interval: Option<Duration>) {
        self.trickle = interval.map(|interval| Trickle {
            interval,
            next: now,
        });
        if interval.is_none() && self.shared.echoes.held_until(now).is_none() {
            self.ready.extend(self.unopened.drain(..));
        }
    }

    /// When the next connection may be opened, where one waits for a trickle.
    #[inline]
    pub(crate) fn trickle_due(&self) -> Option<Instant> {
        let trickle = self.trickle.as_ref()?;
        (!self.unopened.is_empty()).then_some(trickle.next)
    }

    /// The connection that asked last may be opened, unless departures are held.
    #[cold]
    pub(crate) fn on_trickle_due(&mut self, now: Instant) {
        let held_until = self.shared.echoes.held_until(now);
        match (&mut self.trickle, held_until) {
            (Some(trickle), Some(until)) => trickle.next = until,
            _ => self.ready.extend(self.unopened.pop()),
        }
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
