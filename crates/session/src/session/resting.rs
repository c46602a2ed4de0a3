//! A session at rest: established, or without a connection until the next turn, with nothing on its way in either
//! direction and no timer but the idle one.
//!
//! It takes half the room. Each field of a [`Session`] is either kept here or known to be as it is in a new one: who adds
//! one to a session has to say which.

use wire::flow::Endpoint;

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

/// No session: there are never as many.
const NOBODY: SessionId = SessionId::MAX;

/// Where a session stands that may rest; see [`Life`].
#[derive(Clone, Copy, Debug)]
enum RestingLife {
    Detached { retry_at: Instant, outcome: Outcome },
    Connected,
    Dead(Outcome),
}

impl RestingLife {
    fn of(life: Life) -> Option<Self> {
        match life {
            Life::Detached { retry_at, outcome } => Some(Self::Detached { retry_at, outcome }),
            Life::Connected => Some(Self::Connected),
            Life::Dead(outcome) => Some(Self::Dead(outcome)),
            Life::Parked | Life::Closing { .. } | Life::Leaving(_) | Life::Closed => None,
        }
    }

    fn wake(self) -> Life {
        match self {
            Self::Detached { retry_at, outcome } => Life::Detached { retry_at, outcome },
            Self::Connected => Life::Connected,
            Self::Dead(outcome) => Life::Dead(outcome),
        }
    }
}

/// What is left of a session while it rests.
#[derive(Debug)]
pub(crate) struct Resting {
    pub(crate) rule: RuleId,
    pub(crate) flow: FlowId,
    /// The next session of the same flow; [`NOBODY`] where there is none.
    sibling: SessionId,
    life: RestingLife,
    leads: bool,
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
    /// When the wheel asks for it.
    armed: Option<Instant>,
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
            leads,
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
            // Of a response that is whole.
            tail: _,
            armed,
            // What is left of it in the queue is stale.
            acknowledges_at: _,
            queued,
            held,
        } = session;
        let nothing_due = !*queued && held.is_none() && release_at.is_none();
        let nothing_held = pacing.is_idle() && stock.kept == flow.end() && stock.open() <= 1;
        if !nothing_due || !nothing_held {
            return None;
        }
        Some(Self {
            rule: *rule,
            flow: *number,
            sibling: sibling.unwrap_or(NOBODY),
            life: RestingLife::of(*life)?,
            leads: *leads,
            confirmed_only: *confirmed_only,
            unseen: *unseen,
            kept: stock.kept,
            is_open: stock.open() > 0,
            turns: RestingTurns::of(turns, flow.captured())?,
            connection: RestingConnection::of(connection, stock.kept)?,
            active_at: *active_at,
            opened: *opened,
            accepted: *accepted,
            answered: *answered,
            given_up: *given_up,
            reconnects: *reconnects,
            refusals: *refusals,
            armed: armed.next(),
        })
    }

    /// From here on the flow keeps the stream for it, and from the turn of this number on its turns.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.kept, self.turns.number())
    }

    /// Whether nothing is copied.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.life, RestingLife::Dead(_))
    }

    /// The next session of the same flow.
    pub(crate) fn sibling(&self) -> Option<SessionId> {
        (self.sibling != NOBODY).then_some(self.sibling)
    }

    /// It is another.
    pub(crate) fn set_sibling(&mut self, sibling: Option<SessionId>) {
        self.sibling = sibling.unwrap_or(NOBODY);
    }

    /// An entry of the wheel fired; see [`Armed::fire`].
    pub(crate) fn fire(&mut self, at: Instant) -> bool {
        let is_next = self.armed == Some(at);
        if is_next {
            self.armed = None;
        }
        is_next
    }

    /// Its source.
    pub(crate) fn source(&self) -> &Endpoint {
        self.connection.source()
    }

    /// The session as it was, in slot `id`, with a target at `server`.
    pub(crate) fn wake(self, id: SessionId, server: Endpoint) -> Session {
        let front = self.turns.number();
        Session {
            id,
            rule: self.rule,
            flow: self.flow,
            sibling: self.sibling(),
            life: self.life.wake(),
            leads: self.leads,
            confirmed_only: self.confirmed_only,
            turns: self.turns.wake(),
            stock: Stock {
                kept: self.kept,
                front,
                count: front + u64::from(self.is_open),
            },
            unseen: self.unseen,
            connection: self.connection.wake(server, self.kept),
            release_at: None,
            pacing: Pacing::default(),
            active_at: self.active_at,
            opened: self.opened,
            accepted: self.accepted,
            answered: self.answered,
            given_up: self.given_up,
            reconnects: self.reconnects,
            refusals: self.refusals,
            tail: None,
            armed: Armed::resumed(self.armed),
            acknowledges_at: None,
            queued: false,
            held: None,
        }
    }
}
