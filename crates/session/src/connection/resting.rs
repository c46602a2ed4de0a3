//! A connection that is silent: nothing in flight in either direction, nothing to be said, no timer.
//!
//! Each field of a [`Connection`] is either kept here or known to be as it is in a new one: who adds one has to say which.

use wire::flow::{Endpoint, FlowKey};

use super::receive::{ReceiveHalf, RestingReceive};
use super::send::resting::RestingSend;
use super::{Connection, Offer, Phase};
use crate::limits::OPEN_WINDOW_MIN;

/// What is left of a connection while it is silent.
#[derive(Debug)]
pub(crate) struct RestingConnection {
    source: Endpoint,
    offer: Offer,
    is_synchronized: bool,
    send: RestingSend,
    receive: RestingReceive,
    sack: bool,
    timestamps: bool,
    recoveries: u8,
    receive_mss: u16,
}

impl RestingConnection {
    /// What is left of `connection`; `None` where that would lose something.
    pub(crate) fn of(connection: &Connection, kept: u64) -> Option<Self> {
        let Connection {
            local,
            offer,
            phase,
            send,
            receive,
            sack,
            timestamps,
            ack_due,
            ack_at,
            recoveries,
            recover_reset,
            receive_mss,
            knocks,
        } = connection;
        let nothing_due = !*ack_due && !*knocks && ack_at.is_none() && recover_reset.is_none();
        let is_silent = matches!(phase, Phase::Closed | Phase::Synchronized);
        if !nothing_due || !is_silent || receive.window() < OPEN_WINDOW_MIN {
            return None;
        }
        Some(Self {
            source: local.client,
            offer: *offer,
            is_synchronized: *phase == Phase::Synchronized,
            send: RestingSend::of(send, kept)?,
            receive: RestingReceive::of(receive)?,
            sack: *sack,
            timestamps: *timestamps,
            recoveries: *recoveries,
            receive_mss: *receive_mss,
        })
    }

    /// Where it comes from.
    pub(crate) fn source(&self) -> &Endpoint {
        &self.source
    }

    /// The connection as it was, to `server`, of a session that needs the stream from `kept` on.
    pub(crate) fn wake(self, server: Endpoint, kept: u64) -> Connection {
        let local = FlowKey {
            client: self.source,
            server,
        };
        let receive = ReceiveHalf::from(self.receive);
        Connection {
            phase: if self.is_synchronized {
                Phase::Synchronized
            } else {
                Phase::Closed
            },
            send: self.send.wake(kept, receive.nxt()),
            receive,
            sack: self.sack,
            timestamps: self.timestamps,
            recoveries: self.recoveries,
            receive_mss: self.receive_mss,
            ..Connection::new(local, self.offer)
        }
    }
}
