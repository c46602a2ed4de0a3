//! `replies`: ingress of a mirror port or a container's link by which copies leave as well.
//!
//! What `capture` does there would take clients' packets twice: this is its other half, the targets' replies alone.

use core::mem::MaybeUninit;

use abi::counter::Counter;
use abi::maps::{PORT_TARGET, PORT_TARGET_WHOLE};
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

use crate::alive::is_abandoned;
use crate::capture;
use crate::count::count;
use crate::segment::{self, Interest, Packet};
use crate::skb::Skb;

const INTEREST: Interest = Interest {
    source: PORT_TARGET | PORT_TARGET_WHOLE,
    destination: 0,
};

/// The program.
#[classifier]
pub fn replies(ctx: TcContext) -> i32 {
    if is_abandoned() {
        count(Counter::CaptureAbandoned);
        return TCX_NEXT;
    }
    let skb = Skb::new(&ctx);
    if skb.is_tagged() || !skb.is_ip() {
        return TCX_NEXT;
    }
    match segment::look(&skb, &INTEREST, &mut MaybeUninit::uninit()) {
        Packet::Segment(segment) => capture::from_target(&skb, segment),
        Packet::Icmp => {
            capture::too_big(&skb);
            TCX_NEXT
        }
        // What cannot be looked at is counted by the program beside this one.
        Packet::Other | Packet::Skipped(_) => TCX_NEXT,
    }
}
