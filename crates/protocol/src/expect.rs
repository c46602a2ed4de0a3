//! What a reader of responses must know of each request that it awaits the response of.

use crate::postgres;
use crate::protocol::Protocol;

/// What a response looks like, by the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no response to it.
    Nothing(Protocol),
    /// Of a request of HTTP/1.
    Http1(AwaitedHttp1),
    /// Of a command of Redis.
    Redis(AwaitedRedis),
    /// Of a message of PostgreSQL.
    Postgres(postgres::Awaited),
}

impl Expect {
    /// The protocol that it is of.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Nothing(protocol) => protocol,
            Self::Http1(_) => Protocol::Http1,
            Self::Redis(_) => Protocol::Redis,
            Self::Postgres(_) => Protocol::Postgres,
        }
    }

    /// Whether there is a response at all. Of a message without one [`crate::Said::End`] is told with what comes next.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        !matches!(self, Self::Nothing(_) | Self::Redis(AwaitedRedis::Nothing))
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

/// The same of Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AwaitedRedis {
    /// One value.
    #[default]
    Reply,
    /// A value for each of so many channels, or an error.
    Confirmations(u32),
    /// A value for each channel of this kind that is subscribed to, or one where none is.
    UntilNone(Subscription),
    /// One value, and no subscription is left.
    Reset,
    /// Nothing: the client has turned replies off.
    Nothing,
}

/// What a client of Redis subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// Channels by their names.
    Channels,
    /// Channels by patterns.
    Patterns,
    /// Channels of a shard.
    Shards,
}
