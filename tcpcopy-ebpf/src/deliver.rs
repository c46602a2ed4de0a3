//! `deliver`: native XDP of `tcpcopy1`, only with `--capture af-xdp`.
//!
//! Hands each frame to the socket of the queue that it came in by.

use abi::counter::Counter;
use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::count::count;
use crate::maps::XSKS;

/// The program.
#[xdp]
pub fn deliver(ctx: XdpContext) -> u32 {
    // SAFETY: the kernel passes a valid context, and rewrites the access.
    let queue = unsafe { (*ctx.ctx).rx_queue_index };
    match XSKS.redirect(queue, u64::from(XDP_DROP)) {
        Ok(verdict) => {
            count(Counter::DeliverFrames);
            verdict
        }
        Err(verdict) => {
            count(Counter::DeliverNoSocket);
            verdict
        }
    }
}
