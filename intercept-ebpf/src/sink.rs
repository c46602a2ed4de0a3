//! `sink`: XDP on the assistant's interface.
//!
//! What a target sends to anybody but the assistant itself is a reply to a session: it goes to the AF_XDP socket of
//! its queue, and is dropped where there is none. Fragments of a target that are not for us are dropped as well,
//! because their ports are unknown and a real client must not get them. Everything else passes.
//!
//! The stamp of a reply is made here, so that no time that it waits for its worker is charged to the target. It takes the
//! place of the Ethernet addresses, which nobody needs any more: metadata in front of a frame would need a kernel and a
//! driver that carry it. What follows the headers is cut off but for as much payload as some subscriber asks for of that target,
//! mostly none: nobody looks at it, so it need not be copied, and a packet longer than an AF_XDP frame (jumbo, or merged by an
//! offload) arrives all the same, without its payload even where all of that is wanted.

use core::hint::black_box;

use abi::counter::{COUNTERS_LEN, Counter};
use abi::maps::{OWN_ADDRESSES_MAX, TARGETS_MAX, WORKERS_MAX};
use abi::record::{FRAME_STAMP_LEN, SAMPLE_LEN_MAX, WHOLE_FRAME_LEN_MAX};
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray, XskMap};
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_tail};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use wire::bytes::Bytes;
use wire::ethernet::{HEADER_LEN, IPV4, IPV6};
use wire::flow::{Addr, Endpoint};
use wire::ip::{self, Skip};
use wire::segment::Segment;

#[btf_map]
static TARGETS: HashMap<Endpoint, u32, { 2 * TARGETS_MAX as usize }> = HashMap::new();
#[btf_map]
static OWN_ADDRESSES: HashMap<Addr, u32, { OWN_ADDRESSES_MAX as usize }> = HashMap::new();
#[btf_map]
static XSKS: XskMap<{ WORKERS_MAX as usize }> = XskMap::new();
#[btf_map]
static PAYLOAD_WANTED: Array<u64, { TARGETS_MAX as usize }, { BPF_F_MMAPABLE as usize }> =
    Array::new();
#[btf_map]
static COUNTERS: PerCpuArray<u64, { COUNTERS_LEN as usize }> = PerCpuArray::new();

/// A frame, as far as it is linear: without multi-buffer support that is all of it.
struct Frame {
    data: usize,
    end: usize,
}

impl Frame {
    #[inline(always)]
    fn stamp(&self) {
        if self.data + FRAME_STAMP_LEN > self.end {
            return;
        }
        // SAFETY: a helper without preconditions.
        let now = unsafe { bpf_ktime_get_ns() };
        // SAFETY: the bytes lie in the frame; the verifier checks the comparison above.
        unsafe { (self.data as *mut u64).write_unaligned(now) };
    }

    /// Leaves the first `len` bytes. Nothing may be read from the frame after this. Where it does not work the frame stays
    /// as it was, which does no harm.
    #[inline(always)]
    fn trim(&self, ctx: &XdpContext, len: usize) {
        // Hidden from the compiler, which would subtract the pointers' lower halves: the verifier wants whole pointers.
        let frame_len = black_box(self.end - self.data);
        let excess = frame_len as i32 - len as i32;
        if excess > 0 {
            // SAFETY: the context is the kernel's own.
            unsafe { bpf_xdp_adjust_tail(ctx.ctx, -excess) };
        }
    }
}

impl Bytes for Frame {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let at = self.data + offset;
        // The verifier learns nothing from "at >= end", which is what the compiler makes of it for one byte.
        if at + if N < 2 { 2 } else { N } > self.end {
            return None;
        }
        // SAFETY: `at .. at + N` lies in the frame; the verifier checks the comparison above.
        Some(unsafe { (at as *const [u8; N]).read() })
    }
}

