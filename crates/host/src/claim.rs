//! The right to the private device: at most one process per network namespace has it.
//!
//! It is an abstract UNIX socket. Such a name belongs to a network namespace as the device does, and the kernel frees it
//! however the process ends, so there is no stale lock to recognise and no process number to mistrust.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket};

use crate::Error;

const NAME: &str = "tcpcopy/private-device";

/// The right, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Claim {
    _listener: UnixListener,
}

impl Claim {
    /// How long a process that is going may take: a killed one frees its memory before its descriptors (half a second
    /// was seen with 10 GB).
    const GOING_MAX: Duration = Duration::from_secs(5);
    /// How long a process is looked at before it counts as running: one that was killed just now does not show it yet.
    const RUNNING_MIN: Duration = Duration::from_millis(500);

    /// Takes the right.
    pub(crate) fn take() -> Result<Self, Error> {
        let refused = |cause| Error::Refused {
            what: format!("claim the private device (UNIX socket @{NAME})"),
            cause,
        };
        let name = SocketAddr::from_abstract_name(NAME).map_err(refused)?;
        let asked = Instant::now();
        loop {
            match UnixListener::bind_addr(&name) {
                Ok(listener) => {
                    return Ok(Self {
                        _listener: listener,
                    });
                }
                Err(cause) if cause.kind() != io::ErrorKind::AddrInUse => {
                    return Err(refused(cause));
                }
                Err(_) => {}
            }
            let owner = owner();
            let patience = if owner.is_some_and(is_running) {
                Self::RUNNING_MIN
            } else {
                Self::GOING_MAX
            };
            if asked.elapsed() > patience {
                let owner = owner.map_or("of unknown pid".to_owned(), |pid| format!("pid {pid}"));
                return Err(Error::Occupied { owner });
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Whether some process has the right. Asks nobody: a connection to the owner would stay in its backlog.
pub(crate) fn is_taken() -> bool {
    let sockets = fs::read_to_string("/proc/thread-self/net/unix").unwrap_or_default();
    sockets
        .lines()
        .any(|line| line.ends_with(&format!(" @{NAME}")))
}

/// The process that has the right, as far as this process can see it. Nobody accepts: the listener's backlog takes the
/// connection, and where it is full the owner stays unknown.
fn owner() -> Option<i32> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
    connect(
        stream.as_raw_fd(),
        &UnixAddr::new_abstract(NAME.as_bytes()).ok()?,
    )
    .ok()?;
    let pid = getsockopt(&stream, PeerCredentials).ok()?.pid();
    (pid > 0).then_some(pid)
}

/// Whether a process runs and is not being taken down.
fn is_running(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !is_going(&stat))
}

/// Whether a line of `/proc/PID/stat` (proc(5)) is of a process that has ended or is about to: a zombie, or one that is
/// marked as exiting while the kernel still frees its memory.
fn is_going(stat: &str) -> bool {
    const PF_EXITING: u32 = 0x4;
    // The name stands in parentheses and may contain some itself.
    let mut fields = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_ascii_whitespace();
    let state = fields.next();
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u32>().ok());
    matches!(state, Some("Z" | "X") | None) || flags.is_some_and(|flags| flags & PF_EXITING != 0)
}

#[cfg(test)]
mod tests {
    use super::{Claim, is_going, is_taken};

    #[test]
    fn who_has_the_right_is_seen() {
        // Another test, or a tcpcopy, may have it.
        if let Ok(claim) = Claim::take() {
            assert!(is_taken());
            drop(claim);
        } else {
            assert!(is_taken());
        }
    }

    #[test]
    fn a_process_that_is_going_is_told_from_one_that_runs() {
        assert!(!is_going("12 (a ) b) S 1 12 12 0 -1 4194560 0 0 0"));
        assert!(
            is_going("12 (a) R 1 12 12 0 -1 4194564 0 0 0"),
            "PF_EXITING"
        );
        assert!(is_going("12 (a) Z 1 12 12 0 -1 4194560 0 0 0"));
        assert!(is_going(""));
    }
}
