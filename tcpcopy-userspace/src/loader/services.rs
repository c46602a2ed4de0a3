//! Which online services are captured: those that rules name, and for a rule without an address one for each address of this
//! host, as they come and go. A rule that has a protocol module has whole responses recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use abi::maps::{SERVICE_WHOLE, SERVICES_MAX};
use aya::Ebpf;
use session::Rule;
use wire::flow::{Addr, Endpoint};

use super::{Error, maps};
use crate::plan::Plan;

/// What stands in the map.
#[derive(Debug, Default)]
pub(super) struct Services {
    captured: BTreeMap<Endpoint, u32>,
}

impl Services {
    /// Captures what the rules name on a host with these addresses, and nothing else. Returns how many services the map has no
    /// room for.
    pub(super) fn set(
        &mut self,
        ebpf: &mut Ebpf,
        plan: &Plan,
        own: &[IpAddr],
    ) -> Result<usize, Error> {
        let (wanted, left_out) = wanted(plan.live_rules_with_wishes(), own);
        let captured = std::mem::take(&mut self.captured);
        // Of rules that split a service one may have a module: it reads what the service answers.
        let mut kept: BTreeMap<Endpoint, u32> = BTreeMap::new();
        for (online, wishes) in wanted {
            *kept.entry(online).or_default() |= wishes;
        }
        for online in captured.keys().filter(|it| !kept.contains_key(it)) {
            maps::remove_service(ebpf, online)?;
        }
        for (online, wishes) in kept.iter().filter(|(it, _)| !captured.contains_key(it)) {
            maps::add_service(ebpf, online, *wishes)?;
        }
        self.captured = kept;
        Ok(left_out)
    }
}

/// Each service with its `SERVICE_` bits, in the order of the rules, and how many there is no room for.
fn wanted<'a>(
    rules: impl Iterator<Item = (&'a Rule, bool)>,
    own: &[IpAddr],
) -> (Vec<(Endpoint, u32)>, usize) {
    let mut wanted = Vec::new();
    let own: BTreeSet<Addr> = own.iter().map(|own| Addr::from(*own)).collect();
    for (rule, is_whole) in rules {
        let wishes = if is_whole { SERVICE_WHOLE } else { 0 };
        if rule.online.addr == Addr::UNSPECIFIED {
            let port = rule.online.port;
            wanted.extend(own.iter().map(|own| (Endpoint::new(*own, port), wishes)));
        } else {
            wanted.push((rule.online, wishes));
        }
    }
    let left_out = wanted.len().saturating_sub(SERVICES_MAX as usize);
    wanted.truncate(SERVICES_MAX as usize);
    (wanted, left_out)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use abi::maps::{SERVICE_WHOLE, SERVICES_MAX};
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
        let rules = [
            (rule(Endpoint::new(Addr::UNSPECIFIED, 80)), true),
            (rule(named), false),
        ];
        let rules = rules.iter().map(|(rule, whole)| (rule, *whole));
        let own: Vec<IpAddr> = ["10.0.0.1", "fd00::1", "10.0.0.1"]
            .map(|ip| ip.parse().unwrap())
            .to_vec();
        let (services, left_out) = wanted(rules, &own);
        let first = Endpoint::new(own[0].into(), 80);
        let second = Endpoint::new(own[1].into(), 80);
        assert_eq!(left_out, 0);
        let whole = SERVICE_WHOLE;
        assert_eq!(services, [(first, whole), (second, whole), (named, 0)]);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let rules: Vec<Rule> = (1..=9)
            .map(|port| rule(Endpoint::new(Addr::UNSPECIFIED, port)))
            .collect();
        let own: Vec<IpAddr> = (0..1000u32)
            .map(|n| IpAddr::from(n.to_be_bytes()))
            .collect();
        let rules = rules.iter().map(|rule| (rule, false));
        let (services, left_out) = wanted(rules, &own);
        assert_eq!(
            (services.len(), left_out),
            (SERVICES_MAX as usize, 9000 - SERVICES_MAX as usize)
        );
    }
}
