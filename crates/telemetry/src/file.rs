//! Files that a run leaves. They hold what clients and servers said, and are written as root into folders that may belong to
//! somebody else.
//!
//! The folder is opened once. Each writing makes a file with a name that nobody can guess beside the target, which only its
//! owner may read, and gives it the target's name when it is whole: whoever reads never sees half of it, a writing that fails
//! leaves the file of before as it was, and a link that somebody planted is not followed. Only regular files are replaced: a
//! device, a pipe or a link is somebody else's.
//!
//! A run that is killed may leave such a file of a moment. The next one that writes to the same name removes it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, accessat, fstat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Of the target's name, so much stands in the name of the file of a moment, in bytes: a name has at most 255.
const NAME_LEN_MAX: usize = 200;
/// Ending of the files of a moment.
const ENDING: &str = ".tmp";
/// Random characters in their names.
const RANDOM_LEN: usize = 16;
/// A file of a moment that is older than this belongs to nobody any more.
const LEFTOVER_AGE: Duration = Duration::from_secs(60);

/// Why a file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path ends in nothing that could be a file's name.
    #[error("{path} is no file: name one in a folder that exists", path = path.display())]
    NoName {
        /// As it was given.
        path: PathBuf,
    },
    /// The folder is not there, or nothing may be made in it.
    #[error("cannot write {path}: there is no folder {folder} that can be written to ({cause}); make it, or name another", path = path.display(), folder = folder.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// Something else has that name.
    #[error("{path} is {kind} and no regular file, so it is left alone; name a file", path = path.display())]
    NotRegular {
        /// As it was given.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The writing failed.
    #[error("cannot write {path}: {cause}; what stood there before is left as it was", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The writing does not come to an end.
    #[error("{path} is not written after {} s: does its disk or network file system hang? What stood there before is left as it was", waited.as_secs(), path = path.display())]
    Hangs {
        /// The file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// A folder that was opened, so that it stays the same whatever becomes of its path.
#[derive(Clone, Debug)]
pub struct Folder {
    descriptor: Arc<OwnedFd>,
    path: PathBuf,
}

impl Folder {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// Where it is not there, or nothing may be made in it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = openat(CWD, path, flags, Mode::empty())?;
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        accessat(&descriptor, ".", wanted, AtFlags::EACCESS)?;
        Ok(Self {
            descriptor: Arc::new(descriptor),
            path: path.to_owned(),
        })
    }

    /// A file in it.
    ///
    /// # Errors
    ///
    /// [`FileError::NotRegular`] where something else has the name.
    pub fn place(&self, name: impl AsRef<OsStr>) -> Result<Place, FileError> {
        let place = Place {
            folder: self.clone(),
            name: name.as_ref().to_owned(),
        };
        place.check()?;
        Ok(place)
    }
}

/// A file that may be written, again and again.
#[derive(Clone, Debug)]
pub struct Place {
    folder: Folder,
    name: OsString,
}

/// A file of a moment. It goes if it does not get its name.
struct Moment<'a> {
    folder: &'a Folder,
    name: OsString,
    file: File,
    is_kept: bool,
}

