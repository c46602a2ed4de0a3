//! Where the probes that prove the path come from.

use std::net::IpAddr;

use wire::flow::Endpoint;

use super::{Sources, outside};
use crate::args::Args;
use crate::plan::facts::Facts;

/// Sources of probes that stand for strangers.
const STRANGER_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const STRANGER_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// Source and target of the probes that prove the path; one answer per target is enough. All probes of a target come from
/// the same port.
///
/// With the clients' own addresses the sources are the online addresses of this host, which may lie in the clients'
/// prefix, and an address of a documentation network (RFC 5737, RFC 3849), which goes where the target sends strangers: none
/// of them hurts anybody. With a pool it is the pool's last endpoint, which sessions come to last.
pub(in crate::plan) fn probes(
    args: &Args,
    facts: &Facts,
    sources: &Sources,
    online: &[String],
) -> Vec<(Endpoint, Endpoint)> {
    let mut probes: Vec<(Endpoint, Endpoint)> = Vec::new();
    for rule in &args.rules {
        let v4 = rule.target.addr.is_v4();
        let mut pools = sources.of(v4);
        if let Some(first) = pools.next() {
            let last = first.last(facts);
            probes.push((last, rule.target));
            // Of further ranges those that have the same port.
            let last_of =
                |chosen: &super::Chosen| Endpoint::new(chosen.last(facts).addr, last.port);
            let further = pools.map(last_of).filter(|further| {
                sources
                    .of(v4)
                    .any(|chosen| chosen.pool.range.contains(further))
            });
            probes.extend(further.map(|further| (further, rule.target)));
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
