//! The end of a run: what is waited for, and in which order everything goes.

use std::time::{Duration, Instant};

use process::signals;
use sd_notify::NotifyState;
use signal_hook::iterator::Signals;
use telemetry::State;
use tracing::warn;

use super::ending::{self, Ending, Stop};
use super::replaying::Replaying;
use super::telling::Phase;
use super::{OBEY_MAX, Run, TICK, namespace, others_cpu};
use crate::worker::Command;

/// How long resets may take to reach targets, and their answers to come back, before `capture` is detached.
const LINGER: Duration = Duration::from_millis(200);
/// How much longer they may take where there are more of them than can leave in that time, as those of a million sessions.
const RESETTING_MAX: Duration = Duration::from_secs(10);

impl Run<'_> {
    /// Drains, closes, detaches and tells.
    pub(super) fn end(mut self, signals: &mut Signals, stop: Stop) -> Ending {
        self.control.close();
        self.telling.enter(Phase::Draining);
        namespace::notify(&self.plan.outside, NotifyState::Stopping);
        self.state = State::Draining;
        let mut at_once = matches!(stop, Stop::Failed(_) | Stop::NeverReady(_));
        let unread = self.replaying.as_mut().and_then(Replaying::end);
        self.drained = Some(Instant::now());
        self.brake.end(&self.crew);
        self.crew.command(&|| Command::StopCapture);
        self.crew.wait_obeyed(OBEY_MAX);
        at_once = self.drain(signals, at_once, stop.patience(self.args));
        self.reset(signals, at_once);
        // While their threads are there to be asked.
        self.cpu_of_others = others_cpu();
        // Connections end before the workers do, so that every report that was taken reaches its worker.
        if let Some(bridge) = &mut self.bridge {
            bridge.end();
        }
        self.loaded.detach();
        let failed = self.crew.leave();
        self.state = State::Ended;
        let mut totals = self.totals();
        self.signs.look(&totals, &mut self.warnings);
        self.look_at_logins();
        let surroundings = self.surroundings();
        // Before anything is written that may hang: nothing is to be left behind then.
        if let Err(cause) = self.loaded.remove() {
            warn!(
                finding = "left-behind",
                "{cause}; the next start takes it over"
            );
        }
        self.tapping.finish(signals, &mut self.warnings);
        totals.tap = self.tapping.figures();
        totals.warnings = self.warnings.list();
        let told = self.telling.finish(totals, surroundings);
        let summary = match told {
            Ok(summary) => summary,
            Err(words) => return Ending::Failed(words),
        };
        // What a worker said itself is worth more than that it ended.
        if let Some(unmatched) = self.replaying.as_ref().and_then(Replaying::nothing_matched) {
            return Ending::Unmatched(unmatched);
        }
        let failed = failed.or(unread);
        failed.map_or_else(|| ending::of(stop, &summary), Ending::Failed)
    }

    /// Waits until the targets have answered what was captured, but no longer than `most`, and not where it is
    /// to be `at_once`. Returns whether the rest is to be done at once.
    pub(super) fn drain(&mut self, signals: &mut Signals, at_once: bool, most: Duration) -> bool {
        let waits = |run: &Self| run.crew.sum(|slot| slot.turns_waiting) > 0;
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
