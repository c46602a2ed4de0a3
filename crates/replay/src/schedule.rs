//! From the file's time to the time at which a packet is due.
//!
//! Stamps of a file may go back (a clock that was set, files in another order) or leap by hours (a laptop that slept). A replay goes
//! on in both cases: what lies back is due at once, and a silence is no longer than the user wants to wait.

use std::time::Duration;

/// Stamps of one capture are out of order by less than this; what lies further back belongs to a clock that was set.
const DISORDER_MAX_NS: u64 = 1_000_000_000;

/// How fast a file is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was captured.
    Times(f64),
    /// As fast as the target answers.
    Max,
}

/// Times of a file, mapped to a time that begins with 0 and never goes back.
#[derive(Clone, Debug)]
pub struct Schedule {
    speed: Speed,
    gap_max_ns: u64,
    /// The stamp that was looked at last, and the file's own time there, without what was left out.
    last: Option<(u64, u64)>,
    /// Silences that were made shorter.
    gaps: u64,
    gaps_ns: u64,
    /// How often stamps went back.
    leaps_back: u64,
}

impl Schedule {
    /// Silences of more than `gap_max` are made that long.
    #[must_use]
    pub fn new(speed: Speed, gap_max: Duration) -> Self {
        Self {
            speed,
            gap_max_ns: u64::try_from(gap_max.as_nanos()).unwrap_or(u64::MAX),
            last: None,
            gaps: 0,
            gaps_ns: 0,
            leaps_back: 0,
        }
    }

    /// The file's own time of a stamp: nanoseconds since its first packet, less what was left out.
    pub fn own_time(&mut self, at_ns: u64) -> u64 {
        let Some((stamp, own)) = self.last else {
            self.last = Some((at_ns, 0));
            return 0;
        };
        if at_ns < stamp {
            if stamp - at_ns > DISORDER_MAX_NS {
                self.leaps_back += 1;
                self.last = Some((at_ns, own));
            }
            return own;
        }
        let silence = at_ns - stamp;
        if silence > self.gap_max_ns {
            self.gaps += 1;
            self.gaps_ns = self.gaps_ns.saturating_add(silence - self.gap_max_ns);
        }
        // Stamps of a damaged file may leap by centuries, again and again.
        let own = own.saturating_add(silence.min(self.gap_max_ns));
        self.last = Some((at_ns, own));
        own
    }

    /// The file's own time that was reached: nanoseconds since its first packet, less what was left out.
    #[must_use]
    pub fn reached_ns(&self) -> u64 {
        self.last.map_or(0, |(_, own)| own)
    }

    /// When what happened at a time of the file is due, in nanoseconds since the start; `None` where it is due as soon as there is
    /// room for it.
    #[must_use]
    pub fn due(&self, own_ns: u64) -> Option<u64> {
        match self.speed {
            Speed::Max => None,
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "53 bits of nanoseconds are 104 days, and a cast of a float saturates"
            )]
            Speed::Times(times) => Some((own_ns as f64 / times) as u64),
        }
    }

    /// How many silences were made shorter, and by how much altogether.
    #[must_use]
    pub const fn gaps(&self) -> (u64, Duration) {
        (self.gaps, Duration::from_nanos(self.gaps_ns))
    }

    /// How often stamps went back by more than a capture's disorder.
    #[must_use]
    pub const fn leaps_back(&self) -> u64 {
        self.leaps_back
    }

    /// The file begins anew, and so does its time.
    pub const fn rewind(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Schedule, Speed};

    const SECOND: u64 = 1_000_000_000;

    fn schedule(speed: Speed) -> Schedule {
        Schedule::new(speed, Duration::from_secs(60))
    }

    #[test]
    fn time_begins_with_the_first_packet_and_goes_as_fast_as_asked() {
        let mut file = schedule(Speed::Times(2.5));
        let start = 1_700_000_000 * SECOND;
        let due = |file: &mut Schedule, at| {
            let own = file.own_time(start + at);
            file.due(own)
        };
        assert_eq!(due(&mut file, 0), Some(0));
        assert_eq!(due(&mut file, 10 * SECOND), Some(4 * SECOND));
        assert_eq!(due(&mut file, 10 * SECOND + 5), Some(4 * SECOND + 2));
        let mut file = schedule(Speed::Max);
        assert_eq!(due(&mut file, 10 * SECOND), None);
    }

    /// Summing up rounded steps would be late by minutes after a day.
    #[test]
    fn it_does_not_drift() {
        let mut file = schedule(Speed::Times(3.0));
        let mut last = 0;
        for packet in 0..1_000_000_u64 {
            let own = file.own_time(packet * 1_001);
            last = file.due(own).expect("a time");
        }
        assert_eq!(last, 999_999 * 1_001 / 3);
    }

    #[test]
    fn a_silence_is_no_longer_than_wanted() {
        let mut file = schedule(Speed::Times(1.0));
        file.own_time(0);
        assert_eq!(file.own_time(3600 * SECOND), 60 * SECOND);
        assert_eq!(file.own_time(3601 * SECOND), 61 * SECOND);
        assert_eq!(file.gaps(), (1, Duration::from_secs(3540)));
    }

    #[test]
    fn stamps_that_go_back_hold_nothing_up() {
        let mut file = schedule(Speed::Times(1.0));
        file.own_time(100 * SECOND);
        file.own_time(101 * SECOND);
        // A little: the order of one capture.
        assert_eq!(file.own_time(101 * SECOND - 500), SECOND);
        assert_eq!(file.own_time(102 * SECOND), 2 * SECOND);
        assert_eq!(file.leaps_back(), 0);
        // A clock that was set.
        assert_eq!(file.own_time(5 * SECOND), 2 * SECOND);
        assert_eq!(file.own_time(6 * SECOND), 3 * SECOND);
        assert_eq!(file.leaps_back(), 1);
    }

    /// Two leaps to the end of time are one more than a number of nanoseconds has room for.
    #[test]
    fn a_damaged_clock_stops_at_the_end_of_time() {
        for gap_max in [Duration::MAX, Duration::from_secs(1)] {
            let mut file = Schedule::new(Speed::Times(0.001), gap_max);
            let mut last = 0;
            for stamp in [0, u64::MAX, 0, u64::MAX, 7, u64::MAX] {
                let own = file.own_time(stamp);
                assert!(own >= last, "{own} after {last}");
                last = own;
            }
            assert!(file.due(last).is_some());
            assert_eq!(file.leaps_back(), 2);
        }
    }

    #[test]
    fn a_file_that_begins_anew_does_so_at_once() {
        let mut file = schedule(Speed::Times(1.0));
        file.own_time(100 * SECOND);
        file.own_time(103 * SECOND);
        file.rewind();
        assert_eq!(file.own_time(100 * SECOND), 0);
        assert_eq!(file.own_time(101 * SECOND), SECOND);
        assert_eq!(file.leaps_back(), 0);
    }
}
