//! Users and passwords that logins need, out of a file of `--login`.
//!
//! A line is a user and what is known of the password, with spaces between. A word is taken as it stands, or is in double quotes, in which a
//! quote is written twice: files of pgbouncer (`userlist.txt`) are read as they are. `#` begins a line of comment, and the user `*` stands for
//! all that have no line. What is known is a password, or what `pg_authid` keeps of one: `SCRAM-SHA-256$...` or `md5...`.
//!
//! A third word is a database, of which one line at most has one. Its user is whom sessions log in as that are joined: what the client of such a
//! connection has logged in as was not seen ([`Credentials::joining`]).
//!
//! Who reads the file looks whether others may read it; nothing here does I/O. What is held is overwritten where it is dropped.

use core::fmt;
use std::collections::HashMap;

use zeroize::Zeroizing;

use crate::scram::{Keys, Verifier};

/// Most users.
pub const USERS_MAX: usize = 10_000;
/// Longest word, in bytes.
pub const WORD_LEN_MAX: usize = 1024;

/// The user that stands for all that have no line.
const ANYBODY: &str = "*";

/// What is known of users' passwords.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    users: HashMap<String, Secret>,
    /// The user of the line that has a database, and that.
    joining: Option<(String, String)>,
    /// What logins have found out: with it the next login of the user is cheap, or possible at all.
    learned: HashMap<String, Keys>,
}

/// What is known of a password.
#[derive(Clone)]
pub enum Secret {
    /// The password.
    Password(Zeroizing<String>),
    /// What `pg_authid` keeps for SCRAM-SHA-256. It lets in whoever has shown the server once that the password is known.
    Verifier(Box<Verifier>),
    /// What `pg_authid` keeps for md5, without the word: 32 hexadecimal digits. It is as good as the password, there.
    Md5(Zeroizing<String>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password",
            Self::Verifier(_) => "Verifier",
            Self::Md5(_) => "Md5",
        })
    }
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line is not as it should be.
    #[error(
        "line {line}: {what}; a line is a user and a password, with a space between: alice secret, or \"alice\" \"se cret\""
    )]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// There are too many.
    #[error("more than {USERS_MAX} users")]
    TooMany,
}

impl Credentials {
    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// A line is not as it should be: with its number, and without its words.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (mut users, mut joining) = (HashMap::new(), None);
        for (index, line) in text.lines().enumerate() {
            let at = |what| Error::Line {
                line: index + 1,
                what,
            };
            let mut left = line.trim();
            if left.is_empty() || left.starts_with('#') {
                continue;
            }
            let user = word(&mut left).map_err(at)?;
            if left.is_empty() {
                return Err(at("there is no password behind the user"));
            }
            let secret = word(&mut left).map_err(at)?;
            if user.is_empty() {
                return Err(at("there is no user"));
            }
            if !left.is_empty() {
                let database = word(&mut left).map_err(at)?;
                if !left.is_empty() {
                    return Err(at(
                        "there is more behind the password and a database: a word has to be in quotes where it has spaces",
                    ));
                }
                if user.as_str() == ANYBODY {
                    return Err(at(
                        "a database stands behind a user by name, and not behind *",
                    ));
                }
                if joining.is_some() {
                    return Err(at(
                        "another line has a database already: it is that of connections whose beginning was not seen",
                    ));
                }
                joining = Some((user.to_string(), database.to_string()));
            }
            let secret = Secret::parse(secret).map_err(at)?;
            if users.insert(user.to_string(), secret).is_some() {
                return Err(at("the user has a line already"));
            }
            if users.len() > USERS_MAX {
                return Err(Error::TooMany);
            }
        }
        Ok(Self {
            users,
            joining,
            learned: HashMap::new(),
        })
    }

    /// What is known of this user's password.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<&Secret> {
        self.users.get(user).or_else(|| self.users.get(ANYBODY))
    }

    /// Whom sessions log in as whose connection's beginning was not seen, and the database, where there is one: the user of the line with a
    /// database, or the only user by name.
    #[must_use]
    pub fn joining(&self) -> Option<(&str, Option<&str>)> {
        if let Some((user, database)) = &self.joining {
            return Some((user, Some(database)));
        }
        let mut named = self.users.keys().filter(|user| *user != ANYBODY);
        let first = named.next()?;
        named.next().is_none().then_some((first, None))
    }

    /// Keeps what a login has found out ([`crate::Opened::keys`]). Without it each login from a password repeats a hash some thousand
    /// times, which takes milliseconds. Of more than [`USERS_MAX`] users nothing more is kept.
    pub fn learn(&mut self, user: &str, keys: Keys) {
        if self.learned.len() < USERS_MAX || self.learned.contains_key(user) {
            self.learned.insert(user.to_owned(), keys);
        }
    }

    /// What an earlier login of this user has found out.
    pub(crate) fn learned(&self, user: &str) -> Option<&Keys> {
        self.learned.get(user)
    }
}

