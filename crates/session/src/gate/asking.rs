//! What sessions ask a gate, and what it answers.

use std::collections::VecDeque;

use super::lanes::LaneId;
use crate::event::{Counters, Event};
use crate::id::SessionId;

/// What a session wants to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Something that the target answers.
    Answer,
    /// A mere acknowledgement: nobody answers it.
    Nothing,
    /// A RST: nobody answers it, and the target forgets what it would have sent again.
    Reset,
}

/// What a session that wants to send has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Send.
    Yes,
    /// Wait until the lane opens or the next probe is due.
    Hold,
    /// Too many wait already.
    Full,
}

/// Tells a session that waits from another that has got its number since; never 0.
pub(crate) type Ticket = u32;

/// A session that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) id: SessionId,
    pub(crate) ticket: Ticket,
}

/// What a reply of the target's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It takes a connection. Its next segment will show whether what we send after the handshake arrives.
    Accepts,
    /// The same once more: it has not seen that we know.
    AcceptsAgain,
    /// Anything else.
    Word,
}

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// This session's probe was not answered; it should leave nothing at the target that would be sent again.
    Failed(SessionId),
    /// A session may be tried in this lane.
    Try(LaneId),
}

/// What a gate tells.
pub(crate) struct News<'a> {
    pub(crate) counters: &'a mut Counters,
    pub(crate) events: &'a mut VecDeque<Event>,
}
