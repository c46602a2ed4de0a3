//! What can go wrong with the host, and what to do about it.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::netns::Reference;

/// Why the host did not answer, did not obey, or is not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection to the kernel.
    #[error(
        "cannot open a netlink socket: {cause}; is this process in a sandbox that forbids AF_NETLINK?"
    )]
    Socket {
        /// What the kernel said.
        cause: io::Error,
    },
    /// The kernel refused a request.
    #[error("cannot {what}: {cause}; {}", advice(cause))]
    Refused {
        /// What was tried, in words.
        what: String,
        /// What the kernel said.
        cause: io::Error,
    },
    /// A file of the kernel could not be read or written.
    #[error("cannot {} {}: {cause}; {}", if *.write { "write to" } else { "read" }, path.display(), advice(cause))]
    File {
        /// The file.
        path: PathBuf,
        /// Whether it was to be written.
        write: bool,
        /// What the kernel said.
        cause: io::Error,
    },
    /// There is no such interface.
    #[error("there is no interface `{name}` here; there are: {}", names.join(", "))]
    NoInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        names: Vec<String>,
    },
    /// The interface is down.
    #[error(
        "the interface `{name}` is down, so nothing can be captured there; set it up (`ip link set {name} up`) or name another"
    )]
    Down {
        /// The interface.
        name: String,
    },
    /// The interface has no Ethernet header.
    #[error(
        "the interface `{name}` is of type {kind} and its frames have no Ethernet header, which is not supported yet; name \
         the Ethernet device below it"
    )]
    NotEthernet {
        /// The interface.
        name: String,
        /// What it is instead.
        kind: String,
    },
    /// There is no default route.
    #[error("cannot tell which interface to use, for there is no default route; name one with -i")]
    NoDefaultRoute,
    /// Somebody else's device has the private device's name.
    #[error(
        "there is a device `{name}` already ({description}) and it was not made by tcpcopy, so it is left alone; rename or \
         remove it (`ip link del {name}`)"
    )]
    ForeignDevice {
        /// Its name.
        name: String,
        /// What it is.
        description: String,
    },
    /// Another tcpcopy owns the private device.
    #[error(
        "another tcpcopy, {owner}, runs in this network namespace; end it first, or give it your targets too (-x takes several)"
    )]
    Occupied {
        /// `pid N`, or that it is not known.
        owner: String,
    },
    /// The network namespace cannot be entered.
    #[error("--netns {place}: cannot enter this network namespace: {why}; {todo}")]
    Namespace {
        /// What was asked for.
        place: Reference,
        /// Why not.
        why: String,
        /// What to do.
        todo: String,
    },
    /// Something else has the place of the clsact hooks.
    #[error(
        "the interface `{interface}` has a qdisc `{kind}` in the place of the clsact hooks, which this kernel (without tcx) needs there; \
         it was not made by tcpcopy, so it is left alone: replace it (`tc qdisc del dev {interface} {kind}`, \
         `tc qdisc add dev {interface} clsact`) and add its filters again, which work there as before; or use a kernel with tcx (6.6)"
    )]
    HooksTaken {
        /// The interface.
        interface: String,
        /// What is there.
        kind: String,
    },
    /// Somebody else's filter stands first and will stay so.
    #[error(
        "at clsact {direction} of `{interface}`, {filter} is asked before any filter of ours could be, and could hide packets from it; \
         give it a higher preference (`tc filter show dev {interface} {direction}`), or use a kernel with tcx (6.6)"
    )]
    FilterFirst {
        /// The interface.
        interface: String,
        /// The hook.
        direction: crate::clsact::Direction,
        /// The filter, in words.
        filter: String,
    },
    /// Capabilities are missing.
    #[error(
        "{} missing; run as root, or have systemd give a user of your choice all that it needs: `systemd-run --pty -p User=USER -p \
         AmbientCapabilities='{}' -p LimitMEMLOCK=infinity {program} ...` (not by setcap on a file that everybody may run: that \
         would let every user of this host copy its traffic)",
        missing.join(", "), all.join(" ")
    )]
    Capabilities {
        /// Their names.
        missing: Vec<String>,
        /// All that are needed, those that are there too.
        all: Vec<String>,
        /// This program.
        program: String,
    },
    /// The binary gives its powers to everybody.
    #[error(
        "{program} has {what} and may be run by every user of this host, who could copy any traffic with it, take the host's own \
         connections off the network and load programs into the kernel; let a group alone run it: `chown root:GROUP {program} && \
         chmod 0750 {program}`, and then {again}"
    )]
    ForEverybody {
        /// This program.
        program: String,
        /// What it has.
        what: &'static str,
        /// What has to be done again, for a change of the owner takes it away.
        again: String,
    },
    /// The kernel lacks something.
    #[error("{what}; {todo}")]
    Kernel {
        /// What is missing.
        what: String,
        /// What to do.
        todo: &'static str,
    },
}

impl Error {
    /// Its name in docs/doctor.md.
    #[must_use]
    pub const fn finding(&self) -> &'static str {
        match self {
            Self::NoInterface { .. } => "no-interface",
            Self::Down { .. } => "interface-down",
            Self::NotEthernet { .. } => "not-ethernet",
            Self::Capabilities { .. } | Self::ForEverybody { .. } => "no-rights",
            Self::Kernel { .. } => "kernel-lacks",
            Self::Occupied { .. } => "occupied",
            Self::ForeignDevice { .. } => "foreign-device",
            Self::FilterFirst { .. } => "filter-first",
            Self::HooksTaken { .. } => "hooks-taken",
            _ => "host",
        }
    }
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES | Errno::EROFS) => "run as root or with CAP_NET_ADMIN",
        Some(Errno::EOPNOTSUPP) => "this kernel lacks what is needed (a module, perhaps)",
        Some(Errno::ENOENT) => "this kernel lacks what is needed, or /proc is not mounted",
        Some(Errno::ENODEV) => "the interface has gone meanwhile",
        Some(Errno::EEXIST) => "it is there already; somebody else made it",
        Some(Errno::ENOBUFS | Errno::ENOMEM) => "the kernel is short of memory",
        _ => "see the kernel's log (`dmesg`)",
    }
}
