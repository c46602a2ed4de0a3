//! What a rule asks of its protocol module: read from the command line once, and the same for all of the rule's flows.

/// A protocol that there is a module for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1 (RFC 9112).
    Http1,
    /// PostgreSQL: version 3 of its protocol.
    Postgres,
}

impl Protocol {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Http1, Self::Postgres];

    /// As it is written on the command line, in summaries and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Postgres => "postgres",
        }
    }
}

/// Which protocol a rule's flows speak (`--protocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The one that a flow's first bytes look like; a flow whose first bytes look like none passes as bytes.
    #[default]
    Auto,
    /// This one. A flow that does not speak it leaves the module, and is counted.
    Is(Protocol),
}

/// What a rule asks for. A rule without a module has none of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// The protocol.
    pub choice: Choice,
    /// Whether only messages that are known to be safe are copied (`--read-only`).
    pub read_only: bool,
}
