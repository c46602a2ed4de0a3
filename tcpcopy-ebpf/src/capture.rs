//! `capture`: tcx ingress of the online interfaces (and of those that replies come in by), ordered first.
//!
//! A client's packet to an online service is recorded whole (or cloned, with `--capture af-xdp`) and always passes.
//! A target's reply to the pool is recorded as far as its headers and never passes: the local stack has no socket
//! for it and would answer RST. Everything else passes untouched.

use abi::counter::Counter;
use abi::record::{KIND_CLIENT, KIND_REPLY, KIND_TOO_BIG, RECORD_HEADER_LEN, SIZE_CLASSES};
use aya_ebpf::bindings::tcx_action_base::{TCX_DROP, TCX_NEXT};
use aya_ebpf::helpers::{bpf_clone_redirect, bpf_ktime_get_ns};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use wire::ethernet::HEADER_LEN;
use wire::icmp::{TOO_BIG_LEN_MAX, TooBig};
use wire::ip::{self, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Skip};
use wire::segment::Segment;

use crate::count::count;
use crate::maps::{CLONE_IFINDEX, CLONE_MTU};
use crate::record::{put_clone, put_headers, put_packet, response_len, worker_of};
use crate::rules::{is_reply, is_sampled, is_service};
use crate::skb::Skb;

/// The program.
#[classifier]
pub fn capture(ctx: TcContext) -> i32 {
    let skb = Skb::new(&ctx);
    if skb.is_tagged() {
        count(Counter::CaptureVlan);
        return TCX_NEXT;
    }
    if !skb.is_ip() {
        return TCX_NEXT;
    }
    match judge(&skb) {
        Ok(verdict) => verdict,
        Err(skip) => {
            match skip {
                Skip::OtherProtocol => {}
                Skip::Fragment => count(Counter::CaptureFragment),
                Skip::BigTcp => count(Counter::CaptureBigTcp),
                Skip::Malformed => count(Counter::CaptureMalformed),
            }
            TCX_NEXT
        }
    }
}

#[inline(always)]
fn judge(skb: &Skb) -> Result<i32, Skip> {
    let ip = ip::Header::parse(skb, HEADER_LEN)?;
    match ip.protocol {
        PROTOCOL_TCP => {
            let segment = Segment::parse_tcp(skb, HEADER_LEN, &ip)?;
            if is_service(&segment.destination) {
                client(skb, &ip, &segment)?;
            } else if is_reply(&segment.source, &segment.destination) {
                reply(skb, &segment);
                return Ok(TCX_DROP);
            }
            Ok(TCX_NEXT)
        }
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
            too_big(skb, &ip)?;
            Ok(TCX_NEXT)
        }
        _ => Ok(TCX_NEXT),
    }
}

/// A client's packet on its way to an online service.
#[inline(always)]
fn client(skb: &Skb, ip: &ip::Header, segment: &Segment) -> Result<(), Skip> {
    let len = u32::from(ip.header_len) + u32::from(ip.payload_len);
    if len > skb.network_len() {
        return Err(Skip::Malformed);
    }
    if len > SIZE_CLASSES[SIZE_CLASSES.len() - 1] - RECORD_HEADER_LEN as u32 {
        return Err(Skip::BigTcp);
    }
    if segment.is_pure_ack() {
        count(Counter::CapturePureAck);
        return Ok(());
    }
    if segment.is_copy() {
        count(Counter::CaptureMarked);
        return Ok(());
    }
    count(Counter::CaptureMatched);
    count(if !is_sampled(&segment.source, &segment.destination) {
        Counter::CaptureSampledOut
    } else if CLONE_IFINDEX.load() != 0 {
        clone(skb, segment, len)
    } else if put_packet(skb, worker_of(&segment.source), KIND_CLIENT, len) {
        Counter::CaptureRecorded
    } else {
        Counter::CaptureRingFull
    });
    Ok(())
}

/// Clones a client's packet into the private device.
#[inline(always)]
fn clone(skb: &Skb, segment: &Segment, len: u32) -> Counter {
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
        put_clone(worker_of(&segment.source), stamp_ns, frames);
        Counter::CaptureCloned
    } else {
        Counter::CaptureCloneFailed
    }
}

/// A target's reply to the pool.
#[inline(always)]
fn reply(skb: &Skb, segment: &Segment) {
    count(Counter::ReplyMatched);
    let recorded = put_headers(
        skb,
        worker_of(&segment.destination),
        KIND_REPLY,
        response_len(segment),
    );
    count(if recorded {
        Counter::ReplyRecorded
    } else {
        Counter::ReplyRingFull
    });
}

/// A router's word that a segment of ours did not fit. The stack gets it as well: it keeps the route's MTU.
#[inline(always)]
fn too_big(skb: &Skb, ip: &ip::Header) -> Result<(), Skip> {
    // Most ICMP is something else, or quotes something else: that is not malformed to us.
    let Ok(message) = TooBig::parse_icmp(skb, HEADER_LEN, ip) else {
        return Ok(());
    };
    if is_reply(&message.flow.server, &message.flow.client) {
        let worker = worker_of(&message.flow.client);
        if put_headers(skb, worker, KIND_TOO_BIG, TOO_BIG_LEN_MAX as u32) {
            count(Counter::ReplyTooBig);
        }
    }
    Ok(())
}
