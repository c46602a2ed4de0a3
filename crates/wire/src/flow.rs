//! Endpoints, flow keys, and two of the functions that decide by them: sampling and pool membership. Ownership is
//! [`crate::hash`]'s.
//!
//! **Architecture invariant:** the programs and the workers call the very same functions.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IPv4 or IPv6 address in 16 bytes; IPv4 stands as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Addr([u8; 16]);

impl Addr {
    /// `::`, which in a rule means "any address".
    pub const UNSPECIFIED: Self = Self([0; 16]);

    /// An IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4(a: [u8; 4]) -> Self {
        Self([
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a[0], a[1], a[2], a[3],
        ])
    }

    /// An IPv6 address (or a mapped IPv4 one).
    #[inline(always)]
    #[must_use]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// All 16 bytes.
    #[inline(always)]
    #[must_use]
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.word(0) | self.word(1) == 0 && self.word(2) == 0xffff
    }

    /// Whether it is one of a host's own alone: 127.0.0.0/8 or `::1`.
    #[inline(always)]
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        (self.is_v4() && self.0[12] == 127) || u128::from_be_bytes(self.0) == 1
    }

    /// The last four bytes: the whole address where it is IPv4.
    #[inline(always)]
    #[must_use]
    pub const fn v4_octets(&self) -> [u8; 4] {
        [self.0[12], self.0[13], self.0[14], self.0[15]]
    }

    #[inline(always)]
    pub(crate) const fn word(&self, index: usize) -> u32 {
        let at = index * 4;
        u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        if addr.is_v4() {
            Self::V4(Ipv4Addr::from(addr.v4_octets()))
        } else {
            Self::V6(Ipv6Addr::from(addr.0))
        }
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

/// An address and a port. Fit to be the key of a BPF map: 18 bytes, no padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Endpoint {
    /// The address.
    pub addr: Addr,
    /// The port, in host byte order.
    pub port: u16,
}

const _: () = assert!(size_of::<Endpoint>() == 18 && align_of::<Endpoint>() == 2);

impl Endpoint {
    /// An endpoint.
    #[inline(always)]
    #[must_use]
    pub const fn new(addr: Addr, port: u16) -> Self {
        Self { addr, port }
    }

    /// A hash of the endpoint; `seed` makes independent ones. Tables and owners go by [`crate::hash`]: whoever knows this one can
    /// make collisions.
    #[inline(always)]
    #[must_use]
    pub const fn hash(&self, seed: u32) -> u32 {
        let mut h = seed;
        h = mix(h, self.addr.word(0));
        h = mix(h, self.addr.word(1));
        h = mix(h, self.addr.word(2));
        h = mix(h, self.addr.word(3));
        h = mix(h, self.port as u32);
        finish(h)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self::new(socket.ip().into(), socket.port())
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.addr.into(), endpoint.port)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&SocketAddr::from(*self), f)
    }
}

/// A flow: the client's end and the server's end of one TCP connection.
///
/// For a captured flow the server is the online server; for a session the "client" is its pool endpoint and the
/// server is the target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// The end that opened the connection.
    pub client: Endpoint,
    /// The end that accepted it.
    pub server: Endpoint,
}

const _: () = assert!(size_of::<FlowKey>() == 36);

impl FlowKey {
    /// A hash of both ends, for sequence numbers; see [`Endpoint::hash`].
    #[inline(always)]
    #[must_use]
    pub const fn hash(&self, seed: u32) -> u32 {
        self.server.hash(self.client.hash(seed))
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.client, self.server)
    }
}

/// A sampling threshold that lets every flow through.
pub const SAMPLE_ALL: u32 = 1 << 31;

/// Whether a flow belongs to the sample; `threshold` is the share of flows to copy times [`SAMPLE_ALL`].
#[inline(always)]
#[must_use]
pub const fn sampled(flow: &FlowKey, seed: u32, threshold: u32) -> bool {
    threshold >= SAMPLE_ALL || sample_place(flow, seed) < threshold
}

/// Where a flow stands among all that could be sampled, from 0 to [`SAMPLE_ALL`] - 1. It follows from the flow and the seed alone, so it
/// is the same on every host.
///
/// Each client address begins at a place of its own, by a hash, and its ports go on from there by steps of the golden ratio: of ports that
/// follow each other, or every other one, any share is met to within a flow or two. A hash of the port would have missed by chance what a
/// throw of dice misses, some 50 of 10,000 flows.
#[inline(always)]
#[must_use]
pub const fn sample_place(flow: &FlowKey, seed: u32) -> u32 {
    // Both ends by themselves: the programs hash them side by side, where one after the other would wait for each word.
    let seed = seed ^ SAMPLE_SEED;
    let begin = Endpoint::new(flow.client.addr, 0).hash(seed) ^ flow.server.hash(!seed);
    begin.wrapping_add(GOLDEN_RATIO.wrapping_mul(flow.client.port as u32)) >> 1
}

/// Addresses and ports that sessions use as their source: a prefix and a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PoolRange {
    /// The address with the bits outside `mask` zero.
    pub prefix: Addr,
    /// The bits that must agree.
    pub mask: Addr,
    /// First port, inclusive.
    pub port_first: u16,
    /// Last port, inclusive.
    pub port_last: u16,
}

