//! A session's own login at the target.
//!
//! It says what its client has said to the online server, but for what proves who the client is: that depends on what each server has asked,
//! and is made anew, from [`Credentials`]. Nothing here does I/O: bytes of the target go in, bytes for it come out. What is random is made from
//! a seed.

use crate::credentials::Credentials;
use crate::opening::Opening;
use crate::{mysql, postgres};

pub use crate::step::{HELD_LEN_MAX, Opened, Step};

/// A login under way.
#[derive(Debug)]
pub enum Login {
    /// At a `PostgreSQL`.
    Postgres(Box<PostgresLogin>),
    /// At a MySQL or MariaDB.
    Mysql(Box<MysqlLogin>),
}

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
    /// Nothing for a connection that has no login.
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
            Opening::Cancel(_) => None,
        }
    }

    /// What goes to the target first; nothing where the target speaks first.
    pub fn start(&mut self) -> Vec<u8> {
        match self {
            Self::Postgres(login) => login.0.start(),
            Self::Mysql(_) => Vec::new(),
        }
    }

    /// The target has said this. Call it again with no bytes until it waits.
    pub fn push(&mut self, bytes: &[u8]) -> Step {
        match self {
            Self::Postgres(login) => login.0.push(bytes),
            Self::Mysql(login) => login.0.push(bytes),
        }
    }
}
