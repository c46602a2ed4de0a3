//! What is ours: the online services, the targets and the reply pool.

use core::arch::asm;

use abi::maps::{
    LEASE_WORDS, POOL_ALONE, POOL_LISTED, POOL_OWN, PORT_ANYWHERE, PORT_OF_TARGET, PORT_SERVICE,
    PORT_TARGET, Replies,
};
use wire::flow::{Endpoint, FlowKey, sampled};

use crate::maps::{
    EGRESS_SLOTS, LEASES, PAUSED, POOL_ADDRESSES, PORTS, PORTS_FILLED, REPLIES, SAMPLE_SEED,
    SAMPLE_THRESHOLD, SERVICES,
};

/// Whether this is an online service.
#[inline(always)]
pub fn is_service(endpoint: &Endpoint) -> bool {
    if PORTS_FILLED.load() != 0 && port_bits(endpoint.port) & PORT_SERVICE == 0 {
        return false;
    }
    SERVICES.get_ptr(endpoint).is_some()
}

/// Whether this is an online service on a device that shows packets of other hosts: the host's end of a container's link, a
/// mirror port. There a rule without an address means every address but the targets', for what targets are asked are copies.
#[inline(always)]
pub fn is_service_anywhere(endpoint: &Endpoint) -> bool {
    let bits = port_bits(endpoint.port);
    if bits & PORT_ANYWHERE != 0 {
        let may_be_target = bits & PORT_OF_TARGET != 0;
        if !may_be_target || EGRESS_SLOTS.get_ptr(&endpoint.addr).is_none() {
            return true;
        }
    }
    is_service(endpoint)
}

/// What a packet from a target can be.
pub enum Reply {
    /// No packet to the pool, or not from a target.
    No,
    /// To a port of the pool that nobody has leased: somebody else's.
    Unleased,
    /// To an address that belongs to the pool alone.
    Ours,
    /// To a port that a session has leased on an address of this host.
    Leased(Lease),
}

/// The bit of [`LEASES`] that says that a port is leased.
pub struct Lease {
    word: *const u64,
    bit: u64,
}

impl Lease {
    /// Gives the port back: somebody else has it.
    #[inline(always)]
    pub fn revoke(&self) {
        // `core` has no such operation for this target, although the kernel has (since 5.12).
        // SAFETY: an element of an array lives as long as the program; everybody writes it by atomic operations.
        unsafe {
            asm!("lock *(u64 *)({word} + 0) &= {others}", word = in(reg) self.word, others = in(reg) !self.bit,
                options(nostack, preserves_flags));
        }
    }
}

/// What a packet from `target` to `pool` is.
#[inline(always)]
pub fn reply(target: &Endpoint, pool: &Endpoint) -> Reply {
    if PORTS_FILLED.load() != 0 && port_bits(target.port) & PORT_TARGET == 0 {
        return Reply::No;
    }
    let Some(replies) = REPLIES.get_ptr(target) else {
        return Reply::No;
    };
    // SAFETY: the map is filled before the programs are attached and no entry is replaced or removed after that, so the
    // value does not change while a program runs.
    let replies = unsafe { &*replies };
    if !replies.pool.contains(pool) {
        return Reply::No;
    }
    if replies.kind == POOL_ALONE {
        return Reply::Ours;
    }
    leased(replies, pool)
}

#[inline(always)]
fn leased(replies: &Replies, pool: &Endpoint) -> Reply {
    let slot = if replies.kind == POOL_OWN {
        replies.slot
    } else {
        match POOL_ADDRESSES.get_ptr(&pool.addr) {
            // SAFETY: as in `reply`.
            Some(offset) => replies.slot + unsafe { *offset },
            None if replies.kind == POOL_LISTED => return Reply::Unleased,
            None => return Reply::Ours,
        }
    };
    let port = u32::from(pool.port);
    let Some(word) = LEASES.get_ptr(slot * LEASE_WORDS + port / 64) else {
        return Reply::Unleased;
    };
    let bit = 1u64 << (port % 64);
    // SAFETY: an element of an array lives as long as the program; user space and other processors write whole words.
    if unsafe { word.read_volatile() } & bit == 0 {
        return Reply::Unleased;
    }
    Reply::Leased(Lease { word, bit })
}

/// Whether recording would be of no use to this worker now.
#[inline(always)]
pub fn is_paused(worker: u32) -> bool {
    match PAUSED.get_ptr(worker) {
        // SAFETY: an element of an array lives as long as the program; user space writes whole words.
        Some(reasons) => unsafe { reasons.read_volatile() != 0 },
        None => false,
    }
}

#[inline(always)]
fn port_bits(port: u16) -> u32 {
    PORTS.get(u32::from(port)).copied().unwrap_or(0)
}

/// Whether the flow is in the sample.
#[inline(always)]
pub fn is_sampled(client: &Endpoint, server: &Endpoint) -> bool {
    let flow = FlowKey {
        client: *client,
        server: *server,
    };
    sampled(&flow, SAMPLE_SEED.load(), SAMPLE_THRESHOLD.load())
}
