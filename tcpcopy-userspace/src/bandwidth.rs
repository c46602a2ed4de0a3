//! `--max-bandwidth`: how fast the frames of a worker may leave.
//!
//! A token bucket, kept as one moment: that at which the line would be free, had it the rate that was asked for. What may not
//! leave yet stays in the engine as segments that are not sent: they are late, and none is lost.

use std::time::Duration;

use session::Instant;

/// How much of a silence may be made up for: a burst is at most what the rate carries in this time, and a frame.
const BURST: Duration = Duration::from_millis(5);
/// Nanoseconds in a second, by bits in a byte.
const NANOS_BY_BITS: u64 = 8_000_000_000;

/// One worker's share of the rate.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    /// `None` where nothing is limited.
    bits_per_second: Option<u64>,
    free_at: Instant,
    /// Times that the rate was reached.
    reached: u64,
}

impl Bandwidth {
    /// A line of so many bits per second.
    pub(crate) const fn new(bits_per_second: Option<u64>, now: Instant) -> Self {
        Self {
            bits_per_second,
            free_at: now,
            reached: 0,
        }
    }

    /// Until when no frame may leave; `None` where one may now.
    pub(crate) fn closed_until(&self, now: Instant) -> Option<Instant> {
        (self.bits_per_second.is_some() && self.free_at > now).then_some(self.free_at)
    }

    /// When it is worth to look again: later than the first frame may leave, so that a few leave at a time and the worker does
    /// not wake up for each of them.
    pub(crate) fn worth_a_look(&self, now: Instant) -> Option<Instant> {
        self.closed_until(now).map(|until| until + BURST / 2)
    }

    /// A frame of so many bytes leaves.
    pub(crate) fn spend(&mut self, now: Instant, len: usize) {
        let Some(rate) = self.bits_per_second else {
            return;
        };
        let was_open = self.free_at <= now;
        let silence = now.since(self.free_at);
        if silence > BURST {
            self.free_at += silence - BURST;
        }
        let nanos = (len as u64).saturating_mul(NANOS_BY_BITS) / rate.max(1);
        self.free_at += Duration::from_nanos(nanos);
        self.reached += u64::from(was_open && self.free_at > now);
    }

    /// Nothing is limited from now on.
    pub(crate) const fn lift(&mut self) {
        self.bits_per_second = None;
    }

    /// How often the rate was reached.
    pub(crate) const fn reached(&self) -> u64 {
        self.reached
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::Instant;

    use super::{BURST, Bandwidth};

    const START: Instant = Instant::from_nanos(1_000_000_000);

    /// Bytes that leave within a time where frames of this length are always there, after a silence.
    fn sent(bandwidth: &mut Bandwidth, from: Instant, time: Duration, len: usize) -> u64 {
        let (mut now, mut bytes) = (from, 0);
        while now.since(from) < time {
            while bandwidth.closed_until(now).is_none() {
                bandwidth.spend(now, len);
                bytes += len as u64;
            }
            // The worker looks as often as it likes.
            now += Duration::from_micros(137);
        }
        bytes
    }

    #[test]
    fn no_more_leaves_than_was_asked_for_and_no_less() {
        for (rate, len) in [
            (50_000_000u64, 1514),
            (1_000_000_000, 66),
            (1_000_000, 1514),
            (100_000, 60),
        ] {
            let mut bandwidth = Bandwidth::new(Some(rate), START);
            let second = Duration::from_secs(1);
            let burst = u128::from(rate) * BURST.as_nanos() / 8_000_000_000;
            let most = rate / 8 + u64::try_from(burst).unwrap() + len as u64;
            for from in [START, START + 5 * second] {
                let bytes = sent(&mut bandwidth, from, second, len);
                assert!(bytes <= most, "{bytes} of {most} at {rate}");
                assert!(bytes * 100 >= rate / 8 * 98, "{bytes} at {rate}");
            }
            assert!(bandwidth.reached() > 0);
        }
    }

    #[test]
    fn without_a_rate_nothing_is_held() {
        let mut bandwidth = Bandwidth::new(None, START);
        for _ in 0..10_000 {
            bandwidth.spend(START, 1514);
        }
        assert_eq!(
            (bandwidth.closed_until(START), bandwidth.reached()),
            (None, 0)
        );
        let mut bandwidth = Bandwidth::new(Some(1), START);
        bandwidth.spend(START, 1514);
        assert!(bandwidth.closed_until(START).is_some());
        bandwidth.lift();
        assert_eq!(bandwidth.closed_until(START), None);
    }
}
