//! The reply pool: which addresses and ports sessions use as their source, and which are free.
//!
//! Each target has an allocator of its own, since a port that is busy towards one target is free towards another.
//! A worker hands out only endpoints that it owns, so that replies arrive at the worker that holds the session.
//! Endpoints are handed out oldest-free-first, and remember what was last sent from them: a new connection's ISN must
//! exceed it (RFC 9293 section 3.4.1, RFC 6191).
//!
//! Ports that somebody else on this host uses are excluded, and who uses which changes while a run goes on. An endpoint whose
//! port is excluded when its turn comes is set aside, and comes back once the port is not excluded any more; one that a
//! session has at that time keeps it.

mod sticky;

use std::collections::VecDeque;
use std::sync::Arc;

use wire::flow::{Addr, Endpoint, PoolRange};
use wire::hash::EndpointHash;
use wire::seq::LocalSeq;

use crate::limits::ASIDE_MAX;
use crate::ports::Ports;
use sticky::Sticky;

/// An endpoint to send from, and the sequence number that its last connection ended at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) endpoint: Endpoint,
    pub(crate) last_seq: Option<LocalSeq>,
}

/// The free endpoints towards one target.
#[derive(Debug)]
pub(crate) struct Pool {
    ranges: Vec<PoolRange>,
    excluded: Arc<Ports>,
    worker: u32,
    workers: u32,
    owners: EndpointHash,
    /// Endpoints never handed out yet: the next candidate, as range, address and port.
    fresh: Option<Cursor>,
    freed: VecDeque<Lease>,
    /// Endpoints whose ports were excluded when it was their turn.
    aside: Vec<Lease>,
    /// The same by address, where a client's sessions are to have one.
    sticky: Option<Box<Sticky>>,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    range: usize,
    addr: u128,
    port: u16,
}

impl Pool {
    /// The pool towards a target of one address family.
    pub(crate) fn new(
        ranges: &[PoolRange],
        excluded: Arc<Ports>,
        target: &Addr,
        worker: u32,
        workers: u32,
        owners: EndpointHash,
    ) -> Self {
        let ranges: Vec<_> = ranges
            .iter()
            .copied()
            .filter(|range| range.prefix.is_v4() == target.is_v4())
            .collect();
        let fresh = ranges.first().map(|range| Cursor {
            range: 0,
            addr: u128::from_be_bytes(*range.prefix.octets()),
            port: range.port_first,
        });
        Self {
            ranges,
            excluded,
            worker,
            workers,
            owners,
            fresh,
            freed: VecDeque::new(),
            aside: Vec::new(),
            sticky: None,
        }
    }

    /// From now on all sessions of a client address have one address. To be called before the first one is handed out.
    pub(crate) fn stick(&mut self) {
        self.sticky = Some(Box::new(Sticky::new(self)));
    }

    /// An endpoint for a session of this client, and whether it is of another address than the client's other sessions have, where
    /// they are to have one.
    pub(crate) fn allocate_for(&mut self, client: &Addr) -> Option<(Lease, bool)> {
        match &mut self.sticky {
            Some(sticky) => sticky.allocate(client),
            None => self.allocate().map(|lease| (lease, false)),
        }
    }

    /// An endpoint to send from: one that was never used, else the one that has been free for longest; `None` where
    /// all are in use.
    pub(crate) fn allocate(&mut self) -> Option<Lease> {
        loop {
            let lease = self.next_fresh().or_else(|| self.freed.pop_front())?;
            if !self.excluded.contains(lease.endpoint.port) {
                return Some(lease);
            }
            // Beyond the limit, which only pools of many addresses reach, an endpoint is lost to the run.
            if self.aside.len() < ASIDE_MAX {
                self.aside.push(lease);
            }
        }
    }

    /// Whether so many endpoints are left, as far as that is known without a look at each.
    pub(crate) fn has_free(&self, least: usize) -> bool {
        // By address nobody knows without a look at each.
        self.sticky.is_some() || self.fresh.is_some() || self.freed.len() >= least
    }

    /// From now on these ports are excluded, and no others.
    pub(crate) fn exclude(&mut self, excluded: &Arc<Ports>) {
        self.excluded = Arc::clone(excluded);
        if let Some(sticky) = &mut self.sticky {
            sticky.exclude(excluded);
        }
        let back = self
            .aside
            .extract_if(.., |lease| !excluded.contains(lease.endpoint.port));
        self.freed.extend(back);
    }

    /// Gives an endpoint back with the sequence number after the last byte sent from it.
    pub(crate) fn free(&mut self, endpoint: Endpoint, last_seq: LocalSeq) {
        let lease = Lease {
            endpoint,
            last_seq: Some(last_seq),
        };
        match &mut self.sticky {
            Some(sticky) => sticky.free(lease),
            None => self.freed.push_back(lease),
        }
    }

