//! A session at rest: established, or without a connection until the next turn, with nothing on its way in either
//! direction and no timer but the idle one.
//!
//! It takes half the room. Each field of a [`Session`] is either kept here or known to be as it is in a new one: who adds
//! one to a session has to say which.

use wire::flow::FlowKey;
use wire::seq::{ClientSeq, TargetSeq};

use super::pacing::Pacing;
use super::{Life, Session};
use crate::arena::Chain;
use crate::boundaries::Boundaries;
use crate::config::RuleId;
use crate::connection::resting::RestingConnection;
use crate::context::SessionId;
use crate::event::Outcome;
use crate::stream::{ClientStream, RestingStream};
use crate::time::Instant;
use crate::turns::resting::RestingTurns;
use crate::wheel::Armed;

/// What is left of a session while it rests.
#[derive(Debug)]
pub(crate) struct Resting {
    rule: RuleId,
    pub(crate) flow: FlowKey,
    pub(crate) sibling: Option<SessionId>,
    life: Life,
    client_isn: Option<ClientSeq>,
    confirmed: bool,
    input: RestingStream,
    stream_end: u64,
    online_closed: bool,
    confirmed_only: bool,
    data_start: u64,
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
    pub(crate) fn of(session: &mut Session) -> Option<Self> {
        let Session {
            id: _,
            rule,
            flow,
            sibling,
            life,
            client_isn,
            confirmed,
            input,
            stream_end,
            online_closed,
            confirmed_only,
            turns,
            data,
            data_start,
            boundaries,
            connection,
            release_at,
            gap_at,
            pacing,
            active_at,
            // Long ago, and so was the other.
            captured_at: _,
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
        let nothing_due = !*queued && held.is_none() && release_at.or(*gap_at).is_none();
        // Whether the online server's client is what holds the target back is forgotten.
        let nothing_held = pacing.is_idle() && data.is_empty() && boundaries.is_empty();
        let stays = matches!(
            life,
            Life::Connected | Life::Detached { .. } | Life::Dead(_)
        );
        if !stays || !nothing_due || !nothing_held {
            return None;
        }
        let (input, connection) = (
            RestingStream::of(input)?,
            RestingConnection::of(connection)?,
        );
        Some(Self {
            rule: *rule,
            flow: *flow,
            sibling: *sibling,
            life: *life,
            client_isn: *client_isn,
            confirmed: *confirmed,
            input,
            stream_end: *stream_end,
            online_closed: *online_closed,
            confirmed_only: *confirmed_only,
            data_start: *data_start,
            turns: RestingTurns::of(turns)?,
            connection,
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

    /// From its source to the target.
    pub(crate) fn local(&self) -> &FlowKey {
        self.connection.local()
    }

    /// The session as it was, in slot `id`.
    pub(crate) fn wake(self, id: SessionId) -> Session {
        Session {
            id,
            rule: self.rule,
            flow: self.flow,
            sibling: self.sibling,
            life: self.life,
            client_isn: self.client_isn,
            confirmed: self.confirmed,
            input: ClientStream::from(self.input),
            stream_end: self.stream_end,
            online_closed: self.online_closed,
            confirmed_only: self.confirmed_only,
            turns: self.turns.wake(),
            data: Chain::default(),
            data_start: self.data_start,
            boundaries: Boundaries::default(),
            connection: self.connection.wake(),
            release_at: None,
            gap_at: None,
            pacing: Pacing::new(self.active_at),
            active_at: self.active_at,
            captured_at: self.active_at,
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
