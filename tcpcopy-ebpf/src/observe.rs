//! `observe`: egress of the online interfaces.
//!
//! The headers of every segment that an online service sends to a client, bare acknowledgements and resets
//! included: they open sessions, tell causes, find holes and measure the online server. With `--sample-bytes` the first
//! bytes of its payload as well; for a recorder that asked for it, and for a rule that has a protocol module, all of them.
//! Everything passes.

use core::mem::MaybeUninit;

use abi::counter::Counter;
use abi::maps::{PORT_SERVICE, PORT_SERVICE_WHOLE};
use abi::record::KIND_ONLINE;
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use wire::ip::Skip;

use crate::alive::is_abandoned;
use crate::count::count;
use crate::record::{put_response, worker_of};
use crate::rules::{is_paused, is_sampled, is_service, is_whole_service};
use crate::segment::{self, Interest, Packet, Segment};
use crate::skb::Skb;

const INTEREST: Interest = Interest {
    source: PORT_SERVICE | PORT_SERVICE_WHOLE,
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
    } else if put_response(skb, worker, KIND_ONLINE, segment, is_whole_service) {
        Counter::ObserveRecorded
    } else {
        Counter::ObserveRingFull
    }
}