const _: () = assert!(size_of::<PoolRange>() == 36);

impl PoolRange {
    /// Whether `endpoint` lies in the pool.
    #[inline(always)]
    #[must_use]
    pub const fn contains(&self, endpoint: &Endpoint) -> bool {
        let (a, p, m) = (&endpoint.addr, &self.prefix, &self.mask);
        endpoint.port >= self.port_first
            && endpoint.port <= self.port_last
            && (a.word(0) & m.word(0)) == p.word(0)
            && (a.word(1) & m.word(1)) == p.word(1)
            && (a.word(2) & m.word(2)) == p.word(2)
            && (a.word(3) & m.word(3)) == p.word(3)
    }
}

const SAMPLE_SEED: u32 = 0x736d_706c;

/// The golden ratio's fraction, times 2^32.
const GOLDEN_RATIO: u32 = 0x9e37_79b1;

#[inline(always)]
const fn mix(h: u32, word: u32) -> u32 {
    (h ^ word).wrapping_mul(GOLDEN_RATIO).rotate_left(13)
}

/// The finaliser of MurmurHash3: every input bit reaches every output bit.
#[inline(always)]
pub(crate) const fn finish(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::{Addr, Endpoint, FlowKey, PoolRange, SAMPLE_ALL, sample_place, sampled};
    use crate::hash::EndpointHash;

    fn client(n: u32) -> Endpoint {
        Endpoint::new(
            Addr::v4([10, 0, (n >> 14) as u8, 7]),
            1024 + (n & 0x3fff) as u16,
        )
    }

    #[test]
    fn samples_are_as_large_as_asked_and_independent_of_owners() {
        let server = Endpoint::new(Addr::v4([10, 0, 0, 1]), 80);
        let hash = EndpointHash::new(3);
        let mut counts = [0u32; 2];
        for n in 0..40_000 {
            let flow = FlowKey {
                client: client(n),
                server,
            };
            if sampled(&flow, 7, SAMPLE_ALL / 4) {
                counts[hash.owner(&flow.client, 2) as usize] += 1;
            }
            assert!(sampled(&flow, 7, SAMPLE_ALL) && !sampled(&flow, 7, 0));
        }
        assert!(
            counts.iter().all(|&c| (4_700..5_300).contains(&c)),
            "{counts:?}"
        );
    }

    /// How many of 10,000 flows are sampled, of so many clients each with ports `step` apart.
    fn sampled_of(clients: u16, step: u16, seed: u32, threshold: u32) -> u32 {
        let server = Endpoint::new(Addr::v4([10, 0, 0, 1]), 80);
        let mut count = 0;
        for client in 0..clients {
            let [high, low] = client.to_be_bytes();
            let addr = Addr::v4([203, high, low, low.wrapping_mul(7)]);
            for port in 0..10_000 / clients {
                let client = Endpoint::new(addr, 32_768 + port * step);
                let flow = FlowKey { client, server };
                count += u32::from(sampled(&flow, seed, threshold));
            }
        }
        count
    }

    /// Half a percent of 10,000 flows, where clients come again; where each flow is of another client, what dice may miss (four times
    /// its standard deviation).
    #[test]
    fn a_share_is_met_to_half_a_percent_of_10_000_flows() {
        for (clients, step, miss) in [
            (1, 1, 50),
            (1, 2, 50),
            (10, 2, 50),
            (100, 1, 50),
            (100, 2, 50),
            (500, 1, 50),
            (10_000, 1, 200),
        ] {
            for percent in [1, 5, 10, 25, 50, 75, 90, 99] {
                for seed in [0, 7, 0x5eed_5eed, u32::MAX] {
                    let threshold = SAMPLE_ALL / 100 * percent;
                    let count = sampled_of(clients, step, seed, threshold);
                    assert!(
                        count.abs_diff(percent * 100) <= miss,
                        "{count} of 10,000 at {percent} %, {clients} clients, step {step}, seed {seed}"
                    );
                }
            }
        }
    }

    /// Hosts that share a seed take the same flows, whichever release they run: where a flow stands must not move.
    #[test]
    fn a_flow_has_one_place_on_every_host() {
        let flow = FlowKey {
            client: Endpoint::new(Addr::v4([203, 0, 113, 9]), 40_000),
            server: Endpoint::new(Addr::v4([10, 0, 0, 1]), 80),
        };
        assert_eq!(sample_place(&flow, 7), 2120091844);
    }

    #[test]
    fn a_pool_contains_its_prefix_and_ports_only() {
        let pool = PoolRange {
            prefix: Addr::v4([62, 135, 200, 0]),
            mask: Addr::v6([
                255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0,
            ]),
            port_first: 1024,
            port_last: 2047,
        };
        assert!(pool.contains(&Endpoint::new(Addr::v4([62, 135, 200, 9]), 1024)));
        assert!(!pool.contains(&Endpoint::new(Addr::v4([62, 135, 200, 9]), 2048)));
        assert!(!pool.contains(&Endpoint::new(Addr::v4([62, 135, 201, 9]), 1024)));
    }
}
