//! `overhear`: ingress of a mirror port (`-i span0:mirror`): a switch's SPAN port, a TAP, `tc mirred`, a cloud's traffic
//! mirror that arrives by a VXLAN device.
//!
//! Both directions of a connection come in here, in frames for anybody, and what a packet is follows from what it matches.
//! All of them are copies of packets that are on their way elsewhere, so nothing is ever consumed, a target's replies least of
//! all: where they really arrive they are taken, once.

use core::mem::MaybeUninit;

use abi::counter::Counter;
use abi::maps::{
    PORT_ANYWHERE, PORT_ANYWHERE_WHOLE, PORT_OF_TARGET, PORT_SERVICE, PORT_SERVICE_WHOLE,
};
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

use crate::alive::is_abandoned;
use crate::count::count;
use crate::rules::is_service_anywhere;
use crate::segment::{self, Interest, Packet, Segment};
use crate::skb::Skb;
use crate::{capture, observe};

const INTEREST: Interest = Interest {
    source: PORT_SERVICE
        | PORT_SERVICE_WHOLE
        | PORT_ANYWHERE
        | PORT_ANYWHERE_WHOLE
        | PORT_OF_TARGET,
    destination: PORT_SERVICE | PORT_ANYWHERE | PORT_OF_TARGET,
};

/// The program.
#[classifier]
pub fn overhear(ctx: TcContext) -> i32 {
    if is_abandoned() {
        count(Counter::CaptureAbandoned);
        return TCX_NEXT;
    }
    let skb = Skb::new(&ctx);
    if skb.is_tagged() {
        count(Counter::CaptureVlan);
        return TCX_NEXT;
    }
    if !skb.is_ip() {
        return TCX_NEXT;
    }
    match segment::look(&skb, &INTEREST, &mut MaybeUninit::uninit()) {
        Packet::Segment(segment) => judge(&skb, segment),
        Packet::Icmp | Packet::Other => {}
        Packet::Skipped(skip) => capture::skipped(skip),
    }
    TCX_NEXT
}

#[inline(always)]
fn judge(skb: &Skb, segment: &Segment) {
    if is_service_anywhere(&segment.destination, segment.destination_bits) {
        capture::client(skb, segment);
    } else if is_service_anywhere(&segment.source, segment.source_bits) {
        observe::online(skb, segment);
    }
}
