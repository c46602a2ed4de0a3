//! What this process may do.

use caps::{CapSet, Capability};

use crate::Error;

/// Capabilities of which one is enough.
struct Need {
    any_of: &'static [Capability],
}

/// What a run needs, with the reason.
const NEEDS: [Need; 4] = [
    // The private device, routes, tcx and XDP links, SO_SNDBUFFORCE, settings below /proc/sys/net.
    Need {
        any_of: &[Capability::CAP_NET_ADMIN],
    },
    // AF_XDP sockets.
    Need {
        any_of: &[Capability::CAP_NET_RAW],
    },
    // Loading programs and making maps.
    Need {
        any_of: &[Capability::CAP_BPF, Capability::CAP_SYS_ADMIN],
    },
    // Programs are written with variable offsets into packets, which the verifier trusts only the trusted with.
    Need {
        any_of: &[Capability::CAP_PERFMON, Capability::CAP_SYS_ADMIN],
    },
];

/// Refuses to go on without the capabilities that a run needs.
///
/// # Errors
///
/// Names all that are missing at once.
pub fn require() -> Result<(), Error> {
    let missing: Vec<String> = NEEDS
        .iter()
        .filter(|need| !need.any_of.iter().any(|capability| has(*capability)))
        .filter_map(|need| need.any_of.first().map(ToString::to_string))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Capabilities { missing })
    }
}

/// Whether memory for frames counts against the limit of locked memory: it does not with CAP_IPC_LOCK.
#[must_use]
pub fn is_memory_limited() -> bool {
    !has(Capability::CAP_IPC_LOCK)
}

fn has(capability: Capability) -> bool {
    // A set that cannot be read has nothing in it: what really may not be done fails later with its own words.
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}
