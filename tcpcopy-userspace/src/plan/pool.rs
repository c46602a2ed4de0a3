//! Where sessions come from: the clients' own addresses, a range that was named, or one of this host's own.
//!
//! | module | holds |
//! |---|---|
//! | [`home`] | whether the addresses of a pool are this host's |
//! | [`room`] | how many sessions a pool has room for |
//! | [`probes`] | where the probes of the path come from |
//! | [`several`] | several ranges of one family |

pub(super) mod home;
pub(super) mod probes;
pub(super) mod room;
pub(super) mod several;

use std::net::IpAddr;
use std::ops::RangeInclusive;

use host::Route;
use session::Source;
use telemetry::Mode;
use wire::flow::{Addr, Endpoint, PoolRange};

use super::Refusal;
use super::exclusions::{Exclusions, Guarded, POOL_PORTS_MIN, Why};
use super::facts::Facts;
use crate::args::{Args, PORT_FIRST, PoolArg};
use crate::dials::Dials;

/// Ports of the default pool; where too few of them are left, reserved ones (`ip_local_reserved_ports`) that nobody uses.
const DEFAULT_PORTS: RangeInclusive<u16> = 10_000..=32_767;
/// Sources towards a target on this very host: addresses for benchmarks (RFC 2544), that nobody owns.
const LOCAL_V4: (IpAddr, u8) = (IpAddr::V4(std::net::Ipv4Addr::new(198, 18, 0, 0)), 16);
/// The same for IPv6 (RFC 5180).
const LOCAL_V6: (IpAddr, u8) = (
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0)),
    112,
);

/// A pool towards targets of one family.
#[derive(Clone, Debug)]
struct Chosen {
    pool: PoolArg,
    /// What is asked of its ports, now and while the run goes on.
    guarded: Guarded,
    /// Ports of the range that are not used at first.
    excluded: Vec<u16>,
    /// The target that it was first chosen for.
    target: Endpoint,
}

/// Sources for all targets.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) source: Source,
    /// Ranges that have to be routed to the private device.
    pub(super) local_routes: Vec<(IpAddr, u8)>,
    chosen: Vec<Chosen>,
}

impl Sources {
    /// Where sessions to this target come from, in words.
    pub(super) fn words(&self, target: Addr) -> String {
        let available: u64 = self.of(target.is_v4()).map(Chosen::available).sum();
        match several::words(self.of(target.is_v4())) {
            Some(pools) => format!("from {pools} ({available} free)"),
            None => "from the clients' own addresses".to_owned(),
        }
    }

    /// The ranges towards this target, and which of the addresses of each are this host's own.
    pub(super) fn ranges(&self, target: Addr) -> Vec<(PoolRange, &[IpAddr])> {
        self.of(target.is_v4())
            .map(|chosen| (chosen.pool.range, &chosen.guarded.own[..]))
            .collect()
    }

    /// What the user should know of pools that others on this host have a part of.
    pub(super) fn notes(&self, facts: &Facts) -> Vec<String> {
        let ephemeral = |chosen: &Chosen| {
            let in_range = chosen
                .excluded
                .iter()
                .filter(|port| facts.ephemeral.contains(port));
            (chosen.guarded.takes_reserved, chosen.pool, in_range.count())
        };
        let kept = self.chosen.iter().map(ephemeral);
        let tracked = facts.tracked.filter(|_| !self.local_routes.is_empty());
        let tracked = tracked.map(|tracked| {
            format!(
                "each session with a target on this host takes an entry in its table of tracked connections ({} of {} are taken); \
                 to spare it: iptables -t raw -A PREROUTING -i tcpcopy0 -j CT --notrack; iptables -t raw -A OUTPUT -o tcpcopy0 \
                 -j CT --notrack",
                tracked.count, tracked.max
            )
        });
        let kept = kept.filter(|(named, _, count)| *named && *count > 0)
            .map(|(_, pool, count)| {
                format!(
                    "{count} ports of the reply pool {pool} are left to the kernel, which may give them to outgoing connections; \
                     to have them too, reserve them: sysctl -w net.ipv4.ip_local_reserved_ports={}-{}",
                    pool.range.port_first, pool.range.port_last
                )
            });
        kept.chain(tracked).collect()
    }

    /// Adds the ranges towards a target, unless they are known; all targets of a family have the same.
    fn add(&mut self, chosen: Vec<Chosen>, is_local: bool) -> Result<(), Refusal> {
        let Some(first) = chosen.first() else {
            return Ok(());
        };
        if let Some(other) = self.of(first.pool.is_v4()).next() {
            return if other.pool == first.pool {
                Ok(())
            } else {
                Err(Refusal::MixedSources {
                    first: other.target,
                    second: first.target,
                    first_source: other.pool,
                    second_source: first.pool,
                })
            };
        }
        if is_local {
            let network =
                |chosen: &Chosen| (chosen.pool.range.prefix.into(), chosen.pool.prefix_len);
            self.local_routes.extend(chosen.iter().map(network));
        }
        self.chosen.extend(chosen);
        Ok(())
    }

