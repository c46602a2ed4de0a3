//! The object with the programs: what is set in it before it is loaded, and which of its programs a run needs.

use abi::maps::{
    GLOBAL_CLONE_IFINDEX, GLOBAL_CLONE_MTU, GLOBAL_DEADLINE_KEPT, GLOBAL_OWNER_KEY,
    GLOBAL_PORTS_FILLED, GLOBAL_SAMPLE_LEN, GLOBAL_SAMPLE_SEED, GLOBAL_TAKES_COPIES,
    GLOBAL_WHOLE_RESPONSES, GLOBAL_WORKERS, LEASE_WORDS, LEASES, WHOLE_ASKED, WHOLE_NONE,
    WHOLE_ONLINE,
};
use aya::programs::{SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use programs::name;
use wire::hash::EndpointHash;

use super::Error;
use crate::args::Responses;
use crate::plan::{Hook, Plan};

/// Every program that a run may have.
pub(super) const PROGRAMS: [&str; 10] = [
    name::CAPTURE,
    name::OBSERVE,
    name::CAPTURE_OUT,
    name::OBSERVE_IN,
    name::OVERHEAR,
    name::REPLIES,
    name::INJECT,
    name::ABSORB,
    name::STEER,
    name::DELIVER,
];

/// Whether a run has a place for a program: the verifier takes its time, and memory is the online server's.
fn is_needed(plan: &Plan, program: &str) -> bool {
    match program {
        name::CAPTURE_OUT | name::OBSERVE_IN => !plan.host_sides.is_empty(),
        name::OVERHEAR => !plan.mirrors.is_empty(),
        name::REPLIES => !plan.hooks_apart().is_empty(),
        name::INJECT | name::ABSORB | name::STEER | name::DELIVER => plan.recorder.is_none(),
        _ => true,
    }
}

/// Words of the leases of all targets; no map can be empty.
pub(super) fn lease_words(plan: &Plan) -> u32 {
    plan.filter.slots.max(1) * LEASE_WORDS
}

/// Whose responses are recorded whole: one of the `WHOLE_` constants.
fn whole_responses(plan: &Plan) -> u32 {
    let recorder = plan.recorder.as_ref();
    if recorder.is_some_and(|recording| recording.responses == Responses::Whole) {
        WHOLE_ONLINE
    } else if plan.wants_whole_responses() {
        WHOLE_ASKED
    } else {
        WHOLE_NONE
    }
}

/// Loads the object, and verifies the programs that the run needs. Client packets are cloned into the device of `clone_ifindex`,
/// where that is not 0, in frames of this MTU.
pub(super) fn load(
    object: &[u8],
    plan: &Plan,
    clone_ifindex: u32,
    mtu: u32,
) -> Result<Ebpf, Error> {
    let sample_len = u32::from(plan.sample_bytes);
    let whole_responses = whole_responses(plan);
    let recorder = plan.recorder.as_ref();
    let takes_copies = u32::from(recorder.is_some_and(|recording| recording.copies));
    let seed = plan.sample_seed();
    let owners = EndpointHash::new(plan.hash_seed);
    let deadline_kept = u32::from(plan.hook == Hook::Clsact);
    let mut loader = EbpfLoader::new();
    loader
        .override_global(GLOBAL_WORKERS, &plan.workers, true)
        .override_global(GLOBAL_OWNER_KEY, owners.key(), true)
        .override_global(GLOBAL_PORTS_FILLED, &1u32, true)
        .override_global(GLOBAL_SAMPLE_SEED, &seed, true)
        .override_global(GLOBAL_SAMPLE_LEN, &sample_len, true)
        .override_global(GLOBAL_WHOLE_RESPONSES, &whole_responses, true)
        .override_global(GLOBAL_TAKES_COPIES, &takes_copies, true)
        .override_global(GLOBAL_CLONE_IFINDEX, &clone_ifindex, true)
        .override_global(GLOBAL_CLONE_MTU, &mtu, true)
        .override_global(GLOBAL_DEADLINE_KEPT, &deadline_kept, true)
        .map_max_entries(LEASES, lease_words(plan));
    let mut ebpf = loader.load(object).map_err(|source| Error::Load {
        release: host::kernel::release(),
        source: source.into(),
    })?;
    let classifiers = PROGRAMS
        .into_iter()
        .filter(|name| *name != name::DELIVER && is_needed(plan, name));
    for program in classifiers {
        let loaded: Result<&mut SchedClassifier, _> = ebpf
            .program_mut(program)
            .ok_or(Error::Absent(program))?
            .try_into();
        loaded
            .and_then(SchedClassifier::load)
            .map_err(|source| Error::of_load(program, source))?;
    }
    let program = name::DELIVER;
    if !is_needed(plan, program) {
        return Ok(ebpf);
    }
    let loaded: Result<&mut Xdp, _> = ebpf
        .program_mut(program)
        .ok_or(Error::Absent(program))?
        .try_into();
    loaded
        .and_then(Xdp::load)
        .map_err(|source| Error::of_load(program, source))?;
    Ok(ebpf)
}
