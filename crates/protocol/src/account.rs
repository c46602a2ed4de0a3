//! Who logs in at a target of Redis.

use core::fmt;

use zeroize::Zeroizing;

/// The user that AUTH means where it names none.
const DEFAULT_USER: &str = "default";

/// A user of Redis. The password is overwritten where it is dropped, and shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    user: Option<String>,
    password: Zeroizing<String>,
    database: u32,
}

impl Account {
    /// The account of a user, or of the default user, and the database that is selected where a connection begins in the middle of a flow: 0 where
    /// there is no SELECT.
    #[must_use]
    pub fn new(user: Option<String>, password: String, database: u32) -> Self {
        Self {
            user,
            password: Zeroizing::new(password),
            database,
        }
    }

    /// The user by name.
    #[must_use]
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(DEFAULT_USER)
    }

    pub(crate) fn database(&self) -> u32 {
        self.database
    }

    pub(crate) fn password(&self) -> &[u8] {
        self.password.as_bytes()
    }

    /// The words of AUTH. A server without users takes the password alone.
    pub(crate) fn auth(&self) -> Vec<&[u8]> {
        let words = [Some("AUTH"), self.user.as_deref(), Some(&self.password)];
        words.iter().flatten().map(|word| word.as_bytes()).collect()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}