/// The program.
#[xdp]
pub fn sink(ctx: XdpContext) -> u32 {
    let frame = Frame {
        data: ctx.data(),
        end: ctx.data_end(),
    };
    match judge(&frame) {
        Judgement::Reply {
            target,
            headers_len,
            payload_len,
        } => {
            count(Counter::SinkMatched);
            frame.stamp();
            frame.trim(&ctx, left(headers_len, payload_len, wanted(target)));
            // SAFETY: the kernel passes a valid context, and rewrites the access.
            let queue = unsafe { (*ctx.ctx).rx_queue_index };
            match XSKS.redirect(queue, u64::from(XDP_DROP)) {
                Ok(verdict) => {
                    count(Counter::SinkDelivered);
                    verdict
                }
                Err(verdict) => {
                    count(Counter::SinkNoSocket);
                    verdict
                }
            }
        }
        Judgement::Fragment => {
            count(Counter::SinkFragment);
            XDP_DROP
        }
        Judgement::Other => {
            count(Counter::SinkPassed);
            XDP_PASS
        }
    }
}

enum Judgement {
    /// A reply of the target in this place; its Ethernet, IP and TCP headers, and what they say is behind them, have these lengths.
    Reply {
        target: u32,
        headers_len: usize,
        payload_len: usize,
    },
    Fragment,
    Other,
}

#[inline(always)]
fn judge(frame: &Frame) -> Judgement {
    let Some([high, low]) = frame.read::<2>(HEADER_LEN - 2) else {
        return Judgement::Other;
    };
    let ethertype = u16::from_be_bytes([high, low]);
    if ethertype != IPV4 && ethertype != IPV6 {
        return Judgement::Other;
    }
    match Segment::parse(frame, HEADER_LEN) {
        Ok(segment) => match target(&segment.source) {
            Some(target) if !is_own(&segment.destination.addr) => Judgement::Reply {
                target,
                headers_len: HEADER_LEN + usize::from(segment.payload_offset),
                payload_len: usize::from(segment.payload_len),
            },
            _ => Judgement::Other,
        },
        Err(Skip::Fragment) => match ip::addresses(frame, HEADER_LEN) {
            Some((source, destination))
                if target(&Endpoint::new(source, 0)).is_some() && !is_own(&destination) =>
            {
                Judgement::Fragment
            }
            _ => Judgement::Other,
        },
        _ => Judgement::Other,
    }
}

/// How many bytes of a frame are left in place. What is longer than a socket's frame would be lost altogether: of that the payload
/// is left as far as a sample goes, and who wants all of it sees that it is not there.
#[inline(always)]
fn left(headers_len: usize, payload_len: usize, wanted: usize) -> usize {
    let left = headers_len + payload_len.min(wanted);
    if left > WHOLE_FRAME_LEN_MAX {
        headers_len + payload_len.min(SAMPLE_LEN_MAX as usize)
    } else {
        left
    }
}

/// How much payload anybody wants of a target's replies.
#[inline(always)]
fn wanted(target: u32) -> usize {
    match PAYLOAD_WANTED.get_ptr(target) {
        // SAFETY: an element of an array lives as long as the program; user space writes whole words.
        Some(wanted) => (unsafe { wanted.read_volatile() }) as u16 as usize,
        None => 0,
    }
}

/// The target's place among those that are swallowed, where it is one of them.
#[inline(always)]
fn target(endpoint: &Endpoint) -> Option<u32> {
    // SAFETY: the map is filled before the program is attached, and no entry is replaced or removed after that.
    TARGETS.get_ptr(endpoint).map(|place| unsafe { *place })
}

#[inline(always)]
fn is_own(addr: &Addr) -> bool {
    OWN_ADDRESSES.get_ptr(addr).is_some()
}

#[inline(always)]
fn count(counter: Counter) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the slot belongs to this CPU, and XDP programs of one CPU do not interrupt each other.
        unsafe { *slot += 1 };
    }
}
