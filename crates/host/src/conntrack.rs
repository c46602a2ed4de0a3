//! The kernel's table of tracked connections.

use crate::sysctl;

/// How full the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Connections that this network namespace has in it.
    pub count: u64,
    /// How many it may have; beyond that the kernel drops packets of new connections.
    pub max: u64,
}

/// How full the table is; `None` where the kernel tracks no connections.
#[must_use]
pub fn tracked() -> Option<Tracked> {
    let number = |name| sysctl::read(name).ok()?.parse().ok();
    let tracked = Tracked {
        count: number("netfilter/nf_conntrack_count")?,
        max: number("netfilter/nf_conntrack_max")?,
    };
    // The table is there as soon as anybody on this machine wants it; here somebody does where something stands in it.
    (tracked.count > 0).then_some(tracked)
}
