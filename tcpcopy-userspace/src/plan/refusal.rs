//! In which words a plan is refused: what was tried, why it fails, what to do.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use wire::flow::Endpoint;

use crate::args::{PoolArg, RuleArg};

/// Ports that are good to reserve for a pool.
pub(crate) const RESERVE: &str = "20000-29999";

/// Why there is no plan. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The host does not answer, or says no.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// Two rules for one online endpoint.
    #[error(
        "-x names the same online endpoint twice: \"{first}\" and \"{second}\"; a packet can be copied by one rule only, so \
         leave one out, give each a weight (/weight=1) to split the connections between their targets, call one of them the \
         baseline (=baseline) beside which the other is compared, or run a second tcpcopy for it \
         elsewhere"
    )]
    DuplicateRule {
        first: Box<RuleArg>,
        second: Box<RuleArg>,
    },
    /// More rules than the maps hold.
    #[error(
        "-x has {rules} entries and at most {max} are possible; use several hosts, or port-only entries"
    )]
    TooManyRules { rules: usize, max: u32 },
    /// Copies would be captured again.
    #[error(
        "\"{rule}\" is a loop: its target is what \"{online}\" captures on this host, so copies would be copied again; name \
         another target, or another address or port"
    )]
    Loop {
        rule: Box<RuleArg>,
        online: Box<RuleArg>,
    },
    /// Clients whose addresses mean another host at the target.
    #[error(
        "clients on lo ({why}) cannot be copied with their own addresses: they come from addresses of this very host, 127.0.0.1 \
         for one, to which the target would answer itself; name a reply pool (-c), or leave -s out; where clients come in by another \
         interface all the same (NAT), name that (-i)"
    )]
    LoopbackClients { why: String },
    /// lo shows this host's own packets, each way.
    #[error(
        "-i {given}: lo is neither a container's link nor a mirror port, it shows this host's own packets; name it without a \
         suffix (-i lo)"
    )]
    LoopbackVantage { given: String },
    /// A device that is two things.
    #[error(
        "-i names {name} twice, in two places: packets pass a device of this host one way, the host's end of a container's link \
         (:host) the other way, a mirror port (:mirror) both; name it once"
    )]
    TwoVantages { name: String },
    /// The kernel lacks the hook that was asked for.
    #[error(
        "--hook tcx: this kernel (Linux {release}) has no tcx hooks, which came with 6.6; leave --hook out, or say --hook clsact"
    )]
    NoTcx { release: String },
    /// A target address that does not say by which interface.
    #[error(
        "the target {target} is a link-local address, which does not say by which interface; use a global one"
    )]
    LinkLocalTarget { target: Endpoint },
    /// No route.
    #[error(
        "there is no route to the target {target}: {why}; add one (`ip route add`), or correct the address"
    )]
    NoRoute { target: IpAddr, why: String },
    /// The way out has no Ethernet.
    #[error(
        "the way to the target {target} leaves through `{interface}`, whose frames have no Ethernet header (type {kind}); this \
         is not supported yet: route the target through an Ethernet device"
    )]
    EgressNotEthernet {
        target: IpAddr,
        interface: String,
        kind: String,
    },
    /// Assistant mode makes no sense for it.
    #[error(
        "the target {target} is this very host, so its replies never pass an assistant; leave out -s for it (direct mode)"
    )]
    LocalTargetWithAssistant { target: Endpoint },
    /// While running, the target came to this host or went away from it.
    #[error(
        "the target {target} is {} than at the start, and replies to where sessions come from would not come back here; \
         start the run again, or give the address back",
        if *is_local { "this very host now, another" } else { "elsewhere now, on another host" }
    )]
    TargetMoved { target: Endpoint, is_local: bool },
    /// No interface for the online addresses.
    #[error(
        "cannot tell the online interface: no Ethernet interface that is up owns {wanted}, and there is no default route; name \
         it with -i (there are: {names})"
    )]
    NoOnlineInterface { wanted: String, names: String },
    /// The channel has no key.
    #[error(
        "the intercept at {address} is on another host ({ip}) and the channel has no key: whoever reaches it could feed us \
         replies; give both ends --key-file (`tcpcopy keygen` makes it), or say --insecure if that network is yours alone"
    )]
    Insecure { address: String, ip: IpAddr },
    /// The name of an intercept.
    #[error("cannot look up the intercept {address}: {cause}; correct -s, or give its address")]
    UnknownIntercept {
        address: String,
        cause: std::io::Error,
    },
    /// Copies that would collide.
    #[error(
        "-n {copies} opens {copies} sessions for each flow, and with the clients' own addresses they would all have the same \
         source; give them a reply pool with -c, and route it to the assistant at the target"
    )]
    CopiesWithoutPool { copies: u16 },
    /// No pool for a target's family.
    #[error(
        "the target {target} is {family}, but -c names no {family} range ({given}); add one, separated by a comma"
    )]
    NoPoolOfFamily {
        target: Endpoint,
        family: &'static str,
        given: String,
    },
    /// Two ranges that have addresses and ports in common.
    #[error(
        "-c names the same addresses and ports twice, in {first} and in {second}: leave one out"
    )]
    PoolTwice { first: PoolArg, second: PoolArg },
    /// More addresses in several ranges than are told apart.
    #[error(
        "-c names several ranges of one family with more than {most} addresses together, of which answers could not be told from \
         those to addresses between them: write one range that has them all, or fewer addresses"
    )]
    TooManyInRanges { most: u32 },
    /// Targets that need different sources.
    #[error(
        "the targets {first} and {second} need different source addresses ({first_source} and {second_source}); give one range \
         for both with -c, or run one tcpcopy for each in a network namespace of its own"
    )]
    MixedSources {
        first: Endpoint,
        second: Endpoint,
        first_source: PoolArg,
        second_source: PoolArg,
    },
    /// The kernel names no source address.
    #[error(
        "the route to {target} names no source address of this host; add an address to the interface, or say -c"
    )]
    NoSourceAddress { target: Endpoint },
    /// Somebody listens in the pool, and too little else is left of it.
    #[error(
        "the reply pool {pool} contains port {port}, where somebody listens on this host, and too few other ports are free: name \
         a wider range with -c, of which nobody uses most (`ss -tln`)"
    )]
    PoolPortInUse { pool: PoolArg, port: u16 },
    /// Somebody has a connection in the pool, or it contains an online port, and too little else is left of it.
    #[error(
        "the reply pool {pool} contains port {port}, which a connection of this host to the target has or clients are served \
         on, and too few other ports are free: name a wider range with -c"
    )]
    PoolPortTaken { pool: PoolArg, port: u16 },
    /// The pool and the kernel want the same ports.
    #[error(
        "the reply pool {pool} lies in the ports that the kernel gives to outgoing connections ({}-{}), and too few others are \
         left of it: one port would have two connections to the target; choose other ports with -c, or reserve yours: \
         sysctl -w net.ipv4.ip_local_reserved_ports={}-{}",
        ephemeral.start(), ephemeral.end(), pool.range.port_first, pool.range.port_last
    )]
    PoolEphemeral {
        pool: PoolArg,
        ephemeral: RangeInclusive<u16>,
    },
    /// No ports for the default pool.
    #[error(
        "no ports are left for the reply pool: of 10000-32767 the kernel's range for outgoing connections {}-{} leaves too few, \
         and none are reserved; reserve some, which takes them out of that range: \
         sysctl -w net.ipv4.ip_local_reserved_ports={RESERVE} (with those that stand there already), or narrow the range \
         (sysctl net.ipv4.ip_local_port_range)",
        ephemeral.start(), ephemeral.end()
    )]
    NoDefaultPool { ephemeral: RangeInclusive<u16> },
    /// More addresses of this host in pools than leases are kept for.
    #[error(
        "the reply pools contain {addresses} addresses of this host and there are {targets} targets: leases are kept for at \
         most {slots_max} pairs of them and {addresses_max} addresses; name a pool with fewer of them with -c"
    )]
    TooManyLeases {
        addresses: usize,
        targets: usize,
        slots_max: u32,
        addresses_max: u32,
    },
    /// The pool is one of this host's addresses although the target is this host.
    #[error(
        "the reply pool {pool} contains {address}, which is this host's own, and the target {target} is this very host: its \
         replies would never leave it; choose a range that nobody owns, like 198.18.0.0/16"
    )]
    PoolIsLocal {
        pool: PoolArg,
        address: IpAddr,
        target: Endpoint,
    },
    /// The target would get segments from its own address.
    #[error(
        "the reply pool {pool} contains the target {}: it drops what comes from its own address; choose a range without it",
        IpAddr::from(target.addr)
    )]
    PoolHoldsTarget { pool: PoolArg, target: Endpoint },
    /// Answers would go to whoever has the pool's addresses.
    #[error(
        "the reply pool {pool} belongs to no interface and no route of this host ({address} does not), and without -s the target's \
         replies go to whoever has its addresses: did you forget -s INTERCEPT? If the target routes the pool to this host, say \
         --pool-is-routed"
    )]
    PoolNotRouted {
        pool: PoolArg,
        address: IpAddr,
        target: Endpoint,
    },
    /// Not enough memory.
    #[error(
        "only {} MiB of memory are free here (this host's, or what the limit of its control group leaves), and {workers} worker(s) \
         need at least {} MiB; ask for fewer --workers, or leave the online server more memory to spare",
        free >> 20, needed.div_ceil(1 << 20)
    )]
    NoMemory {
        needed: u64,
        free: u64,
        workers: u32,
    },
    /// Not enough addresses and ports.
    #[error(
        "the reply pool {pool} is too small: {what} needs {needed} addresses and ports at a time, and {addresses} x {ports} \
         ports less {excluded} in use or reserved are {available}; widen it with -c, or ask for less"
    )]
    PoolTooSmall {
        pool: PoolArg,
        what: String,
        needed: u64,
        addresses: u64,
        ports: u64,
        excluded: u64,
        available: u64,
    },
}

