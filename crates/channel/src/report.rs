//! One target segment as `intercept` tells it, and its bytes: the one format that reports have, in a frame and on their way
//! to a worker.
//!
//! ```text
//! stamp (8) | length of the packet (4) | bytes of payload (2) | bytes of headers (1) | headers | payload
//! ```

use crate::{HEADERS_LEN_MAX, WHOLE_PAYLOAD_LEN_MAX};

/// Bytes of a report before the segment's own.
const HEADER_LEN: usize = 15;

/// Most bytes of a report.
pub(crate) const REPORT_LEN_MAX: usize = HEADER_LEN + HEADERS_LEN_MAX + WHOLE_PAYLOAD_LEN_MAX;

const _: () = assert!(HEADERS_LEN_MAX <= u8::MAX as usize);
const _: () = assert!(WHOLE_PAYLOAD_LEN_MAX <= u16::MAX as usize);

/// One target segment, without its payload but for what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// When `intercept` saw it: nanoseconds of `CLOCK_MONOTONIC` on **its** machine.
    pub stamp_ns: u64,
    /// Bytes that arrived, from the IP header on.
    pub packet_len: u32,
    /// The IP and TCP headers, at most [`HEADERS_LEN_MAX`] bytes.
    pub headers: &'a [u8],
    /// The first bytes of the payload, at most as many as the subscription asks for; mostly none, and all of them of a target that is
    /// wanted whole.
    pub payload: &'a [u8],
}

impl<'a> Report<'a> {
    /// Appends the report where `out` then has at most `len_max` bytes; `false` where it does not fit, or has no headers. Of headers
    /// longer than [`HEADERS_LEN_MAX`] and of payload longer than [`WHOLE_PAYLOAD_LEN_MAX`] the first bytes are taken.
    pub(crate) fn put(&self, out: &mut Vec<u8>, len_max: usize) -> bool {
        let headers = &self.headers[..self.headers.len().min(HEADERS_LEN_MAX)];
        let payload = &self.payload[..self.payload.len().min(WHOLE_PAYLOAD_LEN_MAX)];
        let (Ok(headers_len), Ok(payload_len)) =
            (u8::try_from(headers.len()), u16::try_from(payload.len()))
        else {
            return false;
        };
        let len = HEADER_LEN + headers.len() + payload.len();
        if headers_len == 0 || out.len() + len > len_max {
            return false;
        }
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(&self.stamp_ns.to_be_bytes());
        header[8..12].copy_from_slice(&self.packet_len.to_be_bytes());
        header[12..14].copy_from_slice(&payload_len.to_be_bytes());
        header[14] = headers_len;
        out.extend_from_slice(&header);
        out.extend_from_slice(headers);
        out.extend_from_slice(payload);
        true
    }

    /// The first report of `bytes`, its headers and payload in one piece, and what follows it.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8], &'a [u8])> {
        let (h, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let payload_len = usize::from(u16::from_be_bytes([h[12], h[13]]));
        let headers_len = usize::from(h[14]);
        let are_possible = headers_len <= HEADERS_LEN_MAX && payload_len <= WHOLE_PAYLOAD_LEN_MAX;
        if headers_len == 0 || !are_possible {
            return None;
        }
        let (segment, rest) = rest.split_at_checked(headers_len + payload_len)?;
        let (headers, payload) = segment.split_at(headers_len);
        let report = Report {
            stamp_ns: u64::from_be_bytes([h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]]),
            packet_len: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
            headers,
            payload,
        };
        Some((report, segment, rest))
    }
}
