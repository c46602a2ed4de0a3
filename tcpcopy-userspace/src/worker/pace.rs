//! How long a worker pauses when it found nothing to do.
//!
//! A worker that spins takes processor time from the online server; one that sleeps adds its wake-up to the lag of
//! every copy. So: while copies lag behind their originals, spin (yielding to whoever wants to run); otherwise nap,
//! so that packets gather; after a while without any, sleep in the kernel and have the first record wake us up.

use std::time::Duration;

use session::Instant;

/// How long to go on looking without a nap while copies lag.
const SPIN_MAX: Duration = Duration::from_micros(200);
/// How long a lag is remembered.
const BEHIND_MEMORY: Duration = Duration::from_millis(20);
/// A nap between two looks.
const NAP: Duration = Duration::from_micros(60);
/// Idle for this long, the worker sleeps.
const NAPS_MAX: Duration = Duration::from_millis(2);
/// The first sleep: a record that was being written while we fell asleep wakes nobody, so it is found after this.
const SLEEP_FIRST: Duration = Duration::from_millis(1);
/// The longest sleep.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// There was work: look again at once.
    None,
    /// Let others run, and look again.
    Yield,
    /// Stay away for so long, whatever happens.
    Nap(Duration),
    /// Sleep until something happens, but at most so long.
    Sleep(Duration),
}

/// When there was work last, and how far behind it was.
#[derive(Debug)]
pub(super) struct Pace {
    worked: Instant,
    lagged: Option<Instant>,
    sleep: Duration,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            worked: now,
            lagged: None,
            sleep: SLEEP_FIRST,
        }
    }

    /// A copy left late.
    pub(super) const fn behind(&mut self, now: Instant) {
        self.lagged = Some(now);
    }

    /// What to do after a turn of the loop that did so much work.
    pub(super) fn after(&mut self, now: Instant, work: usize) -> Pause {
        if work > 0 {
            self.worked = now;
            self.sleep = SLEEP_FIRST;
            return if work >= NAP_WORK_MAX || self.is_behind(now) {
                Pause::None
            } else {
                Pause::Nap(NAP)
            };
        }
        let idle = now.since(self.worked);
        if idle < SPIN_MAX && self.is_behind(now) {
            return Pause::Yield;
        }
        if idle < NAPS_MAX {
            return Pause::Nap(NAP);
        }
        let sleep = self.sleep;
        self.sleep = (sleep * 2).min(SLEEP_MAX);
        Pause::Sleep(sleep)
    }

    fn is_behind(&self, now: Instant) -> bool {
        self.lagged
            .is_some_and(|lagged| now.since(lagged) < BEHIND_MEMORY)
    }
}

/// From so much work in a turn of the loop on, the next turn follows at once: the worker is busy anyway.
const NAP_WORK_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::Instant;

    use super::{NAP, Pace, Pause, SLEEP_FIRST, SLEEP_MAX};

    #[test]
    fn idleness_leads_from_naps_to_longer_and_longer_sleep() {
        let start = Instant::from_nanos(1_000_000_000);
        let mut pace = Pace::new(start);
        assert_eq!(pace.after(start, 1), Pause::Nap(NAP));
        assert_eq!(
            pace.after(start + Duration::from_micros(100), 0),
            Pause::Nap(NAP)
        );
        let late = start + Duration::from_millis(3);
        assert_eq!(pace.after(late, 0), Pause::Sleep(SLEEP_FIRST));
        assert_eq!(pace.after(late, 0), Pause::Sleep(SLEEP_FIRST * 2));
        for _ in 0..20 {
            pace.after(late, 0);
        }
        assert_eq!(pace.after(late, 0), Pause::Sleep(SLEEP_MAX));
        pace.after(late, 1);
        assert_eq!(
            pace.after(late + Duration::from_millis(3), 0),
            Pause::Sleep(SLEEP_FIRST)
        );
    }

    #[test]
    fn a_worker_that_lags_or_is_busy_does_not_nap() {
        let start = Instant::from_nanos(1_000_000_000);
        let mut pace = Pace::new(start);
        assert_eq!(pace.after(start, 200), Pause::None);
        pace.behind(start);
        assert_eq!(pace.after(start, 1), Pause::None);
        assert_eq!(
            pace.after(start + Duration::from_micros(50), 0),
            Pause::Yield
        );
        assert_eq!(
            pace.after(start + Duration::from_micros(300), 0),
            Pause::Nap(NAP)
        );
    }
}
