//! The pool hands out what belongs to it, to one owner, once, and the oldest first.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use wire::flow::{Addr, Endpoint, PoolRange};
use wire::hash::EndpointHash;
use wire::seq::LocalSeq;

use crate::pool::Pool;

/// Ranges that do not overlap: their ports do not.
fn ranges() -> impl Strategy<Value = Vec<PoolRange>> {
    vec((any::<u8>(), 0..3u8, 0..12u16, any::<bool>()), 1..4).prop_map(|ranges| {
        let range = |(number, (last, bits, ports, v6)): (u16, (u8, u8, u16, bool))| {
            let outside = (1 << bits) - 1;
            let mut prefix = if v6 {
                [0xfd; 16]
            } else {
                *Addr::v4([198, 18, 0, 0]).octets()
            };
            prefix[15] = last & !outside;
            let mut mask = [255; 16];
            mask[15] = !outside;
            PoolRange {
                prefix: Addr::v6(prefix),
                mask: Addr::v6(mask),
                port_first: 1000 * (number + 1),
                port_last: 1000 * (number + 1) + ports,
            }
        };
        (0u16..).zip(ranges).map(range).collect()
    })
}

/// Everything in the ranges that is of the family and not excluded.
fn members(ranges: &[PoolRange], excluded: &[u16], v4: bool) -> HashSet<Endpoint> {
    let mut members = HashSet::new();
    for range in ranges.iter().filter(|range| range.prefix.is_v4() == v4) {
        for last in 0..=255u8 {
            let mut addr = *range.prefix.octets();
            addr[15] = last;
            let ports =
                (range.port_first..=range.port_last).filter(|port| !excluded.contains(port));
            members.extend(
                ports
                    .map(|port| Endpoint::new(Addr::v6(addr), port))
                    .filter(|endpoint| range.contains(endpoint)),
            );
        }
    }
    members
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_oldest_free_endpoint_of_the_owner_is_handed_out(
        ranges in ranges(),
        excluded in vec((1..4u16, 0..12u16).prop_map(|(range, port)| 1000 * range + port), 0..6),
        v4 in any::<bool>(),
        workers in 1..4u32,
        seed in any::<u64>(),
        // Whether to give back, and which of those that are out.
        steps in vec((any::<bool>(), any::<usize>()), 0..200),
    ) {
        let target = if v4 { Addr::v4([10, 0, 0, 2]) } else { Addr::v6([0xfe; 16]) };
        let owners = EndpointHash::new(seed);
        let members = members(&ranges, &excluded, v4);
        for worker in 0..workers {
            let mut pool = Pool::new(
                &ranges,
                Arc::new(excluded.iter().copied().collect()),
                &target,
                worker,
                workers,
                owners,
            );
            let mut fresh: HashSet<Endpoint> = members
                .iter()
                .copied()
                .filter(|endpoint| owners.owner(endpoint, workers) == worker)
                .collect();
            let mut out: Vec<Endpoint> = Vec::new();
            let mut freed: VecDeque<(Endpoint, LocalSeq)> = VecDeque::new();
            for (number, &(back, which)) in (0u32..).zip(&steps) {
                if back && !out.is_empty() {
                    let endpoint = out.swap_remove(which % out.len());
                    pool.free(endpoint, LocalSeq::new(number));
                    freed.push_back((endpoint, LocalSeq::new(number)));
                    continue;
                }
                let Some(lease) = pool.allocate() else {
                    prop_assert!(fresh.is_empty() && freed.is_empty());
                    continue;
                };
                // What was never used has been free for longest.
                if fresh.remove(&lease.endpoint) {
                    prop_assert_eq!(lease.last_seq, None);
                } else {
                    prop_assert!(fresh.is_empty());
                    prop_assert_eq!(freed.pop_front().map(|(e, s)| (e, Some(s))), Some((lease.endpoint, lease.last_seq)));
                }
                out.push(lease.endpoint);
            }
        }
    }
}
