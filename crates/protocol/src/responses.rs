//! A server's side of a connection: its bytes become responses.

use crate::expect::Expect;
use crate::protocol::Protocol;
use crate::step::Opened;
use crate::{http1, mysql, postgres, redis};

pub use crate::said::{Said, Verdict};

/// Reads the bytes of one server on one connection.
#[derive(Debug)]
pub enum Responses {
    /// HTTP/1.
    Http1(Box<http1::Responses>),
    /// Redis.
    Redis(Box<redis::Responses>),
    /// PostgreSQL.
    Postgres(Box<postgres::Responses>),
    /// MySQL.
    Mysql(Box<mysql::Responses>),
}

impl Responses {
    /// A reader at the beginning of a connection.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Box::default()),
            Protocol::Redis => Self::Redis(Box::default()),
            Protocol::Postgres => Self::Postgres(Box::default()),
            Protocol::Mysql => Self::Mysql(Box::default()),
        }
    }

    /// A reader of a connection that [`crate::Login`] has opened: it begins behind the login.
    #[must_use]
    pub fn opened(protocol: Protocol, opened: &Opened) -> Self {
        match protocol {
            Protocol::Postgres => Self::Postgres(Box::new(postgres::Responses::opened())),
            Protocol::Mysql => Self::Mysql(Box::new(mysql::Responses::opened(opened.format))),
            Protocol::Http1 | Protocol::Redis => Self::new(protocol),
        }
    }

    /// A reader of a connection whose beginning was not seen: it begins between two responses.
    #[must_use]
    pub fn unseen(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Postgres => Self::Postgres(Box::new(postgres::Responses::opened())),
            Protocol::Mysql => Self::Mysql(Box::new(mysql::Responses::unseen())),
            Protocol::Http1 | Protocol::Redis => Self::new(protocol),
        }
    }

    /// The protocol that it reads.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Http1(_) => Protocol::Http1,
            Self::Redis(_) => Protocol::Redis,
            Self::Postgres(_) => Protocol::Postgres,
            Self::Mysql(_) => Protocol::Mysql,
        }
    }

    /// A message was sent to the server whose response looks like this. It is awaited behind those that are.
    pub fn expect(&mut self, expect: Expect) {
        match (self, expect) {
            (Self::Http1(responses), Expect::Http1(awaited)) => responses.expect(awaited),
            (Self::Redis(responses), Expect::Redis(awaited)) => responses.expect(awaited),
            (Self::Postgres(responses), Expect::Postgres(awaited)) => responses.expect(awaited),
            (Self::Mysql(responses), Expect::Mysql(awaited)) => responses.expect(awaited),
            (_, Expect::Nothing(_)) => {}
            // One flow has one protocol.
            (Self::Http1(_) | Self::Redis(_) | Self::Postgres(_) | Self::Mysql(_), _) => {
                debug_assert!(false, "{expect:?}");
            }
        }
    }

    /// The next bytes in order.
    pub fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        match self {
            Self::Http1(responses) => responses.push(bytes, tell),
            Self::Redis(responses) => responses.push(bytes, tell),
            Self::Postgres(responses) => responses.push(bytes, tell),
            Self::Mysql(responses) => responses.push(bytes, tell),
        }
    }

    /// The server has closed: a response that ends with its connection is complete.
    pub fn close(&mut self, tell: &mut dyn FnMut(Said)) {
        match self {
            Self::Http1(responses) => responses.close(tell),
            Self::Redis(responses) => responses.close(tell),
            Self::Postgres(responses) => responses.close(tell),
            Self::Mysql(responses) => responses.close(tell),
        }
    }
}
