//! A session's own login at the target.
//!
//! It says what its client has said to the online server, but for what proves who the client is: that depends on what each server has asked,
//! and is made anew, from [`Credentials`]. Nothing here does I/O: bytes of the target go in, bytes for it come out. What is random is made from
//! a seed.

use sha2::{Digest as _, Sha256};

use crate::account::Account;
use crate::credentials::Credentials;
use crate::opening::{CancelKey, Opening};
use crate::{mysql, postgres, redis};

pub use crate::step::{HELD_LEN_MAX, Opened, Step};

/// Seeds of logins: another one for each, which nobody can guess who does not know the key.
#[derive(Clone, Debug)]
pub struct Seeds {
    key: u64,
    count: u64,
}

impl Seeds {
    /// Those of a key.
    #[must_use]
    pub const fn new(key: u64) -> Self {
        Self { key, count: 0 }
    }

    /// The next one.
    pub fn draw(&mut self) -> [u8; 32] {
        self.count += 1;
        let hash = Sha256::new().chain_update(b"tcpcopy login");
        let hash = hash.chain_update(self.key.to_be_bytes());
        hash.chain_update(self.count.to_be_bytes())
            .finalize()
            .into()
    }
}

/// A login under way.
#[derive(Debug)]
pub enum Login {
    /// At a `PostgreSQL`.
    Postgres(Box<PostgresLogin>),
    /// At a MySQL or MariaDB.
    Mysql(Box<MysqlLogin>),
    /// At a Redis.
    Redis(Box<RedisLogin>),
    /// What a connection to a `PostgreSQL` says that does nothing but cancel; the target answers nothing.
    Cancel(Vec<u8>),
}

/// A login at a Redis.
#[derive(Debug)]
pub struct RedisLogin(redis::login::Login);

/// A login at a `PostgreSQL`.
#[derive(Debug)]
pub struct PostgresLogin(postgres::Login);

/// A login at a MySQL or MariaDB.
#[derive(Debug)]
pub struct MysqlLogin(mysql::Login);

impl Login {
    /// A login as the client's, with a seed that is another one for each, and that nobody may guess. With `read_only` the target is asked for
    /// read-only transactions.
    ///
    /// Nothing for a connection that has no login: see [`Login::cancel`].
    #[must_use]
    pub fn new(
        opening: &Opening,
        credentials: &Credentials,
        seed: &[u8; 32],
        read_only: bool,
    ) -> Option<Self> {
        match opening {
            Opening::Postgres(opening) => {
                let login = postgres::Login::new(opening, credentials, seed, read_only);
                Some(Self::Postgres(Box::new(PostgresLogin(login))))
            }
            Opening::Mysql(opening) => {
                let login = mysql::Login::new(opening, credentials, seed, read_only);
                Some(Self::Mysql(Box::new(MysqlLogin(login))))
            }
            Opening::Redis(account) => Some(Self::redis(account.clone())),
            Opening::Cancel(_) => None,
        }
    }

    /// A login of a rule's account at a Redis, for a connection that begins in the middle of a flow.
    #[must_use]
    pub fn redis(account: Account) -> Self {
        let login = redis::login::Login::new(account);
        Self::Redis(Box::new(RedisLogin(login)))
    }

    /// A connection that cancels what the session is busy with that has this key at the target.
    #[must_use]
    pub fn cancel(target: &CancelKey) -> Self {
        Self::Cancel(target.request())
    }

    /// What goes to the target first; nothing where the target speaks first.
    pub fn start(&mut self) -> Vec<u8> {
        match self {
            Self::Postgres(login) => login.0.start(),
            Self::Mysql(_) => Vec::new(),
            Self::Cancel(request) => core::mem::take(request),
            Self::Redis(login) => login.0.start(),
        }
    }

    /// The target has said this. Call it again with no bytes until it waits.
    pub fn push(&mut self, bytes: &[u8]) -> Step {
        match self {
            Self::Postgres(login) => login.0.push(bytes),
            Self::Mysql(login) => login.0.push(bytes),
            Self::Redis(login) => login.0.push(bytes),
            // All is said, and nothing is awaited.
            Self::Cancel(_) => Step::Done(Box::default()),
        }
    }
}
