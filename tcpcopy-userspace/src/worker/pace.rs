//! How long a worker pauses when it found little or nothing to do.
//!
//! A worker that spins takes processor time from the online server, and every wake-up costs some as well: a timer 3 us on
//! bare metal and 40 us in a nested virtual machine (measured), a record that wakes us up about as much, and that of the
//! processor that handles the packet. So: nap for about as long as a copy may be late, so that packets gather; after a
//! while without any, sleep in the kernel and have the first record wake us up. Only where being late matters, spin
//! (yielding to whoever wants to run): while copies lag behind their originals, and while a target sends a long response
//! and waits for our acknowledgements. And only as long as that finds something: behind a target that takes longer, doze,
//! and have its reply wake us up. A nap would cost a connection on which each request follows the response before a
//! millisecond per turn, and it would never catch up.

use std::time::Duration;

use session::Instant;

use super::intake::Until;

/// From so much work in a round of the loop on, the next follows at once: the worker is busy anyway.
const BUSY_WORK_MIN: usize = 64;
/// A nap between two looks.
const NAP: Duration = Duration::from_millis(1);
/// How long to go on looking without a nap while copies lag.
const SPIN_MAX: Duration = Duration::from_micros(100);
/// How long it is remembered that being late matters.
const URGENT_MEMORY: Duration = Duration::from_millis(20);
/// A doze between two looks at what does not end it.
const DOZE: Duration = Duration::from_millis(1);
/// Spins that may be in vain before the worker dozes at once.
const CREDIT_MAX: u8 = 8;
/// How often it is given another try then.
const CREDIT_EVERY: Duration = Duration::from_millis(10);
/// Idle for this long, the worker sleeps.
const NAPS_MAX: Duration = Duration::from_millis(3);
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
    /// Sleep until such a thing happens, but at most so long.
    Sleep(Until, Duration),
}

/// Whom a worker shares its processor with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// With the online server, whose time is dearer than ours.
    OnlineServer,
    /// A replay: nobody is served here, and what is late is late for nothing.
    Nobody,
}

/// When there was work last, and when being late mattered last.
#[derive(Debug)]
pub(super) struct Pace {
    company: Company,
    worked: Instant,
    urgent: Option<Instant>,
    credit: u8,
    credited: Instant,
    spinning: bool,
    sleep: Duration,
}

impl Pace {
    pub(super) const fn new(now: Instant, company: Company) -> Self {
        Self {
            company,
            worked: now,
            urgent: None,
            credit: CREDIT_MAX,
            credited: now,
            spinning: false,
            sleep: SLEEP_FIRST,
        }
    }

    /// A copy left late, or a target waits for us.
    pub(super) const fn urgent(&mut self, now: Instant) {
        self.urgent = Some(now);
    }

    /// What to do after a round of the loop that did so much work.
    pub(super) fn after(&mut self, now: Instant, work: usize) -> Pause {
        if self.company == Company::Nobody {
            return self.alone(now, work);
        }
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
        if self.is_urgent(now) {
            return Pause::Sleep(Until::Reply, DOZE);
        }
        if idle < NAPS_MAX {
            return Pause::Nap(NAP);
        }
        self.doze_off()
    }

    /// Where nobody is served here: look again at once, and sleep until something comes where that finds nothing.
    fn alone(&mut self, now: Instant, work: usize) -> Pause {
        if work > 0 {
            self.worked = now;
            self.sleep = SLEEP_FIRST;
            return Pause::None;
        }
        if now.since(self.worked) < SPIN_MAX {
            return Pause::Yield;
        }
        self.doze_off()
    }

    /// Sleeps longer and longer.
    fn doze_off(&mut self) -> Pause {
        let sleep = self.sleep;
        self.sleep = (sleep * 2).min(SLEEP_MAX);
        Pause::Sleep(Until::Record, sleep)
    }

