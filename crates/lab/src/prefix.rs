//! The name of a lab, and the folder that stands for it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Where the folders of all labs are.
pub(crate) const FOLDER: &str = "/run/tcpcopy-lab";

/// The name of a lab: its namespaces are called `prefix-host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// A name of this process: `word-pid`.
    ///
    /// # Errors
    ///
    /// Where `word` cannot be part of a name.
    pub fn of_this_process(word: &str) -> Result<Self> {
        format!("{word}-{}", std::process::id()).parse()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        PathBuf::from(FOLDER).join(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 24 || !name.chars().all(fits) || name.starts_with('-') {
            return Err(Error::Prefix(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Prefix;

    #[test]
    fn a_prefix_is_checked() {
        assert!("lab-1".parse::<Prefix>().is_ok());
        for bad in ["", "-x", "a b", "A", "a/b", "1234567890123456789012345"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }
}