impl Secret {
    fn parse(word: Zeroizing<String>) -> Result<Self, &'static str> {
        if word.starts_with("SCRAM-SHA-256$") {
            let verifier = Verifier::parse(&word);
            return verifier
                .map(|verifier| Self::Verifier(Box::new(verifier)))
                .ok_or("it begins as a verifier of SCRAM-SHA-256 and is none");
        }
        Ok(match word.strip_prefix("md5") {
            // PostgreSQL takes it for a hash by the same rule.
            Some(hash)
                if hash.len() == 32 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()) =>
            {
                Self::Md5(Zeroizing::new(hash.to_ascii_lowercase()))
            }
            _ => Self::Password(word),
        })
    }
}

/// Takes a word off, and the spaces behind it.
fn word(left: &mut &str) -> Result<Zeroizing<String>, &'static str> {
    let mut word = Zeroizing::new(String::with_capacity(WORD_LEN_MAX));
    let rest = if let Some(quoted) = left.strip_prefix('"') {
        let mut quoted = quoted;
        loop {
            let (part, behind) = quoted.split_once('"').ok_or("a quote is not closed")?;
            push(&mut word, part)?;
            let Some(more) = behind.strip_prefix('"') else {
                break behind;
            };
            push(&mut word, "\"")?;
            quoted = more;
        }
    } else {
        let end = left.find(char::is_whitespace).unwrap_or(left.len());
        push(&mut word, &left[..end])?;
        &left[end..]
    };
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        return Err("there is no space behind a quote");
    }
    *left = rest.trim_start();
    Ok(word)
}

/// Never grows the word's memory: what it would leave behind is not overwritten.
fn push(word: &mut String, part: &str) -> Result<(), &'static str> {
    if word.len() + part.len() > WORD_LEN_MAX {
        return Err("a word is longer than 1024 bytes");
    }
    word.push_str(part);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Error, Secret};

    fn password(credentials: &Credentials, user: &str) -> String {
        match credentials.of(user) {
            Some(Secret::Password(password)) => password.to_string(),
            other => panic!("{user}: {other:?}"),
        }
    }

    #[test]
    fn lines_are_read() {
        let text = "# of the shop\n\nalice secret\n\"bob smith\" \"a \"\"b\"\" c\"\n* any#thing\ncarol md5D41D8CD98F00B204E9800998ECF8427E\nd \"\"\n";
        let credentials = Credentials::parse(text).expect("credentials");
        assert_eq!(password(&credentials, "alice"), "secret");
        assert_eq!(password(&credentials, "bob smith"), "a \"b\" c");
        assert_eq!(password(&credentials, "nobody"), "any#thing");
        assert_eq!(password(&credentials, "d"), "");
        assert!(
            matches!(credentials.of("carol"), Some(Secret::Md5(hash)) if **hash == *"d41d8cd98f00b204e9800998ecf8427e")
        );
        assert!(!format!("{credentials:?}").contains("secret"));
    }

    #[test]
    fn who_joins_is_known() {
        let joining = |text: &str| {
            let credentials = Credentials::parse(text).expect(text);
            let joining = credentials.joining();
            joining.map(|(user, database)| (user.to_owned(), database.map(str::to_owned)))
        };
        let ann = |database: Option<&str>| Some(("ann".to_owned(), database.map(str::to_owned)));
        assert_eq!(joining("ann secret\n* other"), ann(None));
        assert_eq!(
            joining("bob x\nann secret \"the shop\""),
            ann(Some("the shop"))
        );
        assert_eq!(joining("bob x\nann secret"), None);
        assert_eq!(joining("* x"), None);
    }

    #[test]
    fn a_wrong_line_is_told_without_its_words() {
        for text in [
            "a b\nsecret",
            "a b\n\"secret",
            "a b\nx secret more secret",
            "a b c\nx secret more",
            "a b\n* secret more",
            "a b\na secret",
            "a b\n\"x\"secret y",
            "a b\nx SCRAM-SHA-256$secret",
        ] {
            let error = Credentials::parse(text).expect_err(text);
            assert!(matches!(error, Error::Line { line: 2, .. }), "{error}");
            let told = error.to_string();
            assert!(
                !told.replace("alice secret", "").contains("secret"),
                "{told}"
            );
        }
        assert!(Credentials::parse(&format!("a {}", "b".repeat(1025))).is_err());
        assert!(Credentials::parse("a b").expect("one").of("c").is_none());
    }
}
