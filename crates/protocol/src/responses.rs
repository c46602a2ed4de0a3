//! A server's side of a connection: its bytes become responses.

use std::sync::Arc;

use crate::digest::Digests;
use crate::digesting::Digesting;
use crate::expect::Expect;
use crate::protocol::Protocol;
use crate::step::Opened;
use crate::{http1, mysql, postgres, redis};

pub use crate::said::{Said, Verdict};

/// Reads the bytes of one server on one connection.
#[derive(Debug)]
pub struct Responses {
    reader: Reader,
    /// Where responses are compared, and the reader makes no digests by itself.
    digesting: Option<Box<Digesting>>,
}

/// The reader of one protocol.
#[derive(Debug)]
enum Reader {
    Http1(Box<http1::Responses>),
    Redis(Box<redis::Responses>),
    Postgres(Box<postgres::Responses>),
    Mysql(Box<mysql::Responses>),
}

impl Responses {
    /// A reader at the beginning of a connection.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self::of(match protocol {
            Protocol::Http1 => Reader::Http1(Box::default()),
            Protocol::Redis => Reader::Redis(Box::default()),
            Protocol::Postgres => Reader::Postgres(Box::default()),
            Protocol::Mysql => Reader::Mysql(Box::default()),
        })
    }

    /// A reader of a connection that [`crate::Login`] has opened: it begins behind the login.
    #[must_use]
    pub fn opened(protocol: Protocol, opened: &Opened) -> Self {
        match protocol {
            Protocol::Postgres => {
                Self::of(Reader::Postgres(Box::new(postgres::Responses::opened())))
            }
            Protocol::Mysql => Self::of(Reader::Mysql(Box::new(mysql::Responses::opened(
                opened.format,
            )))),
            Protocol::Http1 | Protocol::Redis => Self::new(protocol),
        }
    }

    /// A reader of a connection whose beginning was not seen: it begins between two responses.
    #[must_use]
    pub fn unseen(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Postgres => {
                Self::of(Reader::Postgres(Box::new(postgres::Responses::opened())))
            }
            Protocol::Mysql => Self::of(Reader::Mysql(Box::new(mysql::Responses::unseen()))),
            Protocol::Http1 | Protocol::Redis => Self::new(protocol),
        }
    }

    const fn of(reader: Reader) -> Self {
        Self {
            reader,
            digesting: None,
        }
    }

    /// The same; where there are `digests`, what each response is compared by is told before it ends ([`Said::Digested`]). Of HTTP/1
    /// these are status, headers and body, of other protocols the bytes of the response, and its number where it is an error.
    #[must_use]
    pub fn digesting(mut self, digests: Option<&Arc<Digests>>) -> Self {
        if let Some(digests) = digests {
            match &mut self.reader {
                Reader::Http1(responses) => responses.digest(digests),
                _ => self.digesting = Some(Box::new(Digesting::new(digests))),
            }
        }
        self
    }

    /// The protocol that it reads.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match &self.reader {
            Reader::Http1(_) => Protocol::Http1,
            Reader::Redis(_) => Protocol::Redis,
            Reader::Postgres(_) => Protocol::Postgres,
            Reader::Mysql(_) => Protocol::Mysql,
        }
    }

    /// A message was sent to the server whose response looks like this. It is awaited behind those that are.
    pub fn expect(&mut self, expect: Expect) {
        match (&mut self.reader, expect) {
            (Reader::Http1(responses), Expect::Http1(awaited)) => responses.expect(awaited),
            (Reader::Redis(responses), Expect::Redis(awaited)) => responses.expect(awaited),
            (Reader::Postgres(responses), Expect::Postgres(awaited)) => responses.expect(awaited),
            (Reader::Mysql(responses), Expect::Mysql(awaited)) => responses.expect(awaited),
            (_, Expect::Nothing(_)) => {}
            // One flow has one protocol.
            (Reader::Http1(_) | Reader::Redis(_) | Reader::Postgres(_) | Reader::Mysql(_), _) => {
                debug_assert!(false, "{expect:?}");
            }
        }
    }

    /// The next bytes in order.
    pub fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        let reader = &mut self.reader;
        match &mut self.digesting {
            None => reader.push(bytes, tell),
            Some(digesting) => digesting.watch(bytes, tell, |bytes, tell| reader.push(bytes, tell)),
        }
    }

    /// The server has closed: a response that ends with its connection is complete.
    pub fn close(&mut self, tell: &mut dyn FnMut(Said)) {
        let reader = &mut self.reader;
        match &mut self.digesting {
            None => reader.close(tell),
            Some(digesting) => digesting.watch(&[], tell, |_, tell| reader.close(tell)),
        }
    }
}

impl Reader {
    fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        match self {
            Self::Http1(responses) => responses.push(bytes, tell),
            Self::Redis(responses) => responses.push(bytes, tell),
            Self::Postgres(responses) => responses.push(bytes, tell),
            Self::Mysql(responses) => responses.push(bytes, tell),
        }
    }

    fn close(&mut self, tell: &mut dyn FnMut(Said)) {
        match self {
            Self::Http1(responses) => responses.close(tell),
            Self::Redis(responses) => responses.close(tell),
            Self::Postgres(responses) => responses.close(tell),
            Self::Mysql(responses) => responses.close(tell),
        }
    }
}