    /// What is to be asked of all ports while the run goes on.
    pub(super) fn exclusions(&self, args: &Args) -> Exclusions {
        let own = self.chosen.iter().map(|chosen| &chosen.guarded);
        Exclusions {
            pools: own.filter(|pool| !pool.own.is_empty()).cloned().collect(),
            online_ports: online_ports(args),
        }
    }

    /// All of a family.
    fn of(&self, is_v4: bool) -> impl Iterator<Item = &Chosen> {
        let same = move |chosen: &&Chosen| chosen.pool.is_v4() == is_v4;
        self.chosen.iter().filter(same)
    }
}

impl Chosen {
    /// The last endpoint, of those whose port nobody on this host has anything to do with where there are such.
    fn last(&self, facts: &Facts) -> Endpoint {
        let range = &self.pool.range;
        let (prefix, mask) = (range.prefix.octets(), range.mask.octets());
        let mut last = [0; 16];
        for ((to, prefix), mask) in last.iter_mut().zip(prefix).zip(mask) {
            *to = prefix | !mask;
        }
        let is_free = |port: &u16| {
            !self.excluded.contains(port)
                && !facts.ephemeral.contains(port)
                && facts.listening.iter().all(|socket| socket.port() != *port)
        };
        let ports = range.port_first..=range.port_last;
        let port = ports.rev().find(is_free).unwrap_or(range.port_last);
        Endpoint::new(Addr::v6(last), port)
    }

    fn available(&self) -> u64 {
        self.pool.len()
            - self
                .pool
                .addresses()
                .saturating_mul(self.excluded.len() as u64)
                .min(self.pool.len())
    }
}

/// Chooses where sessions come from, target by target.
pub(super) fn choose(args: &Args, facts: &Facts, mode: Mode) -> Result<Sources, Refusal> {
    several::none_twice(args)?;
    if mode == Mode::Assistant && args.pool.is_empty() {
        let copies = Dials::new(args).copies_max();
        if copies > 1 {
            return Err(Refusal::CopiesWithoutPool { copies });
        }
        return Ok(Sources {
            source: Source::Clients,
            local_routes: Vec::new(),
            chosen: Vec::new(),
        });
    }
    let mut sources = Sources {
        source: Source::Pool {
            ranges: Vec::new(),
            excluded_ports: Vec::new(),
        },
        local_routes: Vec::new(),
        chosen: Vec::new(),
    };
    for rule in &args.rules {
        let local = matches!(
            facts.route(rule.target.addr.into()),
            Some(Route::Local { .. })
        );
        let chosen = if args.pool.is_empty() {
            vec![default(rule.target, local, args, facts)?]
        } else {
            let chosen = named(rule.target, local, args, facts)?;
            home::require(rule.target, local, mode, args, facts)?;
            chosen
        };
        sources.add(chosen, local)?;
    }
    let mut excluded_ports: Vec<u16> = sources
        .chosen
        .iter()
        .flat_map(|chosen| chosen.excluded.clone())
        .collect();
    excluded_ports.sort_unstable();
    excluded_ports.dedup();
    sources.source = Source::Pool {
        ranges: sources.chosen.iter().map(|c| c.pool.range).collect(),
        excluded_ports,
    };
    Ok(sources)
}

/// The ranges of `-c` for this target's family, if they are free.
fn named(
    target: Endpoint,
    local: bool,
    args: &Args,
    facts: &Facts,
) -> Result<Vec<Chosen>, Refusal> {
    let v4 = target.addr.is_v4();
    let pools = args.pool.iter().filter(|pool| pool.is_v4() == v4);
    let chosen: Vec<_> = pools
        .map(|pool| range(*pool, target, local, args, facts))
        .collect::<Result<_, _>>()?;
    if chosen.is_empty() {
        let given = args
            .pool
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Refusal::NoPoolOfFamily {
            target,
            family: family_name(v4),
            given,
        });
    }
    Ok(chosen)
}

/// A range of `-c` towards a target, if it is free.
fn range(
    pool: PoolArg,
    target: Endpoint,
    local: bool,
    args: &Args,
    facts: &Facts,
) -> Result<Chosen, Refusal> {
    if pool.contains(target.addr) {
        return Err(Refusal::PoolHoldsTarget { pool, target });
    }
    let own = own_addresses(&pool, facts);
    if let (Some(&address), true) = (own.first(), local) {
        return Err(Refusal::PoolIsLocal {
            pool,
            address,
            target,
        });
    }
    // Whoever names a pool has reserved its ports for us, if anybody has.
    let guarded = Guarded {
        pool,
        own,
        takes_reserved: true,
    };
    let excluded = guarded.excluded(&facts.taken(), &online_ports(args));
    if guarded.is_too_small(&excluded) {
        return Err(too_small(pool, &excluded, facts));
    }
    Ok(Chosen {
        pool,
        excluded: ports_of(&excluded),
        guarded,
        target,
    })
}

