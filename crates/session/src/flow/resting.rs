//! What is left of a flow while all of its sessions rest: nobody has spoken for long, nothing is kept to be sent, and at most the
//! latest turn is open.

use wire::flow::FlowKey;
use wire::seq::ClientSeq;

use super::Flow;
use super::captured::RestingCaptured;
use super::payload::Payload;
use super::stream::ClientStream;
use crate::id::SessionId;
use crate::time::Instant;

/// What is left of a flow.
#[derive(Debug)]
pub(crate) struct RestingFlow {
    key: FlowKey,
    joined: bool,
    confirmed: bool,
    online_closed: bool,
    next: ClientSeq,
    /// What the online server has acknowledged, if anything was seen of that.
    acknowledged: ClientSeq,
    is_acknowledged: bool,
    captured: RestingCaptured,
    active_at: Instant,
    head: SessionId,
    sessions: u32,
}

impl RestingFlow {
    /// What is left of `flow`, which is of no use afterwards; `None`, and nothing has happened to it, where something would be
    /// lost.
    pub(crate) fn of(flow: &mut Flow) -> Option<Self> {
        let Flow {
            key,
            joined,
            confirmed,
            stream,
            captured,
            payload,
            online_closed,
            // Long ago: whether the online server's client is what holds the target back is forgotten.
            online_blocked: _,
            online_at: _,
            gap_at,
            active_at,
            head,
            sessions,
            // All of them have passed everything.
            laggards: _,
        } = flow;
        let holds_nothing = payload.len() == 0 && payload.start() == captured.end();
        if !holds_nothing || gap_at.is_some() || !stream.is_plain() {
            return None;
        }
        Some(Self {
            key: *key,
            joined: *joined,
            confirmed: *confirmed,
            online_closed: *online_closed,
            next: stream.next(),
            acknowledged: stream.acknowledged().unwrap_or(stream.next()),
            is_acknowledged: stream.acknowledged().is_some(),
            active_at: *active_at,
            head: (*head)?,
            captured: captured.rest()?,
            sessions: *sessions,
        })
    }

    /// From the client to the online server.
    pub(crate) fn key(&self) -> &FlowKey {
        &self.key
    }

    /// The flow as it was.
    pub(crate) fn wake(self) -> Flow {
        let captured = self.captured.wake();
        Flow {
            key: self.key,
            joined: self.joined,
            confirmed: self.confirmed,
            stream: ClientStream::resumed(
                self.next,
                self.is_acknowledged.then_some(self.acknowledged),
            ),
            payload: Payload::from_start(captured.end()),
            captured,
            online_closed: self.online_closed,
            online_blocked: false,
            online_at: self.active_at,
            gap_at: None,
            active_at: self.active_at,
            head: Some(self.head),
            sessions: self.sessions,
            laggards: self.sessions,
        }
    }
}
