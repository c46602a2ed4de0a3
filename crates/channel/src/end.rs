//! The two ends of a connection: the order in which things may be said, the proof of a key, pings, and silence.
//!
//! An end is driven like a decoder: fill [`TcpcopyEnd::space`] from the socket, say how much ([`TcpcopyEnd::filled`]),
//! then take events until there is none. What is to be sent is appended to the caller's `out`.

mod intercept;
mod tcpcopy;
#[cfg(test)]
mod tests;

use std::time::Instant;

use crate::SILENCE_MAX;
use crate::decoder::Decoder;
use crate::error::Error;
use crate::hello::Hello;
use crate::role::Role;
use crate::seal::LENGTH_LEN;

pub use intercept::{InterceptEnd, InterceptEvent};
pub use tcpcopy::{TcpcopyEnd, TcpcopyEvent};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    AwaitsHello,
    AwaitsProof,
    AwaitsSubscription,
    Running,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::AwaitsHello => "before its hello",
            Self::AwaitsProof => "before the proof of its key",
            Self::AwaitsSubscription => "before the subscription",
            Self::Running => "after the subscription",
        }
    }
}

/// What an end says first.
fn hello(role: Role, has_key: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    Hello::new(role, has_key).encode(&mut bytes);
    bytes
}

/// Reads the peer's hello and gives its bytes; `None` while it is not complete.
fn greet(decoder: &mut Decoder, ours: Role, has_key: bool) -> Result<Option<Vec<u8>>, Error> {
    let Some((hello, bytes)) = decoder.next_hello()? else {
        return Ok(None);
    };
    let bytes = bytes.to_vec();
    let error = if hello.role != ours.peer() {
        Error::Role { theirs: hello.role }
    } else if hello.has_key && !has_key {
        Error::KeyWanted
    } else if has_key && !hello.has_key {
        Error::KeyMissing
    } else {
        return Ok(Some(bytes));
    };
    Err(decoder.fail(error))
}

/// Appends a message of the handshake, as a record.
fn put_proof(out: &mut Vec<u8>, message: &[u8]) {
    const { assert!(LENGTH_LEN == 2) };
    out.extend_from_slice(&(message.len() as u16).to_be_bytes());
    out.extend_from_slice(message);
}

fn deadlines(phase: Phase, opened: Instant, heard: Instant, now: Instant) -> Result<(), Error> {
    let silent = now.saturating_duration_since(heard);
    if silent >= SILENCE_MAX {
        return Err(Error::Silent(silent));
    }
    let opening = now.saturating_duration_since(opened);
    if phase != Phase::Running && opening >= SILENCE_MAX {
        return Err(Error::Unsubscribed(opening));
    }
    Ok(())
}
