//! The right to the private device: at most one process per network namespace has it.
//!
//! Two things say who has it. An abstract UNIX socket does from the first moment of a start: such a name belongs to a network
//! namespace as the device does, and the kernel frees it however the process ends, so there is no stale lock to recognise. But
//! every local user may take the name, so it is believed only of root and of our own user. What nobody can pretend without
//! CAP_NET_ADMIN is a `tcpcopy0` with tcx programs attached to it: it has an owner that runs, for those go with their process.
//! Clsact filters stay, and say nothing; hence the owner's [`crate::sign`], which takes CAP_NET_RAW.
//!
//! A file that is locked would need a folder that only the right processes can write to. There is none that root, a service
//! with a user of its own, and two containers in one network namespace have in common.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;
use std::time::{Duration, Instant};

use aya::programs::{SchedClassifier, TcAttachType};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket};
use nix::unistd::geteuid;

use crate::kernel::{self, Tcx};
use crate::{Error, PrivateDevice, sign};

const NAME: &str = "tcpcopy/private-device";

/// The right, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Claim {
    /// `None` where somebody else sits on the name.
    _listener: Option<UnixListener>,
}

/// Who has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// Somebody who could do worse than to keep us from starting: root, or our own user.
    Credible { pid: i32 },
    /// Another user, or nobody knows who.
    Stranger { uid: Option<u32> },
}

/// What becomes of a start that found somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The right is ours.
    Take,
    /// Somebody is going, or sets up: look again.
    Wait,
    /// Another tcpcopy runs.
    Refuse,
}

impl Claim {
    /// How long a process that is going may take: a killed one frees its memory before its descriptors (half a second
    /// was seen with 10 GB). Also how long one may take to set up that has the device and not the name.
    const GOING_MAX: Duration = Duration::from_secs(5);
    /// How long a process is looked at before it counts as running: one that was killed just now does not show it yet.
    const RUNNING_MIN: Duration = Duration::from_millis(500);
    const LOOK_EVERY: Duration = Duration::from_millis(50);

    /// Takes the right.
    pub(crate) fn take() -> Result<Self, Error> {
        let refused = |cause| Error::Refused {
            what: format!("claim the private device (UNIX socket @{NAME})"),
            cause,
        };
        let name = SocketAddr::from_abstract_name(NAME).map_err(refused)?;
        let asked = Instant::now();
        let (mut listener, mut known) = (None, None);
        loop {
            if listener.is_none() {
                match UnixListener::bind_addr(&name) {
                    Ok(bound) => (listener, known) = (Some(bound), None),
                    Err(cause) if cause.kind() != io::ErrorKind::AddrInUse => {
                        return Err(refused(cause));
                    }
                    // Asked once: each question stays in the backlog of the holder.
                    Err(_) => known = known.or_else(holder),
                }
            }
            let device = Device::look();
            match answer(known, device, asked.elapsed()) {
                Answer::Take => {
                    return Ok(Self {
                        _listener: listener,
                    });
                }
                Answer::Refuse => {
                    return Err(Error::Occupied {
                        owner: words(holder().or(known)),
                    });
                }
                Answer::Wait => thread::sleep(Self::LOOK_EVERY),
            }
        }
    }
}

/// What to do after `waited` about a name that `holder` has, `None` where it is ours, and the device that is there.
fn answer(holder: Option<Holder>, device: Device, waited: Duration) -> Answer {
    let patience = match (holder, device) {
        (None | Some(Holder::Stranger { .. }), Device::Absent) | (None, Device::Idle) => {
            return Answer::Take;
        }
        // Left behind, or of somebody who sets up and was kept from the name as well.
        (Some(Holder::Stranger { .. }), Device::Idle) => {
            return if waited > Claim::GOING_MAX {
                Answer::Take
            } else {
                Answer::Wait
            };
        }
        (Some(Holder::Credible { pid }), _) if is_running(pid) => Claim::RUNNING_MIN,
        (_, _) => Claim::GOING_MAX,
    };
    if waited > patience {
        Answer::Refuse
    } else {
        Answer::Wait
    }
}

/// The private device as far as it says whether somebody runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    /// There is none.
    Absent,
    /// Nothing of it says that its owner runs.
    Idle,
    /// A tcx program is attached to it, or the sign is up, so its owner runs; or the kernel does not say, which is no reason to
    /// take it away.
    Alive,
}

