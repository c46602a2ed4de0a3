//! Reads a file of keys, unless others can read it as well.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use channel::Keys;
use channel::key::{KEYS_TEXT_LEN_MAX, KeysError};
use nix::libc::O_NONBLOCK;
use nix::unistd::geteuid;

/// Rights that nobody but the owner may have.
const OTHERS: u32 = 0o077;

/// Why a file gives no keys, or is not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not open it.
    #[error("cannot read the file of keys {path}: {cause}; `tcpcopy keygen {path}` makes one", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        cause: io::Error,
    },
    /// It is a folder, a device or a pipe.
    #[error("{path} is no regular file, so it is no file of keys", path = path.display())]
    NotRegular {
        /// What was named.
        path: PathBuf,
    },
    /// Others than its owner have rights to it.
    #[error(
        "others can get at the keys in {path} (its mode is {mode:04o}): `chmod 600 {path}`, and make a new key if others may have read it",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Its owner is neither root nor whom we run as.
    #[error("the keys in {path} are those of the user {owner}, who can change them: `chown {ours} {path}`", path = path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        ours: u32,
    },
    /// There are no keys in it.
    #[error("{path} cannot be used: {cause}", path = path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: KeysError,
    },
    /// It is there already.
    #[error("{path} is there already and is left alone; `tcpcopy keygen --rotate {path}` puts a new key before the one in it", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write the file of keys {path}: {cause}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        cause: io::Error,
    },
    /// There are no random numbers.
    #[error("cannot make a key: the kernel gives no random numbers")]
    NoRandomness,
}

/// The keys of a file. It may be reached through links, as what Kubernetes mounts is, and must be a regular file of root or of the user we
/// run as, to which nobody else has any right.
///
/// # Errors
///
/// Any [`Error`] but those of writing.
pub fn read(path: &Path) -> Result<Keys, Error> {
    read_with(path).map(|(keys, _)| keys)
}

/// The same, with what the kernel says of the file that was read.
pub(crate) fn read_with(path: &Path) -> Result<(Keys, Metadata), Error> {
    let fails = |cause| Error::Open {
        path: path.into(),
        cause,
    };
    // A pipe that nobody writes to must not hold us.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path);
    let file = opened.map_err(fails)?;
    let metadata = file.metadata().map_err(fails)?;
    check(path, &metadata)?;
    let text = text(&file).map_err(fails)?;
    let keys = Keys::parse(&text).map_err(|cause| Error::Keys {
        path: path.into(),
        cause,
    })?;
    Ok((keys, metadata))
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let path = || path.to_owned();
    if !metadata.is_file() {
        return Err(Error::NotRegular { path: path() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(Error::Exposed { path: path(), mode });
    }
    let (owner, ours) = (metadata.uid(), geteuid().as_raw());
    if owner != 0 && owner != ours {
        return Err(Error::Owner {
            path: path(),
            owner,
            ours,
        });
    }
    Ok(())
}

/// What is in it, and of a file that is too long one byte more than there may be.
fn text(file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.take(KEYS_TEXT_LEN_MAX as u64 + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use channel::Key;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::{Error, read};

    #[test]
    fn only_a_file_of_ones_own_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        assert!(matches!(read(&path), Err(Error::Open { .. })));
        fs::write(&path, Key::generate().expect("a key").text()).expect("written");
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            assert!(read(&path).is_ok());
        }
        let link = folder.path().join("link");
        symlink(&path, &link).expect("a link");
        assert!(read(&link).is_ok(), "as Kubernetes mounts it");
        for mode in [0o640, 0o604, 0o620, 0o644] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            let refused = read(&path).expect_err("others can read it").to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
        }
        assert!(matches!(read(folder.path()), Err(Error::NotRegular { .. })));
        let pipe = folder.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
        assert!(matches!(read(&pipe), Err(Error::NotRegular { .. })));
    }

    #[test]
    fn what_is_in_it_is_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shadow");
        for text in ["root:secret".into(), "s".repeat(10_000)] {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
            let refused = format!("{:?}", read(&path).expect_err("no keys"));
            assert!(
                !refused.contains("secret") && !refused.contains("sss"),
                "{refused}"
            );
        }
    }
}
