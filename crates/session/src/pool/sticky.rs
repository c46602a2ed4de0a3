//! A pool in which all sessions of a client address come from one address, as long as that has a port left: for targets that know their
//! clients by address.
//!
//! Which one that is follows from the client's address and the run's key. Each address of the pool is a small pool of its own, made when
//! the first client comes to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::flow::{Addr, Endpoint, PoolRange};
use wire::hash::EndpointHash;

use super::{Lease, Pool};
use crate::limits::STICKY_TRIES_MAX;
use crate::ports::Ports;

/// The addresses of a pool.
#[derive(Debug)]
pub(super) struct Sticky {
    ranges: Vec<PoolRange>,
    /// How many addresses there are, at most as many as a number of 32 bits holds.
    count: u32,
    /// Those that a client came to, by their number.
    by_address: BTreeMap<u32, Pool>,
    excluded: Arc<Ports>,
    worker: u32,
    workers: u32,
    owners: EndpointHash,
}

impl Sticky {
    pub(super) fn new(pool: &Pool) -> Self {
        let count = pool
            .ranges
            .iter()
            .map(addresses_of)
            .fold(0, u128::saturating_add);
        Self {
            ranges: pool.ranges.clone(),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            by_address: BTreeMap::new(),
            excluded: Arc::clone(&pool.excluded),
            worker: pool.worker,
            workers: pool.workers,
            owners: pool.owners,
        }
    }

    /// An endpoint for a session of this client, and whether it is of another address than the client's other sessions have.
    pub(super) fn allocate(&mut self, client: &Addr) -> Option<(Lease, bool)> {
        if self.count == 0 {
            return None;
        }
        // A share of all addresses, as of workers: clients cannot choose it, for they do not know the key.
        let own = self.owners.owner(&Endpoint::new(*client, 0), self.count);
        for step in 0..STICKY_TRIES_MAX.min(self.count) {
            let number = (u64::from(own) + u64::from(step)) % u64::from(self.count);
            let lease = self.pool(number as u32)?.allocate();
            if let Some(lease) = lease {
                return Some((lease, step > 0));
            }
        }
        None
    }

    pub(super) fn free(&mut self, lease: Lease) {
        let pool = self
            .number_of(&lease.endpoint)
            .and_then(|it| self.by_address.get_mut(&it));
        if let Some(pool) = pool {
            pool.freed.push_back(lease);
        }
    }

    pub(super) fn exclude(&mut self, excluded: &Arc<Ports>) {
        self.excluded = Arc::clone(excluded);
        for pool in self.by_address.values_mut() {
            pool.exclude(excluded);
        }
    }

    /// The small pool of an address.
    fn pool(&mut self, number: u32) -> Option<&mut Pool> {
        if !self.by_address.contains_key(&number) {
            let range = self.range_of(number)?;
            let excluded = Arc::clone(&self.excluded);
            let (worker, workers) = (self.worker, self.workers);
            let pool = Pool::new(
                &[range],
                excluded,
                &range.prefix,
                worker,
                workers,
                self.owners,
            );
            self.by_address.insert(number, pool);
        }
        self.by_address.get_mut(&number)
    }

    /// The ports of an address by its number, which counts through all ranges.
    fn range_of(&self, number: u32) -> Option<PoolRange> {
        let mut left = u128::from(number);
        for range in &self.ranges {
            let len = addresses_of(range);
            if left < len {
                let addr = bits(&range.prefix) + left;
                return Some(PoolRange {
                    prefix: Addr::v6(addr.to_be_bytes()),
                    mask: Addr::v6([255; 16]),
                    ..*range
                });
            }
            left -= len;
        }
        None
    }

    fn number_of(&self, endpoint: &Endpoint) -> Option<u32> {
        let mut before = 0u128;
        for range in &self.ranges {
            if range.contains(endpoint) {
                let number = before + (bits(&endpoint.addr) - bits(&range.prefix));
                return u32::try_from(number).ok();
            }
            before = before.saturating_add(addresses_of(range));
        }
        None
    }
}

fn bits(addr: &Addr) -> u128 {
    u128::from_be_bytes(*addr.octets())
}

fn addresses_of(range: &PoolRange) -> u128 {
    (!bits(&range.mask)).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use wire::flow::{Addr, PoolRange};
    use wire::hash::EndpointHash;
    use wire::seq::LocalSeq;

    use super::Pool;

    fn range(prefix: [u8; 4], addresses: u8, ports: (u16, u16)) -> PoolRange {
        let mut mask = [255; 16];
        mask[15] = !(addresses - 1);
        PoolRange {
            prefix: Addr::v4(prefix),
            mask: Addr::v6(mask),
            port_first: ports.0,
            port_last: ports.1,
        }
    }

    fn pool(worker: u32, workers: u32) -> Pool {
        let ranges = [
            range([10, 7, 0, 0], 16, (1000, 1099)),
            range([10, 8, 0, 4], 4, (2000, 2099)),
        ];
        let target = Addr::v4([10, 0, 0, 2]);
        let mut pool = Pool::new(
            &ranges,
            Arc::default(),
            &target,
            worker,
            workers,
            EndpointHash::new(5),
        );
        pool.stick();
        pool
    }

    fn client(number: u8) -> Addr {
        Addr::v4([203, 0, 113, number])
    }

    #[test]
    fn a_client_has_one_address_at_every_worker_and_addresses_have_many_clients() {
        let mut addresses: BTreeMap<u8, BTreeSet<Addr>> = BTreeMap::new();
        for worker in 0..2 {
            let mut pool = pool(worker, 2);
            for number in (0..200).chain(0..200) {
                let (lease, is_astray) = pool.allocate_for(&client(number)).expect("free");
                assert!(!is_astray);
                addresses
                    .entry(number)
                    .or_default()
                    .insert(lease.endpoint.addr);
            }
        }
        assert!(addresses.values().all(|it| it.len() == 1), "{addresses:?}");
        let all: BTreeSet<&Addr> = addresses.values().flatten().collect();
        assert_eq!(all.len(), 20, "all of them are used");
    }

    #[test]
    fn where_an_address_is_spent_the_next_one_helps_out_and_ports_come_back() {
        let mut pool = pool(0, 1);
        let (first, _) = pool.allocate_for(&client(1)).expect("free");
        for _ in 1..100 {
            let (lease, is_astray) = pool.allocate_for(&client(1)).expect("free");
            assert_eq!(
                (lease.endpoint.addr, is_astray),
                (first.endpoint.addr, false)
            );
        }
        let (other, is_astray) = pool.allocate_for(&client(1)).expect("free");
        assert!(is_astray && other.endpoint.addr != first.endpoint.addr);
        pool.free(first.endpoint, LocalSeq::new(77));
        let (again, is_astray) = pool.allocate_for(&client(1)).expect("free");
        assert_eq!((again.endpoint, is_astray), (first.endpoint, false));
        assert_eq!(again.last_seq, Some(LocalSeq::new(77)));
        let excluded = Arc::new((0..3000).collect());
        pool.exclude(&excluded);
        assert!(pool.allocate_for(&client(2)).is_none());
        pool.exclude(&Arc::default());
        assert!(pool.allocate_for(&client(2)).is_some());
    }
}
