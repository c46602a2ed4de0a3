//! A session at rest: established, or without a connection until the next turn, with nothing on its way in either
//! direction and no timer but the idle one.
//!
//! It takes half the room. Each field of a [`Session`] is either kept here or known to be as it is in a new one: who adds
//! one to a session has to say which.

use wire::flow::FlowKey;
use wire::seq::TargetSeq;

use super::pacing::Pacing;
use super::{Life, Session, Stock};
use crate::config::RuleId;
use crate::connection::resting::RestingConnection;
use crate::event::Outcome;
use crate::flow::Flow;
use crate::id::{FlowId, SessionId};
use crate::time::Instant;
use crate::turns::resting::RestingTurns;
use crate::wheel::Armed;

/// What is left of a session while it rests.
#[derive(Debug)]
pub(crate) struct Resting {
    rule: RuleId,
    pub(crate) flow: FlowId,
    pub(crate) sibling: Option<SessionId>,
    life: Life,
    confirmed_only: bool,
    unseen: bool,
    kept: u64,
    /// Whether its latest turn is open.
    is_open: bool,
    turns: RestingTurns,
    connection: RestingConnection,
    active_at: Instant,
    opened: bool,
    accepted: bool,
    answered: bool,
    given_up: Option<Outcome>,
    reconnects: u8,
    refusals: u8,
    tail: Option<TargetSeq>,
    pub(crate) armed: Armed,
}

impl Resting {
    /// What is left of `session`, which is of no use afterwards; `None`, and nothing has happened to it, where something
    /// would be lost.
    pub(crate) fn of(session: &Session, flow: &Flow) -> Option<Self> {
        let Session {
            id: _,
            rule,
            flow: number,
            sibling,
            life,
            confirmed_only,
            turns,
            stock,
            unseen,
            connection,
            release_at,
            pacing,
            active_at,
            opened,
            accepted,
            answered,
            given_up,
            reconnects,
            refusals,
            tail,
            armed,
            // What is left of it in the queue is stale.
            acknowledges_at: _,
            queued,
            held,
        } = session;
        let nothing_due = !*queued && held.is_none() && release_at.is_none();
        let nothing_held = pacing.is_idle() && stock.kept == flow.end() && stock.open() <= 1;
        let stays = matches!(
            life,
            Life::Connected | Life::Detached { .. } | Life::Dead(_)
        );
        if !stays || !nothing_due || !nothing_held {
            return None;
        }
        Some(Self {
            rule: *rule,
            flow: *number,
            sibling: *sibling,
            life: *life,
            confirmed_only: *confirmed_only,
            unseen: *unseen,
            kept: stock.kept,
            is_open: stock.open() > 0,
            turns: RestingTurns::of(turns, flow.captured())?,
            connection: RestingConnection::of(connection)?,
            active_at: *active_at,
            opened: *opened,
            accepted: *accepted,
            answered: *answered,
            given_up: *given_up,
            reconnects: *reconnects,
            refusals: *refusals,
            tail: *tail,
            armed: *armed,
        })
    }

    /// From here on the flow keeps the stream for it, and from the turn of this number on its turns.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.kept, self.turns.number())
    }

    /// Whether nothing is copied.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.life, Life::Dead(_))
    }

    /// From its source to the target.
    pub(crate) fn local(&self) -> &FlowKey {
        self.connection.local()
    }

    /// The session as it was, in slot `id`.
    pub(crate) fn wake(self, id: SessionId) -> Session {
        let front = self.turns.number();
        Session {
            id,
            rule: self.rule,
            flow: self.flow,
            sibling: self.sibling,
            life: self.life,
            confirmed_only: self.confirmed_only,
            turns: self.turns.wake(),
            stock: Stock {
                kept: self.kept,
                front,
                count: front + u64::from(self.is_open),
            },
            unseen: self.unseen,
            connection: self.connection.wake(),
            release_at: None,
            pacing: Pacing::default(),
            active_at: self.active_at,
            opened: self.opened,
            accepted: self.accepted,
            answered: self.answered,
            given_up: self.given_up,
            reconnects: self.reconnects,
            refusals: self.refusals,
            tail: self.tail,
            armed: self.armed,
            acknowledges_at: None,
            queued: false,
            held: None,
        }
    }
}