impl Place {
    /// Opens the folder of `path`; changes nothing.
    ///
    /// # Errors
    ///
    /// [`FileError`], each with what to do.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let Some(name) = path.file_name() else {
            let path = path.to_owned();
            return Err(FileError::NoName { path });
        };
        let parent = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let folder = Folder::open(parent).map_err(|cause| FileError::Folder {
            path: path.to_owned(),
            folder: parent.to_owned(),
            cause,
        })?;
        folder.place(name)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path.join(&self.name)
    }

    /// Replaces the file. `durable` waits until the disk has it, which is where some file systems say that they are full.
    ///
    /// # Errors
    ///
    /// [`FileError`]; the file of before is left as it was then.
    pub fn write(&self, bytes: &[u8], durable: bool) -> Result<(), FileError> {
        let written = self.moment().and_then(|mut moment| {
            moment.file.write_all(bytes)?;
            if durable {
                moment.file.sync_all()?;
            }
            Ok(moment)
        });
        self.keep(written)?;
        Ok(())
    }

    /// Replaces the file by an empty one that is written bit by bit.
    ///
    /// # Errors
    ///
    /// As [`Place::write`].
    pub fn create(&self) -> Result<File, FileError> {
        self.keep(self.moment())
    }

    /// Gives a file of a moment its name.
    fn keep(&self, written: io::Result<Moment<'_>>) -> Result<File, FileError> {
        // What has the name may be another thing by now.
        self.check()?;
        let folder = &self.folder.descriptor;
        let kept = written.and_then(|mut moment| {
            renameat(folder, &moment.name, folder, &self.name)?;
            moment.is_kept = true;
            moment.file.try_clone()
        });
        kept.map_err(|cause| FileError::Write {
            path: self.path(),
            cause,
        })
    }

    fn moment(&self) -> io::Result<Moment<'_>> {
        let mut random = [0u8; RANDOM_LEN / 2];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut name = self.moment_prefix();
        name.push(random);
        name.push(ENDING);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let descriptor = openat(&self.folder.descriptor, &name, flags, mode)?;
        Ok(Moment {
            folder: &self.folder,
            name,
            file: File::from(descriptor),
            is_kept: false,
        })
    }

    /// What the names of this place's files of a moment begin with.
    fn moment_prefix(&self) -> OsString {
        let name = self.name.to_string_lossy();
        let end = (0..=NAME_LEN_MAX.min(name.len()))
            .rev()
            .find(|end| name.is_char_boundary(*end));
        let name = name.get(..end.unwrap_or(0)).unwrap_or_default();
        format!(".{name}.").into()
    }

    fn check(&self) -> Result<(), FileError> {
        let found = statat(
            &self.folder.descriptor,
            &self.name,
            AtFlags::SYMLINK_NOFOLLOW,
        );
        match found {
            Err(Errno::NOENT) => Ok(()),
            Ok(found) => match kind(FileType::from_raw_mode(found.st_mode)) {
                None => Ok(()),
                Some(kind) => Err(FileError::NotRegular {
                    path: self.path(),
                    kind,
                }),
            },
            Err(cause) => Err(FileError::Write {
                path: self.path(),
                cause: cause.into(),
            }),
        }
    }

    /// Removes what killed runs left of this place. Best effort: nothing depends on it.
    pub fn sweep(&self) {
        let folder = &self.folder.descriptor;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(folder, ".", flags, Mode::empty()).and_then(Dir::new);
        let prefix = self.moment_prefix();
        for entry in opened.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy();
            let random = name
                .strip_prefix(&*prefix.to_string_lossy())
                .and_then(|rest| rest.strip_suffix(ENDING));
            let is_ours = random.is_some_and(|random| {
                random.len() == RANDOM_LEN && random.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            let is_old = || {
                let found = statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).ok();
                found.is_some_and(|found| {
                    let age = age_of(found.st_mtime);
                    FileType::from_raw_mode(found.st_mode).is_file() && age >= LEFTOVER_AGE
                })
            };
            if is_ours && is_old() {
                let _ = unlinkat(folder, entry.file_name(), AtFlags::empty());
            }
        }
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = unlinkat(&self.folder.descriptor, &self.name, AtFlags::empty());
        }
    }
}

/// What came of reading a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// All of it.
    Whole(Vec<u8>),
    /// It is longer than was asked for: so many bytes, as far as the file system knows.
    TooLong(u64),
    /// It is no regular file but this, which may never come to an end.
    NotRegular(&'static str),
}

/// Reads a regular file of at most `len_max` bytes. Links are followed: reading harms nobody.
///
/// # Errors
///
/// Where it cannot be opened or read.
pub fn read(path: &Path, len_max: u64) -> io::Result<Contents> {
    // Not blocking: opening a pipe would wait for somebody who writes.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, path, flags, Mode::empty())?);
    if let Some(kind) = kind(FileType::from_raw_mode(fstat(&file)?.st_mode)) {
        return Ok(Contents::NotRegular(kind));
    }
    let len = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(len_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let read = bytes.len() as u64;
    Ok(if read > len_max {
        Contents::TooLong(len.max(read))
    } else {
        Contents::Whole(bytes)
    })
}

/// What it is, where it is no regular file.
const fn kind(file_type: FileType) -> Option<&'static str> {
    match file_type {
        FileType::RegularFile => None,
        FileType::Directory => Some("a folder"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        _ => Some("something else"),
    }
}

/// How long ago a moment was, in seconds since 1970; nothing where it is still to come.
fn age_of(seconds: i64) -> Duration {
    let moment = u64::try_from(seconds).unwrap_or_default();
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(moment);
    moment.elapsed().unwrap_or_default()
}

#[cfg(test)]
mod tests;
