//! Keeps packages from starting their services while they are installed: the tests start servers of their own, and a host that runs something
//! on port 80 already must not have a second one try.
//!
//! Debian's own way: `policy-rc.d` is asked before any package starts anything, and 101 forbids it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::step;

/// Where packages ask.
const PLACE: &str = "/usr/sbin/policy-rc.d";
/// What we answer. The second line says whose it is.
const ANSWER: &str = "#!/bin/sh\n# Of `cargo xtask setup`, while it installs packages.\nexit 101\n";

/// While it lives no package starts anything.
#[derive(Debug)]
pub(super) struct NoStarts {
    /// What is to be removed; nothing where an administrator has a policy.
    ours: Option<PathBuf>,
}

impl NoStarts {
    /// Forbids it, unless the administrator has an own policy, which is kept.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub(super) fn forbid() -> Result<Self> {
        Self::forbid_at(Path::new(PLACE))
    }

    fn forbid_at(place: &Path) -> Result<Self> {
        // One of ours that was left, by a process that was killed.
        if fs::read_to_string(place).is_ok_and(|text| text == ANSWER) {
            fs::remove_file(place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(place);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                step::say(&format!(
                    "{} is there already: whether packages may start services is its word",
                    place.display()
                ));
                return Ok(Self { ours: None });
            }
            opened => opened.with_context(|| format!("cannot write {}", place.display()))?,
        };
        // Removed from here on, whatever happens.
        let forbidden = Self {
            ours: Some(place.to_owned()),
        };
        file.write_all(ANSWER.as_bytes())
            .with_context(|| format!("cannot write {}", place.display()))?;
        Ok(forbidden)
    }
}

impl Drop for NoStarts {
    fn drop(&mut self) {
        let Some(place) = &self.ours else { return };
        if let Err(error) = fs::remove_file(place) {
            step::say(&format!(
                "cannot remove {}: {error}; remove it by hand, or no package starts its service any more",
                place.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{ANSWER, NoStarts};

    #[test]
    fn it_forbids_while_it_lives_and_keeps_what_others_have() {
        let folder = crate::workspace::target().join("tmp");
        fs::create_dir_all(&folder).unwrap();
        let place = folder.join(format!("policy-{}", std::process::id()));
        let forbidden = NoStarts::forbid_at(&place).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), ANSWER);
        assert_eq!(
            fs::metadata(&place).unwrap().permissions().mode() & 0o111,
            0o111
        );
        let answer = std::process::Command::new(&place).arg("nginx").status();
        assert_eq!(answer.unwrap().code(), Some(101));
        drop(forbidden);
        assert!(!place.exists());

        // Left by a process that was killed: it is ours, and goes.
        fs::write(&place, ANSWER).unwrap();
        drop(NoStarts::forbid_at(&place).unwrap());
        assert!(!place.exists());

        fs::write(&place, "#!/bin/sh\nexit 0\n").unwrap();
        drop(NoStarts::forbid_at(&place).unwrap());
        assert!(place.exists(), "the administrator's own policy was removed");
        fs::remove_file(place).unwrap();
    }
}
