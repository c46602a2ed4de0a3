//! Hashes of endpoints and flows under a key that is drawn when a run starts, and which worker owns what.
//!
//! Clients choose their addresses and ports. Whoever knew the hash could choose them so that all flows belong to one worker, or
//! stand in one bucket of a table; with IPv6 a single client has enough addresses for that. A seed that is mixed in does not help:
//! with multiply-and-rotate hashes there are pairs that collide under every seed. So these are *multilinear* hashes (Lemire and
//! Kaser, "Strongly universal string hashing is fast", 2013): 32-bit words are added to secret numbers of 64 bits, the sums are
//! multiplied two by two, and of the sum of the products the high half is the hash. Two different inputs, however they were chosen,
//! collide with a probability of 2^-32, and it is cheap enough for the programs: one multiplication for two words.
//!
//! **Architecture invariant:** the programs and the workers call the very same function with the very same key, so a record never
//! arrives at a worker that does not own its flow.

use core::fmt;
use core::hash::{BuildHasher, Hasher};

use crate::flow::{Addr, Endpoint, FlowKey, finish};

/// Numbers in an [`EndpointHash`]: one to begin with, four for the address, one for the port.
pub const ENDPOINT_KEY_LEN: usize = 6;

/// Numbers in a [`FlowHash`]: enough for both ends of a flow, word by word.
const FLOW_KEY_LEN: usize = 12;

/// A hash of endpoints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EndpointHash([u64; ENDPOINT_KEY_LEN]);

/// A hash of flows, for tables. It is a [`BuildHasher`] as well, for what consists of addresses, ports and numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowHash([u64; FLOW_KEY_LEN]);

impl EndpointHash {
    /// The hash of a run whose key was drawn as this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(key(seed ^ 0x656e_6470_6f69_6e74))
    }

    /// From its numbers, as the programs have them.
    #[inline(always)]
    #[must_use]
    pub const fn from_key(key: [u64; ENDPOINT_KEY_LEN]) -> Self {
        Self(key)
    }

    /// Its numbers, for the programs.
    #[must_use]
    pub const fn key(&self) -> &[u64; ENDPOINT_KEY_LEN] {
        &self.0
    }

    /// The hash of an endpoint; all its bits are even.
    #[inline(always)]
    #[must_use]
    pub const fn of(&self, endpoint: &Endpoint) -> u32 {
        let [begin, a, b, c, d, port] = self.0;
        let sum = begin
            .wrapping_add(sum_of_addr(&endpoint.addr, [a, b, c, d]))
            .wrapping_add(port.wrapping_mul(endpoint.port as u64));
        // One port after the other makes an even step of a sum, and the top bits of such would repeat.
        finish((sum >> 32) as u32)
    }

    /// Which worker of `workers` owns the flow or session whose client side is `client`.
    ///
    /// Captured flows go by the client's endpoint, replies by the pool endpoint they are addressed to; the allocator
    /// hands worker `w` only endpoints that it owns. With the clients' own addresses the two agree by construction.
    #[inline(always)]
    #[must_use]
    pub const fn owner(&self, client: &Endpoint, workers: u32) -> u32 {
        ((self.of(client) as u64 * workers as u64) >> 32) as u32
    }
}

impl FlowHash {
    /// The hash of a run whose key was drawn as this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(key(seed ^ 0x666c_6f77_7461_626c))
    }

    /// The hash of a flow; its low bits are the most even ones.
    #[must_use]
    pub const fn of(&self, flow: &FlowKey) -> u32 {
        let [begin, a, b, c, d, ports, e, f, g, h, ..] = self.0;
        let both = (flow.client.port as u64) << 16 | flow.server.port as u64;
        let sum = begin
            .wrapping_add(sum_of_addr(&flow.client.addr, [a, b, c, d]))
            .wrapping_add(sum_of_addr(&flow.server.addr, [e, f, g, h]))
            .wrapping_add(ports.wrapping_mul(both));
        (sum >> 32) as u32
    }
}

impl BuildHasher for FlowHash {
    type Hasher = Words;
    fn build_hasher(&self) -> Words {
        Words {
            key: self.0,
            sum: self.0[0],
            words: 0,
        }
    }
}

/// Takes a value word by word; see [`FlowHash`].
#[derive(Clone)]
pub struct Words {
    key: [u64; FLOW_KEY_LEN],
    sum: u64,
    words: usize,
}

impl Hasher for Words {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<4>();
        for word in words {
            self.write_u32(u32::from_ne_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 4];
            word[..rest.len()].copy_from_slice(rest);
            self.write_u32(u32::from_ne_bytes(word));
        }
    }

    #[inline]
    fn write_u16(&mut self, port: u16) {
        self.write_u32(port.into());
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        // What is longer than a flow would use a number twice; nothing that is hashed here is.
        let number = self.key[1 + self.words % (FLOW_KEY_LEN - 1)];
        self.sum = self.sum.wrapping_add(number.wrapping_mul(word.into()));
        self.words += 1;
    }

    /// Lengths of arrays, the same for all values of a type.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        // The high half is the hash. hashbrown takes the top bits for its tags and the low ones for its buckets.
        (self.sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

// A key that is printed is none.
impl fmt::Debug for EndpointHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointHash").finish_non_exhaustive()
    }
}

