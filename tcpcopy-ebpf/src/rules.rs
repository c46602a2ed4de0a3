//! What is ours: the online services, the targets and the reply pool.

use abi::maps::{PORT_SERVICE, PORT_SERVICE_ANY, PORT_TARGET};
use wire::flow::{Addr, Endpoint, FlowKey, sampled};

use crate::maps::{PORTS, PORTS_FILLED, REPLIES, SAMPLE_SEED, SAMPLE_THRESHOLD, SERVICES};

/// Whether this is an online service: by its address, or by its port on any address.
#[inline(always)]
pub fn is_service(endpoint: &Endpoint) -> bool {
    if PORTS_FILLED.load() == 0 {
        let any = Endpoint::new(Addr::UNSPECIFIED, endpoint.port);
        return SERVICES.get_ptr(endpoint).is_some() || SERVICES.get_ptr(&any).is_some();
    }
    let bits = port_bits(endpoint.port);
    bits & PORT_SERVICE_ANY != 0
        || (bits & PORT_SERVICE != 0 && SERVICES.get_ptr(endpoint).is_some())
}

/// Whether a segment from `target` to `pool` is a reply to a session of ours.
#[inline(always)]
pub fn is_reply(target: &Endpoint, pool: &Endpoint) -> bool {
    if PORTS_FILLED.load() != 0 && port_bits(target.port) & PORT_TARGET == 0 {
        return false;
    }
    match REPLIES.get_ptr(target) {
        // SAFETY: the kernel frees a value only after the programs that might read it have ended.
        Some(range) => unsafe { (*range).contains(pool) },
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
