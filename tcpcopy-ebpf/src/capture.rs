//! `capture`: ingress of the online interfaces (and of those that replies come in by), ordered first.
//!
//! A client's packet to an online service is recorded whole (or cloned, with `--capture af-xdp`) and always passes.
//! A target's reply to a session is recorded as far as its headers, whole where the rule has a protocol module, and never
//! passes: the local stack has no socket for it and would answer RST. Everything else passes untouched, a target's packets for others among it: on an address of
//! this host those to ports that no session has leased, and those of a connection that a socket of this host has.

use core::mem::MaybeUninit;

use abi::counter::Counter;
use abi::maps::{PORT_SERVICE, PORT_TARGET, PORT_TARGET_WHOLE};
use abi::record::{KIND_CLIENT, KIND_REPLY, KIND_TOO_BIG, RECORD_HEADER_LEN, SIZE_CLASSES};
use aya_ebpf::bindings::tcx_action_base::{TCX_DROP, TCX_NEXT};
use aya_ebpf::helpers::{bpf_clone_redirect, bpf_ktime_get_ns};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use wire::ethernet::HEADER_LEN;
use wire::icmp::{TOO_BIG_LEN_MAX, TooBig};
use wire::ip::Skip;
use wire::tcp::Flags;

use crate::alive::is_abandoned;
use crate::count::count;
use crate::maps::{CLONE_IFINDEX, CLONE_MTU, TAKES_COPIES};
use crate::record::{put_clone, put_headers, put_packet, put_response, worker_of};
use crate::rules::{
    Lease, Reply, is_paused, is_sampled, is_service, is_whole_target, port_bits, reply,
};
use crate::segment::{self, Interest, Packet, Segment};
use crate::side::Side;
use crate::skb::Skb;
use crate::sockets;

const INTEREST: Interest = Interest {
    source: PORT_TARGET | PORT_TARGET_WHOLE,
    destination: PORT_SERVICE,
};

/// The program.
#[classifier]
pub fn capture(ctx: TcContext) -> i32 {
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
        Packet::Icmp => {
            too_big(&skb);
            TCX_NEXT
        }
        Packet::Other => TCX_NEXT,
        Packet::Skipped(skip) => {
            skipped(skip);
            TCX_NEXT
        }
    }
}

/// Counts what cannot be looked at on the way in.
#[inline(always)]
pub fn skipped(skip: Skip) {
    match skip {
        Skip::OtherProtocol => {}
        Skip::Fragment => count(Counter::CaptureFragment),
        Skip::BigTcp => count(Counter::CaptureBigTcp),
        Skip::Malformed => count(Counter::CaptureMalformed),
    }
}

#[inline(always)]
fn judge(skb: &Skb, segment: &Segment) -> i32 {
    if !is_service(&segment.destination, segment.destination_bits) {
        return from_target(skb, segment);
    }
    if skb.is_for_other_host() {
        count(Counter::CaptureOtherHost);
    } else {
        client(skb, segment);
    }
    TCX_NEXT
}

/// A client's packet on its way to an online service.
#[inline(always)]
pub fn client(skb: &Skb, segment: &Segment) {
    let len = u32::from(segment.payload_offset) + u32::from(segment.payload_len);
    count(if len > skb.network_len() {
        Counter::CaptureMalformed
    } else if len > SIZE_CLASSES[SIZE_CLASSES.len() - 1] - RECORD_HEADER_LEN as u32 {
        Counter::CaptureBigTcp
    } else if segment.is_pure_ack() {
        Counter::CapturePureAck
    } else if segment.is_copy() && TAKES_COPIES.load() == 0 {
        Counter::CaptureMarked
    } else {
        count(Counter::CaptureMatched);
        matched(skb, segment, len)
    });
}

/// A client's packet with something in it that a copy needs.
#[inline(always)]
fn matched(skb: &Skb, segment: &Segment, len: u32) -> Counter {
    if !is_sampled(&segment.source, &segment.destination) {
        return Counter::CaptureSampledOut;
    }
    let worker = worker_of(&segment.source);
    if is_paused(worker) {
        Counter::CapturePaused
    } else if CLONE_IFINDEX.load() != 0 {
        clone(skb, segment, worker, len)
    } else if put_packet(skb, worker, KIND_CLIENT, len) {
        Counter::CaptureRecorded
    } else {
        Counter::CaptureRingFull
    }
}

