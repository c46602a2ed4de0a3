//! How a worker sleeps: until something comes, and no longer than until something is due.

use std::time::Duration;

use session::Instant;

use super::announcer::Announcer;
use super::figures::IfRead;
use super::intake::Until;
use super::playing::{self, Playing};
use super::tap::Tap;
use super::{ANNOUNCE_AGAIN, Error, Running};

impl Running {
    /// `time`, or less where the engine wants to be called sooner, frames wait for `--max-bandwidth`, or announcements for room.
    pub(super) fn until_due(&mut self, now: Instant, time: Duration) -> Duration {
        let played = self.worker.playing.as_mut().and_then(Playing::next_look);
        let timeout = self.worker.engine.next_timeout();
        let frames = self.worker.bandwidth.worth_a_look(now);
        let announcer = self.worker.announcer.as_ref();
        let is_behind = announcer.is_some_and(Announcer::is_behind);
        let announcements = is_behind.then_some(now + ANNOUNCE_AGAIN);
        let tapped = self.worker.tap.as_ref().and_then(Tap::due);
        let dues = [timeout, frames, announcements, played, tapped]
            .into_iter()
            .flatten();
        dues.map(|due| due.since(now)).fold(time, Duration::min)
    }

    /// Sleeps until a record, a report, a command or a timeout; see [`process::waker`].
    pub(super) fn sleep(
        &mut self,
        now: Instant,
        until: Until,
        longest: Duration,
    ) -> Result<(), Error> {
        if self.dirty && until == Until::Record {
            self.publish(now, IfRead::Wait);
        }
        let mut time = self.until_due(now, longest);
        if self.worker.playing.is_some() {
            time = playing::without_waking(time);
        }
        if time.is_zero() {
            std::thread::yield_now();
            return Ok(());
        }
        let waker = &self.worker.shared.waker;
        waker.fall_asleep();
        let inbox = &self.worker.inbox;
        let has_news = self.worker.shared.link.has_news(&self.link);
        let pending = has_news || !inbox.commands.is_empty() || !inbox.reports.is_empty();
        let slept = self
            .worker
            .intake
            .sleep(&self.worker.port, waker, until, time, pending);
        waker.wake_up();
        slept.map_err(Error::Sleep)
    }
}
