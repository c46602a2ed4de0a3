//! How long a worker pauses when it found little or nothing to do.
//!
//! A worker that spins takes processor time from the online server; one that sleeps adds its wake-up to the lag of
//! every copy. So: nap, so that packets gather, and shorter the more there are; after a while without any, sleep in
//! the kernel and have the first record wake us up. Only while copies lag behind their originals, spin (yielding to
//! whoever wants to run), as long as that finds replies: behind a slow target it would find none.

use std::time::Duration;

use session::Instant;

/// From so much work in a turn of the loop on, the next turn follows at once: the worker is busy anyway.
const BUSY_WORK_MIN: usize = 64;
/// From so much work on, the nap is a short one.
const SHORT_NAP_WORK_MIN: usize = 8;
/// Naps between two looks.
const NAP_SHORT: Duration = Duration::from_micros(80);
const NAP_LONG: Duration = Duration::from_micros(250);
/// How long to go on looking without a nap while copies lag.
const SPIN_MAX: Duration = Duration::from_micros(100);
/// How long a lag is remembered.
const BEHIND_MEMORY: Duration = Duration::from_millis(20);
/// Spins that may be in vain before the worker naps although it lags.
const CREDIT_MAX: u8 = 8;
/// How often it is given another try then.
const CREDIT_EVERY: Duration = Duration::from_millis(10);
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
    credit: u8,
    credited: Instant,
    spinning: bool,
    sleep: Duration,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            worked: now,
            lagged: None,
            credit: CREDIT_MAX,
            credited: now,
            spinning: false,
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
            return self.after_work(now, work);
        }
        let idle = now.since(self.worked);
        if self.may_spin(now) && idle < SPIN_MAX {
            self.spinning = true;
            return Pause::Yield;
        }
        if std::mem::take(&mut self.spinning) {
            self.credit = self.credit.saturating_sub(1);
        }
        if idle < NAPS_MAX {
            return Pause::Nap(NAP_LONG);
        }
        let sleep = self.sleep;
        self.sleep = (sleep * 2).min(SLEEP_MAX);
        Pause::Sleep(sleep)
    }

    fn after_work(&mut self, now: Instant, work: usize) -> Pause {
        self.worked = now;
        self.sleep = SLEEP_FIRST;
        if std::mem::take(&mut self.spinning) {
            self.credit = (self.credit + 1).min(CREDIT_MAX);
        }
        if work >= BUSY_WORK_MIN || self.may_spin(now) {
            Pause::None
        } else if work >= SHORT_NAP_WORK_MIN {
            Pause::Nap(NAP_SHORT)
        } else {
            Pause::Nap(NAP_LONG)
        }
    }

    fn may_spin(&mut self, now: Instant) -> bool {
        if self
            .lagged
            .is_none_or(|lagged| now.since(lagged) >= BEHIND_MEMORY)
        {
            return false;
        }
        if self.credit == 0 && now.since(self.credited) >= CREDIT_EVERY {
            self.credit = 1;
            self.credited = now;
        }
        self.credit > 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::Instant;

    use super::{
        CREDIT_EVERY, CREDIT_MAX, NAP_LONG, NAP_SHORT, Pace, Pause, SLEEP_FIRST, SLEEP_MAX,
    };

    const START: Instant = Instant::from_nanos(1_000_000_000);

    #[test]
    fn idleness_leads_from_naps_to_longer_and_longer_sleep() {
        let mut pace = Pace::new(START);
        assert_eq!(pace.after(START, 1), Pause::Nap(NAP_LONG));
        assert_eq!(pace.after(START, 8), Pause::Nap(NAP_SHORT));
        assert_eq!(pace.after(START, 200), Pause::None);
        assert_eq!(
            pace.after(START + Duration::from_micros(100), 0),
            Pause::Nap(NAP_LONG)
        );
        let late = START + Duration::from_millis(3);
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
    fn a_worker_that_lags_spins_for_a_moment() {
        let mut pace = Pace::new(START);
        pace.behind(START);
        assert_eq!(pace.after(START, 1), Pause::None);
        assert_eq!(
            pace.after(START + Duration::from_micros(50), 0),
            Pause::Yield
        );
        assert_eq!(
            pace.after(START + Duration::from_micros(300), 0),
            Pause::Nap(NAP_LONG)
        );
    }

    #[test]
    fn spinning_in_vain_ends_and_is_tried_again_now_and_then() {
        let mut pace = Pace::new(START);
        let mut now = START;
        for _ in 0..CREDIT_MAX {
            pace.behind(now);
            assert_eq!(pace.after(now, 1), Pause::None);
            assert_eq!(pace.after(now, 0), Pause::Yield);
            now += Duration::from_micros(200);
            assert_eq!(pace.after(now, 0), Pause::Nap(NAP_LONG));
        }
        pace.behind(now);
        now = START + CREDIT_EVERY - Duration::from_micros(1);
        assert_eq!(pace.after(now, 1), Pause::Nap(NAP_LONG));
        now += CREDIT_EVERY;
        pace.behind(now);
        assert_eq!(pace.after(now, 1), Pause::None);
    }
}
