//! `capture_out` and `observe_in`: both hooks of the host's end of a container's link (`-i veth0:host`), where everything
//! goes the other way round: what clients send the container *leaves* by that device, and its answers *come in*.
//!
//! The container's own connections to such a service elsewhere go the other way, so each hook looks at one side alone: they
//! are no clients'. Everything passes.

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

/// The program at egress: clients' packets on their way to the container.
#[classifier]
pub fn capture_out(ctx: TcContext) -> i32 {
    if is_abandoned() {
        count(Counter::CaptureAbandoned);
        return TCX_NEXT;
    }
    let skb = Skb::new(&ctx);
    if skb.is_tagged() {
        count(Counter::CaptureVlan);
    } else if skb.is_ip()
        && let Err(skip) = client(&skb)
    {
        capture::skipped(skip);
    }
    TCX_NEXT
}

#[inline(always)]
fn client(skb: &Skb) -> Result<(), Skip> {
    let ip = ip::Header::parse(skb, HEADER_LEN)?;
    if ip.protocol != PROTOCOL_TCP {
        return Ok(());
    }
    let segment = Segment::parse_tcp(skb, HEADER_LEN, &ip)?;
    if is_service_anywhere(&segment.destination) {
        capture::client(skb, &ip, &segment)?;
    }
    Ok(())
}

/// The program at ingress: the container's answers.
#[classifier]
pub fn observe_in(ctx: TcContext) -> i32 {
    if is_abandoned() {
        count(Counter::ObserveAbandoned);
        return TCX_NEXT;
    }
    let skb = Skb::new(&ctx);
    if skb.is_tagged() {
        count(Counter::ObserveVlan);
        return TCX_NEXT;
    }
    if !skb.is_ip() {
        return TCX_NEXT;
    }
    match Segment::parse(&skb, HEADER_LEN) {
        Ok(segment) => {
            if is_service_anywhere(&segment.source) {
                observe::online(&skb, &segment);
            }
        }
        Err(skip) => observe::skipped(skip),
    }
    TCX_NEXT
}
