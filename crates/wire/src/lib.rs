//! What stands on the wire, as checked views and emitters.
//!
//! One parser serves the programs in the kernel, the engine and the tests: it is generic over [`Bytes`], a
//! cursor that can only answer "these N bytes, or nothing". Nothing here allocates, panics on input, or knows
//! about sessions.
//!
//! | module | holds |
//! |---|---|
//! | [`bytes`] | the cursor that parsers read through |
//! | [`checksum`] | the Internet checksum (RFC 1071) and what an offloading sender leaves in its place |
//! | [`ethernet`] | EtherType and the header of the frames that the engine sends |
//! | [`ip`] | IPv4 and IPv6 headers, read and written |
//! | [`tcp`] | flags, options, and the header of a segment that is to be sent |
//! | [`plain`] | the header of the segments that are nearly all that is sent |
//! | [`multipath`] | the option of Multipath TCP (RFC 8684) |
//! | [`segment`] | a whole TCP segment as captured: where it goes and where its payload stands |
//! | [`icmp`] | "packet too big" about one of our own segments |
//! | [`flow`] | endpoints, flow keys, sampling, pools |
//! | [`hash`] | hashes of endpoints and flows under a key; which worker owns what |
//! | [`seq`] | sequence numbers that cannot be mixed up between their spaces |
//!
//! **Architecture invariant:** `no_std`, no allocation, no `unsafe`, no panic on any input.
#![no_std]
#![forbid(unsafe_code)]

pub mod bytes;
pub mod checksum;
pub mod ethernet;
pub mod flow;
pub mod hash;
pub mod icmp;
pub mod ip;
pub mod multipath;
pub mod plain;
pub mod segment;
pub mod seq;
pub mod tcp;

#[cfg(test)]
extern crate std;