impl fmt::Debug for FlowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowHash").finish_non_exhaustive()
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").finish_non_exhaustive()
    }
}

#[inline(always)]
const fn sum_of_addr(addr: &Addr, key: [u64; 4]) -> u64 {
    let [a, b, c, d] = key;
    let all = u128::from_ne_bytes(*addr.octets());
    pair((a, b), all as u64).wrapping_add(pair((c, d), (all >> 64) as u64))
}

/// Two words that stand in one.
#[inline(always)]
const fn pair(key: (u64, u64), words: u64) -> u64 {
    let low = key.0.wrapping_add(words as u32 as u64);
    low.wrapping_mul(key.1.wrapping_add(words >> 32))
}

/// So many numbers from one, by SplitMix64 (Steele, Lea and Flood 2014).
const fn key<const LEN: usize>(seed: u64) -> [u64; LEN] {
    let mut key = [0; LEN];
    let mut state = seed;
    let mut at = 0;
    while at < LEN {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        key[at] = z ^ (z >> 31);
        at += 1;
    }
    key
}

#[cfg(test)]
mod tests {
    use core::hash::BuildHasher as _;
    use std::collections::HashSet;
    use std::vec::Vec;

    use super::{EndpointHash, FlowHash};
    use crate::flow::{Addr, Endpoint, FlowKey};

    /// A client of one /64, of which it may choose 64 bits.
    fn client(bits: [u32; 2]) -> Endpoint {
        let mut addr = [0x20; 16];
        for (word, bits) in addr[8..].chunks_mut(4).zip(bits) {
            word.copy_from_slice(&bits.to_be_bytes());
        }
        Endpoint::new(Addr::v6(addr), 4711)
    }

    fn flow(client: Endpoint) -> FlowKey {
        let server = Endpoint::new(Addr::v4([10, 0, 0, 1]), 80);
        FlowKey { client, server }
    }

    fn one_of_many(n: u32) -> Endpoint {
        Endpoint::new(
            Addr::v4([10, 0, (n >> 14) as u8, 7]),
            1024 + (n & 0x3fff) as u16,
        )
    }

    #[test]
    fn owners_are_even_and_in_range() {
        for seed in 0..16 {
            let (hash, mut counts) = (EndpointHash::new(seed), [0u32; 3]);
            for n in 0..30_000 {
                counts[hash.owner(&one_of_many(n), 3) as usize] += 1;
            }
            assert!(
                counts.iter().all(|&c| (9_000..11_000).contains(&c)),
                "{seed}: {counts:?}"
            );
        }
    }

    /// These two had equal hashes under every seed as long as hashes multiplied and rotated.
    #[test]
    fn no_two_clients_collide_whatever_the_key() {
        let pair = [client([1, 2]), client([1 ^ 1 << 31, 2 ^ 1 << 12])];
        for seed in 0..1000 {
            let (endpoints, flows) = (EndpointHash::new(seed), FlowHash::new(seed));
            assert_ne!(endpoints.of(&pair[0]), endpoints.of(&pair[1]));
            assert_ne!(flows.of(&flow(pair[0])), flows.of(&flow(pair[1])));
            assert_ne!(flows.hash_one(flow(pair[0])), flows.hash_one(flow(pair[1])));
        }
    }

    /// Clients that were chosen because they fall into one of 64 places under one key.
    #[test]
    fn clients_that_were_chosen_for_one_key_are_spread_under_another() {
        let place = |seed, client: &Endpoint| FlowHash::new(seed).of(&flow(*client)) % 64;
        let chosen: Vec<Endpoint> = (0..64_000)
            .map(|n| client([n, n.wrapping_mul(77)]))
            .filter(|client| place(1, client) == 0)
            .collect();
        assert!(chosen.len() > 500, "{}", chosen.len());
        let places: HashSet<u32> = chosen.iter().map(|client| place(2, client)).collect();
        assert!(places.len() > 50, "{}", places.len());
    }

    #[test]
    fn the_hash_of_a_table_spreads_flows() {
        for seed in 0..16 {
            let hash = FlowHash::new(seed);
            let mut places = [0u32; 16];
            for n in 0..16_000u32 {
                places[(hash.hash_one(flow(one_of_many(n))) & 15) as usize] += 1;
            }
            assert!(
                places.iter().all(|n| (800..1200).contains(n)),
                "{seed}: {places:?}"
            );
        }
    }
}
