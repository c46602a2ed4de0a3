//! How others reach a worker: the ends of its queues, and the figures that it leaves.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use channel::Batch;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::Command;
use super::slot::Shared;

/// Most commands that wait for a worker; who gives more waits.
const COMMANDS_MAX: usize = 1024;
/// Most batches of reports that wait for one worker.
const BATCHES_MAX: usize = 256;

/// The worker's ends of its queues.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) commands: Receiver<Command>,
    /// What `intercept` reported of this worker's sessions, with stamps of this machine's clock.
    pub(crate) reports: Receiver<Batch>,
}

/// How to reach one worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHandle {
    pub(crate) commands: Sender<Command>,
    pub(crate) reports: Sender<Batch>,
    pub(crate) shared: Arc<Shared>,
    /// Commands given so far.
    pub(crate) given: Arc<AtomicU64>,
}

impl WorkerHandle {
    /// The way to a worker that is to be, of a run with so many rules, and the worker's ends of the queues.
    ///
    /// # Errors
    ///
    /// Where the process has no file descriptor left.
    pub(crate) fn new(rules: usize) -> io::Result<(Self, Inbox)> {
        let (commands, command_inbox) = bounded(COMMANDS_MAX);
        let (reports, report_inbox) = bounded(BATCHES_MAX);
        let handle = Self {
            commands,
            reports,
            shared: Arc::new(Shared::new(rules)?),
            given: Arc::default(),
        };
        let inbox = Inbox {
            commands: command_inbox,
            reports: report_inbox,
        };
        Ok((handle, inbox))
    }

    /// Queues a command and wakes the worker; a worker that ended takes none.
    pub(crate) fn command(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.given.fetch_add(1, Ordering::Release);
            self.shared.waker.wake();
        }
    }
}
