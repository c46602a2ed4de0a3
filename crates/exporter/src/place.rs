//! Where the server listens: an address and a port, or a socket of the file system.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// What a socket of the file system is named by.
const UNIX: &str = "unix:";
/// Owner and group may connect, nobody else.
const SOCKET_MODE: u32 = 0o660;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;
/// Others may write to a folder, and whether they may replace what is not theirs there.
const WRITTEN_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address of this host.
    Tcp(SocketAddr),
    /// A socket in the file system, for this host alone.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    /// `ADDR:PORT`, both as numbers, or `unix:PATH`. A port alone, `:PORT` and `localhost:PORT` mean this host and nobody else:
    /// 127.0.0.1.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            if path.starts_with('/') && !path.ends_with('/') {
                return Ok(Self::Unix(path.into()));
            }
            return Err(
                "write the whole path of a socket, as in unix:/run/tcpcopy.sock".to_owned(),
            );
        }
        let short = text.strip_prefix("localhost").unwrap_or(text);
        let port = short.strip_prefix(':').unwrap_or(text).parse::<u16>();
        match (port, text.parse()) {
            (Ok(port), _) => Ok(Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
            (_, Ok(address)) => Ok(Self::Tcp(address)),
            _ => Err("write an address of this host and a port, as in 127.0.0.1:9524 or [::1]:9524, or unix:PATH; a port alone is one of 127.0.0.1".to_owned()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl Place {
    /// Whether other hosts can reach it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }

    /// A command that shows who has it.
    #[must_use]
    pub fn look(&self) -> String {
        match self {
            Self::Tcp(address) => format!("ss -tlnp 'sport = :{}'", address.port()),
            Self::Unix(path) => format!("ss -xlp src {}", path.display()),
        }
    }

    pub(crate) fn advice(&self, cause: &io::Error) -> &'static str {
        match (self, cause.kind()) {
            (Self::Tcp(_), io::ErrorKind::AddrInUse) => {
                "somebody listens there already: choose another port"
            }
            (Self::Tcp(_), io::ErrorKind::AddrNotAvailable) => {
                "this host has no such address: choose one that it has"
            }
            (Self::Tcp(_), io::ErrorKind::PermissionDenied) => {
                "choose a port above 1023, or run as root"
            }
            (Self::Tcp(_), _) => "choose another address or port",
            (Self::Unix(_), io::ErrorKind::NotFound) => "make its folder",
            (Self::Unix(_), _) => "choose another path, as in unix:/run/tcpcopy.sock",
        }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A name in the file system that goes with this.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    /// Device and inode: what somebody else put in its place stays.
    identity: (u64, u64),
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // One that stays is replaced by the next run.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Listens. A socket that nobody listens at is replaced, anything else is left as it is.
pub(crate) fn listen(place: &Place) -> io::Result<(Listener, Place, Option<Socket>)> {
    match place {
        Place::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let bound = Place::Tcp(listener.local_addr()?);
            Ok((Listener::Tcp(listener), bound, None))
        }
        Place::Unix(path) => {
            check_folder(path)?;
            clear(path)?;
            let listener = bind(path)?;
            let socket = Socket {
                path: path.clone(),
                identity: identity(path)?,
            };
            // The process's umask may have taken the group's part away.
            fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
            Ok((Listener::Unix(listener), place.clone(), Some(socket)))
        }
    }
}

/// Where anybody may replace anything, the name would not be ours for long.
fn check_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mode = fs::metadata(folder)?.mode();
    if mode & WRITTEN_BY_OTHERS != 0 && mode & STICKY == 0 {
        let words = format!("everybody may write to {}", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
    }
    Ok(())
}

/// Removes what a process left that is gone.
fn clear(path: &Path) -> io::Result<()> {
    let in_use = |words: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, words.to_owned()));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.file_type().is_socket() => in_use("there is a file of another kind"),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
            Ok(_) => in_use("somebody listens there already"),
        },
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // What the name will have at most, at no moment more.
    fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE))?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::{env, fs, process};

    use super::{Place, listen};

    #[test]
    fn short_addresses_mean_this_host_alone() {
        for (text, expected) in [
            ("9524", Some("127.0.0.1:9524")),
            (":9524", Some("127.0.0.1:9524")),
            ("localhost:9524", Some("127.0.0.1:9524")),
            ("[::1]:9524", Some("[::1]:9524")),
            ("0.0.0.0:9524", Some("0.0.0.0:9524")),
            ("unix:/run/t.sock", Some("unix:/run/t.sock")),
            ("unix:t.sock", None),
            ("unix:/run/", None),
            ("unix:", None),
            ("localhost", None),
            ("localhost9524", None),
            ("web:9524", None),
            ("70000", None),
            ("::9524", None),
            ("", None),
        ] {
            let place = text.parse::<Place>().ok().map(|place| place.to_string());
            assert_eq!(place.as_deref(), expected, "{text}");
        }
        let is_open = |text: &str| text.parse::<Place>().unwrap().is_open();
        assert!(is_open("0.0.0.0:9524") && is_open("[::]:9524") && is_open("192.0.2.1:1"));
        assert!(!is_open("9524") && !is_open("unix:/run/t.sock"));
    }

    fn folder(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("tcpcopy-place-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_socket_is_the_groups_and_goes_with_its_listener() {
        let folder = folder("socket");
        let path = folder.join("m.sock");
        let place = Place::Unix(path.clone());
        // What a process left that was killed.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (listener, _, socket) = listen(&place).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let words = listen(&place).unwrap_err().to_string();
        assert!(words.contains("somebody listens"), "{words}");
        drop((listener, socket));
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        let words = listen(&place).unwrap_err().to_string();
        assert!(words.contains("another kind"), "{words}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
        let (_listener, _, socket) = listen(&place).unwrap();
        // What took its place stays.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(socket);
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let words = listen(&place).unwrap_err().to_string();
        assert!(words.contains("everybody may write"), "{words}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