    fn after_work(&mut self, now: Instant, work: usize) -> Pause {
        self.worked = now;
        self.sleep = SLEEP_FIRST;
        if std::mem::take(&mut self.spinning) {
            self.credit = (self.credit + 1).min(CREDIT_MAX);
        }
        if work >= BUSY_WORK_MIN || self.may_spin(now) {
            Pause::None
        } else if self.is_urgent(now) {
            Pause::Sleep(Until::Reply, DOZE)
        } else {
            Pause::Nap(NAP)
        }
    }

    fn is_urgent(&self, now: Instant) -> bool {
        self.urgent
            .is_some_and(|urgent| now.since(urgent) < URGENT_MEMORY)
    }

    fn may_spin(&mut self, now: Instant) -> bool {
        if !self.is_urgent(now) {
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
        CREDIT_EVERY, CREDIT_MAX, Company, DOZE, NAP, Pace, Pause, SLEEP_FIRST, SLEEP_MAX,
        URGENT_MEMORY, Until,
    };

    const START: Instant = Instant::from_nanos(1_000_000_000);

    #[test]
    fn idleness_leads_from_naps_to_longer_and_longer_sleep() {
        let mut pace = Pace::new(START, Company::OnlineServer);
        assert_eq!(pace.after(START, 1), Pause::Nap(NAP));
        assert_eq!(pace.after(START, 200), Pause::None);
        assert_eq!(
            pace.after(START + Duration::from_micros(100), 0),
            Pause::Nap(NAP)
        );
        let late = START + Duration::from_millis(4);
        assert_eq!(
            pace.after(late, 0),
            Pause::Sleep(Until::Record, SLEEP_FIRST)
        );
        assert_eq!(
            pace.after(late, 0),
            Pause::Sleep(Until::Record, SLEEP_FIRST * 2)
        );
        for _ in 0..20 {
            pace.after(late, 0);
        }
        assert_eq!(pace.after(late, 0), Pause::Sleep(Until::Record, SLEEP_MAX));
        pace.after(late, 1);
        assert_eq!(
            pace.after(late + Duration::from_millis(4), 0),
            Pause::Sleep(Until::Record, SLEEP_FIRST)
        );
    }

    #[test]
    fn a_worker_that_must_hurry_spins_for_a_moment() {
        let mut pace = Pace::new(START, Company::OnlineServer);
        pace.urgent(START);
        assert_eq!(pace.after(START, 1), Pause::None);
        assert_eq!(
            pace.after(START + Duration::from_micros(50), 0),
            Pause::Yield
        );
        assert_eq!(
            pace.after(START + Duration::from_micros(300), 0),
            Pause::Sleep(Until::Reply, DOZE)
        );
        assert_eq!(
            pace.after(START + URGENT_MEMORY, 1),
            Pause::Nap(NAP),
            "it is forgotten"
        );
    }

    #[test]
    fn spinning_in_vain_ends_and_is_tried_again_now_and_then() {
        let mut pace = Pace::new(START, Company::OnlineServer);
        let mut now = START;
        let doze = Pause::Sleep(Until::Reply, DOZE);
        for _ in 0..CREDIT_MAX {
            pace.urgent(now);
            assert_eq!(pace.after(now, 1), Pause::None);
            assert_eq!(pace.after(now, 0), Pause::Yield);
            now += Duration::from_micros(200);
            assert_eq!(pace.after(now, 0), doze);
        }
        pace.urgent(now);
        now = START + CREDIT_EVERY - Duration::from_micros(1);
        assert_eq!(pace.after(now, 1), doze);
        now += CREDIT_EVERY;
        pace.urgent(now);
        assert_eq!(pace.after(now, 1), Pause::None);
    }

    #[test]
    fn a_replay_naps_never() {
        let mut pace = Pace::new(START, Company::Nobody);
        assert_eq!(pace.after(START, 1), Pause::None);
        let soon = START + Duration::from_micros(50);
        assert_eq!(pace.after(soon, 0), Pause::Yield);
        let later = START + Duration::from_micros(200);
        assert_eq!(
            pace.after(later, 0),
            Pause::Sleep(Until::Record, SLEEP_FIRST)
        );
    }
}
