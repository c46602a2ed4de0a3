//! Keys and values of the maps as the bytes that the programs see: `repr(C)`, numbers in the machine's order, no padding.
//!
//! User space has no other way to write them without `unsafe`; the layouts are asserted where the types stand.

use wire::flow::{Endpoint, PoolRange};

use crate::maps::Replies;

/// An endpoint.
#[must_use]
pub fn endpoint(endpoint: &Endpoint) -> [u8; 18] {
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(endpoint.addr.octets());
    bytes[16..].copy_from_slice(&endpoint.port.to_ne_bytes());
    bytes
}

/// What a program knows about the replies of one target.
#[must_use]
pub fn replies(replies: &Replies) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[..36].copy_from_slice(&pool(&replies.pool));
    bytes[36..40].copy_from_slice(&replies.kind.to_ne_bytes());
    bytes[40..44].copy_from_slice(&replies.slot.to_ne_bytes());
    bytes[44..].copy_from_slice(&replies.whole.to_ne_bytes());
    bytes
}

fn pool(range: &PoolRange) -> [u8; 36] {
    let mut bytes = [0; 36];
    bytes[..16].copy_from_slice(range.prefix.octets());
    bytes[16..32].copy_from_slice(range.mask.octets());
    bytes[32..34].copy_from_slice(&range.port_first.to_ne_bytes());
    bytes[34..].copy_from_slice(&range.port_last.to_ne_bytes());
    bytes
}
