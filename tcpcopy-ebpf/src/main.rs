//! The programs of `tcpcopy`.
//!
//! A hook is tcx, or clsact on kernels that have no tcx (before 6.6).
//!
//! | module | hook | does |
//! |---|---|---|
//! | [`capture`] | ingress, online and egress interfaces | records clients' packets, consumes targets' replies |
//! | [`observe`] | egress, wherever the online server's answers leave | records the headers of the online server's segments |
//! | [`host_side`] | egress and ingress, the host's end of a container's link | the two above, the other way round |
//! | [`overhear`] | ingress, mirror ports | both sides of mirrored connections |
//! | [`replies`] | ingress, such devices where copies leave as well | consumes targets' replies |
//! | [`inject`] | ingress, `tcpcopy0` | sends the engine's frames to their targets |
//! | [`absorb`] | egress, `tcpcopy0` | consumes the replies of a target on this very host |
//! | [`steer`] | egress, `tcpcopy0` | `--capture af-xdp`: sends a clone to its owner's queue, stamped |
//! | [`deliver`] | XDP, `tcpcopy1` | `--capture af-xdp`: hands a clone to its queue's socket |
//!
//! Each asks [`alive`] first whether its run still lives. They share [`skb`] (a socket buffer as [`wire::bytes::Bytes`]), [`segment`] and [`side`] (what is read of a packet, and what is not), [`rules`] (what is ours), [`sockets`] (what is another's), [`record`] (writing to
//! a worker's ring), [`count`] and [`maps`].
//!
//! **Architecture invariant:** programs decide and count; they hold no session state. On any doubt the packet
//! passes.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod absorb;
mod alive;
mod capture;
mod count;
mod deliver;
mod host_side;
mod inject;
mod load;
mod maps;
mod observe;
mod overhear;
mod record;
mod replies;
mod rules;
mod segment;
mod side;
mod skb;
mod sockets;
mod steer;

/// The helpers that read and redirect packets are open to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a loop without an end, so a program that could get here does not load.
    loop {}
}
