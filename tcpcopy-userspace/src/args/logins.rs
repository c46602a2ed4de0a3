//! The file of `--login`: users and passwords.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use nix::libc::O_NONBLOCK;
use nix::unistd::geteuid;
use protocol::Credentials;

/// Longest file, in bytes.
const FILE_LEN_MAX: u64 = 8 << 20;
/// Rights that nobody but the owner may have.
const OTHERS: u32 = 0o077;

/// A file of users and passwords, and what stands in it.
#[derive(Clone)]
pub(crate) struct Logins {
    path: PathBuf,
    credentials: Arc<Credentials>,
}

impl Logins {
    /// What stands in it.
    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        self.credentials.clone()
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl FromStr for Logins {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        let path = PathBuf::from(path);
        let text = read(&path).map_err(|words| format!("{}: {words}", path.display()))?;
        let credentials =
            Credentials::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self {
            path,
            credentials: Arc::new(credentials),
        })
    }
}

/// The text of a regular file of root or of the user we run as, to which nobody else has any right.
fn read(path: &Path) -> Result<String, String> {
    // A pipe that nobody writes to must not hold us.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path);
    let file = file.map_err(|error| format!("cannot be read: {error}"))?;
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("is no regular file".to_owned());
    }
    let (mode, owner, ours) = (metadata.mode() & 0o7777, metadata.uid(), geteuid().as_raw());
    if mode & OTHERS != 0 {
        return Err(format!(
            "others can get at the passwords in it (its mode is {mode:04o}): `chmod 600 {}`",
            path.display()
        ));
    }
    if owner != 0 && owner != ours {
        return Err(format!(
            "its owner is the user {owner}, who can change it: `chown {ours} {}`",
            path.display()
        ));
    }
    text(file)
}

fn text(file: File) -> Result<String, String> {
    let mut text = String::new();
    let len = file.take(FILE_LEN_MAX + 1).read_to_string(&mut text);
    match len {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(len) if len as u64 > FILE_LEN_MAX => Err(format!("is longer than {FILE_LEN_MAX} bytes")),
        Ok(_) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::Logins;

    #[test]
    fn only_a_file_of_ones_own_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logins");
        write(&path, "alice \"se cret\"\n").unwrap();
        set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let name = path.display().to_string();
        let refused = name.parse::<Logins>().unwrap_err();
        assert!(refused.contains("its mode is 0644"), "{refused}");
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let logins: Logins = name.parse().unwrap();
        assert!(logins.credentials().of("alice").is_some());
        assert!(!format!("{logins:?}").contains("cret"));
        write(&path, "alice\n").unwrap();
        let refused = name.parse::<Logins>().unwrap_err();
        assert!(refused.contains("line 1"), "{refused}");
        let folder = folder.path().display().to_string();
        assert!(
            folder
                .parse::<Logins>()
                .unwrap_err()
                .contains("no regular file")
        );
    }
}
