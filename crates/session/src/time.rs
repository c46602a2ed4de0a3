//! Time as the engine knows it: what it is told. Nanoseconds of `CLOCK_MONOTONIC`, the clock of
//! `bpf_ktime_get_ns`, so that stamps of the programs and the worker's own clock can be compared.

use core::num::NonZeroU64;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time, in nanoseconds of `CLOCK_MONOTONIC`.
///
/// It is kept as one nanosecond more, so that an `Option<Instant>` takes no more room than an `Instant`: a session has a
/// dozen times or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Default for Instant {
    /// The earliest there is.
    fn default() -> Self {
        Self(NonZeroU64::MIN)
    }
}

impl Instant {
    /// The instant with this many nanoseconds, at most `u64::MAX - 1`.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// Nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// The earlier of it and of another that may not be.
    #[inline]
    #[must_use]
    pub(crate) fn or_earlier(self, other: Option<Self>) -> Self {
        Self::from_nanos(self.as_nanos().min(Self::nanos_or_never(other)))
    }

    /// The nanoseconds of a time that may not be; those of the latest of all where it is not.
    #[inline(always)]
    pub(crate) fn nanos_or_never(at: Option<Self>) -> u64 {
        at.map_or(0, |at| at.0.get()).wrapping_sub(1)
    }

    /// The time that has passed since `earlier`; zero where it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        const SECOND: u64 = 1_000_000_000;
        match self.as_nanos().saturating_sub(earlier.as_nanos()) {
            // Nearly all are short, and need no division.
            short @ 0..SECOND => Duration::new(0, short as u32),
            long => Duration::from_nanos(long),
        }
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(nanos(duration)))
    }
}

/// Its nanoseconds; what does not fit, 584 years, counts as the longest that does.
fn nanos(duration: Duration) -> u64 {
    const PER_SECOND: u64 = 1_000_000_000;
    let seconds = duration.as_secs().saturating_mul(PER_SECOND);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

const _: () = assert!(size_of::<Option<Instant>>() == size_of::<u64>());
