//! Which online services are captured: those that rules name, and for a rule without an address one for each address of this
//! host, as they come and go.

use std::collections::BTreeSet;
use std::net::IpAddr;

use abi::maps::SERVICES_MAX;
use aya::Ebpf;
use session::Rule;
use wire::flow::{Addr, Endpoint};

use super::{Error, maps};

/// What stands in the map.
#[derive(Debug, Default)]
pub(super) struct Services {
    captured: BTreeSet<Endpoint>,
}

impl Services {
    /// Captures what the rules name on a host with these addresses, and nothing else. Returns how many services the map has no
    /// room for.
    pub(super) fn set(
        &mut self,
        ebpf: &mut Ebpf,
        rules: &[Rule],
        own: &[IpAddr],
    ) -> Result<usize, Error> {
        let (wanted, left_out) = wanted(rules, own);
        let captured = std::mem::take(&mut self.captured);
        let kept: BTreeSet<Endpoint> = wanted.iter().copied().collect();
        for online in captured.difference(&kept) {
            maps::remove_service(ebpf, online)?;
        }
        for online in kept.difference(&captured) {
            maps::add_service(ebpf, online)?;
        }
        self.captured = kept;
        Ok(left_out)
    }
}

/// Each service, in the order of the rules, and how many there is no room for.
fn wanted(rules: &[Rule], own: &[IpAddr]) -> (Vec<Endpoint>, usize) {
    let mut wanted = Vec::new();
    let own: BTreeSet<Addr> = own.iter().map(|own| Addr::from(*own)).collect();
    for rule in rules {
        if rule.online.addr == Addr::UNSPECIFIED {
            wanted.extend(own.iter().map(|own| Endpoint::new(*own, rule.online.port)));
        } else {
            wanted.push(rule.online);
        }
    }
    let left_out = wanted.len().saturating_sub(SERVICES_MAX as usize);
    wanted.truncate(SERVICES_MAX as usize);
    (wanted, left_out)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use abi::maps::SERVICES_MAX;
    use session::Rule;
    use wire::flow::{Addr, Endpoint};

    use super::wanted;

    fn rule(online: Endpoint) -> Rule {
        Rule {
            online,
            target: Endpoint::new(Addr::v4([10, 1, 0, 9]), 80),
            mtu: 1500,
            join: session::Join::Always,
            resume_anywhere: false,
            module: None,
        }
    }

    #[test]
    fn a_rule_without_an_address_means_each_of_this_hosts() {
        let named = Endpoint::new(Addr::v4([10, 9, 9, 9]), 81);
        let rules = [rule(Endpoint::new(Addr::UNSPECIFIED, 80)), rule(named)];
        let own: Vec<IpAddr> = ["10.0.0.1", "fd00::1", "10.0.0.1"]
            .map(|ip| ip.parse().unwrap())
            .to_vec();
        let (services, left_out) = wanted(&rules, &own);
        let first = Endpoint::new(own[0].into(), 80);
        let second = Endpoint::new(own[1].into(), 80);
        assert_eq!(left_out, 0);
        assert_eq!(services, [first, second, named]);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let rules: Vec<Rule> = (1..=9)
            .map(|port| rule(Endpoint::new(Addr::UNSPECIFIED, port)))
            .collect();
        let own: Vec<IpAddr> = (0..1000u32)
            .map(|n| IpAddr::from(n.to_be_bytes()))
            .collect();
        let (services, left_out) = wanted(&rules, &own);
        assert_eq!(
            (services.len(), left_out),
            (SERVICES_MAX as usize, 9000 - SERVICES_MAX as usize)
        );
    }
}
