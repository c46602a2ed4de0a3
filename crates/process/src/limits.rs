//! Limits of the process (`ulimit`): raised where that is allowed, else named with the number that is needed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A limit that matters to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Open files, sockets, maps and programs.
    Descriptors,
    /// Bytes of locked memory: frames, without CAP_IPC_LOCK.
    LockedMemory,
    /// Threads and processes of this user.
    Threads,
}

/// A limit is too small, and this process may not raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the limit of {} is {} and this run needs {}; raise it (`ulimit {} {}`, or {}= in the unit)",
    limit.words(), limit.shown(*allowed), limit.shown(*needed), limit.letter(), limit.in_shell(*needed), limit.in_unit()
)]
pub struct TooSmall {
    limit: Limit,
    needed: u64,
    allowed: u64,
}

impl TooSmall {
    /// The shell's command that raises it.
    #[must_use]
    pub fn command(&self) -> String {
        let needed = self.limit.in_shell(self.needed);
        format!("ulimit {} {needed}", self.limit.letter())
    }
}

impl Limit {
    const fn resource(self) -> Resource {
        match self {
            Self::Descriptors => Resource::Nofile,
            Self::LockedMemory => Resource::Memlock,
            Self::Threads => Resource::Nproc,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Descriptors => "open files",
            Self::LockedMemory => "locked memory",
            Self::Threads => "this user's processes and threads",
        }
    }

    const fn letter(self) -> &'static str {
        match self {
            Self::Descriptors => "-n",
            Self::LockedMemory => "-l",
            Self::Threads => "-u",
        }
    }

    const fn in_unit(self) -> &'static str {
        match self {
            Self::Descriptors => "LimitNOFILE",
            Self::LockedMemory => "LimitMEMLOCK",
            Self::Threads => "LimitNPROC",
        }
    }

    fn shown(self, number: u64) -> String {
        match self {
            Self::LockedMemory => format!("{} KiB", number.div_ceil(1024)),
            Self::Descriptors | Self::Threads => number.to_string(),
        }
    }

    /// As the shell counts it: locked memory in KiB.
    const fn in_shell(self, number: u64) -> u64 {
        match self {
            Self::LockedMemory => number.div_ceil(1024),
            Self::Descriptors | Self::Threads => number,
        }
    }
}

/// Makes a limit at least `needed`: raises the soft limit, and the hard one where this process may.
///
/// # Errors
///
/// [`TooSmall`] where it may not.
pub fn need(limit: Limit, needed: u64) -> Result<(), TooSmall> {
    let resource = limit.resource();
    let now = getrlimit(resource);
    let suffices = |value: Option<u64>| value.is_none_or(|value| value >= needed);
    if suffices(now.current) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: if suffices(now.maximum) {
            now.maximum
        } else {
            Some(needed)
        },
    };
    setrlimit(resource, raised).map_err(|_| TooSmall {
        limit,
        needed,
        allowed: now.maximum.or(now.current).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::{Limit, TooSmall, need};

    #[test]
    fn a_soft_limit_is_raised() {
        let before = getrlimit(Resource::Nofile);
        let Some(soft) = before.current else { return };
        if before.maximum.is_none_or(|hard| hard > soft) {
            need(Limit::Descriptors, soft + 1).unwrap();
            assert_eq!(getrlimit(Resource::Nofile).current, Some(soft + 1));
        }
        need(Limit::Descriptors, 1).unwrap();
    }

    #[test]
    fn the_number_that_is_needed_is_named() {
        let words = |limit, needed, allowed| {
            TooSmall {
                limit,
                needed,
                allowed,
            }
            .to_string()
        };
        let said = words(Limit::Descriptors, 100, 16);
        for word in [
            "open files",
            "is 16",
            "needs 100",
            "ulimit -n 100",
            "LimitNOFILE",
        ] {
            assert!(said.contains(word), "{word}: {said}");
        }
        let said = words(Limit::LockedMemory, 8 << 20, 65536);
        assert!(
            said.contains("is 64 KiB") && said.contains("ulimit -l 8192"),
            "{said}"
        );
    }
}
