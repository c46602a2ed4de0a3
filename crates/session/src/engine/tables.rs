//! The tables of an engine: how a session is found, opened, settled after an input, and removed.
//!
//! A session stands in up to four places: its slot, its flow's chain (other copies and rules of the same flow are its
//! siblings), the index of local flows while it has a connection, and the queue of those that may have something to
//! send. Only this file writes to them.

use core::time::Duration;
use std::collections::{BinaryHeap, VecDeque};

use wire::flow::FlowKey;

use super::Engine;
use super::outside::Lost;
use super::timers::Timers;
use crate::config::Source;
use crate::context::{Context, SessionId};
use crate::event::Outcome;
use crate::limits::REST_AFTER;
use crate::running::Why;
use crate::session::{Life, Session};
use crate::stream::End;
use crate::time::Instant;

impl Engine {
    /// The first session of a captured flow.
    pub(crate) fn session_of(&self, flow: &FlowKey) -> Option<SessionId> {
        let is = |id| self.sessions.flow(id) == Some(flow);
        self.by_flow.get(flow, is)
    }

    /// The session that is connected from the client's end of `local` to its server's.
    pub(crate) fn session_from(&self, local: &FlowKey) -> Option<SessionId> {
        let is = |id| self.sessions.local(id) == Some(local);
        self.shared.by_local.get(local, is)
    }

