//! What is ours: the online services, the targets and the reply pool.

use wire::flow::{Addr, Endpoint, FlowKey, sampled};

use crate::maps::{REPLIES, SAMPLE_SEED, SAMPLE_THRESHOLD, SERVICES};

/// Whether this is an online service: by its address, or by its port on any address.
#[inline(always)]
pub fn is_service(endpoint: &Endpoint) -> bool {
    SERVICES.get_ptr(endpoint).is_some()
        || SERVICES
            .get_ptr(&Endpoint::new(Addr::UNSPECIFIED, endpoint.port))
            .is_some()
}

/// Whether a segment from `target` to `pool` is a reply to a session of ours.
#[inline(always)]
pub fn is_reply(target: &Endpoint, pool: &Endpoint) -> bool {
    match REPLIES.get_ptr(target) {
        // SAFETY: the kernel frees a value only after the programs that might read it have ended.
        Some(range) => unsafe { (*range).contains(pool) },
        None => false,
    }
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