impl Refusal {
    /// Its name in docs/doctor.md.
    pub(crate) const fn finding(&self) -> &'static str {
        match self {
            Self::Host(error) => error.finding(),
            Self::EgressNotEthernet { .. } => "not-ethernet",
            Self::NoRoute { .. } => "no-route",
            Self::NoOnlineInterface { .. } => "no-online-interface",
            Self::PoolPortInUse { .. } => "pool-port-in-use",
            Self::PoolEphemeral { .. } => "pool-ephemeral",
            Self::PoolPortTaken { .. } => "pool-port-taken",
            Self::NoDefaultPool { .. } => "no-default-pool",
            Self::NoMemory { .. } => "no-memory",
            Self::PoolTooSmall { .. } => "pool-too-small",
            Self::PoolNotRouted { .. } => "pool-not-routed",
            Self::PoolIsLocal { .. }
            | Self::PoolHoldsTarget { .. }
            | Self::TooManyLeases { .. }
            | Self::NoPoolOfFamily { .. }
            | Self::PoolTwice { .. }
            | Self::TooManyInRanges { .. }
            | Self::MixedSources { .. }
            | Self::CopiesWithoutPool { .. } => "pool-unusable",
            Self::NoSourceAddress { .. } => "no-source-address",
            Self::UnknownIntercept { .. } => "intercept-unknown",
            Self::NoTcx { .. } => "no-tcx",
            Self::Insecure { .. } => "insecure",
            Self::DuplicateRule { .. }
            | Self::TooManyRules { .. }
            | Self::Loop { .. }
            | Self::LinkLocalTarget { .. }
            | Self::LoopbackClients { .. }
            | Self::LoopbackVantage { .. }
            | Self::TwoVantages { .. }
            | Self::TargetMoved { .. }
            | Self::LocalTargetWithAssistant { .. } => "rule-unusable",
        }
    }
}
