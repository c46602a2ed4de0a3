//! A server's side of a connection: its bytes become responses.

use crate::module::Protocol;
use crate::postgres::CancelKey;
use crate::requests::Expect;
use crate::{http1, postgres};

/// What stands next in a server's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// So many bytes of the response to the first message that is awaited.
    Bytes(u32),
    /// So many bytes that answer nothing.
    Unasked(u32),
    /// What the server asks for while the connection opens, as far as the client's side has to know of it ([`crate::Requests::hear`]).
    Asked(Box<[u8]>),
    /// The connection is open: the client is logged in, and messages may follow. With the key by which the connection's statements
    /// are cancelled, where the server has told one.
    Opened(Option<CancelKey>),
    /// The server asks for what follows of the message ([`crate::Part::Pause`]).
    Ready,
    /// The response to the first message that is awaited is complete. The next one awaited is the first now.
    End(Verdict),
    /// Both sides speak another protocol from here on; nothing more is told.
    Left,
    /// What the server sends cannot be read, and nothing more is told.
    Lost,
}

/// What a complete response says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The status or error number, as the protocol has it; 0 where it has none.
    pub code: u32,
    /// Whether it is an error by the protocol's own word.
    pub is_error: bool,
    /// The number that the server has given to the statement that it was asked to prepare; the client's later messages carry it
    /// ([`crate::requests::Patch`]).
    pub statement: Option<u32>,
}

/// Reads the bytes of one server on one connection.
#[derive(Debug)]
pub enum Responses {
    /// HTTP/1.
    Http1(Box<http1::Responses>),
    /// PostgreSQL.
    Postgres(Box<postgres::Responses>),
}

impl Responses {
    /// A reader at the beginning of a connection.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Box::default()),
            Protocol::Postgres => Self::Postgres(Box::default()),
        }
    }

    /// A reader of a connection that [`crate::Login`] has opened: it begins behind the login.
    #[must_use]
    pub fn opened(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Postgres => Self::Postgres(Box::new(postgres::Responses::opened())),
            Protocol::Http1 => Self::new(protocol),
        }
    }

    /// A message was sent to the server whose response looks like this. It is awaited behind those that are.
    pub fn expect(&mut self, expect: Expect) {
        match (self, expect) {
            (Self::Http1(responses), Expect::Http1(awaited)) => responses.expect(awaited),
            (Self::Postgres(responses), Expect::Postgres(awaited)) => responses.expect(awaited),
            (_, Expect::Nothing) => {}
            // One flow has one protocol.
            (Self::Http1(_), _) | (Self::Postgres(_), _) => debug_assert!(false, "{expect:?}"),
        }
    }

    /// The next bytes in order.
    pub fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        match self {
            Self::Http1(responses) => responses.push(bytes, tell),
            Self::Postgres(responses) => responses.push(bytes, tell),
        }
    }

    /// The server has closed: a response that ends with its connection is complete.
    pub fn close(&mut self, tell: &mut dyn FnMut(Said)) {
        match self {
            Self::Http1(responses) => responses.close(tell),
            Self::Postgres(responses) => responses.close(tell),
        }
    }
}
