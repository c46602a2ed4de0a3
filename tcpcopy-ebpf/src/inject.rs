//! `inject`: tcx ingress of `tcpcopy0`, where the frames come out that the engine sends through `tcpcopy1`.
//!
//! A frame leaves by the device that user space found for its target; the kernel resolves the neighbour. Nothing is
//! checked against the MTU on that path, so it is checked here. A frame for a target on this very host goes up the
//! stack. Frames that are not copies pass.

use abi::counter::Counter;
use abi::maps::{EGRESS_DEVICE, EGRESS_LOCAL, Egress};
use aya_ebpf::bindings::tcx_action_base::{TCX_DROP, TCX_NEXT, TCX_PASS, TCX_REDIRECT};
use aya_ebpf::bindings::{bpf_redir_neigh, bpf_redir_neigh__bindgen_ty_1};
use aya_ebpf::helpers::{bpf_redirect_neigh, bpf_skb_change_type};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use wire::ethernet::HEADER_LEN;
use wire::segment::Segment;

use crate::count::count;
use crate::maps::EGRESS;
use crate::skb::Skb;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
/// The packet type of frames for this host.
const PACKET_HOST: u32 = 0;

/// The program.
#[classifier]
pub fn inject(ctx: TcContext) -> i32 {
    let skb = Skb::new(&ctx);
    let segment = match Segment::parse(&skb, HEADER_LEN) {
        Ok(segment) if segment.is_copy() => segment,
        _ => {
            count(Counter::InjectForeign);
            return TCX_NEXT;
        }
    };
    count(Counter::InjectFrames);
    let Some(egress) = EGRESS.get_ptr(&segment.destination.addr) else {
        count(Counter::InjectNoEgress);
        return TCX_DROP;
    };
    // SAFETY: the kernel frees a value only after the programs that might read it have ended.
    let egress = unsafe { &*egress };
    match egress.kind {
        EGRESS_DEVICE => leave(&skb, egress),
        EGRESS_LOCAL => {
            // The frame's destination MAC is zero, so the kernel took it for somebody else's.
            // SAFETY: the helper checks its arguments itself.
            unsafe { bpf_skb_change_type(skb.as_ptr(), PACKET_HOST) };
            count(Counter::InjectLocal);
            TCX_PASS
        }
        _ => {
            count(Counter::InjectNoEgress);
            TCX_DROP
        }
    }
}

#[inline(always)]
fn leave(skb: &Skb, egress: &Egress) -> i32 {
    if skb.network_len() > egress.mtu {
        count(Counter::InjectTooBig);
        return TCX_DROP;
    }
    let verdict = match egress.gateway_family {
        4 => redirect(egress, AF_INET),
        6 => redirect(egress, AF_INET6),
        // SAFETY: no next hop is a null pointer of length 0.
        _ => unsafe { bpf_redirect_neigh(egress.ifindex, core::ptr::null_mut(), 0, 0) as i32 },
    };
    count(if verdict == TCX_REDIRECT {
        Counter::InjectInjected
    } else {
        Counter::InjectNoEgress
    });
    verdict
}

#[inline(always)]
fn redirect(egress: &Egress, family: u32) -> i32 {
    let g = &egress.gateway;
    let word = |at: usize| u32::from_ne_bytes([g[at], g[at + 1], g[at + 2], g[at + 3]]);
    // An IPv4 address stands in the last four bytes.
    let next_hop = if family == AF_INET {
        [word(12), 0, 0, 0]
    } else {
        [word(0), word(4), word(8), word(12)]
    };
    let mut params = bpf_redir_neigh {
        nh_family: family,
        __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 { ipv6_nh: next_hop },
    };
    let len = size_of::<bpf_redir_neigh>() as i32;
    // SAFETY: `params` lives until the helper has copied it.
    unsafe { bpf_redirect_neigh(egress.ifindex, &raw mut params, len, 0) as i32 }
}
