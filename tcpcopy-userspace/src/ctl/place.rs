//! Where the sockets lie: each run has one of its own, named after its process, so that several do not clash.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The folder of the sockets that nobody has named.
pub(super) const FOLDER: &str = "/run/tcpcopy";
/// What their names end with.
const SUFFIX: &str = ".sock";
/// The longest path, in bytes: an address of a socket holds 107 (`sun_path` of unix(7), less its 0), and a socket that has no name yet is
/// called like the one that it becomes, and `~`.
const PATH_MAX: usize = 106;

/// The socket of the run that is this process.
pub(super) fn own() -> PathBuf {
    Path::new(FOLDER).join(format!("{}{SUFFIX}", std::process::id()))
}

/// Whether the path is short enough to be one of a socket.
pub(super) fn check_length(path: &Path) -> Result<(), String> {
    let len = path.as_os_str().len();
    if len > PATH_MAX {
        return Err(format!(
            "the path {} of --ctl has {len} bytes, and a socket's has at most {PATH_MAX}: write a shorter one",
            path.display()
        ));
    }
    Ok(())
}

/// Whether a socket lies there that nobody listens to: a run that was killed has left it.
pub(super) fn is_left_over(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    is_socket
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The sockets of all runs that nobody has named, in the order of their numbers.
pub(super) fn of_runs() -> Vec<PathBuf> {
    sockets_in(Path::new(FOLDER))
}

fn sockets_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let pid = |path: &PathBuf| -> Option<u32> {
        path.file_name()?
            .to_str()?
            .strip_suffix(SUFFIX)?
            .parse()
            .ok()
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<(u32, PathBuf)> =
        paths.filter_map(|path| Some((pid(&path)?, path))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::{check_length, is_left_over, sockets_in};

    #[test]
    fn sockets_are_found_by_their_names_and_left_ones_by_their_silence() {
        let folder = std::env::temp_dir().join(format!("tcpcopy-place-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let listener = UnixListener::bind(path("20.sock")).unwrap();
        drop(UnixListener::bind(path("3.sock")).unwrap());
        std::fs::write(path("notes.txt"), "").unwrap();
        std::fs::write(path("x.sock"), "").unwrap();
        assert_eq!(sockets_in(&folder), [path("3.sock"), path("20.sock")]);
        assert!(is_left_over(&path("3.sock")) && !is_left_over(&path("20.sock")));
        assert!(!is_left_over(&path("notes.txt")) && !is_left_over(&path("nothing")));
        drop(listener);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_path_has_room_in_an_address() {
        assert!(check_length(Path::new("/run/tcpcopy/1.sock")).is_ok());
        let said = check_length(Path::new(&"x".repeat(107))).unwrap_err();
        assert!(said.contains("at most 106"), "{said}");
    }
}
