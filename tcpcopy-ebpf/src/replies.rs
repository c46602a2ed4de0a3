//! `replies`: ingress of a mirror port or a container's link by which copies leave as well.
//!
//! What `capture` does there would take clients' packets twice: this is its other half, the targets' replies alone.

use abi::counter::Counter;
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use wire::ethernet::HEADER_LEN;
use wire::ip::{self, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Skip};
use wire::segment::Segment;

use crate::alive::is_abandoned;
use crate::capture;
use crate::count::count;
use crate::skb::Skb;

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
    // What cannot be looked at is counted by the program beside this one.
    judge(&skb).unwrap_or(TCX_NEXT)
}

#[inline(always)]
fn judge(skb: &Skb) -> Result<i32, Skip> {
    let ip = ip::Header::parse(skb, HEADER_LEN)?;
    match ip.protocol {
        PROTOCOL_TCP => {
            let segment = Segment::parse_tcp(skb, HEADER_LEN, &ip)?;
            Ok(capture::from_target(skb, &segment))
        }
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
            capture::too_big(skb, &ip)?;
            Ok(TCX_NEXT)
        }
        _ => Ok(TCX_NEXT),
    }
}