    fn next_fresh(&mut self) -> Option<Lease> {
        loop {
            let cursor = self.fresh?;
            self.fresh = self.after(cursor);
            let endpoint = Endpoint::new(Addr::v6(cursor.addr.to_be_bytes()), cursor.port);
            if self.owners.owner(&endpoint, self.workers) == self.worker {
                return Some(Lease {
                    endpoint,
                    last_seq: None,
                });
            }
        }
    }

    /// Addresses vary fastest, so that a pool of many addresses spreads over them.
    fn after(&self, mut cursor: Cursor) -> Option<Cursor> {
        let range = self.ranges.get(cursor.range)?;
        let first = u128::from_be_bytes(*range.prefix.octets());
        let last = first | !u128::from_be_bytes(*range.mask.octets());
        if cursor.addr < last {
            cursor.addr += 1;
            return Some(cursor);
        }
        cursor.addr = first;
        if cursor.port < range.port_last {
            cursor.port += 1;
            return Some(cursor);
        }
        let range = self.ranges.get(cursor.range + 1)?;
        Some(Cursor {
            range: cursor.range + 1,
            addr: u128::from_be_bytes(*range.prefix.octets()),
            port: range.port_first,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;
    use crate::ports::Ports;
    use std::collections::HashSet;
    use std::sync::Arc;
    use wire::flow::{Addr, PoolRange};
    use wire::hash::EndpointHash;
    use wire::seq::LocalSeq;

    const ALL_ONES: Addr = Addr::v6([255; 16]);

    fn range(last: u8, ports: (u16, u16)) -> PoolRange {
        let mut mask = *ALL_ONES.octets();
        mask[15] = !last;
        PoolRange {
            prefix: Addr::v4([198, 18, 0, 0]),
            mask: Addr::v6(mask),
            port_first: ports.0,
            port_last: ports.1,
        }
    }

    fn excluded(ports: &[u16]) -> Arc<Ports> {
        Arc::new(ports.iter().copied().collect())
    }

    #[test]
    fn what_is_excluded_while_running_is_not_handed_out_until_it_comes_back() {
        let target = Addr::v4([10, 0, 0, 2]);
        let mut pool = Pool::new(
            &[range(0, (1000, 1003))],
            excluded(&[1000]),
            &target,
            0,
            1,
            EndpointHash::new(1),
        );
        let first = pool.allocate().expect("free").endpoint;
        assert_eq!(first.port, 1001);
        // 1001 is in use, and 1002 was never handed out.
        pool.exclude(&excluded(&[1001, 1002]));
        pool.free(first, LocalSeq::new(7));
        let ports = |pool: &mut Pool| {
            let leases = std::iter::from_fn(|| pool.allocate());
            leases.map(|lease| lease.endpoint.port).collect::<Vec<_>>()
        };
        assert_eq!(ports(&mut pool), [1003, 1000]);
        pool.exclude(&excluded(&[1002]));
        let lease = pool.allocate().expect("free");
        assert_eq!(
            (lease.endpoint, lease.last_seq),
            (first, Some(LocalSeq::new(7)))
        );
        assert_eq!(pool.allocate(), None);
        pool.exclude(&excluded(&[]));
        assert_eq!(ports(&mut pool), [1002]);
    }

    #[test]
    fn workers_share_a_pool_without_overlap_and_use_all_of_it() {
        let target = Addr::v4([10, 0, 0, 2]);
        let ranges = [range(3, (1000, 1099)), range(0, (2000, 2009))];
        let mut seen = HashSet::new();
        for worker in 0..3 {
            let mut pool = Pool::new(
                &ranges,
                excluded(&[1003, 2001]),
                &target,
                worker,
                3,
                EndpointHash::new(1),
            );
            while let Some(lease) = pool.allocate() {
                assert!(seen.insert(lease.endpoint), "{:?} twice", lease.endpoint);
            }
        }
        assert_eq!(seen.len(), 4 * 99 + 9);
        assert!(
            seen.iter()
                .all(|endpoint| endpoint.port != 1003 && endpoint.port != 2001)
        );
    }

    #[test]
    fn the_oldest_is_handed_out_first_and_knows_its_past() {
        let target = Addr::v4([10, 0, 0, 2]);
        let mut pool = Pool::new(
            &[range(0, (1000, 1001))],
            excluded(&[]),
            &target,
            0,
            1,
            EndpointHash::new(1),
        );
        let (a, b) = (
            pool.allocate().expect("free"),
            pool.allocate().expect("free"),
        );
        assert_eq!(pool.allocate(), None);
        pool.free(b.endpoint, LocalSeq::new(7));
        pool.free(a.endpoint, LocalSeq::new(9));
        let lease = pool.allocate().expect("free");
        assert_eq!(
            (lease.endpoint, lease.last_seq),
            (b.endpoint, Some(LocalSeq::new(7)))
        );
    }

    #[test]
    fn a_target_of_the_other_family_has_no_pool() {
        let ranges = [range(0, (1, 2))];
        let mut pool = Pool::new(
            &ranges,
            excluded(&[]),
            &Addr::v6([0xfd; 16]),
            0,
            1,
            EndpointHash::new(1),
        );
        assert_eq!(pool.allocate(), None);
    }
}
