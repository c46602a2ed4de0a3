//! What is left of a flow while all of its sessions rest: nobody has spoken for long, nothing is kept to be sent, and at most the
//! latest turn is open.

use wire::flow::FlowKey;
use wire::seq::ClientSeq;

use super::Flow;
use super::advertised::Advertised;
use super::captured::RestingCaptured;
use super::payload::Payload;
use super::stream::ClientStream;
use crate::id::SessionId;
use crate::time::Instant;

const JOINED: u8 = 1;
const CONFIRMED: u8 = 2;
const ONLINE_CLOSED: u8 = 4;
/// Whether anything was seen of what the online server has acknowledged.
const ACKNOWLEDGED: u8 = 8;

const fn flag(flag: u8, is_set: bool) -> u8 {
    if is_set { flag } else { 0 }
}

/// What is left of a flow.
#[derive(Debug)]
pub(crate) struct RestingFlow {
    key: FlowKey,
    /// Of [`JOINED`] and the like, which together take one byte.
    flags: u8,
    next: ClientSeq,
    advertised: Advertised,
    /// What the online server has acknowledged, where [`ACKNOWLEDGED`] is set.
    acknowledged: ClientSeq,
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
            reading,
        } = flow;
        let holds_nothing = payload.len() == 0 && payload.start() == captured.end();
        // What a protocol module knows of a flow has no shorter form.
        if reading.is_some() || !holds_nothing || gap_at.is_some() || !stream.is_plain() {
            return None;
        }
        Some(Self {
            key: *key,
            flags: flag(JOINED, *joined)
                | flag(CONFIRMED, *confirmed)
                | flag(ONLINE_CLOSED, *online_closed)
                | flag(ACKNOWLEDGED, stream.acknowledged().is_some()),
            next: stream.next(),
            advertised: *stream.advertised(),
            acknowledged: stream.acknowledged().unwrap_or(stream.next()),
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
        let is = |flag| self.flags & flag != 0;
        let captured = self.captured.wake();
        Flow {
            key: self.key,
            joined: is(JOINED),
            confirmed: is(CONFIRMED),
            stream: ClientStream::resumed(
                self.next,
                is(ACKNOWLEDGED).then_some(self.acknowledged),
                self.advertised,
            ),
            payload: Payload::from_start(captured.end()),
            captured,
            online_closed: is(ONLINE_CLOSED),
            online_blocked: false,
            online_at: self.active_at,
            gap_at: None,
            active_at: self.active_at,
            head: Some(self.head),
            sessions: self.sessions,
            laggards: self.sessions,
            reading: None,
        }
    }
}
