//! The two clocks of a run: `CLOCK_MONOTONIC`, which the programs stamp with, and the wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use session::Instant;

/// `CLOCK_MONOTONIC` now: comparable with the stamps of the programs.
pub(crate) fn now() -> Instant {
    Instant::from_nanos(host::clock::now_ns())
}

/// CPU time that the calling thread has used.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .unwrap_or_default()
}

/// Nanoseconds since 1970.
pub(crate) fn unix_nanos() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
