//! Assistant mode: one thread per `intercept`, which announces sessions to it and hands its reports to the workers.
//!
//! | module | holds |
//! |---|---|
//! | [`connection`] | the thread: connects, again and again |
//! | [`talk`] | one connection: announces, and hands on reports |
//! | [`offset`] | what time it is there |
//! | [`inspection`] | what the doctor asks |
//! | [`probe`] | SYNs that prove the path before anything is copied |
//!
//! Nothing here ends a run. While one of the connections is missing the engines are told so, and send nothing.

pub(crate) mod connection;
mod inspection;
mod offset;
pub(crate) mod probe;
mod talk;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Sender, TrySendError};
use session::Instant;
use wire::flow::FlowKey;

use inspection::Inspections;

use crate::worker::Command;
use crate::worker::slot::Shared;
use crate::worker::waker::Waker;

/// Most announcements that wait for one connection's thread.
pub(crate) const ANNOUNCEMENTS_MAX: usize = 1 << 16;
/// Most batches of reports that wait for one worker.
pub(crate) const BATCHES_MAX: usize = 256;

/// A session comes or goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Announcement {
    Open(FlowKey),
    Close(FlowKey),
}

/// A worker's way to the connections' threads.
#[derive(Debug)]
pub(crate) struct Announcer {
    connections: Vec<(Sender<Announcement>, Arc<Waker>)>,
    lost: Arc<AtomicU64>,
    dirty: bool,
}

impl Announcer {
    pub(crate) const fn new(
        connections: Vec<(Sender<Announcement>, Arc<Waker>)>,
        lost: Arc<AtomicU64>,
    ) -> Self {
        Self {
            connections,
            lost,
            dirty: false,
        }
    }

    /// Announces a session; to be followed by [`Announcer::flush`] before its first segment leaves.
    pub(crate) fn open(&mut self, flow: FlowKey) {
        self.announce(Announcement::Open(flow));
    }

    /// Announces the end of a session.
    pub(crate) fn close(&mut self, flow: FlowKey) {
        self.announce(Announcement::Close(flow));
    }

    /// Wakes the threads where there is something for them.
    pub(crate) fn flush(&mut self) {
        if std::mem::take(&mut self.dirty) {
            for (_, waker) in &self.connections {
                waker.wake();
            }
        }
    }

    fn announce(&mut self, announcement: Announcement) {
        self.dirty = true;
        for (sender, _) in &self.connections {
            // An announcement that is lost costs little: intercept gives replies of unknown sessions to everybody who
            // subscribed to their target.
            if let Err(TrySendError::Full(_)) = sender.try_send(announcement) {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Reports for one worker that arrived together.
#[derive(Debug, Default)]
pub(crate) struct ReportBatch {
    /// Per report its stamp (8 bytes), its length (1 byte) and its bytes, payload right behind the headers.
    bytes: Vec<u8>,
    count: u64,
}

impl ReportBatch {
    /// Adds a report; the channel's own limit keeps them below 256 bytes.
    pub(crate) fn push(&mut self, stamp: Instant, headers: &[u8], payload: &[u8]) {
        if let Ok(len) = u8::try_from(headers.len() + payload.len()) {
            self.bytes
                .extend_from_slice(&stamp.as_nanos().to_ne_bytes());
            self.bytes.push(len);
            self.bytes.extend_from_slice(headers);
            self.bytes.extend_from_slice(payload);
            self.count += 1;
        }
    }

    /// Each report with its stamp.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Instant, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (stamp, tail) = rest.split_first_chunk::<8>()?;
            let (&len, tail) = tail.split_first()?;
            let (report, tail) = tail.split_at_checked(usize::from(len))?;
            rest = tail;
            Some((Instant::from_nanos(u64::from_ne_bytes(*stamp)), report))
        })
    }
}

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

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Channels {
    workers: Vec<WorkerHandle>,
    up: Mutex<Vec<bool>>,
    /// Set when the run ends.
    stop: AtomicBool,
    /// Times that a connection was lost.
    pub(crate) lost: AtomicU64,
    /// Reports that `intercept` dropped because we took them too slowly.
    pub(crate) reports_lost_there: AtomicU64,
    /// Reports that were dropped here because a worker took them too slowly.
    pub(crate) reports_lost_here: AtomicU64,
    /// Announcements that found a full queue.
    pub(crate) announcements_lost: Arc<AtomicU64>,
    /// What the doctor asks.
    pub(crate) inspections: Inspections,
    /// How far the estimates of the assistants' clocks may be off, in microseconds; 0 where none is used.
    pub(crate) clock_error_us: AtomicU64,
}

impl Channels {
    pub(crate) fn new(workers: Vec<WorkerHandle>, connections: usize) -> Self {
        Self {
            workers,
            up: Mutex::new(vec![false; connections]),
            stop: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            reports_lost_there: AtomicU64::new(0),
            reports_lost_here: AtomicU64::new(0),
            announcements_lost: Arc::default(),
            inspections: Inspections::new(connections),
            clock_error_us: AtomicU64::new(0),
        }
    }

    /// Has every connection end; to be followed by waking their threads.
    pub(crate) fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether each connection stands, in their order.
    pub(crate) fn up(&self) -> Vec<bool> {
        self.up
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether every connection stands.
    pub(crate) fn all_up(&self) -> bool {
        self.up
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .all(|&up| up)
    }

    /// Notes that a connection stands or not, and tells the workers where that changes anything: a target's replies
    /// may come through any of them, so one that is missing is enough to pause.
    fn set_up(&self, index: usize, is_up: bool) {
        let mut up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        let before = up.iter().all(|&up| up);
        if let Some(slot) = up.get_mut(index) {
            *slot = is_up;
        }
        let after = up.iter().all(|&up| up);
        // Under the lock, so that two changes reach the workers in their order.
        if before != after {
            for worker in &self.workers {
                worker.command(Command::Channel(after));
            }
        }
    }

    /// Hands over what arrived, one batch per worker.
    fn deliver(&self, batches: &mut [ReportBatch]) {
        for (worker, batch) in self.workers.iter().zip(batches) {
            let batch = std::mem::take(batch);
            let count = batch.count;
            if count == 0 {
                continue;
            }
            match worker.reports.try_send(batch) {
                Ok(()) => {
                    worker.shared.waker.wake();
                }
                Err(_) => {
                    self.reports_lost_here.fetch_add(count, Ordering::Relaxed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use session::Instant;

    use super::ReportBatch;

    #[test]
    fn a_batch_gives_back_what_it_took() {
        let mut batch = ReportBatch::default();
        assert_eq!(batch.iter().count(), 0);
        let stamp = Instant::from_nanos;
        batch.push(stamp(7), b"one", b"");
        batch.push(stamp(9), b"thr", b"ee");
        batch.push(stamp(11), &[0; 300], b"");
        let expected = [(stamp(7), &b"one"[..]), (stamp(9), b"three")];
        assert_eq!(batch.iter().collect::<Vec<_>>(), expected);
    }
}