impl Device {
    fn look() -> Self {
        if if_nametoindex(PrivateDevice::OUTER).is_err() {
            return Self::Absent;
        }
        if sign::is_up() {
            return Self::Alive;
        }
        match SchedClassifier::query_tcx(PrivateDevice::OUTER, TcAttachType::Ingress) {
            Ok((_, programs)) if programs.is_empty() => Self::Idle,
            Err(_) if kernel::tcx() == Tcx::No => Self::Idle,
            Ok(_) | Err(_) => Self::Alive,
        }
    }
}

/// Whether some tcpcopy runs in this network namespace, or starts.
pub(crate) fn is_taken() -> bool {
    Device::look() == Device::Alive
        || is_bound() && matches!(holder(), Some(Holder::Credible { .. }))
}

/// The user who sits on our name without being a tcpcopy, in words. It keeps nobody from starting.
#[must_use]
pub fn squatter() -> Option<String> {
    if !is_bound() || Device::look() == Device::Alive {
        return None;
    }
    match holder()? {
        Holder::Credible { .. } => None,
        Holder::Stranger { uid: Some(uid) } => Some(format!("uid {uid} has @{NAME}")),
        Holder::Stranger { uid: None } => Some(format!("somebody has @{NAME}")),
    }
}

/// Whether somebody has the name.
fn is_bound() -> bool {
    let sockets = fs::read_to_string("/proc/thread-self/net/unix").unwrap_or_default();
    sockets
        .lines()
        .any(|line| line.ends_with(&format!(" @{NAME}")))
}

/// Who has the name; `None` where nobody has. Nobody accepts: the listener's backlog takes the connection, and where it is
/// full the holder stays unknown.
fn holder() -> Option<Holder> {
    let stranger = |uid| Some(Holder::Stranger { uid });
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let Ok(stream) = socket(AddressFamily::Unix, SockType::Stream, flags, None) else {
        return stranger(None);
    };
    let Ok(name) = UnixAddr::new_abstract(NAME.as_bytes()) else {
        return stranger(None);
    };
    if connect(stream.as_raw_fd(), &name).is_err() {
        return if is_bound() { stranger(None) } else { None };
    }
    let Ok(peer) = getsockopt(&stream, PeerCredentials) else {
        return stranger(None);
    };
    if peer.uid() == 0 || peer.uid() == geteuid().as_raw() {
        Some(Holder::Credible { pid: peer.pid() })
    } else {
        stranger(Some(peer.uid()))
    }
}

/// The owner for a message.
fn words(holder: Option<Holder>) -> String {
    words_of(match holder {
        Some(Holder::Credible { pid }) => Some(pid),
        _ => None,
    })
}

/// A process for a message. Only a process that goes by our own name is named: whoever reads the message is about to end it.
pub(crate) fn words_of(pid: Option<i32>) -> String {
    let name_of = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    match pid {
        Some(pid) if name_of(&pid.to_string()) == name_of("self") => format!("pid {pid}"),
        _ => "of unknown pid".to_owned(),
    }
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
    use std::time::Duration;

    use super::{Answer, Claim, Device, Holder, answer, is_going, is_taken};

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
    fn who_keeps_us_from_starting_and_who_does_not() {
        let (now, soon, late) = (
            Duration::ZERO,
            Duration::from_secs(1),
            Duration::from_secs(6),
        );
        let us = i32::try_from(std::process::id()).unwrap();
        let (runs, gone) = (
            Some(Holder::Credible { pid: us }),
            Some(Holder::Credible { pid: i32::MAX }),
        );
        let stranger = Some(Holder::Stranger { uid: Some(65534) });
        for (holder, device, waited, expected) in [
            (None, Device::Absent, now, Answer::Take),
            (None, Device::Idle, now, Answer::Take),
            // The name is free, and yet somebody runs: a squatter kept it from the name, or it was killed just now.
            (None, Device::Alive, soon, Answer::Wait),
            (None, Device::Alive, late, Answer::Refuse),
            (runs, Device::Absent, now, Answer::Wait),
            (runs, Device::Absent, soon, Answer::Refuse),
            (runs, Device::Alive, soon, Answer::Refuse),
            (gone, Device::Idle, soon, Answer::Wait),
            (gone, Device::Idle, late, Answer::Refuse),
            (stranger, Device::Absent, now, Answer::Take),
            (stranger, Device::Idle, soon, Answer::Wait),
            (stranger, Device::Idle, late, Answer::Take),
            (stranger, Device::Alive, soon, Answer::Wait),
            (stranger, Device::Alive, late, Answer::Refuse),
        ] {
            let found = answer(holder, device, waited);
            assert_eq!(found, expected, "{holder:?} {device:?} {waited:?}");
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
