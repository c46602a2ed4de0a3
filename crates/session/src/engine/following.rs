//! What happens to a flow, and so to all the sessions that copy it: the flow is told first, and each of them follows.

use wire::flow::FlowKey;
use wire::seq::ClientSeq;
use wire::tcp::Flags;

use super::Engine;
use super::outside::Lost;
use crate::config::Config;
use crate::context::{Context, SessionId};
use crate::event::Outcome;
use crate::flow::stream::{End, Piece};
use crate::flow::{Flow, Heard, Room};
use crate::id::FlowId;
use crate::running::Why;
use crate::session::Session;
use crate::time::Instant;

impl Engine {
    /// The flow of a client's connection.
    #[inline]
    pub(crate) fn flow_of(&self, key: &FlowKey) -> Option<FlowId> {
        let is = |id| self.flows.key(id) == Some(key);
        self.by_flow.get(key, is)
    }

    /// A flow, and what it needs while it is told something.
    #[inline]
    pub(crate) fn tell<R>(
        &mut self,
        id: FlowId,
        now: Instant,
        input: impl FnOnce(&mut Flow, &mut Room<'_>) -> R,
    ) -> Option<R> {
        let flow = self.flows.wake(id)?;
        let mut room = Room {
            now,
            arena: &mut self.shared.arena,
            counters: &mut self.shared.counters,
            gap_grace: self.shared.config.gap_grace,
        };
        let was_confirmed = flow.is_confirmed();
        let result = input(flow, &mut room);
        self.unconfirmed -= u32::from(flow.is_confirmed() && !was_confirmed);
        Some(result)
    }

    /// A segment of the client of a flow: it is told to the flow, and what is new then to each of its sessions.
    pub(crate) fn on_client(
        &mut self,
        id: FlowId,
        now: Instant,
        seq: ClientSeq,
        flags: Flags,
        piece: Piece<'_>,
    ) {
        let told = self.tell(id, now, |flow, room| {
            (flow.on_client(seq, flags, piece, room), flow.head)
        });
        let Some((mut news, first)) = told else {
            return;
        };
        news.over_budget = news.over_budget && !self.is_mute(id, now);
        if news.lost.is_some() {
            self.lose(id, now);
        }
        self.for_each_from(first, now, |session, ctx| {
            session.on_client(&news, piece, ctx);
        });
        if news.over_budget {
            self.tell(id, now, |flow, room| flow.shed(room.arena, room.counters));
        }
    }

    /// Whether none of a flow's sessions has any use for what its client says next.
    fn is_mute(&mut self, id: FlowId, now: Instant) -> bool {
        let Some(flow) = self.flows.wake(id) else {
            return false;
        };
        let mut at = flow.head;
        while let Some(id) = at {
            if !self.sessions.is_deaf(id, flow, now) {
                return false;
            }
            at = self.sessions.sibling(id);
        }
        true
    }

    /// Hands each session of a flow to `input`.
    pub(crate) fn for_each_session(
        &mut self,
        id: FlowId,
        now: Instant,
        input: impl FnMut(&mut Session, &mut Context<'_>),
    ) {
        let first = self.flows.wake(id).and_then(|flow| flow.head);
        self.for_each_from(first, now, input);
    }

    /// The same from the flow's first session on.
    #[inline]
    pub(crate) fn for_each_from(
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

    /// What a segment of the online server has changed is told to each session of its flow, from the first on.
    #[inline]
    pub(crate) fn follow_online(&mut self, first: Option<SessionId>, now: Instant, heard: &Heard) {
        let mut at = first;
        while let Some(id) = at {
            at = self.sessions.sibling(id);
            if !self.counts_online(id, heard) {
                self.with(id, now, |session, ctx| session.on_online(heard, ctx));
                self.tell_what_is_owed(id);
            }
        }
    }

    /// Where the online server's bytes only add to what a session's target may send, as nearly always, that is noted and
    /// nothing follows from it. Returns whether it was so.
    #[inline]
    fn counts_online(&mut self, id: SessionId, heard: &Heard) -> bool {
        let Heard::Segment(answered) = heard else {
            return false;
        };
        let Some(session) = self.sessions.wake(id) else {
            return false;
        };
        let Config {
            idle_timeout,
            reply_slack,
            ..
        } = self.shared.config;
        let counts = self.shared.samples.is_none()
            && !self.shared.tells_of_online
            && session.only_counts_online(reply_slack)
            && self
                .flows
                .get(session.flow)
                .is_some_and(|flow| session.is_settled(flow, idle_timeout));
        if counts {
            session.count_online(answered);
        }
        counts
    }

    /// The client's 4-tuple now belongs to a newer connection.
    pub(crate) fn replace(&mut self, id: FlowId, now: Instant) {
        self.unlist(id);
        self.tell(id, now, |flow, room| {
            flow.finish(End::Replaced, now, room.arena);
        });
        self.for_each_session(id, now, Session::advance);
    }

    /// A hole in a flow has been waited for long enough.
    pub(crate) fn on_gap_due(&mut self, id: FlowId, now: Instant) {
        let lost = self.tell(id, now, Flow::on_gap_due).flatten();
        if let Some(lost) = lost {
            self.lose(id, now);
            self.for_each_session(id, now, |session, ctx| session.on_gap(lost, ctx));
        } else {
            self.for_each_session(id, now, Session::advance);
        }
    }

    /// A session's flow has been silent for longer than the user wants to remember, and so has its target.
    #[cold]
    pub(crate) fn on_idle(&mut self, id: SessionId, now: Instant) {
        let Some(number) = self.sessions.flow(id) else {
            return;
        };
        if self
            .flows
            .get(number)
            .is_some_and(|flow| flow.ended().is_some())
        {
            self.with(id, now, Session::expire);
            return;
        }
        self.tell(number, now, |flow, room| {
            flow.finish(End::Idle, now, room.arena);
        });
        self.lose(number, now);
        self.for_each_session(number, now, Session::expire);
    }

    /// Why all of a flow's sessions were given up, if they were.
    fn why_given_up(&mut self, id: FlowId) -> Option<Outcome> {
        let mut at = self.flows.wake(id)?.head;
        let mut why = None;
        while let Some(id) = at {
            why = Some(self.sessions.wake(id)?.given_up?);
            at = self.sessions.sibling(id);
        }
        why
    }

    /// A flow has lost its sessions although it may go on: that is remembered of it.
    pub(super) fn lose(&mut self, id: FlowId, now: Instant) {
        let why = match self.why_given_up(id) {
            Some(Outcome::Unreplayable) => Why::Encrypted,
            Some(Outcome::Shed) => Why::Shed,
            _ => Why::Missed,
        };
        if self.unlist(id)
            && let Some(lost) = self.flows.get(id).and_then(|flow| lost(flow, why))
        {
            self.put_lost(now, lost);
        }
    }

    /// What comes for a flow's 4-tuple from now on is none of this one's. Returns whether it still was.
    pub(crate) fn unlist(&mut self, id: FlowId) -> bool {
        let key = self.flows.key(id).copied();
        key.is_some_and(|key| self.by_flow.remove(&key, id))
    }

    /// What a session needed may be needed by nobody any more: all of its flow's sessions are asked from where on they need the
    /// stream.
    #[cold]
    pub(crate) fn trim(&mut self, id: FlowId) {
        let Some(flow) = self.flows.wake(id) else {
            return;
        };
        let (mut from, mut front, mut laggards) = (u64::MAX, u64::MAX, 0);
        let mut at = flow.head;
        while let Some(id) = at {
            if let Some((kept, number)) = self.sessions.place(id) {
                if kept < from {
                    (from, laggards) = (kept, 0);
                }
                laggards += u32::from(kept == from);
                front = front.min(number);
            }
            at = self.sessions.sibling(id);
        }
        flow.keep(from, front, laggards, &mut self.shared.arena);
    }

    /// Puts a flow to rest whose sessions all do.
    pub(crate) fn rest_flow(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get(id) else {
            return;
        };
        let mut at = flow.head;
        if flow.sessions > 1 {
            while let Some(id) = at {
                if self.sessions.get(id).is_some() {
                    return;
                }
                at = self.sessions.sibling(id);
            }
            self.trim(id);
        }
        self.flows.rest(id);
    }

    /// The end of the run: nothing is kept any more for sessions that only have a last segment to send.
    pub(crate) fn finish_flows(&mut self) {
        let flows: Vec<FlowId> = self.flows.awake().map(|(id, _)| id).collect();
        for id in flows {
            self.trim(id);
            if let Some(flow) = self.flows.wake(id) {
                flow.forget_waiting(&mut self.shared.arena);
            }
        }
    }

    /// A session has been taken out of its slot: it leaves its flow, which ends with its last one.
    pub(crate) fn leave_flow(&mut self, session: &Session) {
        let id = session.flow;
        self.unlink(session);
        let Some(flow) = self.flows.wake(id) else {
            return;
        };
        let trims = flow.leave(session.stock.kept);
        if flow.sessions > 0 {
            if trims {
                self.trim(id);
            }
            return;
        }
        self.unlist(id);
        if let Some(mut flow) = self.flows.remove(id) {
            self.sampling.leave(flow.key());
            flow.clear(&mut self.shared.arena);
            self.unconfirmed -= u32::from(!flow.is_confirmed());
        }
    }

    /// Takes a session out of its flow's chain.
    fn unlink(&mut self, session: &Session) {
        let Some(flow) = self.flows.wake(session.flow) else {
            return;
        };
        if flow.head == Some(session.id) {
            flow.head = session.sibling;
            return;
        }
        let mut at = flow.head;
        while let Some(id) = at {
            at = self.sessions.sibling(id);
            if at == Some(session.id) {
                self.sessions.set_sibling(id, session.sibling);
                return;
            }
        }
    }

    /// Ends all the sessions of a flow for want of room.
    pub(crate) fn shed_flow(&mut self, id: FlowId, now: Instant) {
        self.for_each_session(id, now, |session, ctx| session.give_up(Outcome::Shed, ctx));
        self.tell(id, now, |flow, room| flow.shed(room.arena, room.counters));
    }
}

/// What is to be remembered of a flow that has lost its sessions.
fn lost(flow: &Flow, why: Why) -> Option<Lost> {
    let end = flow.ended()?.end;
    let place = flow.place();
    // What stood behind a hole goes on with what is lost.
    let is_whole = end == End::Idle && flow.stream().seen() == flow.stream().next();
    Some(Lost {
        flow: *flow.key(),
        why,
        next: flow.stream().seen(),
        acknowledged: flow.stream().acknowledged(),
        seen: place.cause,
        whole: is_whole.then_some((place.cause, place.answer)),
        holes: flow.stream().holes(),
        unbegun: place.unbegun,
        greeted: flow.captured().is_greeted(),
    })
}
