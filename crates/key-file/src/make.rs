//! Makes keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use channel::Key;

use crate::read::{Error, read};

/// Only its owner may read and write it.
const MODE: u32 = 0o600;

/// What a file says of itself.
const HEAD: &str = "# Keys of the channel between tcpcopy and intercept. Both have a copy of this file that only its owner can read.\n";

/// Makes a file with a new key.
///
/// # Errors
///
/// [`Error::Exists`] where there is something of that name, and [`Error::Write`].
pub fn create(path: &Path) -> Result<(), Error> {
    let key = Key::generate().map_err(|_| Error::NoRandomness)?;
    write(path, &format!("{HEAD}{}\n", key.text())).map_err(|cause| {
        if cause.kind() == ErrorKind::AlreadyExists {
            Error::Exists { path: path.into() }
        } else {
            fails(path, cause)
        }
    })
}

/// Puts a new key before the one in use, which is still taken; one that stood behind that is gone. The file is replaced at once, so that
/// whoever reads it sees the one or the other.
///
/// # Errors
///
/// Those of [`read`], and [`Error::Write`].
pub fn rotate(path: &Path) -> Result<(), Error> {
    let before = read(path)?;
    let key = Key::generate().map_err(|_| Error::NoRandomness)?;
    let text = format!(
        "{HEAD}{}\n# The key before it, until every host has the new file:\n{}\n",
        key.text(),
        before.of_attempt(0).text()
    );
    // What it leads to is replaced, not the link.
    let path = &fs::canonicalize(path).map_err(|cause| fails(path, cause))?;
    let beside = beside(path);
    let written = write(&beside, &text).and_then(|()| fs::rename(&beside, path));
    written.map_err(|cause| {
        // Nobody needs it, and it may not be there.
        let _ = fs::remove_file(&beside);
        fails(path, cause)
    })
}

/// The name of the new file until it has the name of the old one.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    name.into()
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file: File = options.write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn fails(path: &Path, cause: io::Error) -> Error {
    Error::Write {
        path: path.into(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{create, rotate};
    use crate::read::{Error, read};

    #[test]
    fn keys_are_made_and_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        create(&path).expect("it is made");
        let mode = fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(matches!(create(&path), Err(Error::Exists { .. })));
        let first = read(&path).expect("a key").of_attempt(0);
        rotate(&path).expect("it is replaced");
        let keys = read(&path).expect("keys");
        let second = keys.of_attempt(0);
        assert!(second != first && keys.of_attempt(1) == first);
        rotate(&path).expect("it is replaced");
        let keys = read(&path).expect("keys");
        assert!(keys.of_attempt(1) == second && !keys.contains(&first));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        let elsewhere = folder.path().join("no folder/key");
        assert!(matches!(create(&elsewhere), Err(Error::Write { .. })));
    }
}
