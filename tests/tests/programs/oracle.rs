//! What the programs that look at others' packets should do with a frame, said once more in user space: the same parser of
//! `wire`, but on a slice, and the rules of the tests.

use std::collections::BTreeMap;

use abi::counter::Counter;
use wire::ethernet::{HEADER_LEN, IPV4, IPV6, QINQ, VLAN};
use wire::flow::Endpoint;
use wire::icmp::TooBig;
use wire::ip::{self, Skip};
use wire::segment::Segment;

use crate::kernel::{DROP, NEXT, XDP_DROP, XDP_PASS, only};
use crate::packet::{ONLINE, POOL_RANGE, TARGET, v6};

/// A verdict and what is counted.
pub(crate) type Outcome = (u32, BTreeMap<Counter, u64>);

fn is_service(endpoint: Endpoint) -> bool {
    endpoint == ONLINE || endpoint == v6(ONLINE)
}

fn is_reply(source: Endpoint, destination: Endpoint) -> bool {
    source == TARGET && POOL_RANGE.contains(&destination)
}

/// The EtherType as the kernel notes it when it receives the frame.
fn ethertype(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[12], frame[13]])
}

/// What `capture` should do.
pub(crate) fn capture(frame: &[u8]) -> Outcome {
    match ethertype(frame) {
        VLAN | QINQ => return (NEXT, only(&[Counter::CaptureVlan])),
        IPV4 | IPV6 => {}
        _ => return (NEXT, only(&[])),
    }
    let segment = match Segment::parse(frame, HEADER_LEN) {
        Ok(segment) => segment,
        Err(skip) => {
            return match TooBig::parse(frame, HEADER_LEN) {
                Ok(message) if is_reply(message.flow.server, message.flow.client) => {
                    (NEXT, only(&[Counter::ReplyTooBig]))
                }
                _ => (NEXT, only(skipped(skip))),
            };
        }
    };
    // To the loopback device, whose address is zero.
    let other_host = frame[0] & 1 == 0 && frame[..6] != [0; 6];
    let ours = is_service(segment.destination) || is_reply(segment.source, segment.destination);
    if ours && other_host {
        return (NEXT, only(&[Counter::CaptureOtherHost]));
    }
    if is_service(segment.destination) {
        (NEXT, only(client(frame, &segment)))
    } else if is_reply(segment.source, segment.destination) {
        (DROP, only(&[Counter::ReplyMatched, Counter::ReplyRecorded]))
    } else {
        (NEXT, only(&[]))
    }
}

/// What is counted of what `capture` cannot look at.
fn skipped(skip: Skip) -> &'static [Counter] {
    match skip {
        Skip::OtherProtocol => &[],
        Skip::Fragment => &[Counter::CaptureFragment],
        Skip::BigTcp => &[Counter::CaptureBigTcp],
        Skip::Malformed => &[Counter::CaptureMalformed],
    }
}

/// What is counted of a packet to a service.
fn client(frame: &[u8], segment: &Segment) -> &'static [Counter] {
    let len = usize::from(segment.payload_offset) + usize::from(segment.payload_len);
    if HEADER_LEN + len > frame.len() {
        &[Counter::CaptureMalformed]
    } else if segment.is_pure_ack() {
        &[Counter::CapturePureAck]
    } else if segment.is_copy() {
        &[Counter::CaptureMarked]
    } else {
        &[Counter::CaptureMatched, Counter::CaptureRecorded]
    }
}

/// What `overhear` should do; `answers` is false for `capture_out`, which hears one side.
pub(crate) fn overhear(frame: &[u8], answers: bool) -> Outcome {
    let counters: &[Counter] = match (ethertype(frame), Segment::parse(frame, HEADER_LEN)) {
        (VLAN | QINQ, _) => &[Counter::CaptureVlan],
        (IPV4 | IPV6, Ok(segment)) if is_service(segment.destination) => client(frame, &segment),
        (IPV4 | IPV6, Ok(segment)) if answers && is_service(segment.source) => {
            &[Counter::ObserveMatched, Counter::ObserveRecorded]
        }
        (IPV4 | IPV6, Err(skip)) => skipped(skip),
        _ => &[],
    };
    (NEXT, only(counters))
}

/// What `replies` should do: what `capture` does with replies, and nothing with anything else.
pub(crate) fn replies(frame: &[u8]) -> Outcome {
    let is_one = match Segment::parse(frame, HEADER_LEN) {
        Ok(segment) => is_reply(segment.source, segment.destination),
        Err(_) => TooBig::parse(frame, HEADER_LEN).is_ok(),
    };
    if is_one && matches!(ethertype(frame), IPV4 | IPV6) {
        capture(frame)
    } else {
        (NEXT, only(&[]))
    }
}

/// What `observe` should do.
pub(crate) fn observe(frame: &[u8]) -> Outcome {
    let counters: &[Counter] = match (ethertype(frame), Segment::parse(frame, HEADER_LEN)) {
        (VLAN | QINQ, _) => &[Counter::ObserveVlan],
        (IPV4 | IPV6, Ok(segment)) if is_service(segment.source) => {
            &[Counter::ObserveMatched, Counter::ObserveRecorded]
        }
        (IPV4 | IPV6, Err(Skip::Fragment)) => &[Counter::ObserveFragment],
        (IPV4 | IPV6, Err(Skip::BigTcp)) => &[Counter::ObserveBigTcp],
        (IPV4 | IPV6, Err(Skip::Malformed)) => &[Counter::ObserveMalformed],
        _ => &[],
    };
    (NEXT, only(counters))
}

/// What `sink` should do where no socket takes what it redirects and nothing is addressed to the assistant.
pub(crate) fn sink(frame: &[u8]) -> Outcome {
    let ip = matches!(ethertype(frame), IPV4 | IPV6);
    match Segment::parse(frame, HEADER_LEN) {
        Ok(segment) if ip && (segment.source == TARGET) => (
            XDP_DROP,
            only(&[Counter::SinkMatched, Counter::SinkNoSocket]),
        ),
        Err(Skip::Fragment)
            if ip
                && ip::addresses(frame, HEADER_LEN)
                    .is_some_and(|(source, _)| source == TARGET.addr) =>
        {
            (XDP_DROP, only(&[Counter::SinkFragment]))
        }
        _ => (XDP_PASS, only(&[Counter::SinkPassed])),
    }
}
