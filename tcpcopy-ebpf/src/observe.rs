//! `observe`: egress of the online interfaces.
//!
//! The headers of every segment that an online service sends to a client, bare acknowledgements and resets
//! included: they open sessions, tell causes, find holes and measure the online server. With `--sample-bytes` the first
//! bytes of its payload as well, and for a recorder that asked for it all of them. Everything passes.

use core::mem::MaybeUninit;

use abi::counter::Counter;
use abi::maps::PORT_SERVICE;
use abi::record::{KIND_ONLINE, RECORD_HEADER_LEN, SIZE_CLASSES};
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use wire::ip::Skip;

use crate::alive::is_abandoned;
use crate::count::count;
use crate::maps::WHOLE_RESPONSES;
use crate::record::{put_headers, put_packet, response_len, worker_of};
use crate::rules::{is_paused, is_sampled, is_service};
use crate::segment::{self, Interest, Packet, Segment};
use crate::skb::Skb;

const INTEREST: Interest = Interest {
    source: PORT_SERVICE,
    destination: 0,
};

/// The program.
#[classifier]
pub fn observe(ctx: TcContext) -> i32 {
    if is_abandoned() {
        count(Counter::ObserveAbandoned);
        return TCX_NEXT;
    }
    let skb = Skb::new(&ctx);
    if skb.is_tagged() {
        count(Counter::ObserveVlan);
        return TCX_NEXT;
    }
    if !skb.is_ip() {
        return TCX_NEXT;
    }
    match segment::look(&skb, &INTEREST, &mut MaybeUninit::uninit()) {
        Packet::Segment(segment) => {
            if is_service(&segment.source, segment.source_bits) {
                online(&skb, segment);
            }
        }
        Packet::Icmp | Packet::Other => {}
        Packet::Skipped(skip) => skipped(skip),
    }
    TCX_NEXT
}

/// Counts what cannot be looked at on the way out.
#[inline(always)]
pub fn skipped(skip: Skip) {
    match skip {
        Skip::OtherProtocol => {}
        Skip::Fragment => count(Counter::ObserveFragment),
        Skip::BigTcp => count(Counter::ObserveBigTcp),
        Skip::Malformed => count(Counter::ObserveMalformed),
    }
}

/// A segment of an online service on its way to a client.
#[inline(always)]
pub fn online(skb: &Skb, segment: &Segment) {
    count(Counter::ObserveMatched);
    count(matched(skb, segment));
}

#[inline(always)]
fn matched(skb: &Skb, segment: &Segment) -> Counter {
    let client = &segment.destination;
    if !is_sampled(client, &segment.source) {
        return Counter::ObserveSampledOut;
    }
    let worker = worker_of(client);
    if is_paused(worker) {
        Counter::ObservePaused
    } else if put(skb, worker, segment) {
        Counter::ObserveRecorded
    } else {
        Counter::ObserveRingFull
    }
}

/// Records the headers, or everything where a recorder wants it.
#[inline(always)]
fn put(skb: &Skb, worker: u32, segment: &Segment) -> bool {
    if WHOLE_RESPONSES.load() == 0 {
        return put_headers(skb, worker, KIND_ONLINE, response_len(segment));
    }
    let len = u32::from(segment.payload_offset) + u32::from(segment.payload_len);
    let longest = SIZE_CLASSES[SIZE_CLASSES.len() - 1] - RECORD_HEADER_LEN as u32;
    // What lies, or is longer than any record, is recorded as far as its headers: the reader sees that it is not whole.
    if len > skb.network_len() || len > longest {
        return put_headers(skb, worker, KIND_ONLINE, response_len(segment));
    }
    put_packet(skb, worker, KIND_ONLINE, len)
}
