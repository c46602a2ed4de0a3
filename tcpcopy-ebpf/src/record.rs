//! Writing a record into a worker's ring.
//!
//! Entries have the sizes of [`SIZE_CLASSES`] because the verifier wants a constant. No record wakes its reader up
//! unless the reader said that it sleeps.

use core::arch::asm;

use abi::maps::{ASLEEP, ASLEEP_UNTIL_REPLY, AWAKE, WHOLE_NONE, WORKERS_MAX};
use abi::record::{
    HEADERS_LEN_MAX, KIND_CLONE, KIND_REPLY, RECORD_HEADER_LEN, RecordHeader, SAMPLE_LEN_MAX,
    SIZE_CLASSES,
};
use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_skb_load_bytes};
use wire::ethernet;
use wire::hash::EndpointHash;

use crate::maps::{OWNER_KEY, RINGS, Ring, SAMPLE_LEN, SLEEPING, WHOLE_RESPONSES, WORKERS};
use crate::segment::Segment;
use crate::side::Side;
use crate::skb::Skb;

/// The worker that owns what belongs to this client or pool endpoint.
#[inline(always)]
pub fn worker_of(client: &Side) -> u32 {
    let workers = WORKERS.load();
    if workers == 1 {
        return 0;
    }
    EndpointHash::from_key(OWNER_KEY.load()).owner(&client.endpoint(), workers)
}

/// Records a whole packet of `len` bytes; `false` where the ring has no room.
#[inline(always)]
pub fn put_packet(skb: &Skb, worker: u32, kind: u32, len: u32) -> bool {
    let Some(ring) = ring(worker) else {
        return false;
    };
    let len = len as usize;
    let put = put(ring, skb, kind, len, size_of_record(len));
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
    let put = put(ring, skb, kind, len, size_of_headers(len));
    if put {
        wake(ring, worker, kind);
    }
    put
}

/// Records a response, the online server's or the target's: all of it where `is_whole` says that it is wanted, and otherwise its
/// headers and as much of its payload as was asked for.
///
/// The verifier knows the global and leaves out what cannot be reached, so where nobody has a module nothing of this remains.
#[inline(always)]
pub fn put_response(
    skb: &Skb,
    worker: u32,
    kind: u32,
    segment: &Segment,
    is_whole: fn(&Side, u32, u32) -> bool,
) -> bool {
    let mode = WHOLE_RESPONSES.load();
    if mode != WHOLE_NONE && is_whole(&segment.source, segment.source_bits, mode) {
        let len = u32::from(segment.payload_offset) + u32::from(segment.payload_len);
        let longest = SIZE_CLASSES[SIZE_CLASSES.len() - 1] - RECORD_HEADER_LEN as u32;
        // What lies, or is longer than any record, is recorded as far as its headers: the reader sees that it is not whole.
        if len <= skb.network_len() && len <= longest {
            return put_packet(skb, worker, kind, len);
        }
    }
    put_headers(skb, worker, kind, response_len(segment))
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

/// How much is recorded of a response that is not wanted whole.
#[inline(always)]
fn response_len(segment: &Segment) -> u32 {
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

/// The first of these classes that has room for `len` bytes, else the last.
///
/// Each is a number of its own that the compiler cannot calculate with: the verifier wants to see a constant on whichever way it
/// comes to where it is used.
macro_rules! smallest {
    ($len:expr, $($class:literal)* | $last:literal) => {
        $(if $len <= SIZE_CLASSES[$class] as usize - RECORD_HEADER_LEN { constant::<$class>() } else)* { constant::<$last>() }
    };
}

/// How long the record of a packet of `len` bytes is.
#[inline(always)]
fn size_of_record(len: usize) -> usize {
    smallest!(len, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 | 15)
}

/// The same of headers and a sample of payload.
#[inline(always)]
fn size_of_headers(len: usize) -> usize {
    smallest!(len, 0 1 2 3 | 4)
}

const _: () = assert!(SIZE_CLASSES.len() == 16);
const _: () =
    assert!(HEADERS_LEN_MAX + SAMPLE_LEN_MAX + RECORD_HEADER_LEN as u32 <= SIZE_CLASSES[4]);

#[inline(always)]
fn constant<const CLASS: usize>() -> usize {
    let size: usize;
    // SAFETY: it does nothing else.
    unsafe {
        asm!("{0} = {1}", out(reg) size, const SIZE_CLASSES[CLASS], options(pure, nomem, nostack, preserves_flags));
    }
    size
}

/// Records the first `len` bytes of a packet in an entry of `size` bytes.
#[inline(always)]
fn put(ring: &Ring, skb: &Skb, kind: u32, len: usize, size: usize) -> bool {
    let Some(mut entry) = ring.reserve_bytes(size, 0) else {
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
    // SAFETY: the entry begins with a header, is aligned to 8 bytes and ours until it is submitted.
    unsafe { to.cast::<RecordHeader>().write(header) };
    // The helper refuses a length of 0, and no caller has one. Two comparisons would become one on another register, and
    // verifiers before that of Linux 6.13 or so do not see what that says about the length, nor those before 6.8 what "not 0"
    // does. So one comparison of the number that is smaller by one; of 0 that is the largest there is.
    let mut failed = true;
    let less = unknown(len.wrapping_sub(1));
    if less < size - RECORD_HEADER_LEN {
        let len = less + 1;
        // SAFETY: `len` bytes fit behind the header, by the line above.
        failed = unsafe {
            bpf_skb_load_bytes(
                skb.as_ptr().cast(),
                ethernet::HEADER_LEN as u32,
                to.add(RECORD_HEADER_LEN).cast(),
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
