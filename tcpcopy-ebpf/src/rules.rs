//! What is ours: the online services, the targets and the reply pool.

use core::arch::asm;

use abi::maps::{
    LEASE_WORDS, POOL_ALONE, POOL_LISTED, POOL_OWN, PORT_ANYWHERE, PORT_ANYWHERE_WHOLE,
    PORT_OF_TARGET, PORT_SERVICE, PORT_SERVICE_WHOLE, PORT_TARGET, PORT_TARGET_WHOLE, Replies,
    SERVICE_WHOLE, WHOLE_ASKED, WHOLE_ONLINE,
};
use wire::flow::{FlowKey, PoolRange, SAMPLE_ALL, sampled};

use crate::load;
use crate::maps::{
    EGRESS_SLOTS, LEASES, LEFT_OUT, PAUSED, POOL_ADDRESSES, PORTS, PORTS_FILLED, REPLIES,
    SAMPLE_SEED, SERVICES,
};
use crate::side::Side;

/// Whether this is an online service; `bits` are those of its port.
#[inline(always)]
pub fn is_service(endpoint: &Side, bits: u32) -> bool {
    if bits & PORT_SERVICE == 0 {
        return false;
    }
    SERVICES.get_ptr(endpoint.key()).is_some()
}

/// Whether this is an online service on a device that shows packets of other hosts: the host's end of a container's link, a
/// mirror port. There a rule without an address means every address but the targets', for what targets are asked are copies.
#[inline(always)]
pub fn is_service_anywhere(endpoint: &Side, bits: u32) -> bool {
    if bits & PORT_ANYWHERE != 0 {
        let may_be_target = bits & PORT_OF_TARGET != 0;
        if !may_be_target || EGRESS_SLOTS.get_ptr(&endpoint.key().addr).is_none() {
            return true;
        }
    }
    is_service(endpoint, bits)
}

/// Whether all of what this online service sends is recorded; `bits` are those of its port, `mode` one of the `WHOLE_` constants.
///
/// That the port has such a service is known before, so the second look into the map is paid by those of this port alone.
#[inline(always)]
pub fn is_whole_service(endpoint: &Side, bits: u32, mode: u32) -> bool {
    if mode == WHOLE_ONLINE {
        return true;
    }
    if bits & PORT_SERVICE_WHOLE == 0 {
        return false;
    }
    match SERVICES.get_ptr(endpoint.key()) {
        // SAFETY: an entry of the map lives as long as the program runs, and its value is one word; where the entry is given
        // to another service meanwhile, one packet is recorded as that one wishes.
        Some(wishes) => unsafe { wishes.read_volatile() & SERVICE_WHOLE != 0 },
        None => bits & PORT_ANYWHERE_WHOLE != 0,
    }
}

/// Whether all of what this target answers is recorded; `bits` are those of its port, `mode` one of the `WHOLE_` constants.
#[inline(always)]
pub fn is_whole_target(endpoint: &Side, bits: u32, mode: u32) -> bool {
    if mode != WHOLE_ASKED || bits & PORT_TARGET_WHOLE == 0 {
        return false;
    }
    match REPLIES.get_ptr(endpoint.key()) {
        // SAFETY: as in `reply`.
        Some(replies) => unsafe { (*replies).whole != 0 },
        None => false,
    }
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

/// What a packet from `target` to `pool` is; `bits` are those of the target's port.
#[inline(always)]
pub fn reply(target: &Side, bits: u32, pool: &Side) -> Reply {
    if bits & PORT_TARGET == 0 {
        return Reply::No;
    }
    let Some(replies) = REPLIES.get_ptr(target.key()) else {
        return Reply::No;
    };
    // SAFETY: the map is filled before the programs are attached and no entry is replaced or removed after that, so the
    // value does not change while a program runs.
    let replies = unsafe { &*replies };
    if !pool_of(replies).contains(&pool.endpoint()) {
        return Reply::No;
    }
    if replies.kind == POOL_ALONE {
        return Reply::Ours;
    }
    leased(replies, pool)
}

#[inline(always)]
fn pool_of(replies: &Replies) -> PoolRange {
    let pool = &replies.pool;
    PoolRange {
        // SAFETY: it stands at the start of a value, which has words of 32 bits.
        prefix: unsafe { load::addr(&raw const pool.prefix) },
        // SAFETY: it stands 16 bytes after that.
        mask: unsafe { load::addr(&raw const pool.mask) },
        port_first: pool.port_first,
        port_last: pool.port_last,
    }
}

#[inline(always)]
fn leased(replies: &Replies, pool: &Side) -> Reply {
    let slot = if replies.kind == POOL_OWN {
        replies.slot
    } else {
        match POOL_ADDRESSES.get_ptr(&pool.key().addr) {
            // SAFETY: as in `reply`.
            Some(offset) => replies.slot + unsafe { *offset },
            None if replies.kind == POOL_LISTED => return Reply::Unleased,
            None => return Reply::Ours,
        }
    };
    let port = u32::from(pool.port());
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

/// What a packet from or to this port can be: the `PORT_` bits.
#[inline(always)]
pub fn port_bits(port: u16) -> u32 {
    let bits = PORTS.get(u32::from(port)).copied().unwrap_or(0);
    if PORTS_FILLED.load() == 0 {
        bits | PORT_SERVICE | PORT_TARGET | PORT_SERVICE_WHOLE | PORT_TARGET_WHOLE
    } else {
        bits
    }
}

/// Whether the flow is in the sample.
#[inline(always)]
pub fn is_sampled(client: &Side, server: &Side) -> bool {
    let left_out = match LEFT_OUT.get_ptr(0) {
        // SAFETY: an element of an array lives as long as the program; user space writes whole words.
        Some(word) => unsafe { word.read_volatile() },
        None => 0,
    };
    if left_out == 0 {
        return true;
    }
    let threshold = SAMPLE_ALL.saturating_sub(left_out as u32);
    let flow = FlowKey {
        client: client.endpoint(),
        server: server.endpoint(),
    };
    sampled(&flow, SAMPLE_SEED.load(), threshold)
}
