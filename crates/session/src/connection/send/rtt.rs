//! Round trips, and the retransmission timeout that follows from them (RFC 6298).
//!
//! Kept in microseconds and 32 bits, so that a session stays small: a round trip beyond an hour does not occur.

use core::num::NonZeroU32;
use core::time::Duration;

use crate::limits::{RTO_INITIAL, RTO_MAX, RTO_MIN};

/// What is known of the round trip to the target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    /// SRTT; `None` before the first sample.
    smoothed_us: Option<NonZeroU32>,
    /// RTTVAR.
    variation_us: u32,
    /// The shortest sample, in nanoseconds; a longer one than fits counts as the longest that does.
    shortest_ns: u32,
    /// RTO.
    timeout_us: u32,
}

impl RoundTrip {
    /// Nothing is known: the timeout is the initial one.
    pub(crate) fn new() -> Self {
        Self {
            smoothed_us: None,
            variation_us: 0,
            shortest_ns: u32::MAX,
            timeout_us: micros(RTO_INITIAL),
        }
    }

    /// A segment that was sent once was acknowledged after `sample` (RFC 6298 section 2).
    pub(crate) fn measure(&mut self, sample: Duration) {
        let nanos = match sample.as_secs() {
            0 => sample.subsec_nanos(),
            _ => u32::try_from(sample.as_nanos()).unwrap_or(u32::MAX),
        };
        self.shortest_ns = self.shortest_ns.min(nanos);
        let sample = micros(sample);
        let smoothed = match self.smoothed_us.map(NonZeroU32::get) {
            None => {
                self.variation_us = sample / 2;
                sample
            }
            Some(smoothed) => {
                self.variation_us = weighted(self.variation_us, smoothed.abs_diff(sample), 3, 4);
                weighted(smoothed, sample, 7, 8)
            }
        };
        // Less than a microsecond counts as one.
        self.smoothed_us = Some(NonZeroU32::MIN.saturating_add(smoothed.saturating_sub(1)));
        let timeout = smoothed.saturating_add(self.variation_us.saturating_mul(4));
        self.timeout_us = timeout.clamp(micros(RTO_MIN), micros(RTO_MAX));
    }

    /// The timeout has passed: the next one is twice as long (section 5.5).
    pub(crate) fn back_off(&mut self) {
        self.timeout_us = self.timeout_us.saturating_mul(2).min(micros(RTO_MAX));
    }

    /// The timeout is `timeout` until the next sample.
    pub(crate) fn restart(&mut self, timeout: Duration) {
        self.timeout_us = micros(timeout);
    }

    /// RTO.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_micros(u64::from(self.timeout_us))
    }

    /// SRTT.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        let micros = self.smoothed_us?;
        Some(Duration::from_micros(u64::from(micros.get())))
    }

    /// The shortest round trip seen.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        self.smoothed_us
            .map(|_| Duration::from_nanos(u64::from(self.shortest_ns)))
    }
}

/// The mean of two durations of which the old one has `weight` parts of `parts`.
fn weighted(old: u32, new: u32, weight: u64, parts: u64) -> u32 {
    let sum = u64::from(old) * weight + u64::from(new) * (parts - weight);
    (sum / parts) as u32
}

fn micros(duration: Duration) -> u32 {
    // Of 32 bits, as nearly all are; of 128 where that is too little.
    match duration.as_secs() {
        0 => duration.subsec_micros(),
        _ => u32::try_from(duration.as_micros()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::RoundTrip;
    use crate::limits::{RTO_INITIAL, RTO_MAX, RTO_MIN};
    use core::time::Duration;

    #[test]
    fn the_timeout_follows_the_samples_within_its_limits() {
        let ms = Duration::from_millis;
        let mut trip = RoundTrip::new();
        assert_eq!((trip.timeout(), trip.shortest()), (RTO_INITIAL, None));
        trip.measure(ms(100));
        // 100 + 4 * 50.
        assert_eq!(trip.timeout(), ms(300));
        trip.measure(ms(100));
        // 100 + 4 * 37.5.
        assert_eq!(trip.timeout(), ms(250));
        for _ in 0..50 {
            trip.measure(Duration::from_micros(40));
        }
        assert_eq!(trip.timeout(), RTO_MIN);
        assert_eq!(trip.shortest(), Some(Duration::from_micros(40)));
        for _ in 0..20 {
            trip.back_off();
        }
        assert_eq!(trip.timeout(), RTO_MAX);
        trip.measure(Duration::from_secs(100_000));
        assert_eq!(trip.timeout(), RTO_MAX);
    }
}