    /// Hands a session to `input` together with what it needs, and settles it afterwards.
    pub(crate) fn with<R>(
        &mut self,
        id: SessionId,
        now: Instant,
        input: impl FnOnce(&mut Session, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let source_taken = self.is_source_taken(id);
        let session = self.sessions.wake(id)?;
        let mut ctx = self.shared.lend(session.rule, now);
        ctx.source_taken = source_taken;
        let (turns, confirmed) = (session.turns.len() as u64, session.confirmed);
        let result = input(session, &mut ctx);
        self.turns_open = self.turns_open + session.turns.len() as u64 - turns;
        self.unconfirmed -= u32::from(session.confirmed && !confirmed);
        let idle_timeout = self.shared.config.idle_timeout;
        let changed = settle(
            session,
            now,
            idle_timeout,
            &mut self.ready,
            &mut self.timers,
        );
        if changed || !self.shared.unparked.is_empty() {
            self.follow(id, now);
        }
        Some(result)
    }

    /// The clients' own addresses: whether a session that is not connected finds its source in use.
    fn is_source_taken(&self, id: SessionId) -> bool {
        self.shared.config.source == Source::Clients
            && self.sessions.get(id).is_some_and(|session| {
                !session.is_connected() && self.session_from(session.local()).is_some()
            })
    }

    /// Follows a session into a state that the tables have to know of.
    #[cold]
    fn follow(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.wake(id) else {
            return;
        };
        let (life, local, lost) = (session.life, *session.local(), lost(session));
        if life == Life::Parked {
            self.parked.insert(local, id);
        }
        if let Some(lost) = lost
            && self.unlink(&lost.flow, id)
        {
            // The flow may go on as a new session.
            self.put_lost(now, &lost);
            if lost.whole.is_some() {
                // What the client says next is new for its other sessions too: one of them cannot go on with it alone.
                let rest = self.session_of(&lost.flow);
                if let Some(rest) = rest {
                    self.by_flow.remove(&lost.flow, rest);
                }
                self.for_each_sibling(rest, now, Session::expire);
            }
        }
        if life == Life::Closed {
            self.remove(id, now);
            return;
        }
        self.unpark(now);
    }

    /// Puts a session to rest that has been silent for long enough, if it has nothing to wait for.
    pub(crate) fn rest(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if now < session.active_at + REST_AFTER {
            return;
        }
        let quiet = self.shared.habits[usize::from(session.rule.0)].quiet();
        if !session.turns.is_waiting(
            session.connection.una(),
            quiet,
            self.shared.config.response_timeout,
            now,
        ) {
            self.sessions.rest(id);
        }
    }

    pub(crate) fn remove(&mut self, id: SessionId, now: Instant) {
        let Some(flow) = self.sessions.flow(id).copied() else {
            return;
        };
        // While it still knows the next of its flow.
        self.unlink(&flow, id);
        let Some(mut session) = self.sessions.remove(id) else {
            return;
        };
        self.leave_gate(&session, now);
        session.input.clear(&mut self.shared.arena);
        self.shared.counters.left_out_unordered_bytes += session.input.unordered_bytes();
        self.shared.arena.clear(&mut session.data);
        self.parked.remove(session.local(), id);
        self.shared.forget_samples(id);
        self.live -= 1;
        self.unconfirmed -= u32::from(!session.confirmed);
        self.shared.counters.sessions_closed += 1;
        self.shared.counters.sessions_without_turn += u64::from(session.turns.count == 0);
        self.unpark(now);
    }

    /// Takes a session out of its flow's chain. Returns whether it still stood there.
    pub(crate) fn unlink(&mut self, flow: &FlowKey, id: SessionId) -> bool {
        let next = self.sessions.sibling(id);
        let is_first = match next {
            Some(next) => self.by_flow.replace(flow, id, next),
            None => self.by_flow.remove(flow, id),
        };
        if is_first {
            return true;
        }
        let mut at = self.session_of(flow);
        while let Some(session) = at.and_then(|at| self.sessions.wake(at)) {
            if session.sibling == Some(id) {
                session.sibling = next;
                return true;
            }
            at = session.sibling;
        }
        false
    }

    /// Sources came free: sessions that wait for them may connect.
    pub(crate) fn unpark(&mut self, now: Instant) {
        while let Some((source, last)) = self.shared.unparked.pop() {
            // One that finds its turns ended meanwhile, or the gate closed, leaves the source to the next.
            while self.session_from(&source).is_none()
                && let Some(id) = self.parked.take(&source)
            {
                self.with(id, now, |session, ctx| {
                    if session.life == Life::Parked {
                        session.connect_after(Some(last), ctx);
                        session.advance(ctx);
                    }
                });
            }
        }
    }

    pub(crate) fn for_each_sibling(
        &mut self,
        first: Option<SessionId>,
        now: Instant,
        mut input: impl FnMut(&mut Session, &mut Context<'_>),
    ) {
        let mut at = first;
        while let Some(id) = at {
            at = self.sessions.sibling(id);
            self.with(id, now, &mut input);
        }
    }

    /// Over budget although new sessions are refused: the sessions with the largest backlogs end as a whole, until an eighth
    /// of the budget is free again. So the search is paid for by many packets.
    pub(crate) fn shed_largest(&mut self, now: Instant) {
        let backlogs = self.sessions.awake().map(|session| {
            let bytes = session.stream_end.saturating_sub(session.data_start);
            (bytes + session.input.waiting_bytes() as u64, session.id)
        });
        let mut largest: BinaryHeap<(u64, SessionId)> = backlogs.collect();
        let enough = self.shared.config.payload_bytes_max / 8 * 7;
        while self.shared.arena.used() > enough
            && let Some((1.., id)) = largest.pop()
        {
            self.with(id, now, |session, ctx| session.give_up(Outcome::Shed, ctx));
        }
    }
}

/// Queues a session that has something to send, and sees to it that it is asked when something is due. Returns whether it
/// is in a state that the tables have to know of.
fn settle(
    session: &mut Session,
    now: Instant,
    idle_timeout: Duration,
    ready: &mut VecDeque<SessionId>,
    timers: &mut Timers,
) -> bool {
    if session.life == Life::Closed {
        return true;
    }
    if !session.queued && session.wants_to_send() {
        session.queued = true;
        ready.push_back(session.id);
    } else {
        session.probe_window(now);
    }
    let mut deadline = session.deadline(idle_timeout);
    let rest_at = session.active_at + REST_AFTER;
    if rest_at > now {
        deadline = deadline.min(rest_at);
    }
    timers.arm(&mut session.armed, session.id, deadline);
    if let Some(at) = session.connection.acknowledgement_due() {
        timers.arm_acknowledgement(&mut session.acknowledges_at, session.id, at);
    }
    session.life == Life::Parked || is_lost(session)
}

/// Whether a session is over, or about to be, although its flow is not.
fn is_lost(session: &Session) -> bool {
    session
        .input
        .end()
        .is_some_and(|end| matches!(end.end, End::Gap | End::Idle))
}

/// What is to be remembered of the flow of a session that is over although its flow is not.
fn lost(session: &Session) -> Option<Lost> {
    let end = session.input.end().filter(|_| is_lost(session))?;
    let why = match session.given_up {
        Some(Outcome::Unreplayable) => Why::Encrypted,
        Some(Outcome::Shed) => Why::Shed,
        _ => Why::Missed,
    };
    let whole = (session.turns.last_cause(), session.turns.last_answer());
    Some(Lost {
        flow: session.flow,
        why,
        next: session.input.seen(),
        acknowledged: session.input.acknowledged(),
        whole: matches!(end.end, End::Idle).then_some(whole),
    })
}
