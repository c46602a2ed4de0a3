//! What time it is at the assistant: an estimate from pings, so that replies carry the time at which they reached the
//! assistant and not the time at which somebody got round to telling us.
//!
//! A pong carries the assistant's clock as of when it was written, which lies between the ping's departure and the
//! pong's arrival here; the middle is off by at most half the round trip. Of several pings the one with the shortest
//! round trip is believed, until the drift of the two clocks may have made it worse than a new one.

use std::time::Duration;

use session::Instant;

/// How far two clocks drift apart per second, at most: NTP slews by up to 500 ppm, quartz is off by less than 100.
const DRIFT_PER_SECOND: Duration = Duration::from_micros(500);
/// An estimate that may be off by more is not used: arrival here is no worse then.
const ERROR_MAX: Duration = Duration::from_millis(1);

/// The offset between the assistant's clock and ours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offset {
    sent: Option<(u64, Instant)>,
    best: Option<Estimate>,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    /// Theirs minus ours, in nanoseconds, wrapping.
    nanos: u64,
    error: Duration,
    taken: Instant,
}

impl Estimate {
    fn error_at(&self, now: Instant) -> Duration {
        self.error + DRIFT_PER_SECOND.mul_f64(now.since(self.taken).as_secs_f64())
    }
}

impl Offset {
    /// A ping is about to leave.
    pub(super) const fn pinged(&mut self, nonce: u64, now: Instant) {
        self.sent = Some((nonce, now));
    }

    /// Its pong arrived, written when the assistant's clock was `stamp_ns`.
    pub(super) fn ponged(&mut self, nonce: u64, stamp_ns: u64, now: Instant) {
        let Some((_, sent)) = self.sent.take_if(|(sent, _)| *sent == nonce) else {
            return;
        };
        let half = now.since(sent) / 2;
        let estimate = Estimate {
            nanos: stamp_ns.wrapping_sub((sent + half).as_nanos()),
            error: half,
            taken: now,
        };
        if self
            .best
            .is_none_or(|best| estimate.error <= best.error_at(now))
        {
            self.best = Some(estimate);
        }
    }

    /// How far off it may be at `now`; `None` where it is not used.
    pub(super) fn error(&self, now: Instant) -> Option<Duration> {
        self.best
            .map(|best| best.error_at(now))
            .filter(|error| *error <= ERROR_MAX)
    }

    /// When a reply reached the assistant, by our clock; never later than it arrived here.
    pub(super) fn ours(&self, stamp_ns: u64, arrival: Instant) -> Instant {
        match self.best {
            Some(best) if best.error_at(arrival) <= ERROR_MAX => {
                let stamp = Instant::from_nanos(stamp_ns.wrapping_sub(best.nanos));
                if stamp > arrival || arrival.since(stamp) > Duration::from_secs(1) {
                    arrival
                } else {
                    stamp
                }
            }
            _ => arrival,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::Instant;

    use super::Offset;

    const START: Instant = Instant::from_nanos(10_000_000_000);

    fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    #[test]
    fn the_offset_is_found_and_used() {
        let mut offset = Offset::default();
        let arrival = START + micros(900);
        assert_eq!(offset.ours(77, arrival), arrival, "nothing is known yet");
        // Their clock is 5 s behind ours; a ping takes 100 us each way.
        let theirs = |at: Instant| at.as_nanos() - 5_000_000_000;
        offset.pinged(3, START);
        offset.ponged(2, 1, START + micros(50));
        assert_eq!(offset.error(START), None, "another ping's");
        offset.pinged(3, START);
        offset.ponged(3, theirs(START + micros(100)), START + micros(200));
        assert_eq!(offset.error(START + micros(200)), Some(micros(100)));
        assert_eq!(
            offset.ours(theirs(START + micros(400)), arrival),
            START + micros(400)
        );
        assert_eq!(
            offset.ours(theirs(START + micros(990)), arrival),
            arrival,
            "not after it arrived"
        );
        assert_eq!(offset.ours(0, arrival), arrival, "nonsense");
    }

    #[test]
    fn a_shorter_round_trip_wins_and_an_old_estimate_wears_out() {
        let mut offset = Offset::default();
        let mut ping = |nonce, at: Instant, round_trip: u64| {
            offset.pinged(nonce, at);
            offset.ponged(
                nonce,
                at.as_nanos() + round_trip * 500,
                at + micros(round_trip),
            );
            offset.error(at + micros(round_trip))
        };
        assert_eq!(ping(0, START, 400), Some(micros(200)));
        assert_eq!(ping(1, START + micros(500), 100), Some(micros(50)));
        // A worse one is not believed, ...
        assert!(ping(2, START + micros(1000), 800).unwrap() < micros(60));
        // ... but a second later it is.
        assert_eq!(
            ping(3, START + Duration::from_secs(1), 800),
            Some(micros(400))
        );
        assert_eq!(offset.error(START + Duration::from_secs(9)), None);
    }
}
