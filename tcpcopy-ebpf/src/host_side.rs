//! `capture_out` and `observe_in`: both hooks of the host's end of a container's link (`-i veth0:host`), where everything
//! goes the other way round: what clients send the container *leaves* by that device, and its answers *come in*.
//!
//! The container's own connections to such a service elsewhere go the other way, so each hook looks at one side alone: they
//! are no clients'. Everything passes.

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
use crate::segment::{self, Interest, Packet};
use crate::skb::Skb;
use crate::{capture, observe};

const CLIENTS: Interest = Interest {
    source: 0,
    destination: PORT_SERVICE | PORT_ANYWHERE | PORT_OF_TARGET,
};
const ANSWERS: Interest = Interest {
    source: PORT_SERVICE
        | PORT_SERVICE_WHOLE
        | PORT_ANYWHERE
        | PORT_ANYWHERE_WHOLE
        | PORT_OF_TARGET,
    destination: 0,
};

/// The program at egress: clients' packets on their way to the container.
#[classifier]
pub fn capture_out(ctx: TcContext) -> i32 {
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
    match segment::look(&skb, &CLIENTS, &mut MaybeUninit::uninit()) {
        Packet::Segment(segment) => {
            if is_service_anywhere(&segment.destination, segment.destination_bits) {
                capture::client(&skb, segment);
            }
        }
        Packet::Icmp | Packet::Other => {}
        Packet::Skipped(skip) => capture::skipped(skip),
    }
    TCX_NEXT
}

/// The program at ingress: the container's answers.
#[classifier]
pub fn observe_in(ctx: TcContext) -> i32 {
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
    match segment::look(&skb, &ANSWERS, &mut MaybeUninit::uninit()) {
        Packet::Segment(segment) => {
            if is_service_anywhere(&segment.source, segment.source_bits) {
                observe::online(&skb, segment);
            }
        }
        Packet::Icmp | Packet::Other => {}
        Packet::Skipped(skip) => observe::skipped(skip),
    }
    TCX_NEXT
}
