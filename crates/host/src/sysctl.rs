//! Settings under `/proc/sys/net`, which the kernel shows for the network namespace of the thread that opens them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// Reads a setting, without its line end; `path` is relative to `/proc/sys/net`.
pub(crate) fn read(path: &str) -> Result<String, Error> {
    let path = absolute(path);
    fs::read_to_string(&path)
        .map(|text| text.trim().to_owned())
        .map_err(|cause| Error::File {
            path,
            write: false,
            cause,
        })
}

/// Writes a setting.
pub(crate) fn write(path: &str, value: &str) -> Result<(), Error> {
    let path = absolute(path);
    fs::write(&path, value).map_err(|cause| Error::File {
        path,
        write: true,
        cause,
    })
}

/// Writes a setting that is not there where the kernel was built or started without IPv6, and that cannot be written where `/proc/sys` is
/// mounted read-only, as in a container.
pub(crate) fn write_if_allowed(path: &str, value: &str) -> Result<(), Error> {
    match write(path, value) {
        Err(Error::File { cause, .. })
            if [io::ErrorKind::NotFound, io::ErrorKind::ReadOnlyFilesystem]
                .contains(&cause.kind()) =>
        {
            Ok(())
        }
        result => result,
    }
}

fn absolute(path: &str) -> PathBuf {
    Path::new("/proc/sys/net").join(path)
}

/// A setting whose value makes no sense.
pub(crate) fn senseless(path: &str, value: &str) -> Error {
    let cause = io::Error::new(
        io::ErrorKind::InvalidData,
        format!("`{value}` makes no sense there"),
    );
    Error::File {
        path: absolute(path),
        write: false,
        cause,
    }
}
