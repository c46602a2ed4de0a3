//! How a client has opened its connection, as far as a session needs it to open one of its own at the target.
//!
//! It never holds a password. What it holds of a client's proof is worth nothing without the verifier that the server keeps.

use core::fmt;

use crate::scram::Exchange;

/// Longest key of a cancellation, in bytes (version 3.2 of PostgreSQL's protocol).
pub const CANCEL_KEY_LEN_MAX: usize = 256;

/// What a client has opened its connection with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A session of PostgreSQL.
    Postgres(PostgresOpening),
    /// A session of MySQL or MariaDB.
    Mysql(MysqlOpening),
    /// A connection to a PostgreSQL that does nothing but cancel what another one does: the online server's key of that one. The session whose own
    /// online key ([`crate::Said::Opened`]) is equal has another key at the target ([`crate::Opened`]), whose
    /// [`CancelKey::request`] is what such a connection sends there. Nothing follows, and nothing is answered.
    Cancel(CancelKey),
}

impl Opening {
    /// The user, where it names one.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        match self {
            Self::Postgres(opening) => Some(opening.user()),
            Self::Mysql(opening) => Some(opening.user()),
            Self::Cancel(_) => None,
        }
    }
}

/// What a session of PostgreSQL was opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOpening {
    /// The version of the protocol: the major one in the upper half, which is 3.
    pub(crate) version: u32,
    /// Names and values of the startup packet, in order, without the user.
    pub(crate) parameters: Vec<(Vec<u8>, Vec<u8>)>,
    /// The user.
    pub(crate) user: Vec<u8>,
    /// What the client has shown of its password, where it was asked for SCRAM.
    pub(crate) exchange: Option<Exchange>,
}

impl PostgresOpening {
    /// The user, as it is told in words.
    #[must_use]
    pub fn user(&self) -> String {
        String::from_utf8_lossy(&self.user).into_owned()
    }

    /// The database: the user's name where the client has named none.
    #[must_use]
    pub fn database(&self) -> String {
        let named = self.parameter(b"database").unwrap_or(&self.user);
        String::from_utf8_lossy(named).into_owned()
    }

    pub(crate) fn parameter(&self, wanted: &[u8]) -> Option<&[u8]> {
        self.parameters
            .iter()
            .find_map(|(name, value)| (name == wanted).then_some(value.as_slice()))
    }
}

/// What a session of MySQL or MariaDB was opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlOpening {
    /// What client and online server have agreed upon; what is MariaDB's alone in the upper half.
    pub(crate) capabilities: u64,
    /// Longest packet that the client takes, in bytes, as it has said.
    pub(crate) packet_len_max: u32,
    /// The number of the client's character set and collation.
    pub(crate) character_set: u8,
    /// The user.
    pub(crate) user: Vec<u8>,
    /// The database, where the client has named one.
    pub(crate) database: Option<Vec<u8>>,
    /// What the client says of itself (its name, its version), as it stands in the packet.
    pub(crate) attributes: Vec<u8>,
}

impl MysqlOpening {
    /// The user, as it is told in words.
    #[must_use]
    pub fn user(&self) -> String {
        String::from_utf8_lossy(&self.user).into_owned()
    }

    /// The database; nothing where the client has named none.
    #[must_use]
    pub fn database(&self) -> Option<String> {
        let database = self.database.as_deref();
        database.map(|name| String::from_utf8_lossy(name).into_owned())
    }
}

/// What cancels the statement that another connection is busy with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CancelKey {
    /// The server's process, as the server numbers it.
    pub process: u32,
    /// What proves that the sender may.
    pub(crate) key: Vec<u8>,
}

impl CancelKey {
    /// What a request to cancel begins with, behind its length.
    pub(crate) const CODE: u32 = 80_877_102;

    /// Out of the body of a `BackendKeyData`, or of a `CancelRequest` behind its code.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let (process, key) = body.split_first_chunk::<4>()?;
        (4..=CANCEL_KEY_LEN_MAX).contains(&key.len()).then(|| Self {
            process: u32::from_be_bytes(*process),
            key: key.to_vec(),
        })
    }

    /// The packet that is all a cancelling connection sends.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let len = u32::try_from(12 + self.key.len()).unwrap_or(u32::MAX);
        [
            &len.to_be_bytes()[..],
            &Self::CODE.to_be_bytes(),
            &self.process.to_be_bytes(),
            &self.key,
        ]
        .concat()
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKey")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}
