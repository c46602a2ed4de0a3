//! Messages as bytes: each function appends whole frames to `out`. Batches of reports are [`crate::batch`]'s.

use wire::flow::{Endpoint, FlowKey, PoolRange};

use crate::layout::{
    CLOSE, FLOW_LEN, LOST, OPEN, PING, PONG, REFUSED, SUBSCRIBE, SUBSCRIBED, TAKEN, frame,
    put_endpoint, put_range,
};
use crate::refusal::{REFUSED_CONNECTIONS, REFUSED_TARGET, Refusal};
use crate::{FRAME_LEN_MAX, PAYLOAD_LEN_MAX, SOURCES_MAX, TARGETS_MAX};

/// Most flows in one frame.
const FLOWS_MAX: usize = (FRAME_LEN_MAX - 1) / FLOW_LEN;

/// [`crate::ToIntercept::Subscribe`], for whole replies of the targets in `whole` and headers of those in `others`; targets beyond
/// [`TARGETS_MAX`] are left out, so check before. More payload than
/// [`PAYLOAD_LEN_MAX`] is not asked for. Of more than [`SOURCES_MAX`] ranges of sources none is said, which stands for all sources.
pub fn subscribe(
    out: &mut Vec<u8>,
    whole: &[Endpoint],
    others: &[Endpoint],
    payload_max: u8,
    sources: &[PoolRange],
) {
    let whole = &whole[..whole.len().min(TARGETS_MAX)];
    let sources = if sources.len() > SOURCES_MAX {
        &[]
    } else {
        sources
    };
    frame(out, SUBSCRIBE, |out| {
        out.push(payload_max.min(PAYLOAD_LEN_MAX));
        // At most SOURCES_MAX.
        out.push(sources.len() as u8);
        // At most TARGETS_MAX.
        out.extend_from_slice(&(whole.len() as u16).to_be_bytes());
        sources.iter().for_each(|range| put_range(out, range));
        let targets = whole.iter().chain(others).take(TARGETS_MAX);
        targets.for_each(|target| put_endpoint(out, target));
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

/// [`crate::ToTcpcopy::Taken`], in as many frames as needed; none for no flows.
pub fn taken(out: &mut Vec<u8>, flows: impl IntoIterator<Item = FlowKey>) {
    put_flows(out, TAKEN, flows);
}

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