/// Clones a client's packet into the private device.
#[inline(always)]
fn clone(skb: &Skb, segment: &Segment, worker: u32, len: u32) -> Counter {
    // A super-packet is cut up again on its way through the device. What does not fit vanishes there unreported.
    let gso_size = skb.gso_size();
    let longest = if gso_size == 0 {
        len
    } else {
        u32::from(segment.payload_offset) + gso_size
    };
    if longest > CLONE_MTU.load() {
        return Counter::CaptureCloneTooBig;
    }
    let frames = skb.frames(u32::from(segment.payload_len));
    // Before the clone gets its own stamp: the worker knows its frames by being younger.
    // SAFETY: the helper takes no argument that could be wrong.
    let stamp_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the helper checks its arguments itself. It reports some failures by a positive number.
    let failed = unsafe { bpf_clone_redirect(skb.as_ptr(), CLONE_IFINDEX.load(), 0) };
    if failed == 0 {
        put_clone(worker, stamp_ns, frames);
        Counter::CaptureCloned
    } else {
        Counter::CaptureCloneFailed
    }
}

/// Anything else that may be a target's word. Returns the verdict.
#[inline(always)]
pub fn from_target(skb: &Skb, segment: &Segment) -> i32 {
    let lease = match reply(&segment.source, segment.source_bits, &segment.destination) {
        Reply::No => return TCX_NEXT,
        Reply::Unleased => {
            count(Counter::ReplyUnleased);
            return TCX_NEXT;
        }
        Reply::Ours => None,
        Reply::Leased(lease) => Some(lease),
    };
    if skb.is_for_other_host() {
        count(Counter::CaptureOtherHost);
        return TCX_NEXT;
    }
    if let Some(lease) = lease
        && is_foreign(skb, segment, &lease)
    {
        count(Counter::ReplyForeign);
        return TCX_NEXT;
    }
    consume(skb, segment);
    TCX_DROP
}

/// Whether a leased port has become somebody else's on this host, who has bound it after we leased it. The lease ends with
/// that, so the next packets pass without being looked at.
///
/// A look-up costs a third of all the rest, so segments with payload or FIN are spared it. Before a target sends those to
/// a new connection it must answer its SYN, and a target that knows another connection on the same ports says so with a bare
/// acknowledgement (RFC 5961 section 4): each way a segment without either comes first.
#[inline(always)]
fn is_foreign(skb: &Skb, segment: &Segment, lease: &Lease) -> bool {
    let late = segment.payload_len != 0 || segment.flags.contains(Flags::FIN);
    if late || !sockets::is_connected(skb, segment) {
        return false;
    }
    lease.revoke();
    true
}

/// A target's reply to a session.
#[inline(always)]
fn consume(skb: &Skb, segment: &Segment) {
    count(Counter::ReplyMatched);
    let recorded = put_response(
        skb,
        worker_of(&segment.destination),
        KIND_REPLY,
        segment,
        is_whole_target,
    );
    count(if recorded {
        Counter::ReplyRecorded
    } else {
        Counter::ReplyRingFull
    });
}

/// A router's word that a segment of ours did not fit. The stack gets it as well: it keeps the route's MTU.
#[inline(always)]
pub fn too_big(skb: &Skb) {
    // Most ICMP is something else, or quotes something else: that is not malformed to us.
    let Ok(message) = TooBig::parse(skb, HEADER_LEN) else {
        return;
    };
    let (target, pool) = (
        Side::new(message.flow.server),
        Side::new(message.flow.client),
    );
    let reply = reply(&target, port_bits(target.port()), &pool);
    if let Reply::Ours | Reply::Leased(_) = reply {
        let worker = worker_of(&pool);
        if put_headers(skb, worker, KIND_TOO_BIG, TOO_BIG_LEN_MAX as u32) {
            count(Counter::ReplyTooBig);
        }
    }
}
