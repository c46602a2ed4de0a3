//! How a client has opened its connection, as far as a session needs it to open one of its own at the target.
//!
//! Of what a client has said it never holds a password. What it holds of a client's proof is worth nothing without the verifier that the server keeps.

use core::fmt;

use crate::account::Account;
use crate::protocol::Protocol;
use crate::scram::Exchange;

/// Longest key of a cancellation, in bytes (version 3.2 of PostgreSQL's protocol).
pub const CANCEL_KEY_LEN_MAX: usize = 256;

/// What a MySQL's client is taken to have agreed upon where the beginning of its connection was not seen, as far as it changes what its messages
/// mean: files of its own, version 4.1, transactions, proofs of passwords, several statements and results, also of prepared ones, plugins, rows
/// without a word before them, and bulk execution, where the target has it.
const MYSQL_UNSEEN: u64 =
    1 << 7 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 19 | 1 << 24 | 1 << 34;

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
    /// A connection to a Redis whose beginning was not seen: the account of its copies.
    Redis(Account),
}

impl Opening {
    /// The protocol that it is of.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Postgres(_) | Self::Cancel(_) => Protocol::Postgres,
            Self::Mysql(_) => Protocol::Mysql,
            Self::Redis(_) => Protocol::Redis,
        }
    }

    /// The user, where it names one.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        match self {
            Self::Postgres(opening) => Some(opening.user()),
            Self::Mysql(opening) => Some(opening.user()),
            Self::Redis(account) => Some(account.user().to_owned()),
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
    /// That of a connection whose beginning was not seen: this user, and the database, which is the user's name where there is none.
    #[must_use]
    pub fn unseen(user: &str, database: Option<&str>) -> Self {
        let database = database.map(|name| (b"database".to_vec(), name.as_bytes().to_vec()));
        Self {
            version: 3 << 16,
            parameters: database.into_iter().collect(),
            user: user.as_bytes().to_vec(),
            exchange: None,
        }
    }

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
    /// Of a connection whose beginning was not seen: whether statements outside of a transaction are committed by themselves, as its online
    /// server says. What the client has agreed upon is not known then.
    pub(crate) commits: Option<bool>,
}

impl MysqlOpening {
    /// That of a connection whose beginning was not seen: this user, and the database.
    #[must_use]
    pub fn unseen(user: &str, database: Option<&str>) -> Self {
        Self {
            capabilities: MYSQL_UNSEEN,
            packet_len_max: 1 << 24,
            // utf8mb4_general_ci, which every server has.
            character_set: 45,
            user: user.as_bytes().to_vec(),
            database: database.map(|name| name.as_bytes().to_vec()),
            attributes: Vec::new(),
            commits: Some(true),
        }
    }

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
