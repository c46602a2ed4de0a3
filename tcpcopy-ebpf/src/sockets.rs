//! Whether a connection belongs to a socket of this host.

use aya_ebpf::bindings::{
    BPF_F_CURRENT_NETNS, bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1,
    bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2,
};
use aya_ebpf::helpers::{bpf_sk_release, bpf_skc_lookup_tcp};

use crate::segment::Segment;
use crate::skb::Skb;

/// TCP states of the kernel in which a socket is no connection: over and only remembered, closed, listening.
const TIME_WAIT: u32 = 6;
const CLOSE: u32 = 7;
const LISTEN: u32 = 10;

/// Whether a socket of this host, in the network namespace of the packet's device, has the very connection that a segment
/// arrives for: established, half-open either way, or half-closed.
#[inline(always)]
pub fn is_connected(skb: &Skb, segment: &Segment) -> bool {
    let (source, destination) = (segment.source.endpoint(), segment.destination.endpoint());
    let (sport, dport) = (source.port.to_be(), destination.port.to_be());
    let (tuple, len) = if source.addr.is_v4() {
        let ipv4 = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 {
            saddr: u32::from_ne_bytes(source.addr.v4_octets()),
            daddr: u32::from_ne_bytes(destination.addr.v4_octets()),
            sport,
            dport,
        };
        (bpf_sock_tuple__bindgen_ty_1 { ipv4 }, size_of_val(&ipv4))
    } else {
        let ipv6 = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 {
            saddr: words(source.addr.octets()),
            daddr: words(destination.addr.octets()),
            sport,
            dport,
        };
        (bpf_sock_tuple__bindgen_ty_1 { ipv6 }, size_of_val(&ipv6))
    };
    look_up(skb, tuple, len as u32)
}

#[inline(always)]
fn look_up(skb: &Skb, tuple: bpf_sock_tuple__bindgen_ty_1, len: u32) -> bool {
    let mut tuple = bpf_sock_tuple {
        __bindgen_anon_1: tuple,
    };
    // SAFETY: `tuple` lives until the helper has read `len` bytes of it.
    let socket = unsafe {
        bpf_skc_lookup_tcp(
            skb.as_ptr().cast(),
            &raw mut tuple,
            len,
            BPF_F_CURRENT_NETNS as u64,
            0,
        )
    };
    if socket.is_null() {
        return false;
    }
    // SAFETY: the helper gave us the socket, and it is ours until it is released below.
    let state = unsafe { (*socket).state };
    // SAFETY: as above; nothing reads the socket after this.
    unsafe { bpf_sk_release(socket.cast()) };
    state != LISTEN && state != TIME_WAIT && state != CLOSE
}

#[inline(always)]
fn words(octets: &[u8; 16]) -> [u32; 4] {
    let word = |at: usize| {
        u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
    };
    [word(0), word(4), word(8), word(12)]
}
