//! Writing a record into a worker's ring.
//!
//! Entries have the sizes of [`SIZE_CLASSES`] because the verifier wants a constant. No record wakes its reader up
//! unless the reader said that it sleeps.

use core::arch::asm;

use abi::maps::{ASLEEP, ASLEEP_UNTIL_REPLY, AWAKE, WORKERS_MAX};
use abi::record::{
    HEADERS_LEN_MAX, KIND_CLONE, KIND_REPLY, RECORD_HEADER_LEN, RecordHeader, SAMPLE_LEN_MAX,
    SIZE_CLASSES,
};
use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_skb_load_bytes};
use wire::ethernet;
use wire::hash::EndpointHash;

use crate::maps::{OWNER_KEY, RINGS, Ring, SAMPLE_LEN, SLEEPING, WORKERS};
use crate::segment::Segment;
use crate::side::Side;
use crate::skb::Skb;

const fn body(class: usize) -> usize {
    SIZE_CLASSES[class] as usize - RECORD_HEADER_LEN
}

#[repr(C, align(8))]
struct Entry<const BODY: usize> {
    header: RecordHeader,
    body: [u8; BODY],
}

/// The worker that owns what belongs to this client or pool endpoint.
#[inline(always)]
pub fn worker_of(client: &Side) -> u32 {
    EndpointHash::from_key(OWNER_KEY.load()).owner(&client.endpoint(), WORKERS.load())
}

/// Records a whole packet of `len` bytes; `false` where the ring has no room.
#[inline(always)]
pub fn put_packet(skb: &Skb, worker: u32, kind: u32, len: u32) -> bool {
    let Some(ring) = ring(worker) else {
        return false;
    };
    let len = len as usize;
    let put = if len <= body(0) {
        put::<{ body(0) }>(ring, skb, kind, len)
    } else if len <= body(1) {
        put::<{ body(1) }>(ring, skb, kind, len)
    } else if len <= body(2) {
        put::<{ body(2) }>(ring, skb, kind, len)
    } else if len <= body(3) {
        put::<{ body(3) }>(ring, skb, kind, len)
    } else {
        put::<{ body(4) }>(ring, skb, kind, len)
    };
    if put {
        wake(ring, worker, kind);
    }
    put
}

/// Records at most the first `len` bytes of a packet, where `len` is that of headers and a sample of payload.
#[inline(always)]
pub fn put_headers(skb: &Skb, worker: u32, kind: u32, len: u32) -> bool {
    let Some(ring) = ring(worker) else {
        return false;
    };
    let present = skb.network_len();
    let len = (if len < present { len } else { present }) as usize;
    let put = if len <= body(0) {
        put::<{ body(0) }>(ring, skb, kind, len)
    } else {
        put::<{ body(1) }>(ring, skb, kind, len)
    };
    if put {
        wake(ring, worker, kind);
    }
    put
}

/// Says that a packet was cloned towards the worker. A full ring has no room for it: then the worker takes the clone as
/// it comes.
#[inline(always)]
pub fn put_clone(worker: u32, stamp_ns: u64, frames: u32) {
    let Some(ring) = ring(worker) else {
        return;
    };
    let Some(mut entry) = ring.reserve_untyped::<RecordHeader>(0) else {
        return;
    };
    let header = RecordHeader {
        stamp_ns,
        kind: KIND_CLONE,
        captured_len: 0,
        ifindex: 0,
        gso_size: frames,
    };
    // SAFETY: the entry is a header, and ours until it is submitted.
    unsafe { entry.as_mut_ptr().write(header) };
    // The clone wakes the worker up.
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
}

const _: () = assert!(HEADERS_LEN_MAX as usize <= body(0));
const _: () = assert!((HEADERS_LEN_MAX + SAMPLE_LEN_MAX) as usize <= body(1));

/// How much of a response is recorded, the online server's or the target's: its headers, and as much of its payload as was
/// asked for.
#[inline(always)]
pub fn response_len(segment: &Segment) -> u32 {
    let headers = u32::from(segment.payload_offset);
    let payload = u32::from(segment.payload_len);
    let sample = SAMPLE_LEN.load();
    headers + if payload < sample { payload } else { sample }
}

#[inline(always)]
fn ring(worker: u32) -> Option<&'static Ring> {
    if worker >= WORKERS_MAX {
        return None;
    }
    RINGS.get(worker)
}

#[inline(always)]
fn put<const BODY: usize>(ring: &Ring, skb: &Skb, kind: u32, len: usize) -> bool {
    let Some(mut entry) = ring.reserve_untyped::<Entry<BODY>>(0) else {
        return false;
    };
    let to = entry.as_mut_ptr();
    // SAFETY: the helper takes no argument that could be wrong.
    let stamp_ns = unsafe { bpf_ktime_get_ns() };
    let header = RecordHeader {
        stamp_ns,
        kind,
        captured_len: len as u32,
        ifindex: skb.ifindex(),
        gso_size: skb.gso_size(),
    };
    // SAFETY: the entry is as long as `Entry` and ours until it is submitted.
    unsafe { (&raw mut (*to).header).write(header) };
    // The helper refuses a length of 0, and no caller has one. Two comparisons would become one on another register, and
    // verifiers before that of Linux 6.13 or so do not see what that says about the length, nor those before 6.8 what "not 0"
    // does. So one comparison of the number that is smaller by one; of 0 that is the largest there is.
    let mut failed = true;
    let less = unknown(len.wrapping_sub(1));
    if less < BODY {
        let len = less + 1;
        // SAFETY: `len` bytes fit into the body, by the line above.
        failed = unsafe {
            bpf_skb_load_bytes(
                skb.as_ptr().cast(),
                ethernet::HEADER_LEN as u32,
                (&raw mut (*to).body).cast(),
                len as u32,
            )
        } != 0;
    }
    if failed {
        // Callers compared the length with the packet's before, so this is as good as impossible.
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return false;
    }
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    true
}

/// The same number, of which the compiler knows nothing any more: it would otherwise leave out comparisons that it
/// has made before, or make them on a copy, and the verifier would not follow.
#[inline(always)]
fn unknown(mut number: usize) -> usize {
    // An instruction that does nothing: without any, two lines of the source would share an address, and the kernel
    // refuses such line information.
    // SAFETY: the register keeps its value.
    unsafe { asm!("{0} = {0}", inout(reg) number, options(nomem, nostack, preserves_flags)) };
    number
}

/// Wakes the worker up if it sleeps and wants to be woken by a record of this kind.
///
/// The worker sets its slot and then looks at the ring once more before it sleeps; here the record is submitted (an
/// atomic exchange in the kernel) before the slot is read: one of the two sees the other. The wake-up itself is an
/// empty entry that readers skip, because only the end of an entry can send one.
#[inline(always)]
fn wake(ring: &Ring, worker: u32, kind: u32) {
    let Some(slot) = SLEEPING.get_ptr_mut(worker) else {
        return;
    };
    // SAFETY: a slot of a map lives as long as the program; user space and other CPUs write whole words.
    let state = unsafe { slot.read_volatile() };
    if state != ASLEEP && (state != ASLEEP_UNTIL_REPLY || kind != KIND_REPLY) {
        return;
    }
    // One wake-up is enough. SAFETY: as above.
    unsafe { slot.write_volatile(AWAKE) };
    if let Some(empty) = ring.reserve_untyped::<u64>(0) {
        empty.discard(u64::from(BPF_RB_FORCE_WAKEUP));
    }
}
