//! The protocols that there are modules for.

/// A protocol that there is a module for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1 (RFC 9112).
    Http1,
    /// Redis: RESP2 and RESP3.
    Redis,
    /// PostgreSQL: version 3 of its protocol.
    Postgres,
    /// MySQL and MariaDB: protocol 4.1.
    Mysql,
}

impl Protocol {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Http1, Self::Redis, Self::Postgres, Self::Mysql];

    /// Whether a connection begins with a login, which each session makes anew.
    #[must_use]
    pub const fn logs_in(self) -> bool {
        match self {
            Self::Http1 | Self::Redis => false,
            Self::Postgres | Self::Mysql => true,
        }
    }

    /// As it is written on the command line, in summaries and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }
}
