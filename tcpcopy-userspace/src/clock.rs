//! The two clocks of a run: `CLOCK_MONOTONIC`, which the programs stamp with, and the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use session::Instant;

/// `CLOCK_MONOTONIC` now: comparable with the stamps of the programs.
pub(crate) fn now() -> Instant {
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(time) => {
            let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
            let nanos = u64::try_from(time.tv_nsec()).unwrap_or_default();
            Instant::from_nanos(seconds * 1_000_000_000 + nanos)
        }
        // The clock exists since Linux 2.6, and the call fails for nothing else.
        Err(_) => Instant::default(),
    }
}

/// Nanoseconds since 1970.
pub(crate) fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
