//! `absorb`: egress of `tcpcopy0`, to which the pool is routed where a target runs on this very host.
//!
//! A reply is recorded as far as its headers and consumed. Everything else passes, clones for `steer` among it.

use abi::counter::Counter;
use abi::record::KIND_REPLY;
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use wire::ethernet::HEADER_LEN;
use wire::segment::Segment;

use crate::alive::is_abandoned;
use crate::count::count;
use crate::record::{put_headers, response_len, worker_of};
use crate::rules::{Reply, reply};
use crate::skb::Skb;

/// The program.
#[classifier]
pub fn absorb(ctx: TcContext) -> i32 {
    if is_abandoned() {
        count(Counter::AbsorbAbandoned);
        return TCX_NEXT;
    }
    let skb = Skb::new(&ctx);
    let Ok(segment) = Segment::parse(&skb, HEADER_LEN) else {
        return foreign();
    };
    let (Reply::Ours | Reply::Leased(_)) = reply(&segment.source, &segment.destination) else {
        return foreign();
    };
    count(Counter::AbsorbMatched);
    let recorded = put_headers(
        &skb,
        worker_of(&segment.destination),
        KIND_REPLY,
        response_len(&segment),
    );
    count(if recorded {
        Counter::AbsorbRecorded
    } else {
        Counter::AbsorbRingFull
    });
    // A drop on egress tells the sending socket so, and TCP takes it for congestion: the target's window would shrink
    // with every segment. A redirect to a device that does not exist frees the packet and reports success.
    // SAFETY: the helper only notes its arguments.
    unsafe { bpf_redirect(0, 0) as i32 }
}

#[inline(always)]
fn foreign() -> i32 {
    count(Counter::AbsorbForeign);
    TCX_NEXT
}
