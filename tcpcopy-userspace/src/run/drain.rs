//! What is waited for at the end of a run.

use std::time::{Duration, Instant};

use process::signals;
use signal_hook::iterator::Signals;

use super::{OBEY_MAX, Run, TICK};
use crate::worker::Command;

/// How long resets may take to reach targets, and their answers to come back, before `capture` is detached.
const LINGER: Duration = Duration::from_millis(200);
/// How much longer they may take where there are more of them than can leave in that time, as those of a million sessions.
const RESETTING_MAX: Duration = Duration::from_secs(10);

impl Run<'_> {
    /// Waits until the targets have answered what was captured, unless `at_once`. Returns whether the rest is to be done at once.
    pub(super) fn drain(&mut self, signals: &mut Signals, at_once: bool) -> bool {
        let (most, waits) = (self.args.drain, |run: &Self| {
            run.crew.sum(|slot| slot.turns_waiting) > 0
        });
        self.wait_while(signals, at_once, most, waits)
    }

    /// Resets what is left of the sessions, and waits until the resets have left.
    pub(super) fn reset(&mut self, signals: &mut Signals, at_once: bool) {
        self.crew.command(&|| Command::Finish);
        self.crew.wait_obeyed(OBEY_MAX);
        std::thread::sleep(LINGER);
        let are_left = |run: &Self| run.crew.sum(|slot| slot.sessions) > 0;
        self.wait_while(signals, at_once, RESETTING_MAX, are_left);
    }

    /// Returns whether somebody, or a failure, hurries.
    fn wait_while(
        &mut self,
        signals: &mut Signals,
        mut at_once: bool,
        most: Duration,
        waits: impl Fn(&Self) -> bool,
    ) -> bool {
        let began = Instant::now();
        while !at_once && began.elapsed() < most && waits(self) {
            self.tick(TICK);
            at_once = signals.pending().any(signals::hurries) || self.crew.failure().is_some();
        }
        at_once
    }
}
