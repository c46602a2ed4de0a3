//! The client's side of a flow: its bytes become messages.

use crate::http1;
use crate::module::{Choice, Module, Protocol};
use crate::responses::Said;

/// What stands next in a client's stream.
#[derive(Debug)]
pub enum Part<'a> {
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
}

/// What a reader of responses must know of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Of a request of HTTP/1.
    Http1(http1::Awaited),
}

impl Expect {
    /// The protocol that it is of.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Http1(_) => Protocol::Http1,
        }
    }
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
    /// Its client has closed in the middle of a message.
    Cut,
    /// A head, or what has to be held of a message, is longer than the module's limit.
    TooLong,
}

/// Reads the bytes of one client.
#[derive(Debug)]
pub enum Requests {
    /// It is not known yet what it speaks.
    Unknown(Vec<u8>),
    /// HTTP/1.
    Http1(Box<http1::Requests>),
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
        }
    }

    /// What it was found to speak.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Http1(_) => Some(Protocol::Http1),
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
            match http1::looks_like(first) {
                None => return,
                Some(is_it) => {
                    held = core::mem::take(first);
                    bytes = &held;
                    *self = if is_it {
                        Self::of(Protocol::Http1)
                    } else {
                        tell(Part::Leave(Why::Unknown));
                        Self::Left
                    };
                }
            }
        }
        let why = match self {
            Self::Unknown(_) => None,
            Self::Http1(requests) => requests.push(module, bytes, went_on, tell),
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
            self.leave(Why::Upgraded, tell);
        }
    }

    /// The client has closed. What is held of a message that has not ended passes as bytes.
    pub fn close(&mut self, tell: &mut dyn FnMut(Part<'_>)) {
        if !self.is_between() {
            self.leave(Why::Cut, tell);
        }
    }

    /// The flow leaves its module; what the reader holds of a message is told as bytes.
    fn leave(&mut self, why: Why, tell: &mut dyn FnMut(Part<'_>)) {
        let before = core::mem::replace(self, Self::Left);
        let held = match before {
            Self::Left => return,
            Self::Unknown(held) => held,
            Self::Http1(requests) => requests.into_held(),
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
            Self::Left => true,
        }
    }
}
