//! A server's side of a connection: its bytes become responses.

use crate::expect::Expect;
use crate::http1;
use crate::module::Protocol;

pub use crate::said::{Said, Verdict};

/// Reads the bytes of one server on one connection.
#[derive(Debug)]
pub enum Responses {
    /// HTTP/1.
    Http1(Box<http1::Responses>),
}

impl Responses {
    /// A reader at the beginning of a connection.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Box::default()),
        }
    }

    /// The protocol that it reads.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Http1(_) => Protocol::Http1,
        }
    }

    /// A message was sent to the server whose response looks like this. It is awaited behind those that are.
    pub fn expect(&mut self, expect: Expect) {
        match (self, expect) {
            (Self::Http1(responses), Expect::Http1(awaited)) => responses.expect(awaited),
        }
    }

    /// The next bytes in order.
    pub fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        match self {
            Self::Http1(responses) => responses.push(bytes, tell),
        }
    }

    /// The server has closed: a response that ends with its connection is complete.
    pub fn close(&mut self, tell: &mut dyn FnMut(Said)) {
        match self {
            Self::Http1(responses) => responses.close(tell),
        }
    }
}
