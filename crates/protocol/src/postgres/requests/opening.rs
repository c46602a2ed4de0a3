//! The beginning of a connection: startup, and what the client says to be let in.

use zeroize::Zeroizing;

use super::super::frames::{Frames, Piece};
use super::super::startup::{self, Packet};
use crate::opening::{Opening, PostgresOpening};
use crate::parts::{Part, Why};
use crate::scram::{CLIENT_LEN_MAX, Watch};

/// Most packets that ask for encryption: one for TLS and one for GSSAPI.
const ASKED_MAX: u8 = 2;

/// How far the beginning has got.
#[derive(Debug)]
pub(super) enum Stage {
    /// A packet without a kind is awaited.
    Startup { held: Vec<u8>, asked: u8 },
    /// The client proves who it is.
    Proving(Box<Proving>),
    /// It has asked for a cancellation; nothing follows.
    Over,
    /// Messages follow.
    Open,
}

/// A client that proves who it is.
#[derive(Debug)]
pub(super) struct Proving {
    opening: PostgresOpening,
    watch: Watch,
    /// The body of what it says, as far as that may be SCRAM: it may be a password as well.
    said: Zeroizing<Vec<u8>>,
}

/// What is heard of the online server meanwhile.
pub(super) enum Heard<'a> {
    Asked(&'a [u8]),
    Opened,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Startup {
            held: Vec::new(),
            asked: 0,
        }
    }
}

impl Stage {
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Nothing has come of a flow, or its messages have begun.
    pub(super) fn is_between(&self) -> bool {
        match self {
            Self::Startup { held, .. } => held.is_empty(),
            Self::Proving(_) => false,
            Self::Over | Self::Open => true,
        }
    }

    /// Takes what belongs to the beginning off `bytes`. Whether messages follow.
    pub(super) fn push(
        &mut self,
        bytes: &mut &[u8],
        frames: &mut Frames,
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Result<bool, Why> {
        loop {
            match self {
                Self::Open => return Ok(true),
                Self::Over if bytes.is_empty() => return Ok(false),
                Self::Over => return Err(Why::Malformed),
                Self::Startup { .. } => {
                    if !self.startup(bytes, tell)? {
                        return Ok(false);
                    }
                }
                Self::Proving(proving) => match proving.push(bytes, frames)? {
                    Proved::Waits => return Ok(false),
                    // Something else than a proof: the client takes itself for being let in.
                    Proved::GoesOn => self.open(tell),
                },
            }
        }
    }

    /// Takes a packet without a kind. Whether there was a whole one.
    fn startup(&mut self, bytes: &mut &[u8], tell: &mut dyn FnMut(Part<'_>)) -> Result<bool, Why> {
        let Self::Startup { held, asked } = self else {
            return Ok(true);
        };
        while held.len() < 8 {
            let Some((first, rest)) = bytes.split_first() else {
                return Ok(false);
            };
            // A TLS handshake (RFC 8446, section 5.1).
            if held.is_empty() && *first == 0x16 {
                return Err(Why::Encrypted);
            }
            held.push(*first);
            *bytes = rest;
        }
        let len = startup::packet_len(held)
            .map_err(|()| Why::Malformed)?
            .unwrap_or(8);
        let (taken, rest) = bytes.split_at(bytes.len().min(len - held.len()));
        held.extend_from_slice(taken);
        *bytes = rest;
        if held.len() < len {
            return Ok(false);
        }
        let packet = startup::parse(held).ok_or(Why::Malformed)?;
        held.clear();
        match packet {
            Packet::Encryption => {
                *asked += 1;
                if *asked > ASKED_MAX {
                    return Err(Why::Malformed);
                }
            }
            Packet::Cancel(key) => {
                *self = Self::Over;
                tell(Part::Opening(Box::new(Opening::Cancel(key))));
            }
            Packet::Startup(opening) => {
                *self = Self::Proving(Box::new(Proving {
                    opening,
                    watch: Watch::default(),
                    said: room(),
                }));
            }
            Packet::Replication => return Err(Why::Replication),
        }
        Ok(true)
    }

    /// The client is in.
    fn open(&mut self, tell: &mut dyn FnMut(Part<'_>)) {
        if let Self::Proving(proving) = core::mem::replace(self, Self::Open) {
            let Proving {
                mut opening, watch, ..
            } = *proving;
            opening.exchange = watch.into_exchange();
            tell(Part::Opening(Box::new(Opening::Postgres(opening))));
        }
    }

    pub(super) fn hear(&mut self, heard: Heard<'_>, tell: &mut dyn FnMut(Part<'_>)) {
        match (heard, &mut *self) {
            (Heard::Asked(asked), Self::Proving(proving)) => proving.watch.server_says(asked),
            (Heard::Opened, Self::Proving(_)) => self.open(tell),
            _ => {}
        }
    }
}

/// How far a proof has got.
enum Proved {
    Waits,
    GoesOn,
}

impl Proving {
    fn push(&mut self, bytes: &mut &[u8], frames: &mut Frames) -> Result<Proved, Why> {
        loop {
            if !frames.is_inside() && bytes.first().is_some_and(|kind| *kind != b'p') {
                return Ok(Proved::GoesOn);
            }
            match frames.next(bytes).map_err(|_| Why::Malformed)? {
                None => return Ok(Proved::Waits),
                Some(Piece::PartOfHead(len) | Piece::Head(len)) => *bytes = &bytes[len..],
                Some(Piece::Body(len)) => {
                    let room = (CLIENT_LEN_MAX + 1).saturating_sub(self.said.len());
                    self.said.extend_from_slice(&bytes[..len.min(room)]);
                    *bytes = &bytes[len..];
                }
                Some(Piece::End) => {
                    if self.said.len() <= CLIENT_LEN_MAX {
                        self.watch.client_says(&self.said);
                    }
                    self.said = room();
                }
            }
        }
    }
}

/// Room for what a client says, which is never grown: what growing leaves behind is not overwritten.
fn room() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(CLIENT_LEN_MAX + 1))
}
