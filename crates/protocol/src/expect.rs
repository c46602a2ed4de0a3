//! What a reader of responses must know of each request that it awaits the response of.

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
    Postgres(AwaitedPostgres),
    /// Of a command of MySQL.
    Mysql(AwaitedMysql),
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
            Self::Mysql(_) => Protocol::Mysql,
        }
    }

    /// Whether there is a response at all.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        !matches!(self, Self::Nothing(_))
    }

    /// Whether the rest of a message behind a [`crate::Part::Pause`] may be sent only if the server has asked for it, because one that has
    /// not would take it for something else. Otherwise it is sent once the server has answered as well: a server of HTTP/1 reads the body all
    /// the same, and PostgreSQL ignores the data of a COPY behind an error (its `PostgresMain`).
    #[must_use]
    pub const fn drops_unasked_rest(self) -> bool {
        matches!(self, Self::Mysql(_))
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

/// The same of PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwaitedPostgres {
    /// Its response may be a `ReadyForQuery` and nothing before it, as that to a Sync alone.
    pub bare: bool,
}

/// The same of MySQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedMysql {
    /// What the response consists of.
    pub answer: MysqlAnswer,
    /// How it is written, as client and online server have agreed; a session with the target may have agreed otherwise
    /// ([`crate::Opened::format`]).
    pub format: MysqlFormat,
}

/// What a response of MySQL consists of, other than an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MysqlAnswer {
    /// A word that all is well.
    Ok,
    /// One payload of text.
    Text,
    /// Descriptions of columns.
    Fields,
    /// Results, each of which is a word that all is well, a file that is asked for, or rows.
    Results,
    /// A statement's number, and descriptions of its parameters and columns.
    Prepared,
    /// Rows without a description.
    Rows,
    /// Whatever another user has to prove, and a word that all is well.
    User,
}

/// How responses of MySQL are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MysqlFormat {
    /// Rows end with a word that all is well, and nothing stands between columns and rows (`CLIENT_DEPRECATE_EOF`).
    pub deprecates_eof: bool,
    /// Descriptions may be left out (`CLIENT_OPTIONAL_RESULTSET_METADATA`).
    pub leaves_out: bool,
    /// Descriptions of results may be left out where they were sent before (`MARIADB_CLIENT_CACHE_METADATA`).
    pub caches: bool,
    /// None of this is known, because the connection's beginning was not seen: the responses themselves have to tell.
    pub is_unseen: bool,
}

#[cfg(test)]
mod tests {
    use super::{
        AwaitedHttp1, AwaitedMysql, AwaitedPostgres, AwaitedRedis, Expect, MysqlAnswer, MysqlFormat,
    };
    use crate::protocol::Protocol;

    /// MySQL alone would execute a file that it has not asked for as commands.
    #[test]
    fn a_rest_that_was_not_asked_for_is_dropped_where_it_would_mean_something_else() {
        let mysql = Expect::Mysql(AwaitedMysql {
            answer: MysqlAnswer::Results,
            format: MysqlFormat::default(),
        });
        assert!(mysql.drops_unasked_rest());
        for other in [
            Expect::Http1(AwaitedHttp1::default()),
            Expect::Redis(AwaitedRedis::default()),
            Expect::Postgres(AwaitedPostgres::default()),
            Expect::Nothing(Protocol::Mysql),
        ] {
            assert!(!other.drops_unasked_rest(), "{other:?}");
        }
    }
}
