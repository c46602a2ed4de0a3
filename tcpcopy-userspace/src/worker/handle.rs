//! How others reach a worker: the ends of its queues, and the figures that it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::Sender;

use super::Command;
use super::reports::ReportBatch;
use super::slot::Shared;

/// How to reach one worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHandle {
    pub(crate) commands: Sender<Command>,
    pub(crate) reports: Sender<ReportBatch>,
    pub(crate) shared: Arc<Shared>,
    /// Commands given so far.
    pub(crate) given: Arc<AtomicU64>,
}

impl WorkerHandle {
    /// Queues a command and wakes the worker; a worker that ended takes none.
    pub(crate) fn command(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.given.fetch_add(1, Ordering::Release);
            self.shared.waker.wake();
        }
    }
}
