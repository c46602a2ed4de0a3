//! Which ports of a pool are not leased, because others on this host have them or may get them.
//!
//! Only addresses of this host have others on them. A port is left out where
//!
//! - somebody listens on it, or a connection of this host to a target comes from it;
//! - the kernel may choose it for an outgoing connection: it lies in `ip_local_port_range` and is not reserved;
//! - it is reserved (`ip_local_reserved_ports`): an application wants it for itself. Where the user names the pool, the ports
//!   were reserved for us, and where nothing else is left we take them too;
//! - it is an online port: what goes there is a client's.
//!
//! The same question is asked again while the run goes on.

use std::net::{IpAddr, SocketAddr};

use host::Taken;
use session::Ports;
use wire::flow::Endpoint;

use crate::args::PoolArg;

/// A pool with fewer ports than this left, or with none left out, is refused.
pub(crate) const POOL_PORTS_MIN: u64 = 64;

/// A pool, and what is to be asked of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guarded {
    pub(crate) pool: PoolArg,
    /// Addresses of this host that it contains.
    pub(crate) own: Vec<IpAddr>,
    /// Whether reserved ports are leased.
    pub(crate) takes_reserved: bool,
}

/// All pools that contain addresses of this host, and the online ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exclusions {
    pub(crate) pools: Vec<Guarded>,
    pub(crate) online_ports: Vec<u16>,
}

/// Why a port is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Online,
    Listening,
    Connected,
    Ephemeral,
    Reserved,
}

impl Exclusions {
    /// The ports that are left out as of one moment.
    pub(crate) fn ports(&self, taken: &Taken) -> Ports {
        let mut ports = Ports::default();
        for guarded in &self.pools {
            for (port, _) in guarded.excluded(taken, &self.online_ports) {
                ports.insert(port);
            }
        }
        ports
    }

    /// The pool that has least left of its ports, and how many.
    pub(crate) fn scarcest(&self, excluded: &Ports) -> Option<(PoolArg, u64)> {
        let left = self.pools.iter().map(|guarded| {
            let pool = guarded.pool;
            let excluded = excluded.count_in(&pool.range) as u64;
            (pool, ports_of(&pool) - excluded)
        });
        left.min_by_key(|(_, left)| *left)
    }
}

impl Guarded {
    /// The ports of the pool that are left out, and why, in order.
    pub(crate) fn excluded(&self, taken: &Taken, online_ports: &[u16]) -> Vec<(u16, Why)> {
        if self.own.is_empty() {
            return Vec::new();
        }
        let listening = set(taken.listening.iter().filter(|socket| self.is_here(socket)));
        let connections = taken.connections.iter().map(|(local, _)| local);
        let connected = set(connections.filter(|socket| self.is_here(socket)));
        let online: Ports = online_ports.iter().copied().collect();
        let reserved: Ports = taken.reserved.iter().cloned().flatten().collect();
        let why = |port: u16| {
            if online.contains(port) {
                return Some(Why::Online);
            }
            if listening.contains(port) {
                return Some(Why::Listening);
            }
            if connected.contains(port) {
                return Some(Why::Connected);
            }
            match (reserved.contains(port), taken.ephemeral.contains(&port)) {
                (true, _) => (!self.takes_reserved).then_some(Why::Reserved),
                (false, true) => Some(Why::Ephemeral),
                (false, false) => None,
            }
        };
        let range = &self.pool.range;
        let ports = range.port_first..=range.port_last;
        ports.filter_map(|port| Some((port, why(port)?))).collect()
    }

    /// Whether a socket of this host has its port on an address of the pool.
    fn is_here(&self, socket: &SocketAddr) -> bool {
        let ip = socket.ip().to_canonical();
        ip.is_unspecified() || self.pool.contains(ip.into())
    }

    /// Whether so few ports are left that a run would make no sense.
    pub(crate) fn is_too_small(&self, excluded: &[(u16, Why)]) -> bool {
        let ports = ports_of(&self.pool);
        !excluded.is_empty() && ports - (excluded.len() as u64) < POOL_PORTS_MIN.min(ports)
    }
}

/// Ports of each address of a pool.
fn ports_of(pool: &PoolArg) -> u64 {
    u64::from(pool.range.port_last - pool.range.port_first) + 1
}

fn set<'a>(sockets: impl Iterator<Item = &'a SocketAddr>) -> Ports {
    sockets.map(|socket| Endpoint::from(*socket).port).collect()
}

#[cfg(test)]
mod tests {
    use host::Taken;

    use super::{Exclusions, Guarded, Why};

    fn guarded(pool: &str, own: &[&str], takes_reserved: bool) -> Guarded {
        Guarded {
            pool: pool.parse().unwrap(),
            own: own.iter().map(|own| own.parse().unwrap()).collect(),
            takes_reserved,
        }
    }

    fn taken() -> Taken {
        let socket = |text: &str| text.parse().unwrap();
        Taken {
            ephemeral: 106..=107,
            reserved: vec![104..=104, 107..=107],
            listening: vec![
                socket("0.0.0.0:100"),
                socket("10.0.0.1:101"),
                socket("10.0.0.2:108"),
            ],
            connections: vec![
                (socket("10.0.0.1:102"), socket("10.0.0.9:80")),
                (
                    socket("[::ffff:10.0.0.1]:103"),
                    socket("[::ffff:10.0.0.9]:80"),
                ),
                (socket("10.0.0.2:109"), socket("10.0.0.9:80")),
            ],
        }
    }

    #[test]
    fn each_port_is_left_out_for_its_reason() {
        let pool = guarded("10.0.0.1:100-110", &["10.0.0.1"], false);
        assert_eq!(
            pool.excluded(&taken(), &[105]),
            [
                (100, Why::Listening),
                (101, Why::Listening),
                (102, Why::Connected),
                (103, Why::Connected),
                (104, Why::Reserved),
                (105, Why::Online),
                (106, Why::Ephemeral),
                (107, Why::Reserved),
            ]
        );
        let named = guarded("10.0.0.1:104-110", &["10.0.0.1"], true);
        assert_eq!(named.excluded(&taken(), &[]), [(106, Why::Ephemeral)]);
    }

    #[test]
    fn addresses_of_the_pool_alone_have_nobody_else_on_them() {
        let pool = guarded("10.9.0.0/24", &[], false);
        assert_eq!(pool.excluded(&taken(), &[105]), []);
    }

    #[test]
    fn the_scarcest_pool_is_found() {
        let exclusions = Exclusions {
            pools: vec![
                guarded("10.0.0.1:100-110", &["10.0.0.1"], false),
                guarded("[fd00::1]:104-110", &["fd00::1"], true),
            ],
            online_ports: Vec::new(),
        };
        let ports = exclusions.ports(&taken());
        let (pool, left) = exclusions.scarcest(&ports).unwrap();
        assert_eq!((pool.is_v4(), left), (true, 4));
    }
}
