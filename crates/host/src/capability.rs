//! What this process may do.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::{env, fs};

use caps::{CapSet, Capability};

use crate::Error;

/// Capabilities of which one is enough.
struct Need {
    /// What it is for.
    purpose: &'static str,
    any_of: &'static [Capability],
}

/// What a run needs, with the reason.
const NEEDS: [Need; 4] = [
    // The private device, routes, tcx and XDP links, clsact filters, SO_SNDBUFFORCE, settings below /proc/sys/net.
    Need {
        purpose: "for devices, routes and hooks",
        any_of: &[Capability::CAP_NET_ADMIN],
    },
    Need {
        purpose: "for AF_XDP sockets",
        any_of: &[Capability::CAP_NET_RAW],
    },
    Need {
        purpose: "to load programs and make maps",
        any_of: &[Capability::CAP_BPF, Capability::CAP_SYS_ADMIN],
    },
    // Programs are written with variable offsets into packets, which the verifier trusts only the trusted with.
    Need {
        purpose: "for what the programs do with packets",
        any_of: &[Capability::CAP_PERFMON, Capability::CAP_SYS_ADMIN],
    },
];

/// Where the kernel keeps a file's capabilities.
const ATTRIBUTE: &str = "security.capability";
/// Others than owner and group may run a file.
const RUN_BY_OTHERS: u32 = 0o001;
/// A file runs as its owner.
const SET_UID: u32 = 0o4000;

/// Refuses to go on without the capabilities that a run needs, and where the binary gives them to everybody.
///
/// # Errors
///
/// Names all that are missing at once.
pub fn require() -> Result<(), Error> {
    for_a_few()?;
    let name = |need: &Need| need.any_of.first().map(ToString::to_string);
    let missing: Vec<String> = NEEDS
        .iter()
        .filter(|need| !need.any_of.iter().any(|capability| has(*capability)))
        .filter_map(|need| Some(format!("{} ({})", name(need)?, need.purpose)))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Capabilities {
            missing,
            all: NEEDS.iter().filter_map(name).collect(),
            program: program(),
        })
    }
}

/// Refuses a binary whose powers are everybody's.
fn for_a_few() -> Result<(), Error> {
    // The file that runs, whatever its name points to by now.
    let running = "/proc/self/exe";
    let Ok(file) = fs::metadata(running) else {
        return Ok(());
    };
    let has_capabilities = rustix::fs::getxattr_query(running, ATTRIBUTE).is_ok_and(|len| len > 0);
    let what = excess(file.mode(), file.uid(), has_capabilities);
    match what {
        None => Ok(()),
        Some(what) => {
            let program = program();
            let again = if has_capabilities {
                let all = NEEDS.iter().filter_map(|need| need.any_of.first());
                let all: Vec<String> = all.map(|one| one.to_string().to_lowercase()).collect();
                format!("`setcap {}+ep {program}` again", all.join(","))
            } else {
                format!("`chmod u+s {program}` again")
            };
            Err(Error::ForEverybody {
                program,
                what,
                again,
            })
        }
    }
}

/// What a file of this mode and owner has that not everybody should have who may run it.
fn excess(mode: u32, owner: u32, has_capabilities: bool) -> Option<&'static str> {
    let is_set_uid = mode & SET_UID != 0 && owner == 0;
    match (mode & RUN_BY_OTHERS != 0, has_capabilities, is_set_uid) {
        (false, _, _) | (true, false, false) => None,
        (true, true, _) => Some("capabilities of its own (setcap)"),
        (true, false, true) => Some("root's rights (set-uid)"),
    }
}

/// This program, as a command.
fn program() -> String {
    env::current_exe()
        .unwrap_or_else(|_| PathBuf::from("tcpcopy"))
        .display()
        .to_string()
}

/// Whether this process runs as root, whatever root may do here.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::getuid().is_root()
}

/// Whether the cost of programs can be measured, and another network namespace entered: either takes CAP_SYS_ADMIN.
#[must_use]
pub fn may_administer() -> bool {
    has(Capability::CAP_SYS_ADMIN)
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

#[cfg(test)]
mod tests {
    use super::excess;

    #[test]
    fn powers_are_for_a_few() {
        for (mode, owner, has_capabilities, expected) in [
            (0o100_755, 0, false, None),
            (0o100_755, 0, true, Some("capabilities of its own (setcap)")),
            (0o100_750, 0, true, None),
            (0o104_755, 0, false, Some("root's rights (set-uid)")),
            (0o104_755, 1000, false, None),
            (0o104_750, 0, false, None),
        ] {
            assert_eq!(excess(mode, owner, has_capabilities), expected, "{mode:o}");
        }
    }
}
