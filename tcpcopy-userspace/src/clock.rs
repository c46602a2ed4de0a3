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

/// From the clock that programs stamp with to the wall clock, in nanoseconds: the wall clock is asked between two looks at the
/// other one, and the pair that lies closest together is taken.
pub(crate) fn wall_offset_ns() -> u64 {
    let pairs = (0..5).map(|_| {
        let before = now();
        let wall_ns = unix_nanos();
        let between = now().since(before);
        let middle_ns = before.as_nanos() + u64::try_from(between.as_nanos() / 2).unwrap_or(0);
        (between, wall_ns.wrapping_sub(middle_ns))
    });
    pairs.min().map_or(0, |(_, offset)| offset)
}
