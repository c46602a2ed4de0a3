//! The tables of an engine: how a session is found, opened, settled after an input, and removed.
//!
//! A session stands in up to four places: its slot, its flow's chain (other copies and rules of the same flow are its
//! siblings), the index of local flows while it has a connection, and the queue of those that may have something to
//! send. Only this file and `following` write to them.

use core::time::Duration;
use std::collections::{BinaryHeap, VecDeque};

use wire::flow::FlowKey;

use super::Engine;
use super::timers::Timers;
use crate::arena::Arena;
use crate::config::Source;
use crate::context::Context;
use crate::flow::Flow;
use crate::id::FlowId;
use crate::id::SessionId;
use crate::limits::REST_AFTER;
use crate::session::{Life, Session, Stock};
use crate::time::Instant;

impl Engine {
    /// The session that is connected from the client's end of `local` to its server's.
    pub(crate) fn session_from(&self, local: &FlowKey) -> Option<SessionId> {
        let is = |id| self.sessions.is_from(id, local);
        self.shared.by_local.get(local, is)
    }

    /// Hands a session to `input` together with what it needs, and settles it afterwards.
    pub(crate) fn with<R>(
        &mut self,
        id: SessionId,
        now: Instant,
        input: impl FnOnce(&mut Session, &mut Context<'_>) -> R,
    ) -> Option<R> {
        self.lend_to(id, now, true, input)
    }

    /// The same; `moves` says whether the input may end a turn, or the session need something else of its flow afterwards.
    #[inline(always)]
    pub(crate) fn lend_to<R>(
        &mut self,
        id: SessionId,
        now: Instant,
        moves: bool,
        input: impl FnOnce(&mut Session, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let source_taken = self.is_source_taken(id);
        let session = self.sessions.wake(id)?;
        let number = session.flow;
        let flow = self.flows.wake(number)?;
        let mut ctx = self.known.lend(&mut self.shared, session.rule, now, flow);
        ctx.source_taken = source_taken;
        let result = input(session, &mut ctx);
        let trims =
            moves && take_stock(session, flow, &mut self.turns_open, &mut self.shared.arena);
        let idle_timeout = self.shared.config.idle_timeout;
        let (ready, timers) = (&mut self.ready, &mut self.timers);
        let changed = settle(session, flow, now, idle_timeout, ready, timers);
        if trims {
            self.trim(number);
        }
        if changed || !self.shared.unparked.is_empty() {
            self.follow(id, now);
        }
        Some(result)
    }

    /// The clients' own addresses: whether a session that is not connected finds its source in use.
    fn is_source_taken(&self, id: SessionId) -> bool {
        matches!(self.shared.config.source, Source::Clients)
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
        let (life, local) = (session.life, *session.local());
        if life == Life::Parked {
            self.parked.insert(local, id);
        }
        if life == Life::Closed {
            self.remove(id, now);
            return;
        }
        self.unpark(now);
    }

    /// A session that was asked because its timer stood for a time that has moved away, as with each turn that was answered, has
    /// nothing to do but to be asked later. Returns whether it was so.
    pub(crate) fn arm_anew(&mut self, id: SessionId, now: Instant) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let Some(flow) = self.flows.get(session.flow) else {
            return false;
        };
        let deadline = session.deadline(flow, self.shared.config.idle_timeout);
        let is_early = deadline > now;
        if is_early {
            arm(session, flow, deadline, now, &mut self.timers);
        }
        is_early
    }

    /// Puts a session to rest that has been silent for long enough, if it has nothing to wait for.
    pub(crate) fn rest(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let Some(flow) = self.flows.get(session.flow) else {
            return;
        };
        if now < session.active_at(flow) + REST_AFTER {
            return;
        }
        let rule = &self.known.rules[usize::from(session.rule.0)];
        let quiet = rule.habits.quiet();
        if !session.playing(flow).is_waiting(
            session.connection.una(),
            quiet,
            rule.tuning.response_timeout,
            now,
        ) {
            let number = session.flow;
            if self.sessions.rest(id, flow) {
                self.rest_flow(number);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        self.leave_gate(&session, now);
        self.parked.remove(session.local(), id);
        self.shared.forget_samples(id);
        self.live -= 1;
        self.turns_open -= session.stock.open();
        let counters = &mut self.shared.counters;
        counters.sessions_closed += 1;
        if let Some(flow) = self.flows.get(session.flow) {
            counters.left_out_unordered_bytes += flow.unordered_bytes_at_leave();
            counters.sessions_without_turn += u64::from(session.is_without_turn(flow));
        }
        self.leave_flow(&session);
        self.unpark(now);
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

    /// Over budget although new sessions are refused: the flows that hold the most bytes end as a whole, until an eighth of the
    /// budget is free again. So the search is paid for by many packets.
    pub(crate) fn shed_largest(&mut self, now: Instant) {
        let held = self.flows.awake().map(|(id, flow)| (flow.bytes_held(), id));
        let mut largest: BinaryHeap<(u64, FlowId)> = held.collect();
        let enough = self.shared.config.payload_bytes_max / 8 * 7;
        while self.shared.arena.used() > enough
            && let Some((1.., id)) = largest.pop()
        {
            self.shed_flow(id, now);
        }
    }
}

/// Tells the flow from where on a session needs what is kept, and counts its turns that are open. Returns as [`Flow::pass`] does.
#[inline(always)]
fn take_stock(session: &mut Session, flow: &mut Flow, open: &mut u64, arena: &mut Arena) -> bool {
    let stock = Stock {
        kept: session.keeps_from(flow),
        front: session.turns.number(),
        count: flow.captured().count(),
    };
    stock != session.stock && put_stock(session, stock, flow, open, arena)
}

#[inline(never)]
fn put_stock(
    session: &mut Session,
    mut stock: Stock,
    flow: &mut Flow,
    open: &mut u64,
    arena: &mut Arena,
) -> bool {
    debug_assert!(
        stock.kept >= session.stock.kept,
        "what was passed is not needed again"
    );
    stock.kept = stock.kept.max(session.stock.kept);
    let old = core::mem::replace(&mut session.stock, stock);
    *open = *open + stock.open() - old.open();
    flow.pass(old.kept, stock.kept, stock.front, arena)
}

/// Queues a session that has something to send, and sees to it that it is asked when something is due. Returns whether it
/// is in a state that the tables have to know of.
#[inline(always)]
pub(super) fn settle(
    session: &mut Session,
    flow: &Flow,
    now: Instant,
    idle_timeout: Duration,
    ready: &mut VecDeque<SessionId>,
    timers: &mut Timers,
) -> bool {
    if let Some(at) = session.connection.acknowledgement_due()
        && session.acknowledges_at != Some(at)
    {
        timers.arm_acknowledgement(&mut session.acknowledges_at, session.id, at);
    }
    if !session.is_settled(flow, idle_timeout) {
        return settle_anew(session, flow, now, idle_timeout, ready, timers);
    }
    if !session.is_silent(flow) {
        queue(session, flow, ready);
    }
    debug_assert!(
        session.queued || !session.wants_to_send(flow),
        "what wants to be sent is queued"
    );
    false
}

/// Queues a session that may have something to send, if it has. Returns whether it stands in the queue for that.
#[inline(never)]
fn queue(session: &mut Session, flow: &Flow, ready: &mut VecDeque<SessionId>) -> bool {
    let queues = !session.queued && session.wants_to_send(flow);
    if queues {
        session.queued = true;
        ready.push_back(session.id);
    }
    queues
}

/// Sees to it that a session is asked when something is due, and when it may rest.
fn arm(session: &mut Session, flow: &Flow, deadline: Instant, now: Instant, timers: &mut Timers) {
    let rest_at = session.active_at(flow) + REST_AFTER;
    let deadline = if rest_at > now {
        deadline.min(rest_at)
    } else {
        deadline
    };
    timers.arm(&mut session.armed, session.id, deadline);
}

/// The same of one whose times may have moved to earlier ones.
#[inline(never)]
fn settle_anew(
    session: &mut Session,
    flow: &Flow,
    now: Instant,
    idle_timeout: Duration,
    ready: &mut VecDeque<SessionId>,
    timers: &mut Timers,
) -> bool {
    if matches!(session.life, Life::Closed) {
        return true;
    }
    if !queue(session, flow, ready) {
        session.probe_window(flow, now);
    }
    let deadline = session.deadline(flow, idle_timeout);
    arm(session, flow, deadline, now, timers);
    matches!(session.life, Life::Parked)
}
