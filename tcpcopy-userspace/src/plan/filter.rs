//! Which packets of the targets `capture` takes for replies, in the words of the programs' maps.
//!
//! A pool on an address of this host shares it with others: there a reply is what goes to a port that a session has leased.
//! Each target has a slot of leases for each such address. A pool on addresses that nobody else has needs none.

use std::collections::BTreeMap;
use std::net::IpAddr;

use abi::maps::{
    LEASE_SLOTS_MAX, POOL_ADDRESSES_MAX, POOL_ALONE, POOL_LISTED, POOL_MIXED, POOL_OWN, Replies,
};
use wire::flow::{Addr, Endpoint, FlowKey, PoolRange};

use super::Refusal;
use super::pool::several;

/// Bits of a slot of leases.
const PORTS: u32 = 65_536;

/// What of the targets' packets is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Each target with the pool towards it.
    pub(crate) replies: Vec<(Endpoint, Replies)>,
    /// Addresses of this host in pools of several addresses, and the slot of each after the target's first one.
    pub(crate) addresses: BTreeMap<Addr, u32>,
    /// How many slots there are.
    pub(crate) slots: u32,
    /// What is leased from the beginning to the end: from source to target.
    pub(crate) leased: Vec<FlowKey>,
}

impl Filter {
    /// For sessions from pools to targets; with each target its ranges, and which addresses of each are this host's own.
    ///
    /// Several ranges are one for the programs, which contains more than they do: there what goes to a leased port is a reply
    /// and nothing else is, whosoever the addresses are.
    ///
    /// # Errors
    ///
    /// Where there are more than the maps hold.
    pub(crate) fn new<'a>(
        targets: impl Iterator<Item = (Endpoint, Vec<(PoolRange, &'a [IpAddr])>)>,
    ) -> Result<Self, Refusal> {
        let mut filter = Self::default();
        for (target, ranges) in targets {
            if filter.replies.iter().any(|(known, _)| *known == target) {
                continue;
            }
            let (kind, pool, leased) = match ranges.as_slice() {
                [(pool, [])] => (POOL_ALONE, *pool, Vec::new()),
                [(pool, own)] if *pool.mask.octets() == [0xff; 16] => {
                    (POOL_OWN, *pool, own.to_vec())
                }
                [(pool, own)] => (POOL_MIXED, *pool, own.to_vec()),
                _ => {
                    let ranges: Vec<_> = ranges.iter().map(|(range, _)| *range).collect();
                    let Some(pool) = several::cover(&ranges) else {
                        continue;
                    };
                    let all = several::addresses(&ranges, POOL_ADDRESSES_MAX as usize);
                    if all.len() > POOL_ADDRESSES_MAX as usize {
                        return Err(Refusal::TooManyInRanges {
                            most: POOL_ADDRESSES_MAX,
                        });
                    }
                    (POOL_LISTED, pool, all)
                }
            };
            let slot = filter.slots;
            if kind == POOL_MIXED || kind == POOL_LISTED {
                for (offset, address) in (0..).zip(&leased) {
                    filter.addresses.insert((*address).into(), offset);
                }
            }
            filter.slots = filter.slots.saturating_add(leased.len() as u32);
            let replies = Replies {
                pool,
                kind,
                slot,
                whole: 0,
            };
            filter.replies.push((target, replies));
        }
        filter.fits().then_some(()).ok_or(Refusal::TooManyLeases {
            addresses: filter.addresses.len(),
            targets: filter.replies.len(),
            slots_max: LEASE_SLOTS_MAX,
            addresses_max: POOL_ADDRESSES_MAX,
        })?;
        Ok(filter)
    }

    /// For probes alone, each from its source to its target: what goes to other addresses or ports is none. Probes that the
    /// maps have no room for are not heard.
    pub(crate) fn of_probes(probes: &[(Endpoint, Endpoint)]) -> Self {
        let mut filter = Self::default();
        for (source, _) in probes {
            let offset = filter.addresses.len() as u32;
            if offset < POOL_ADDRESSES_MAX {
                filter.addresses.entry(source.addr).or_insert(offset);
            }
        }
        let each = filter.addresses.len() as u32;
        for (source, target) in probes {
            let room = filter.slots + each <= LEASE_SLOTS_MAX;
            if room && filter.replies.iter().all(|(known, _)| known != target) {
                let pool = PoolRange {
                    prefix: Addr::UNSPECIFIED,
                    mask: Addr::UNSPECIFIED,
                    port_first: source.port,
                    port_last: source.port,
                };
                let replies = Replies {
                    pool,
                    kind: POOL_LISTED,
                    slot: filter.slots,
                    whole: 0,
                };
                filter.replies.push((*target, replies));
                filter.slots += each;
            }
            filter.leased.push(FlowKey {
                client: *source,
                server: *target,
            });
        }
        filter
    }

    /// The bit of a lease among those of all slots; `None` where the source needs none.
    pub(crate) fn bit(&self, flow: &FlowKey) -> Option<u32> {
        let replies = self
            .replies
            .iter()
            .find(|(target, _)| *target == flow.server);
        let (_, replies) = replies?;
        let offset = match replies.kind {
            POOL_ALONE => return None,
            POOL_OWN => 0,
            _ => *self.addresses.get(&flow.client.addr)?,
        };
        Some((replies.slot + offset) * PORTS + u32::from(flow.client.port))
    }

    fn fits(&self) -> bool {
        self.slots <= LEASE_SLOTS_MAX && self.addresses.len() <= POOL_ADDRESSES_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use wire::flow::{Endpoint, FlowKey};

    use super::Filter;
    use crate::args::PoolArg;

    fn endpoint(text: &str) -> Endpoint {
        text.parse::<std::net::SocketAddr>().unwrap().into()
    }

    fn flow(client: &str, server: &str) -> FlowKey {
        FlowKey {
            client: endpoint(client),
            server: endpoint(server),
        }
    }

    #[test]
    fn every_target_and_own_address_has_a_slot() {
        let pool = |text: &str| text.parse::<PoolArg>().unwrap().range;
        let own: Vec<IpAddr> = ["10.7.0.3", "10.7.0.9"]
            .map(|ip| ip.parse().unwrap())
            .to_vec();
        let one = [IpAddr::from([10, 0, 0, 1])];
        let targets = [
            (
                endpoint("10.1.0.9:80"),
                pool("10.0.0.1:1000-2000"),
                &one[..],
            ),
            (endpoint("10.1.0.9:81"), pool("10.7.0.0/24"), &own[..]),
            (endpoint("10.1.0.8:80"), pool("10.8.0.0/24"), &[][..]),
            (endpoint("10.1.0.7:80"), pool("10.7.0.0/24"), &own[..]),
        ];
        let targets = targets.map(|(target, pool, own)| (target, vec![(pool, own)]));
        let filter = Filter::new(targets.into_iter()).unwrap();
        assert_eq!(filter.slots, 5);
        for (client, server, bit) in [
            ("10.0.0.1:1000", "10.1.0.9:80", Some(1000)),
            ("10.7.0.3:5", "10.1.0.9:81", Some(65_536 + 5)),
            ("10.7.0.9:5", "10.1.0.9:81", Some(2 * 65_536 + 5)),
            ("10.7.0.4:5", "10.1.0.9:81", None),
            ("10.8.0.4:5", "10.1.0.8:80", None),
            ("10.7.0.9:5", "10.1.0.7:80", Some(4 * 65_536 + 5)),
            ("10.7.0.9:5", "10.1.0.7:81", None),
        ] {
            assert_eq!(filter.bit(&flow(client, server)), bit, "{client} {server}");
        }
    }

    /// Between 10.0.0.4 and 10.0.0.7 lie addresses of others: what goes there is no reply.
    #[test]
    fn several_ranges_have_leases_for_each_of_their_addresses() {
        let pool = |text: &str| text.parse::<PoolArg>().unwrap().range;
        let own = [IpAddr::from([10, 0, 0, 4])];
        let ranges = vec![(pool("10.0.0.4"), &own[..]), (pool("10.0.0.7"), &[][..])];
        let filter = Filter::new([(endpoint("10.1.0.9:80"), ranges)].into_iter()).unwrap();
        assert_eq!(filter.replies[0].1.kind, abi::maps::POOL_LISTED);
        for (client, bit) in [
            ("10.0.0.4:2000", Some(2000)),
            ("10.0.0.7:2000", Some(65_536 + 2000)),
            ("10.0.0.5:2000", None),
        ] {
            assert_eq!(filter.bit(&flow(client, "10.1.0.9:80")), bit, "{client}");
        }
        let many = vec![(pool("10.7.0.x"), &[][..]), (pool("10.7.1.1"), &[][..])];
        let refused = Filter::new([(endpoint("10.1.0.9:80"), many)].into_iter()).unwrap_err();
        assert!(
            refused.to_string().contains("more than 64 addresses"),
            "{refused}"
        );
    }

    #[test]
    fn probes_are_heard_at_their_own_sources() {
        let probes = [
            ("10.0.0.1:99", "10.1.0.9:80"),
            ("192.0.2.1:99", "10.1.0.9:80"),
            ("10.0.0.1:99", "10.1.0.8:80"),
        ];
        let probes = probes.map(|(source, target)| (endpoint(source), endpoint(target)));
        let filter = Filter::of_probes(&probes);
        assert_eq!((filter.replies.len(), filter.slots), (2, 4));
        let mut bits: Vec<_> = filter.leased.iter().map(|flow| filter.bit(flow)).collect();
        bits.sort_unstable();
        bits.dedup();
        assert_eq!(bits.len(), 3);
        assert_eq!(filter.bit(&flow("10.0.0.2:99", "10.1.0.9:80")), None);
    }
}
