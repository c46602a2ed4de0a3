//! How a frame is laid out: its length, the kinds of both directions, and the parts that several kinds share.
//!
//! Whoever reads a message and whoever writes it take the numbers from here; neither knows the other.

use wire::flow::{Addr, Endpoint, PoolRange};

/// Bytes of a frame's length field.
pub(crate) const LENGTH_LEN: usize = 4;

pub(crate) const SUBSCRIBE: u8 = 0x01;
pub(crate) const OPEN: u8 = 0x02;
pub(crate) const CLOSE: u8 = 0x03;
pub(crate) const PING: u8 = 0x04;
pub(crate) const INSPECT: u8 = 0x05;
pub(crate) const SUBSCRIBED: u8 = 0x81;
pub(crate) const REFUSED: u8 = 0x82;
pub(crate) const REPORTS: u8 = 0x83;
pub(crate) const PONG: u8 = 0x84;
pub(crate) const LOST: u8 = 0x85;
pub(crate) const INSPECTED: u8 = 0x86;
pub(crate) const TAKEN: u8 = 0x87;

/// Length of an endpoint: 16 bytes of address, 2 of port.
pub(crate) const ENDPOINT_LEN: usize = 18;
/// Length of a flow: the session's source, then the target.
pub(crate) const FLOW_LEN: usize = 2 * ENDPOINT_LEN;

/// Length of a range of sources: prefix, mask, first and last port.
pub(crate) const RANGE_LEN: usize = 36;

/// Reads a range of sources.
pub(crate) fn range(bytes: &[u8; RANGE_LEN]) -> PoolRange {
    let addr = |at: usize| {
        let mut addr = [0; 16];
        addr.copy_from_slice(&bytes[at..at + 16]);
        Addr::v6(addr)
    };
    PoolRange {
        prefix: addr(0),
        mask: addr(16),
        port_first: u16::from_be_bytes([bytes[32], bytes[33]]),
        port_last: u16::from_be_bytes([bytes[34], bytes[35]]),
    }
}

/// Appends a range of sources.
pub(crate) fn put_range(out: &mut Vec<u8>, range: &PoolRange) {
    out.extend_from_slice(range.prefix.octets());
    out.extend_from_slice(range.mask.octets());
    out.extend_from_slice(&range.port_first.to_be_bytes());
    out.extend_from_slice(&range.port_last.to_be_bytes());
}

/// Reads an endpoint.
pub(crate) fn endpoint(bytes: &[u8; ENDPOINT_LEN]) -> Endpoint {
    let mut addr = [0; 16];
    addr.copy_from_slice(&bytes[..16]);
    Endpoint::new(Addr::v6(addr), u16::from_be_bytes([bytes[16], bytes[17]]))
}

/// Appends an endpoint.
pub(crate) fn put_endpoint(out: &mut Vec<u8>, endpoint: &Endpoint) {
    out.extend_from_slice(endpoint.addr.octets());
    out.extend_from_slice(&endpoint.port.to_be_bytes());
}

/// Appends a frame of that kind; `body` writes what follows the kind.
pub(crate) fn frame(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    body(out);
    finish_frame(out, start);
}

/// Writes the length of the frame that begins at `start` and ends where `out` ends.
pub(crate) fn finish_frame(out: &mut [u8], start: usize) {
    let len = out.len().saturating_sub(start + LENGTH_LEN);
    if let Some(length) = out.get_mut(start..start + LENGTH_LEN) {
        length.copy_from_slice(&(len as u32).to_be_bytes());
    }
}
