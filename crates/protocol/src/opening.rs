//! How a client has opened its connection, as far as a session needs it to open one of its own at the target.
//!
//! It never holds a password. What it holds of a client's proof is worth nothing without the verifier that the server keeps.

use crate::postgres;

/// What a client has opened its connection with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A session of PostgreSQL.
    Postgres(postgres::Opening),
    /// A connection that does nothing but cancel what another one does: the online server's key of that one. The session whose own
    /// online key ([`crate::Said::Opened`]) is equal has another key at the target ([`crate::Opened`]), whose
    /// [`postgres::CancelKey::request`] is what such a connection sends there. Nothing follows, and nothing is answered.
    Cancel(postgres::CancelKey),
}

impl Opening {
    /// The user, where it names one.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        match self {
            Self::Postgres(opening) => Some(opening.user()),
            Self::Cancel(_) => None,
        }
    }
}
