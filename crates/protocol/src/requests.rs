//! The client's side of a flow: its bytes become messages.

use crate::http1;
use crate::module::{Choice, Module, Protocol};
use crate::said::Said;

pub use crate::expect::Expect;
pub use crate::parts::{Head, Part, Why};

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
