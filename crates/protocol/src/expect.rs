//! What a reader of responses must know of each request that it awaits the response of.

use crate::module::Protocol;

/// What a response looks like, by the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no response to it.
    Nothing,
    /// Of a request of HTTP/1.
    Http1(AwaitedHttp1),
    /// Of a message of PostgreSQL.
    Postgres(AwaitedPostgres),
}

impl Expect {
    /// The protocol that it is of; nothing where there is no response to be read.
    #[must_use]
    pub const fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Nothing => None,
            Self::Http1(_) => Some(Protocol::Http1),
            Self::Postgres(_) => Some(Protocol::Postgres),
        }
    }
}

/// The same of HTTP/1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwaitedHttp1 {
    /// The response has no body, whatever its head says (HEAD).
    pub without_body: bool,
    /// A 2xx response opens a tunnel (CONNECT).
    pub tunnels: bool,
}

/// The same of PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwaitedPostgres {
    /// Its response may be a `ReadyForQuery` and nothing before it, as that to a Sync alone.
    pub bare: bool,
}
