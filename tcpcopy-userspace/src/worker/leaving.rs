//! The end of a worker: its sessions are reset, and what has arrived until then is told.

use session::Instant;

use super::{BUDGET, Running, Worker};
use crate::clock;

impl Running {
    /// Ends some of the sessions, where that is wanted: no more at a time than there is room for their last segments, so that a
    /// million of them need no more memory than before.
    pub(super) fn finish_some(&mut self, now: Instant) -> usize {
        let most = BUDGET.min(self.worker.port.tx_free());
        if !self.finishing || most == 0 {
            return 0;
        }
        self.finishing = !self.worker.engine.finish_some(now, most);
        most
    }

    /// After the programs were detached: what stands in the ring is all there is.
    pub(super) fn take_the_rest(&mut self) {
        // Whose last segments could not leave are told all the same.
        while self.finishing {
            let now = clock::now();
            self.finishing = !self.worker.engine.finish_some(now, BUDGET);
            self.drain_events(now);
        }
        loop {
            let now = clock::now();
            let Worker {
                intake,
                engine,
                port,
                tap,
                ..
            } = &mut self.worker;
            let taken = intake.rest(engine, port, tap.as_mut(), now) + self.take_reports(now);
            self.drain_events(now);
            if taken == 0 {
                break;
            }
        }
        self.worker.port.reap();
    }
}
