//! The client's side of a flow: its bytes become messages.

use crate::module::{Choice, Module, Protocol};
use crate::opening::Opening;
use crate::responses::Said;
use crate::{http1, postgres};

/// What stands next in a client's stream.
#[derive(Debug)]
pub enum Part<'a> {
    /// How the client has opened its connection: its login, which is not copied as bytes. Each session logs in by itself with
    /// [`crate::Login`], on a new connection, and what follows is sent once it is in.
    Opening(Box<Opening>),
    /// A message begins. What follows up to [`Part::End`] is its.
    Begin(Head),
    /// Bytes of it as the target is to get them; there are none of a message that is not copied.
    Bytes(&'a [u8]),
    /// What follows of the message is sent once the target has asked for it ([`Said::Ready`]), or has answered.
    Pause,
    /// The message ends.
    End,
    /// From here on the client's bytes pass as they are, as [`Part::Bytes`] that belong to no message.
    Leave(Why),
}

/// What is known of a message at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whether it is copied; otherwise it was filtered out.
    pub copied: bool,
    /// What its response looks like, for [`crate::Responses::expect`].
    pub expect: Expect,
    /// What of its bytes has another value at each server.
    pub patch: Option<Patch>,
}

/// Four bytes of a message that name something by a number that the online server gave out, and the target may have given out
/// another. A message whose number has no counterpart at the target (see [`crate::Verdict::statement`]) is not to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Where it stands: so many bytes behind the message's first. The number is four bytes, little-endian.
    pub at: u32,
    /// The online server's number.
    pub statement: u32,
}

/// What a reader of responses must know of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no response to it.
    Nothing,
    /// Of a request of HTTP/1.
    Http1(http1::Awaited),
    /// Of a message of PostgreSQL.
    Postgres(postgres::Awaited),
}

/// Why a flow has left its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Both sides agreed upon another protocol (101, CONNECT), which is as it should be.
    Upgraded,
    /// Its first bytes look like no protocol that there is a module for.
    Unknown,
    /// It does not follow the protocol.
    Malformed,
    /// A head, or what has to be held of a message, is longer than the module's limit.
    TooLong,
    /// Both sides agreed upon encryption; nothing of it can be read, nor mean anything on another connection.
    Encrypted,
    /// It asks for a stream without messages: replication.
    Replication,
}

/// Reads the bytes of one client.
#[derive(Debug)]
pub enum Requests {
    /// It is not known yet what it speaks.
    Unknown(Vec<u8>),
    /// HTTP/1.
    Http1(Box<http1::Requests>),
    /// PostgreSQL.
    Postgres(Box<postgres::Requests>),
    /// It has left the module.
    Left,
}

impl Requests {
    /// A reader of a flow that begins with its next byte.
    #[must_use]
    pub fn new(module: &Module) -> Self {
        match module.choice {
            Choice::Auto => Self::Unknown(Vec::new()),
            Choice::Is(protocol) => Self::of(protocol),
        }
    }

    fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Box::default()),
            Protocol::Postgres => Self::Postgres(Box::default()),
        }
    }

    /// What it was found to speak.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Http1(_) => Some(Protocol::Http1),
            Self::Postgres(_) => Some(Protocol::Postgres),
            Self::Unknown(_) | Self::Left => None,
        }
    }

    /// The next bytes in order. `went_on` says that the client had seen more of the online server's bytes when it sent these than
    /// when it sent those before.
    pub fn push(
        &mut self,
        module: &Module,
        bytes: &[u8],
        went_on: bool,
        tell: &mut dyn FnMut(Part<'_>),
    ) {
        let mut held = Vec::new();
        let mut bytes = bytes;
        if let Self::Unknown(first) = self {
            first.extend_from_slice(bytes);
            let found = match looks_like(first) {
                Looks::Open => return,
                Looks::Like(protocol) => Self::of(protocol),
                Looks::Unknown => {
                    tell(Part::Leave(Why::Unknown));
                    Self::Left
                }
            };
            held = core::mem::take(first);
            bytes = &held;
            *self = found;
        }
        let why = match self {
            Self::Unknown(_) => None,
            Self::Http1(requests) => requests.push(module, bytes, went_on, tell),
            Self::Postgres(requests) => requests.push(module, bytes, tell),
            Self::Left => {
                tell(Part::Bytes(bytes));
                None
            }
        };
        drop(held);
        if let Some(why) = why {
            self.leave(why, tell);
        }
    }

    /// The online server has said this, before the client's next bytes.
    pub fn hear(&mut self, said: &Said, tell: &mut dyn FnMut(Part<'_>)) {
        if matches!(said, Said::Left) {
            let why = match self {
                Self::Postgres(requests) => requests.why_left(),
                _ => Why::Upgraded,
            };
            self.leave(why, tell);
        } else if let Self::Postgres(requests) = self {
            requests.hear(said, tell);
        }
    }

    /// The flow leaves its module; what the reader holds of a message is told as bytes.
    fn leave(&mut self, why: Why, tell: &mut dyn FnMut(Part<'_>)) {
        let before = core::mem::replace(self, Self::Left);
        let held = match before {
            Self::Left => return,
            Self::Unknown(held) => held,
            Self::Http1(requests) => requests.into_held(),
            Self::Postgres(requests) => requests.into_held(),
        };
        tell(Part::Leave(why));
        if !held.is_empty() {
            tell(Part::Bytes(&held));
        }
    }

    /// Whether it stands between two messages, and holds nothing.
    #[must_use]
    pub fn is_between(&self) -> bool {
        match self {
            Self::Unknown(held) => held.is_empty(),
            Self::Http1(requests) => requests.is_between(),
            Self::Postgres(requests) => requests.is_between(),
            Self::Left => true,
        }
    }
}

/// What a flow's first bytes look like.
enum Looks {
    /// Too little is there to tell.
    Open,
    Like(Protocol),
    Unknown,
}

fn looks_like(first: &[u8]) -> Looks {
    let mut looks = Looks::Unknown;
    for protocol in Protocol::ALL {
        let is_it = match protocol {
            Protocol::Http1 => http1::looks_like(first),
            Protocol::Postgres => postgres::looks_like(first),
        };
        match is_it {
            Some(true) => return Looks::Like(*protocol),
            Some(false) => {}
            None => looks = Looks::Open,
        }
    }
    looks
}
