//! `overhear`: ingress of a mirror port (`-i span0:mirror`): a switch's SPAN port, a TAP, `tc mirred`, a cloud's traffic
//! mirror that arrives by a VXLAN device.
//!
//! Both directions of a connection come in here, in frames for anybody, and what a packet is follows from what it matches.
//! All of them are copies of packets that are on their way elsewhere, so nothing is ever consumed, a target's replies least of
//! all: where they really arrive they are taken, once.

use abi::counter::Counter;
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use wire::ethernet::HEADER_LEN;
use wire::ip::{self, PROTOCOL_TCP, Skip};
use wire::segment::Segment;

use crate::alive::is_abandoned;
use crate::count::count;
use crate::rules::is_service_anywhere;
use crate::skb::Skb;
use crate::{capture, observe};

/// The program.
#[classifier]
pub fn overhear(ctx: TcContext) -> i32 {
    if is_abandoned() {
        count(Counter::CaptureAbandoned);
        return TCX_NEXT;
    }
    let skb = Skb::new(&ctx);
    if skb.is_tagged() {
        count(Counter::CaptureVlan);
    } else if skb.is_ip()
        && let Err(skip) = judge(&skb)
    {
        capture::skipped(skip);
    }
    TCX_NEXT
}

#[inline(always)]
fn judge(skb: &Skb) -> Result<(), Skip> {
    let ip = ip::Header::parse(skb, HEADER_LEN)?;
    if ip.protocol != PROTOCOL_TCP {
        return Ok(());
    }
    let segment = Segment::parse_tcp(skb, HEADER_LEN, &ip)?;
    if is_service_anywhere(&segment.destination) {
        capture::client(skb, &ip, &segment)?;
    } else if is_service_anywhere(&segment.source) {
        observe::online(skb, &segment);
    }
    Ok(())
}
