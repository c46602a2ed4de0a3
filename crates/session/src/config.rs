//! What an engine is told once, at its start.

use core::time::Duration;
use std::sync::Arc;

use protocol::{Credentials, Digests, Module};
use wire::flow::{Endpoint, PoolRange};

use crate::ports::Ports;

/// Everything that an engine needs to know; one engine runs per worker.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to copy where, in the order of the command line. [`RuleId`] is an index into it.
    pub rules: Vec<Rule>,
    /// Where sessions come from.
    pub source: Source,
    /// This worker's number, below `workers`.
    pub worker: u32,
    /// How many workers the run has.
    pub workers: u32,
    /// Sessions per flow, at least 1; more than one needs [`Source::Pool`].
    pub copies: u16,
    /// Whether turns wait for the response to the turn before (`false`: `-W`).
    pub wait_for_responses: bool,
    /// How long a turn waits for a response that the online server gave.
    pub response_timeout: Duration,
    /// How long a session may be silent on both sides before it is closed.
    pub idle_timeout: Duration,
    /// Most sessions that this engine holds.
    pub sessions_max: u32,
    /// Most bytes of payload that this engine holds.
    pub payload_bytes_max: u64,
    /// Most new sessions per second; `None` for no limit.
    pub sessions_per_second_max: Option<u32>,
    /// Whether client packets and online headers come in one total order. Where they do not, a first request may
    /// overtake the SYN-ACK that it answers.
    pub in_order: bool,
    /// How long a hole that the online server has acknowledged may still be filled. Nothing where client packets and
    /// online headers come in one total order, up to how far they may overtake each other where they do not.
    pub gap_grace: Duration,
    /// Whether a target must have answered one session before others are opened: true with the clients' own
    /// addresses, where unproven replies would reach real clients.
    pub prove_path: bool,
    /// Whether bytes leave only once the online server has acknowledged them (`--confirmed`): what a firewall on this host
    /// drops then never reaches the target.
    pub confirmed: bool,
    /// How many more bytes a target may send in a turn than the online server has sent ([`crate::limits::REPLY_SLACK`]).
    pub reply_slack: u32,
    /// Most response bytes per second that the sessions of this engine take from all targets together; `None` for no
    /// limit. Beyond it their windows stay closed.
    pub reply_bytes_per_second_max: Option<u64>,
    /// Passwords and verifiers for the logins that sessions make by themselves (`--login`).
    pub credentials: Option<Arc<Credentials>>,
    /// By what responses are compared whose flows a module reads, the same for all engines of the run; `None` where they are not.
    pub digests: Option<Arc<Digests>>,
    /// Drawn at the start of the run, the same for all its engines and for the programs: the key of the hashes by which flows
    /// have owners and places in tables ([`wire::hash`]). Whoever knows it can aim flows at one of them.
    pub hash_seed: u64,
    /// The wall clock at the engine's start, in nanoseconds since 1970: sequence numbers and timestamps derive from
    /// it, so that they exceed those of a run before.
    pub unix_nanos: u64,
}

/// Index of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u16);

/// Which flows are joined whose beginning was not copied: those that were open before the start, lost a part of theirs, or come
/// back after the idle timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// Those whose next turn stands alone (an HTTP/1 request or a memcached command), behind one that was seen to end. The
    /// connection of any other may have state that a new one has not: a login, a database that was chosen, keys.
    #[default]
    Standalone,
    /// All, at every turn boundary.
    Always,
    /// None (`-O`).
    Never,
}

/// One `-x` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The online server's address and port; address `::` for any.
    pub online: Endpoint,
    /// The target server's address and port.
    pub target: Endpoint,
    /// MTU of the route to the target at the start, in bytes.
    pub mtu: u16,
    /// Which flows are joined whose beginning was not copied.
    pub join: Join,
    /// Whether a flow whose connection the target has ended goes on, on a new one, with whatever turn comes next. Otherwise
    /// only with its first turn, or with one that stands alone: an HTTP/1 request or a memcached command. What follows a
    /// login, or a beginning of any kind, makes no sense without it.
    pub resume_anywhere: bool,
    /// The protocol module that reads its flows, if any. All rules of one service have the same.
    pub module: Option<Arc<Module>>,
}

/// Where sessions come from, as the target sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The clients' own addresses and ports.
    Clients,
    /// A reply pool.
    Pool {
        /// Ranges of addresses and ports; each target uses those of its own address family.
        ranges: Vec<PoolRange>,
        /// Ports that are not used at first although they lie in a range, because others on this host have them; see
        /// [`crate::Engine::exclude_ports`].
        excluded_ports: Vec<u16>,
    },
}

impl Source {
    /// The ports that are not used at first.
    pub(crate) fn excluded(&self) -> Arc<Ports> {
        match self {
            Self::Clients => Arc::default(),
            Self::Pool { excluded_ports, .. } => Arc::new(excluded_ports.iter().copied().collect()),
        }
    }
}
