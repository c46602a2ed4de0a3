//! `inject`: ingress of `tcpcopy0`, where the frames come out that the engine sends through `tcpcopy1`.
//!
//! A frame leaves by the device that user space found for its target; the kernel resolves the neighbour. Nothing is
//! checked against the MTU on that path, so it is checked here. A frame for a target on this very host goes up the
//! stack. Frames that are not copies pass.
//!
//! Copies leave after everything else: they have the lowest priority that the kernel knows (`TC_PRIO_FILLER`). `pfifo_fast`
//! and `prio` put them into their last band, which is served when the others are empty; `fq` of Linux 6.8 and later gives
//! that band the smallest weight. `fq_codel`, `cake` and older `fq` do not look at it: there each connection, copy or not, is
//! a flow with a fair share.

use core::mem::MaybeUninit;

use abi::counter::Counter;
use abi::maps::{EGRESS_DEVICE, EGRESS_LOCAL, Egress};
use aya_ebpf::bindings::tcx_action_base::{TCX_DROP, TCX_NEXT, TCX_PASS, TCX_REDIRECT};
use aya_ebpf::bindings::{bpf_redir_neigh, bpf_redir_neigh__bindgen_ty_1};
use aya_ebpf::helpers::{bpf_redirect_neigh, bpf_skb_change_type};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use wire::flow::Addr;

use crate::alive::is_abandoned;
use crate::count::count;
use crate::maps::{EGRESS, EGRESS_SLOTS, GATEWAYS};
use crate::segment::{self, Interest, Packet};
use crate::skb::Skb;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
/// The packet type of frames for this host.
const PACKET_HOST: u32 = 0;
/// `TC_PRIO_FILLER` of the kernel's `linux/pkt_sched.h`: what can wait.
const PRIORITY_FILLER: u32 = 1;

/// The program.
#[classifier]
pub fn inject(ctx: TcContext) -> i32 {
    let skb = Skb::new(&ctx);
    let mut room = MaybeUninit::uninit();
    let segment = match segment::look(&skb, &Interest::ALL, &mut room) {
        Packet::Segment(segment) if segment.is_copy() => segment,
        _ => {
            count(Counter::InjectForeign);
            return TCX_NEXT;
        }
    };
    count(Counter::InjectFrames);
    // Behind that, so that the frames which a run sends before it renews its deadline are told of.
    if is_abandoned() {
        count(Counter::InjectAbandoned);
        return TCX_NEXT;
    }
    let (egress, gateway) = Egress::from_word(way_to(&segment.destination.key().addr));
    match egress.kind {
        EGRESS_DEVICE => leave(&skb, &egress, gateway),
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

/// The way to a target in one word; 0, which is no way, where there is no such target.
#[inline(always)]
fn way_to(target: &Addr) -> u64 {
    let Some(slot) = EGRESS_SLOTS.get_ptr(target) else {
        return 0;
    };
    // SAFETY: the map is filled before the programs are attached and no entry is replaced or removed after that.
    let slot = unsafe { *slot };
    match EGRESS.get_ptr(slot) {
        // SAFETY: an element of an array lives as long as the program; user space replaces the whole word by one store.
        Some(word) => unsafe { word.read_volatile() },
        None => 0,
    }
}

#[inline(always)]
fn leave(skb: &Skb, egress: &Egress, gateway: u32) -> i32 {
    if skb.network_len() > egress.mtu {
        count(Counter::InjectTooBig);
        return TCX_DROP;
    }
    skb.set_priority(PRIORITY_FILLER);
    let verdict = match egress.gateway_family {
        4 => redirect(egress.ifindex, gateway, AF_INET),
        6 => redirect(egress.ifindex, gateway, AF_INET6),
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
fn redirect(ifindex: u32, gateway: u32, family: u32) -> i32 {
    let Some(g) = GATEWAYS.get(gateway) else {
        return TCX_DROP;
    };
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
    unsafe { bpf_redirect_neigh(ifindex, &raw mut params, len, 0) as i32 }
}
