//! `absorb`: egress of `tcpcopy0`, to which the pool is routed where a target runs on this very host.
//!
//! A reply is recorded as far as its headers, whole where the rule has a protocol module, and consumed. Everything else passes, clones for `steer` among it.

use core::mem::MaybeUninit;

use abi::counter::Counter;
use abi::maps::{PORT_TARGET, PORT_TARGET_WHOLE};
use abi::record::KIND_REPLY;
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

use crate::alive::is_abandoned;
use crate::count::count;
use crate::record::{put_response, worker_of};
use crate::rules::{Reply, is_whole_target, reply};
use crate::segment::{self, Interest, Packet};
use crate::skb::Skb;

const INTEREST: Interest = Interest {
    source: PORT_TARGET | PORT_TARGET_WHOLE,
    destination: 0,
};

/// The program.
#[classifier]
pub fn absorb(ctx: TcContext) -> i32 {
    if is_abandoned() {
        count(Counter::AbsorbAbandoned);
        return TCX_NEXT;
    }
    let skb = Skb::new(&ctx);
    let mut room = MaybeUninit::uninit();
    let Packet::Segment(segment) = segment::look(&skb, &INTEREST, &mut room) else {
        return foreign();
    };
    let reply = reply(&segment.source, segment.source_bits, &segment.destination);
    let (Reply::Ours | Reply::Leased(_)) = reply else {
        return foreign();
    };
    count(Counter::AbsorbMatched);
    let recorded = put_response(
        &skb,
        worker_of(&segment.destination),
        KIND_REPLY,
        segment,
        is_whole_target,
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
