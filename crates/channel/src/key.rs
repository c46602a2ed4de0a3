//! The key that both ends of a channel have, as it stands in a file.
//!
//! A line holds one key: 32 bytes, in base64 as `wg genkey` writes them. Empty lines and what follows a `#` are nothing. There are
//! one or two keys: the first is the one that `tcpcopy` proves, and either is one that `intercept` takes, so that a key can be replaced
//! while both run.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

/// Length of a key, in bytes.
pub const KEY_LEN: usize = 32;

/// Most keys of a file.
pub const KEYS_MAX: usize = 2;

/// Longest file of keys, in bytes: two lines and some words about them.
pub const KEYS_TEXT_LEN_MAX: usize = 4096;

/// A key. It is never shown but by [`Key::text`].
#[derive(Clone)]
pub struct Key([u8; KEY_LEN]);

impl Key {
    /// A new key, from the kernel's randomness.
    ///
    /// # Errors
    ///
    /// Where the kernel gives none.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; KEY_LEN];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads a line of a file.
    fn parse(line: &str) -> Option<Self> {
        let bytes = STANDARD.decode(line).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// As it stands in a file.
    #[must_use]
    pub fn text(&self) -> String {
        STANDARD.encode(self.0)
    }

    pub(crate) const fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Why a text holds no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It is longer than [`KEYS_TEXT_LEN_MAX`].
    #[error("it is longer than {KEYS_TEXT_LEN_MAX} bytes, so it is no file of keys")]
    TooLong,
    /// A line is no key.
    #[error(
        "line {0} is no key: one is 32 bytes in base64, 44 characters; `tcpcopy keygen` makes one"
    )]
    Line(usize),
    /// There is none.
    #[error("there is no key in it; `tcpcopy keygen` makes one")]
    None,
    /// There are more than [`KEYS_MAX`].
    #[error(
        "there are more than {KEYS_MAX} keys in it: leave the one in use and the one before it"
    )]
    TooMany,
}

/// The keys of a file: one, or the one in use and another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// A single key.
    #[must_use]
    pub fn one(key: Key) -> Self {
        Self(vec![key])
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Any [`KeysError`]; none shows a byte of the text.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        if text.len() > KEYS_TEXT_LEN_MAX {
            return Err(KeysError::TooLong);
        }
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let key = Key::parse(line).ok_or(KeysError::Line(at + 1))?;
            if keys.len() == KEYS_MAX {
                return Err(KeysError::TooMany);
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeysError::None);
        }
        Ok(Self(keys))
    }

    /// Each key, the one in use first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.0.iter()
    }

    /// The key to prove at the attempt of this number: the one in use first, then the other, so that a peer whose file is still the old
    /// one is reached as well.
    #[must_use]
    pub fn of_attempt(&self, attempt: usize) -> Key {
        self.0[attempt % self.0.len()].clone()
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.0.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Keys, KeysError};

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let (new, old) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert_ne!(new, old);
        let text = format!(
            "# since November\n{}  # new\n\n{}\n",
            new.text(),
            old.text()
        );
        let keys = Keys::parse(&text).unwrap();
        assert!(keys.iter().eq([&new, &old]));
        assert!(keys.contains(&old) && !Keys::one(new.clone()).contains(&old));
        let attempts: Vec<Key> = (0..3).map(|attempt| keys.of_attempt(attempt)).collect();
        assert_eq!(attempts, [new.clone(), old, new]);
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused_without_showing_it() {
        let key = Key::generate().unwrap().text();
        let line = |text: String| Keys::parse(&text).unwrap_err();
        assert_eq!(line(String::new()), KeysError::None);
        assert_eq!(line("# nothing\n\n".into()), KeysError::None);
        assert_eq!(line(format!("{key}\nroot:x:0:0\n")), KeysError::Line(2));
        assert_eq!(line(key[..40].into()), KeysError::Line(1));
        assert_eq!(line(format!("{key}AAAA")), KeysError::Line(1));
        assert_eq!(line(format!("{key}\n").repeat(3)), KeysError::TooMany);
        assert_eq!(line("#".repeat(5000)), KeysError::TooLong);
        assert!(!format!("{:?}", Keys::parse(&key)).contains(&key[..8]));
    }
}
