//! The two clocks of a run: `CLOCK_MONOTONIC`, which the programs stamp with, and the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use host::clock::thread_cpu;
use session::Instant;

/// `CLOCK_MONOTONIC` now: comparable with the stamps of the programs.
pub(crate) fn now() -> Instant {
    Instant::from_nanos(host::clock::now_ns())
}

/// Nanoseconds since 1970.
pub(crate) fn unix_nanos() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
