//! Where sessions come from: the clients' own addresses, a range that was named, or one of this host's own.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use host::Route;
use session::Source;
use telemetry::Mode;
use wire::flow::{Addr, Endpoint, PoolRange};

use super::Refusal;
use super::facts::Facts;
use crate::args::{Args, PoolArg};

/// Ports of the default pool.
const DEFAULT_PORTS: RangeInclusive<u16> = 10_000..=32_767;
/// Sources towards a target on this very host: addresses for benchmarks (RFC 2544), that nobody owns.
const LOCAL_V4: (IpAddr, u8) = (IpAddr::V4(std::net::Ipv4Addr::new(198, 18, 0, 0)), 16);
/// The same for IPv6 (RFC 5180).
const LOCAL_V6: (IpAddr, u8) = (
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0)),
    112,
);

/// A pool with room for fewer flows is worth a warning where each flow takes several ports: about what a busy server has
/// open at a time.
const FLOWS_FEW: u64 = 1000;

/// Sources of probes that stand for strangers.
const STRANGER_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const STRANGER_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// A pool towards targets of one family.
#[derive(Clone, Debug)]
struct Chosen {
    pool: PoolArg,
    /// Ports of the range that are not used.
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
        match self.chosen(target) {
            Some(chosen) => format!("from {} ({} free)", chosen.pool, chosen.available()),
            None => "from the clients' own addresses".to_owned(),
        }
    }

    /// Which replies of this target are ours.
    pub(super) fn replies(&self, target: Endpoint) -> Option<(Endpoint, PoolRange)> {
        self.chosen(target.addr)
            .map(|chosen| (target, chosen.pool.range))
    }

    fn chosen(&self, target: Addr) -> Option<&Chosen> {
        self.chosen
            .iter()
            .find(|chosen| chosen.pool.is_v4() == target.is_v4())
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

pub(super) fn choose(args: &Args, facts: &Facts, mode: Mode) -> Result<Sources, Refusal> {
    for family in [true, false] {
        let mut same = args.pool.iter().filter(|pool| pool.is_v4() == family);
        if let (Some(first), Some(second)) = (same.next(), same.next()) {
            return Err(Refusal::TwoPools {
                family: family_name(family),
                first: *first,
                second: *second,
            });
        }
    }
    if mode == Mode::Assistant && args.pool.is_empty() {
        if args.copies > 1 {
            return Err(Refusal::CopiesWithoutPool {
                copies: args.copies,
            });
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
            default(rule.target, local, facts)?
        } else {
            named(rule.target, local, args, facts)?
        };
        match sources.chosen(rule.target.addr) {
            Some(other) if other.pool != chosen.pool => {
                return Err(Refusal::MixedSources {
                    first: other.target,
                    second: chosen.target,
                    first_source: other.pool,
                    second_source: chosen.pool,
                });
            }
            Some(_) => {}
            None => {
                if local {
                    sources
                        .local_routes
                        .push((chosen.pool.range.prefix.into(), chosen.pool.prefix_len));
                }
                sources.chosen.push(chosen);
            }
        }
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

/// The range of `-c` for this target's family, if it is free.
fn named(target: Endpoint, local: bool, args: &Args, facts: &Facts) -> Result<Chosen, Refusal> {
    let v4 = target.addr.is_v4();
    let Some(&pool) = args.pool.iter().find(|pool| pool.is_v4() == v4) else {
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
    };
    if pool.contains(target.addr) {
        return Err(Refusal::PoolHoldsTarget { pool, target });
    }
    let own = facts
        .addresses
        .iter()
        .map(|own| own.address)
        .find(|address| pool.contains((*address).into()));
    let ports = pool.range.port_first..=pool.range.port_last;
    if let Some(address) = own {
        if local {
            return Err(Refusal::PoolIsLocal {
                pool,
                address,
                target,
            });
        }
        let taken = facts.listening.iter().find(|socket| {
            let here = socket.ip().is_unspecified() || pool.contains(socket.ip().into());
            here && ports.contains(&socket.port())
        });
        if let Some(socket) = taken {
            return Err(Refusal::PoolPortInUse {
                pool,
                port: socket.port(),
            });
        }
        let (first, last) = (
            *ports.start().max(facts.ephemeral.start()),
            *ports.end().min(facts.ephemeral.end()),
        );
        if first <= last && !facts.are_reserved(first..=last) {
            return Err(Refusal::PoolEphemeral {
                pool,
                ephemeral: facts.ephemeral.clone(),
            });
        }
    }
    Ok(Chosen {
        pool,
        excluded: Vec::new(),
        target,
    })
}

/// The pool that is taken where none is named.
fn default(target: Endpoint, local: bool, facts: &Facts) -> Result<Chosen, Refusal> {
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
    // Addresses that nobody owns have no ephemeral ports.
    let ports = if local {
        DEFAULT_PORTS
    } else {
        outside(&DEFAULT_PORTS, &facts.ephemeral).ok_or_else(refused)?
    };
    let listening = facts.listening.iter().map(std::net::SocketAddr::port);
    let reserved = facts.reserved.iter().cloned().flatten();
    let mut excluded: Vec<u16> = if local {
        Vec::new()
    } else {
        listening.chain(reserved).collect()
    };
    excluded.retain(|port| ports.contains(port));
    excluded.sort_unstable();
    excluded.dedup();
    let pool = PoolArg::new(ip, prefix_len, *ports.start(), *ports.end()).ok_or_else(refused)?;
    Ok(Chosen {
        pool,
        excluded,
        target,
    })
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

/// How many sessions the smallest pool has room for, in words, and a warning where that is little for `-n`; `None` with
/// the clients' own addresses.
///
/// A pool without room for what was asked is refused. Others may still turn out too small: what finds no port then ends
/// as `collision`.
pub(super) fn room(
    args: &Args,
    sources: &Sources,
    workers: u32,
) -> Result<(Option<String>, Option<String>), Refusal> {
    let Some(smallest) = sources
        .chosen
        .iter()
        .min_by_key(|chosen| chosen.available())
    else {
        return Ok((None, None));
    };
    let available = smallest.available();
    let small = |what: String, needed: u64| Refusal::PoolTooSmall {
        pool: smallest.pool,
        what,
        needed,
        addresses: smallest.pool.addresses(),
        ports: u64::from(smallest.pool.range.port_last - smallest.pool.range.port_first) + 1,
        excluded: smallest.excluded.len() as u64,
        available,
    };
    // Each worker must be able to hold one flow with all its copies.
    let least = u64::from(args.copies) * u64::from(workers);
    if available < least {
        return Err(small(
            format!("-n {} with {workers} workers", args.copies),
            least,
        ));
    }
    // A port rests for a second after its session.
    if let Some(rate) = args.rate.filter(|&rate| u64::from(rate) > available) {
        return Err(small(
            format!("--rate {rate} (each rests 1 s after its session)"),
            rate.into(),
        ));
    }
    if let Some(sessions) = args.max_sessions.filter(|&s| u64::from(s) > available) {
        return Err(small(format!("--max-sessions {sessions}"), sessions.into()));
    }
    let flows = available / u64::from(args.copies);
    let room = format!(
        "the reply pool {} has {available} addresses and ports per target, about {} per worker: with {} session(s) per flow \
         that is {flows} flows at a time",
        smallest.pool,
        available / u64::from(workers),
        args.copies,
    );
    let warning = (args.copies > 1 && flows < FLOWS_FEW).then(|| {
        format!(
            "{room}; turns of further flows will end as `collision`: widen it with -c, or lower -n"
        )
    });
    Ok((Some(room), warning))
}

/// Source and target of the probes that prove the path; one answer per target is enough. All probes of a target come from
/// the same port.
///
/// With the clients' own addresses the sources are the online addresses of this host, which may lie in the clients'
/// prefix, and an address of a documentation network (RFC 5737, RFC 3849), which goes where the target sends strangers: none
/// of them hurts anybody. With a pool it is the pool's last endpoint, which sessions come to last.
pub(super) fn probes(
    args: &Args,
    facts: &Facts,
    sources: &Sources,
    online: &[String],
) -> Vec<(Endpoint, Endpoint)> {
    let mut probes: Vec<(Endpoint, Endpoint)> = Vec::new();
    for rule in &args.rules {
        let v4 = rule.target.addr.is_v4();
        if let Some(chosen) = sources.chosen(rule.target.addr) {
            probes.push((chosen.last(facts), rule.target));
            continue;
        }
        let Some(port) = free_port(facts) else {
            continue;
        };
        let on_online = |index| {
            facts
                .interfaces
                .iter()
                .any(|i| i.index == index && online.contains(&i.name))
        };
        let own = facts
            .addresses
            .iter()
            .filter(|own| on_online(own.interface_index))
            .map(|own| own.address);
        let stranger = if v4 { STRANGER_V4 } else { STRANGER_V6 };
        for address in own
            .chain([stranger])
            .filter(|address| address.is_ipv4() == v4 && !is_link_local(*address))
        {
            probes.push((Endpoint::new(address.into(), port), rule.target));
        }
    }
    probes.sort_unstable();
    probes.dedup();
    probes
}

/// A port that the kernel gives to nobody and that nobody listens on.
fn free_port(facts: &Facts) -> Option<u16> {
    let ports = outside(&(1024..=u16::MAX), &facts.ephemeral)?;
    ports
        .rev()
        .find(|port| facts.listening.iter().all(|socket| socket.port() != *port))
}

const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

const fn family_name(v4: bool) -> &'static str {
    if v4 { "IPv4" } else { "IPv6" }
}
