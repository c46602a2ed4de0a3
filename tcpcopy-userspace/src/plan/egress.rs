//! Where copies leave: the way to each target, in the words of the programs.

use std::net::IpAddr;

use abi::maps::{EGRESS_DEVICE, EGRESS_LOCAL, EGRESS_NONE, Egress};
use host::Route;
use wire::flow::Addr;

use super::Facts;
use crate::args::Args;

/// MTU towards a target on this very host, in bytes: frames to it pass the private device, not `lo`.
const LOCAL_MTU: u32 = 1500;

/// The way to a target in the words of the `EGRESS` map.
pub(crate) fn egress_of(route: &Route) -> Egress {
    let none = Egress {
        kind: EGRESS_NONE,
        ifindex: 0,
        mtu: 0,
        gateway_family: 0,
        gateway: [0; 16],
    };
    match route {
        Route::Unreachable { .. } => none,
        Route::Local { .. } => Egress {
            kind: EGRESS_LOCAL,
            mtu: LOCAL_MTU,
            ..none
        },
        Route::Device {
            index,
            next_hop,
            mtu,
            ..
        } => Egress {
            kind: EGRESS_DEVICE,
            ifindex: *index,
            mtu: *mtu,
            gateway_family: next_hop.map_or(0, |hop| if hop.is_ipv4() { 4 } else { 6 }),
            gateway: next_hop.map_or([0; 16], |hop| *Addr::from(hop).octets()),
        },
    }
}

/// The MTU that the engine is told; `None` where there is no way.
pub(crate) fn mtu_in(egress: &Egress) -> Option<u16> {
    (egress.kind != EGRESS_NONE).then(|| u16::try_from(egress.mtu).unwrap_or(u16::MAX))
}

/// The way to each distinct target, where there is one.
pub(super) fn to_targets(args: &Args, facts: &Facts) -> Vec<(IpAddr, Egress)> {
    let mut egress: Vec<(IpAddr, Egress)> = Vec::new();
    for rule in &args.rules {
        let target = IpAddr::from(rule.target.addr);
        if !egress.iter().any(|(known, _)| *known == target)
            && let Some(route) = facts.route(target)
        {
            egress.push((target, egress_of(route)));
        }
    }
    egress
}

/// The MTU towards a target, in bytes.
pub(super) fn mtu_of(egress: &[(IpAddr, Egress)], target: Addr) -> u16 {
    let target = IpAddr::from(target);
    let found = egress.iter().find(|(known, _)| *known == target);
    // 1280 is what every link carries (RFC 8200 section 5).
    found.and_then(|(_, egress)| mtu_in(egress)).unwrap_or(1280)
}
