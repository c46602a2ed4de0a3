//! A session at rest: established, or without a connection until the next turn, with nothing on its way in either
//! direction and no timer but the idle one.
//!
//! It takes half the room. Each field of a [`Session`] is either kept here or known to be as it is in a new one: who adds
//! one to a session has to say which.

use wire::flow::FlowKey;
use wire::seq::{ClientSeq, TargetSeq};

use crate::arena::Chain;
use crate::boundaries::Boundaries;
use crate::config::RuleId;
use crate::context::SessionId;
use crate::event::Outcome;
use crate::limits::OPEN_WINDOW_MIN;
use crate::receive::{ReceiveHalf, RestingReceive};
use crate::send::resting::RestingSend;
use crate::session::{Offer, Session, State};
use crate::stream::{ClientStream, RestingStream};
use crate::time::Instant;
use crate::turns::resting::RestingTurns;
use crate::wheel::Armed;
use crate::window::Pacing;

/// What is left of a session while it rests.
#[derive(Debug)]
pub(crate) struct Resting {
    rule: RuleId,
    pub(crate) flow: FlowKey,
    pub(crate) local: FlowKey,
    pub(crate) sibling: Option<SessionId>,
    state: State,
    client_isn: Option<ClientSeq>,
    confirmed: bool,
    offer: Offer,
    input: RestingStream,
    stream_end: u64,
    online_closed: bool,
    confirmed_only: bool,
    data_start: u64,
    turns: RestingTurns,
    send: RestingSend,
    receive: RestingReceive,
    sack: bool,
    timestamps: bool,
    active_at: Instant,
    opened: bool,
    accepted: bool,
    answered: bool,
    given_up: Option<Outcome>,
    reconnects: u8,
    refusals: u8,
    recoveries: u8,
    receive_mss: u16,
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
            local,
            sibling,
            state,
            client_isn,
            confirmed,
            offer,
            input,
            stream_end,
            online_closed,
            confirmed_only,
            turns,
            data,
            data_start,
            boundaries,
            send,
            receive,
            sack,
            timestamps,
            ack_due,
            ack_at,
            release_at,
            gap_at,
            pacing,
            active_at,
            opened,
            accepted,
            answered,
            given_up,
            reconnects,
            refusals,
            recoveries,
            recover_reset,
            receive_mss,
            tail,
            armed,
            queued,
            held,
            knocks,
        } = session;
        let nothing_due = !*ack_due
            && !*queued
            && !*knocks
            && held.is_none()
            && ack_at.or(*release_at).or(*gap_at).is_none();
        // Whether the online server's client is what holds the target back is forgotten.
        let window_open = pacing.is_idle() && receive.window() >= OPEN_WINDOW_MIN;
        let nothing_held = data.is_empty() && boundaries.is_empty() && recover_reset.is_none();
        let stays = matches!(
            state,
            State::Established | State::Detached { .. } | State::Dead(_)
        );
        if !stays || !nothing_due || !nothing_held || !window_open {
            return None;
        }
        let (input, send) = (RestingStream::of(input)?, RestingSend::of(send)?);
        let receive = RestingReceive::of(receive)?;
        Some(Self {
            rule: *rule,
            flow: *flow,
            local: *local,
            sibling: *sibling,
            state: *state,
            client_isn: *client_isn,
            confirmed: *confirmed,
            offer: *offer,
            input,
            stream_end: *stream_end,
            online_closed: *online_closed,
            confirmed_only: *confirmed_only,
            data_start: *data_start,
            turns: RestingTurns::of(turns)?,
            send,
            receive,
            sack: *sack,
            timestamps: *timestamps,
            active_at: *active_at,
            opened: *opened,
            accepted: *accepted,
            answered: *answered,
            given_up: *given_up,
            reconnects: *reconnects,
            refusals: *refusals,
            recoveries: *recoveries,
            receive_mss: *receive_mss,
            tail: *tail,
            armed: *armed,
        })
    }

    /// The session as it was, in slot `id`.
    pub(crate) fn wake(self, id: SessionId) -> Session {
        Session {
            id,
            rule: self.rule,
            flow: self.flow,
            local: self.local,
            sibling: self.sibling,
            state: self.state,
            client_isn: self.client_isn,
            confirmed: self.confirmed,
            offer: self.offer,
            input: ClientStream::from(self.input),
            stream_end: self.stream_end,
            online_closed: self.online_closed,
            confirmed_only: self.confirmed_only,
            turns: self.turns.wake(),
            data: Chain::default(),
            data_start: self.data_start,
            boundaries: Boundaries::default(),
            send: self.send.wake(),
            receive: ReceiveHalf::from(self.receive),
            sack: self.sack,
            timestamps: self.timestamps,
            ack_due: false,
            ack_at: None,
            release_at: None,
            gap_at: None,
            pacing: Pacing::new(self.active_at),
            active_at: self.active_at,
            opened: self.opened,
            accepted: self.accepted,
            answered: self.answered,
            given_up: self.given_up,
            reconnects: self.reconnects,
            refusals: self.refusals,
            recoveries: self.recoveries,
            recover_reset: None,
            receive_mss: self.receive_mss,
            tail: self.tail,
            armed: self.armed,
            queued: false,
            held: None,
            knocks: false,
        }
    }
}
