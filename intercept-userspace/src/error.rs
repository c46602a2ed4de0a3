//! Why `intercept` cannot start, and why it stops although nobody asked it to.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::xdp_mode::XdpMode;

/// Arguments or an environment that cannot be used: nothing was changed, exit status 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(
        "the channel was to be opened on {0} without a key, so that anybody who reaches it could read replies: give both ends \
         --key-file (`tcpcopy keygen` makes it), bind a loopback address (-b 127.0.0.1), or say --insecure in a network that you trust"
    )]
    OpenWithoutKey(IpAddr),
    #[error(
        "-x names {0} as a target, which no server can have: give the address and port it serves"
    )]
    NotATarget(SocketAddr),
    #[error("-x names {0} twice: leave one out")]
    DuplicateTarget(SocketAddr),
    #[error("-x names {0} targets, more than the {max}: start a second intercept on another assistant", max = channel::TARGETS_MAX)]
    TooManyTargets(usize),
    #[error(
        "-x names {0}, which is an address of this very host: intercept runs on a host of its own and consumes what the \
         targets send; for a target on the online server use tcpcopy's direct mode"
    )]
    TargetIsOurs(SocketAddr),
    #[error(transparent)]
    Keys(#[from] key_file::Error),
    #[error(transparent)]
    Metrics(#[from] exporter::BindError),
    #[error(transparent)]
    Token(#[from] exporter::TokenError),
    #[error(transparent)]
    Limit(#[from] process::limits::TooSmall),
    #[error(transparent)]
    Host(#[from] host::Error),
    #[error("{0}")]
    Programs(#[from] programs::Missing),
    #[error("cannot load the program `sink` into Linux {}: {}; {}", host::kernel::release(), last_lines(&cause.to_string()), load_advice(cause))]
    Load { cause: Box<aya::EbpfError> },
    #[error(
        "the program `sink` has no {0}: it was built from other sources, run `cargo xtask build-ebpf` and build again"
    )]
    NotOurs(&'static str),
    #[error(
        "cannot write into the map {map}: {cause}; intercept needs root or CAP_BPF and CAP_NET_ADMIN"
    )]
    Map {
        map: &'static str,
        cause: aya::maps::MapError,
    },
    #[error("cannot take packets from `{interface}`:{}", listing(reasons))]
    Attach {
        interface: String,
        reasons: Vec<(XdpMode, String)>,
    },
    #[error("cannot listen on {addr}: {cause}; {}", listen_advice(cause))]
    Listen { addr: SocketAddr, cause: io::Error },
    #[error("cannot prepare {what}: {cause}")]
    Start {
        what: &'static str,
        cause: io::Error,
    },
}

/// Why a run ended that was to go on: exit status 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(
        "`{interface}` is gone (its AF_XDP socket of queue {queue} reports an error): bring it back and start again"
    )]
    InterfaceGone { interface: String, queue: u32 },
    #[error("the worker of queue {queue} cannot wait for packets: {cause}")]
    Poll { queue: u32, cause: io::Error },
    #[error("thread `{0}` ended by a bug of ours: see the message above, and please report it")]
    Panicked(&'static str),
    #[error("cannot start a thread: {0}; is the limit of processes (`ulimit -u`) reached?")]
    Thread(io::Error),
    #[error("cannot wait for tcpcopy to connect: {0}")]
    Accept(io::Error),
}

impl Unusable {
    /// Its name in docs/doctor.md.
    pub(crate) const fn finding(&self) -> &'static str {
        match self {
            Self::OpenWithoutKey(_) => "insecure",
            Self::Keys(_) => "key-file",
            Self::NotATarget(_)
            | Self::DuplicateTarget(_)
            | Self::TooManyTargets(_)
            | Self::TargetIsOurs(_) => "rule-unusable",
            Self::Metrics(_) => "metrics-address",
            Self::Token(_) => "metrics-token",
            Self::Limit(_) => "limit-short",
            Self::Host(error) => error.finding(),
            Self::Programs(_) | Self::NotOurs(_) => "no-programs",
            Self::Load { .. } | Self::Map { .. } | Self::Attach { .. } | Self::Start { .. } => {
                "cannot-set-up"
            }
            Self::Listen { .. } => "channel-address",
        }
    }
}

fn load_advice(cause: &aya::EbpfError) -> &'static str {
    let text = format!("{cause:?}");
    // The verifier's refusal is a lack of permission as well.
    if text.contains("processed ") {
        "this kernel's verifier does not follow the program (6.1 and later are tested): use another kernel, and please report this"
    } else if text.contains("PermissionDenied") {
        "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW"
    } else {
        "a kernel with BPF and AF_XDP is needed (CONFIG_BPF_SYSCALL=y, CONFIG_XDP_SOCKETS=y)"
    }
}

/// The first line, and the last few of a verifier's log of thousands.
fn last_lines(text: &str) -> String {
    const KEPT: usize = 12;
    let lines: Vec<&str> = text.lines().collect();
    match lines.split_first() {
        Some((first, rest)) if rest.len() > KEPT => {
            format!("{first}\n[...]\n{}", rest[rest.len() - KEPT..].join("\n"))
        }
        _ => text.to_owned(),
    }
}

fn listen_advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "another intercept may be running: end it, or choose another port with -p"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this host has no such address: choose one that it has with -b"
        }
        io::ErrorKind::PermissionDenied => "choose a port above 1023 with -p, or run as root",
        _ => "choose another address or port with -b and -p",
    }
}

fn listing(reasons: &[(XdpMode, String)]) -> String {
    reasons
        .iter()
        .map(|(mode, reason)| format!("\n  {}: {reason}", mode.name()))
        .collect()
}
