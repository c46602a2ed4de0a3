//! `steer`: egress of `tcpcopy0`, only with `--capture af-xdp`.
//!
//! A clone leaves by its owner's queue and comes out of the peer's queue of the same number. Its stamp travels in
//! the place of the MAC addresses, which nobody needs any more: 8 bytes in native order from the start of the frame.

use core::mem::MaybeUninit;

use abi::counter::Counter;
use abi::maps::{PORT_ANYWHERE, PORT_OF_TARGET, PORT_SERVICE, PORT_TARGET};
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_skb_store_bytes};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

use crate::alive::is_abandoned;
use crate::count::count_many;
use crate::record::worker_of;
use crate::rules::{Reply, is_service_anywhere, reply};
use crate::segment::{self, Interest, Packet};
use crate::skb::Skb;

const INTEREST: Interest = Interest {
    source: PORT_TARGET,
    destination: PORT_SERVICE | PORT_ANYWHERE | PORT_OF_TARGET,
};

/// The program.
#[classifier]
pub fn steer(ctx: TcContext) -> i32 {
    if is_abandoned() {
        return TCX_NEXT;
    }
    let skb = Skb::new(&ctx);
    let mut room = MaybeUninit::uninit();
    let Packet::Segment(segment) = segment::look(&skb, &INTEREST, &mut room) else {
        return TCX_NEXT;
    };
    // Replies of a target on this very host leave by this device too, to addresses that a rule without one would mean.
    let reply = matches!(
        reply(&segment.source, segment.source_bits, &segment.destination),
        Reply::Ours | Reply::Leased(_)
    );
    if reply || !is_service_anywhere(&segment.destination, segment.destination_bits) {
        return TCX_NEXT;
    }
    // The device cuts a super-packet into its segments, and `deliver` counts those.
    let frames = skb.frames(u32::from(segment.payload_len));
    count_many(Counter::SteerFrames, u64::from(frames));

    skb.set_queue_mapping(worker_of(&segment.source) + 1);
    // SAFETY: the helper takes no argument that could be wrong.
    let stamp = unsafe { bpf_ktime_get_ns() }.to_ne_bytes();
    // SAFETY: `stamp` is as long as the helper is told. A failure leaves zeros or MAC addresses, which the worker
    // does not take for a time close to now.
    unsafe {
        bpf_skb_store_bytes(
            skb.as_ptr().cast(),
            0,
            stamp.as_ptr().cast(),
            stamp.len() as u32,
            0,
        )
    };
    TCX_NEXT
}
