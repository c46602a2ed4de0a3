//! Messages as bytes: each function appends whole frames to `out`.

use wire::flow::{Endpoint, FlowKey};

use crate::layout::{
    CLOSE, FLOW_LEN, LENGTH_LEN, LOST, OPEN, PING, PONG, REFUSED, REPORT_HEADER_LEN, REPORTS,
    SUBSCRIBE, SUBSCRIBED, finish_frame, frame, put_endpoint,
};
use crate::message::Report;
use crate::refusal::{REFUSED_CONNECTIONS, REFUSED_TARGET, Refusal};
use crate::{FRAME_LEN_MAX, HEADERS_LEN_MAX, PAYLOAD_LEN_MAX, TARGETS_MAX};

/// Most flows in one frame.
const FLOWS_MAX: usize = (FRAME_LEN_MAX - 1) / FLOW_LEN;

/// [`crate::ToIntercept::Subscribe`]; targets beyond [`TARGETS_MAX`] are left out, so check before. More payload than
/// [`PAYLOAD_LEN_MAX`] is not asked for.
pub fn subscribe(out: &mut Vec<u8>, targets: &[Endpoint], payload_max: u8) {
    frame(out, SUBSCRIBE, |out| {
        out.push(payload_max.min(PAYLOAD_LEN_MAX));
        for target in &targets[..targets.len().min(TARGETS_MAX)] {
            put_endpoint(out, target);
        }
    });
}

/// [`crate::ToIntercept::Open`], in as many frames as needed; none for no flows.
pub fn open(out: &mut Vec<u8>, flows: impl IntoIterator<Item = FlowKey>) {
    put_flows(out, OPEN, flows);
}

/// [`crate::ToIntercept::Close`], in as many frames as needed; none for no flows.
pub fn close(out: &mut Vec<u8>, flows: impl IntoIterator<Item = FlowKey>) {
    put_flows(out, CLOSE, flows);
}

/// [`crate::ToIntercept::Ping`].
pub fn ping(out: &mut Vec<u8>, nonce: u64) {
    frame(out, PING, |out| out.extend_from_slice(&nonce.to_be_bytes()));
}

/// [`crate::ToTcpcopy::Subscribed`].
pub fn subscribed(out: &mut Vec<u8>) {
    frame(out, SUBSCRIBED, |_| ());
}

/// [`crate::ToTcpcopy::Refused`].
pub fn refused(out: &mut Vec<u8>, why: Refusal) {
    frame(out, REFUSED, |out| match why {
        Refusal::UnknownTarget(target) => {
            out.push(REFUSED_TARGET);
            put_endpoint(out, &target);
        }
        Refusal::TooManyConnections => out.push(REFUSED_CONNECTIONS),
    });
}

/// [`crate::ToTcpcopy::Pong`].
pub fn pong(out: &mut Vec<u8>, nonce: u64, stamp_ns: u64) {
    frame(out, PONG, |out| {
        out.extend_from_slice(&nonce.to_be_bytes());
        out.extend_from_slice(&stamp_ns.to_be_bytes());
    });
}

/// [`crate::ToTcpcopy::Lost`].
pub fn lost(out: &mut Vec<u8>, count: u64) {
    frame(out, LOST, |out| out.extend_from_slice(&count.to_be_bytes()));
}

/// A [`crate::ToTcpcopy::Reports`] frame that grows.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

/// Bytes of a batch before its first report.
const BATCH_HEADER_LEN: usize = LENGTH_LEN + 1;

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty batch; allocates with the first report.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            count: 0,
        }
    }

    /// Reports in it.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Length of the frame so far, in bytes.
    #[must_use]
    pub const fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a report, or gives `false` where the frame has no space for it. Of headers longer than [`HEADERS_LEN_MAX`] and
    /// of payload longer than [`PAYLOAD_LEN_MAX`] the first bytes are taken.
    pub fn push(&mut self, report: &Report<'_>) -> bool {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&[0, 0, 0, 0, REPORTS]);
        }
        let headers = &report.headers[..report.headers.len().min(HEADERS_LEN_MAX)];
        let payload = &report.payload[..report.payload.len().min(PAYLOAD_LEN_MAX.into())];
        let (Ok(headers_len), Ok(payload_len)) =
            (u8::try_from(headers.len()), u8::try_from(payload.len()))
        else {
            return false;
        };
        let len = REPORT_HEADER_LEN + headers.len() + payload.len();
        if headers_len == 0 || self.bytes.len() + len > LENGTH_LEN + FRAME_LEN_MAX {
            return false;
        }
        let mut header = [0; REPORT_HEADER_LEN];
        header[..8].copy_from_slice(&report.stamp_ns.to_be_bytes());
        header[8..12].copy_from_slice(&report.packet_len.to_be_bytes());
        (header[12], header[13]) = (headers_len, payload_len);
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(headers);
        self.bytes.extend_from_slice(payload);
        self.count += 1;
        true
    }

    /// The whole frame, and an empty batch in its place. An empty batch gives no bytes at all.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = core::mem::take(&mut self.bytes);
        if self.count == 0 {
            bytes.clear();
        }
        self.count = 0;
        finish_frame(&mut bytes, 0);
        bytes
    }

    /// Begins the next batch in memory that was used before.
    pub fn reuse(&mut self, mut memory: Vec<u8>) {
        if self.bytes.capacity() == 0 {
            memory.clear();
            self.bytes = memory;
        }
    }
}

const _: () = assert!(HEADERS_LEN_MAX <= u8::MAX as usize);
const _: () = assert!(
    BATCH_HEADER_LEN + REPORT_HEADER_LEN + HEADERS_LEN_MAX + (PAYLOAD_LEN_MAX as usize)
        < FRAME_LEN_MAX
);

fn put_flows(out: &mut Vec<u8>, kind: u8, flows: impl IntoIterator<Item = FlowKey>) {
    let mut flows = flows.into_iter().peekable();
    while flows.peek().is_some() {
        frame(out, kind, |out| {
            for flow in flows.by_ref().take(FLOWS_MAX) {
                put_endpoint(out, &flow.client);
                put_endpoint(out, &flow.server);
            }
        });
    }
}