/// Why so few ports of a named pool are left.
fn too_small(pool: PoolArg, excluded: &[(u16, Why)], facts: &Facts) -> Refusal {
    let first = |why| excluded.iter().find(|(_, w)| *w == why);
    if first(Why::Ephemeral).is_some() {
        let ephemeral = facts.ephemeral.clone();
        return Refusal::PoolEphemeral { pool, ephemeral };
    }
    if let Some(&(port, _)) = first(Why::Listening) {
        return Refusal::PoolPortInUse { pool, port };
    }
    let port = excluded.first().map_or(0, |(port, _)| *port);
    Refusal::PoolPortTaken { pool, port }
}

/// The pool that is taken where none is named.
fn default(target: Endpoint, local: bool, args: &Args, facts: &Facts) -> Result<Chosen, Refusal> {
    let whole = if target.addr.is_v4() { 32 } else { 128 };
    let (ip, prefix_len) = match facts.route(target.addr.into()) {
        _ if local && target.addr.is_v4() => LOCAL_V4,
        _ if local => LOCAL_V6,
        Some(route) => (
            route.source().ok_or(Refusal::NoSourceAddress { target })?,
            whole,
        ),
        None => return Err(Refusal::NoSourceAddress { target }),
    };
    let refused = || Refusal::NoDefaultPool {
        ephemeral: facts.ephemeral.clone(),
    };
    let chosen = |ports: &RangeInclusive<u16>, takes_reserved| {
        let pool = PoolArg::new(ip, prefix_len, *ports.start(), *ports.end())?;
        let guarded = Guarded {
            pool,
            // Addresses that nobody owns have no ephemeral ports.
            own: if local { Vec::new() } else { vec![ip] },
            takes_reserved,
        };
        let excluded = guarded.excluded(&facts.taken(), &online_ports(args));
        (!guarded.is_too_small(&excluded)).then(|| Chosen {
            pool,
            excluded: ports_of(&excluded),
            guarded,
            target,
        })
    };
    if local {
        return chosen(&DEFAULT_PORTS, false).ok_or_else(refused);
    }
    let usual = outside(&DEFAULT_PORTS, &facts.ephemeral)
        .filter(|ports| ports.len() as u64 >= POOL_PORTS_MIN)
        .and_then(|ports| chosen(&ports, false));
    let reserved = || all_reserved(facts).and_then(|ports| chosen(&ports, true));
    usual.or_else(reserved).ok_or_else(refused)
}

/// From the first reserved port to the last, of those that an ordinary process may bind. What lies between and is neither
/// reserved nor ephemeral may be used as well.
fn all_reserved(facts: &Facts) -> Option<RangeInclusive<u16>> {
    let first = facts.reserved.iter().map(|range| *range.start()).min()?;
    let last = facts.reserved.iter().map(|range| *range.end()).max()?;
    let ports = first.max(PORT_FIRST)..=last;
    (ports.len() as u64 >= POOL_PORTS_MIN).then_some(ports)
}

/// The addresses of this host that lie in a pool.
fn own_addresses(pool: &PoolArg, facts: &Facts) -> Vec<IpAddr> {
    let all = facts.addresses.iter().map(|own| own.address);
    let mut own: Vec<IpAddr> = all
        .filter(|address| pool.contains((*address).into()))
        .collect();
    own.sort_unstable();
    own.dedup();
    own
}

fn ports_of(excluded: &[(u16, Why)]) -> Vec<u16> {
    excluded.iter().map(|(port, _)| *port).collect()
}

fn online_ports(args: &Args) -> Vec<u16> {
    args.rules.iter().map(|rule| rule.online.port).collect()
}

/// The longer of the two parts of `wanted` that lie outside `taken`.
fn outside(
    wanted: &RangeInclusive<u16>,
    taken: &RangeInclusive<u16>,
) -> Option<RangeInclusive<u16>> {
    let below = *wanted.start()..=(*wanted.end()).min(taken.start().saturating_sub(1));
    let above = (*wanted.start()).max(taken.end().saturating_add(1))..=*wanted.end();
    let above = if *taken.end() == u16::MAX {
        None
    } else {
        Some(above)
    };
    [Some(below), above]
        .into_iter()
        .flatten()
        .filter(|range| !range.is_empty())
        .max_by_key(ExactSizeIterator::len)
}

const fn family_name(v4: bool) -> &'static str {
    if v4 { "IPv4" } else { "IPv6" }
}
