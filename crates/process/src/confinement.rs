//! Threads that hear strangers: HTTP requests, the channel, packets. Somebody who had such a thread do his will would find that
//! it can open no file, start no program, and make few system calls.
//!
//! Three walls, each of the calling thread and of those that it starts, and each for when the one before it has a hole:
//!
//! 1. no capability ([`crate::rights`]);
//! 2. Landlock: no file is opened, and no TCP port but by those that connect (since Linux 5.13; ports since 6.7);
//! 3. a filter of system calls: what is not in the list fails with EPERM (since Linux 3.5).
//!
//! A kernel without one of them leaves the others standing, which is logged once and is no reason not to run. A call that is
//! not in the list fails and kills nobody: a C library that is newer than this list must not end a run.
//!
//! **Architecture invariant:** memory is shared by all threads of a process, so this keeps nobody from reading or changing that.
//! What it keeps away is the rest of the host.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
};

use crate::rights;

mod calls;

/// What a confined thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trade {
    /// Computes, with descriptors that are open: a worker. It has no filter, whose price would be paid for each packet.
    Works,
    /// Speaks over sockets that are open, and accepts others.
    Serves,
    /// The same, and starts threads that do, which confine themselves once more.
    Hires,
    /// Connects to others, and speaks with them.
    Connects,
    /// Looks names up: reads what the C library reads for that, and asks name servers.
    Resolves,
}

/// What stands, of what could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walls {
    /// Landlock is in force, though perhaps not all of it.
    pub landlock: bool,
    /// The filter is, where there is to be one.
    pub filter: bool,
}

/// What glibc reads to look a name up, in folders and files that are there.
const RESOLVER: [&str; 19] = [
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/networks",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/nix/store",
    "/run/systemd/resolve",
    "/run/nscd",
    "/var/lib/sss/mc",
    "/dev/urandom",
];

/// Whether it was said that a wall is missing: the same is true of the next thread.
static SAID: AtomicBool = AtomicBool::new(false);

/// Confines the calling thread for good. What it is to have beyond its trade has to be open by now.
pub fn confine(trade: Trade) {
    rights::keep_only(rights::NOTHING);
    let walls = build(trade);
    let missing = match (&walls.landlock, &walls.filter) {
        (Ok(true), Ok(_)) => return,
        (Ok(false), Ok(_)) => "this kernel has no Landlock".to_owned(),
        (Err(error), Ok(_)) => format!("no Landlock: {error}"),
        (_, Err(error)) => format!("no filter of system calls: {error}"),
    };
    if !SAID.swap(true, Ordering::Relaxed) {
        tracing::info!(
            "threads that hear the network are confined less than they could be: {missing} (docs/privileges.md)"
        );
    }
}

/// [`confine`] for those who want to know.
#[must_use]
pub fn confined(trade: Trade) -> Walls {
    rights::keep_only(rights::NOTHING);
    let walls = build(trade);
    Walls {
        landlock: walls.landlock.unwrap_or(false),
        filter: walls.filter.unwrap_or(false),
    }
}

struct Built {
    landlock: Result<bool, RulesetError>,
    filter: io::Result<bool>,
}

/// Landlock first: the filter would refuse its calls.
fn build(trade: Trade) -> Built {
    let landlock = restrict(trade);
    let filter = calls::filter(trade).map(|()| trade != Trade::Works);
    Built { landlock, filter }
}

/// Whether the kernel enforces anything of it.
fn restrict(trade: Trade) -> Result<bool, RulesetError> {
    let abi = ABI::V6;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?;
    let ruleset = match trade {
        Trade::Connects | Trade::Resolves => ruleset.handle_access(AccessNet::BindTcp)?,
        Trade::Works | Trade::Serves | Trade::Hires => {
            ruleset.handle_access(AccessNet::from_all(abi))?
        }
    };
    let mut created = ruleset.create()?;
    if trade == Trade::Resolves {
        for path in RESOLVER {
            let Ok(opened) = PathFd::new(path) else {
                continue;
            };
            let access = if Path::new(path).is_dir() {
                AccessFs::ReadFile | AccessFs::ReadDir
            } else {
                AccessFs::ReadFile.into()
            };
            created = created.add_rule(PathBeneath::new(opened, access))?;
        }
    }
    let status = created.restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(test)]
mod tests;
