//! Assistant mode: one thread per `intercept`, which announces sessions to it and hands its reports to the workers.
//!
//! | module | holds |
//! |---|---|
//! | [`connection`] | the thread: connects, again and again |
//! | [`talk`] | one connection: announces, and hands on reports |
//! | [`offset`] | what time it is there |
//! | [`names`] | looks up where an `intercept` is |
//! | [`inspection`] | what the doctor asks |
//! | [`probe`] | SYNs that prove the path before anything is copied |
//!
//! Nothing here ends a run. While no connection stands the engines are told so, and send nothing. Where one of several goes, nothing that
//! was known of the way back holds any more: a target's replies may have come through it. The engines then prove each network anew, by
//! one session, and those whose replies come through another go on at once.

pub(crate) mod connection;
mod inspection;
pub(crate) mod names;
mod offset;
pub(crate) mod probe;
mod talk;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use channel::{Batch, Report};
use tracing::warn;
use wire::flow::{Endpoint, FlowKey};
use wire::hash::EndpointHash;

use inspection::Inspections;

use crate::worker::Command;
use crate::worker::handle::WorkerHandle;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Channels {
    workers: Vec<WorkerHandle>,
    /// Whose reports are whose.
    owners: EndpointHash,
    up: Mutex<Vec<bool>>,
    /// Who has refused which target: it does not consume its replies.
    refused: Mutex<HashSet<(usize, Endpoint)>>,
    /// Why each connection does not stand, as said last.
    complaints: Mutex<Vec<String>>,
    /// Set when the run ends.
    stop: AtomicBool,
    /// Whether it was said that another tcpcopy has sessions like ours.
    has_said_taken: AtomicBool,
    /// Times that a connection was lost.
    pub(crate) lost: AtomicU64,
    /// Reports that `intercept` dropped because we took them too slowly.
    pub(crate) reports_lost_there: AtomicU64,
    /// Reports that were dropped here because a worker took them too slowly.
    pub(crate) reports_lost_here: AtomicU64,
    /// Announcements that found a full queue and were made later.
    pub(crate) announcements_late: Arc<AtomicU64>,
    /// What the doctor asks.
    pub(crate) inspections: Inspections,
    /// How far the estimates of the assistants' clocks may be off, in microseconds; 0 where none is used.
    pub(crate) clock_error_us: AtomicU64,
}

/// A thread that panicked left nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Channels {
    pub(crate) fn new(
        workers: Vec<WorkerHandle>,
        owners: EndpointHash,
        connections: usize,
    ) -> Self {
        Self {
            workers,
            owners,
            up: Mutex::new(vec![false; connections]),
            refused: Mutex::default(),
            complaints: Mutex::new(vec![String::new(); connections]),
            stop: AtomicBool::new(false),
            has_said_taken: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            reports_lost_there: AtomicU64::new(0),
            reports_lost_here: AtomicU64::new(0),
            announcements_late: Arc::default(),
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
        lock(&self.up).clone()
    }

    /// Notes why a connection does not stand.
    fn complain(&self, index: usize, words: &str) {
        let mut complaints = lock(&self.complaints);
        if let Some(complaint) = complaints.get_mut(index) {
            words.clone_into(complaint);
        }
    }

    /// Why the first of the connections does not stand; `None` where one stands.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.is_up() {
            return None;
        }
        lock(&self.complaints).first().cloned()
    }

    /// Whether replies can arrive: a connection stands.
    pub(crate) fn is_up(&self) -> bool {
        lock(&self.up).contains(&true)
    }

    /// What a connection that does not stand means, in words.
    fn what_then(&self) -> &'static str {
        if self.is_up() {
            "the other intercepts go on; what the targets still send by way of this one is lost, so take it out of their routes"
        } else {
            "copying pauses"
        }
    }

    /// Notes that a connection does not have this target, and gives whether another one may.
    fn refuse(&self, index: usize, target: Endpoint) -> bool {
        let mut refused = lock(&self.refused);
        refused.insert((index, target));
        let connections = lock(&self.up).len();
        (0..connections).any(|other| !refused.contains(&(other, target)))
    }

    /// Forgets what a connection refused: what comes in its place may have other targets.
    fn forget(&self, index: usize) {
        lock(&self.refused).retain(|(refuser, _)| *refuser != index);
    }

    /// Notes that a connection stands or not, and tells the workers where that changes anything for them.
    fn set_up(&self, index: usize, is_up: bool) {
        let mut up = lock(&self.up);
        let Some(slot) = up.get_mut(index) else {
            return;
        };
        let has_gone = std::mem::replace(slot, is_up) && !is_up;
        let is_up = up.contains(&true);
        // Under the lock, so that two changes reach the workers in their order; nothing here waits for one.
        for worker in &self.workers {
            let link = &worker.shared.link;
            // One of several has gone: the workers see that nothing was there for a moment.
            let is_new = has_gone && link.set(false);
            if link.set(is_up) || is_new {
                worker.shared.waker.wake();
            }
        }
    }

    /// An empty batch for each worker.
    fn batches(&self) -> Vec<Batch> {
        self.workers.iter().map(|_| Batch::new()).collect()
    }

    /// Puts a report into the batch of the worker that owns what the target sent to `destination`; a batch that is full is
    /// handed over.
    fn put(&self, destination: Option<&Endpoint>, report: &Report<'_>, batches: &mut [Batch]) {
        let workers = u32::try_from(batches.len()).unwrap_or(1);
        let owner = destination.map(|destination| self.owners.owner(destination, workers));
        // What is no segment goes to the first one, whose engine counts it as malformed.
        let worker = owner.unwrap_or(0) as usize;
        let Some(batch) = batches.get_mut(worker) else {
            return;
        };
        if batch.push(report) {
            return;
        }
        if let Some(worker) = self.workers.get(worker) {
            self.hand_over(worker, batch);
        }
        // An empty batch has room for every report that the channel can carry.
        if !batch.push(report) {
            self.reports_lost_here.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells the workers of sessions that are another tcpcopy's at `intercept`.
    fn taken(&self, flows: impl Iterator<Item = FlowKey>) {
        let workers = u32::try_from(self.workers.len()).unwrap_or(1);
        let mut of_workers = vec![Vec::new(); self.workers.len()];
        for flow in flows {
            if !self.has_said_taken.swap(true, Ordering::Relaxed) {
                warn!(
                    finding = "sources-shared",
                    "another tcpcopy has a session from {} to {} at the same intercept: its replies go there, and ours ends as \
                     `collision`, as do others like it; give each tcpcopy a pool (-c) of its own",
                    flow.client,
                    flow.server
                );
            }
            let owner = self.owners.owner(&flow.client, workers) as usize;
            if let Some(flows) = of_workers.get_mut(owner) {
                flows.push(flow);
            }
        }
        for (worker, flows) in self.workers.iter().zip(of_workers) {
            if !flows.is_empty() {
                worker.command(Command::Taken(flows));
            }
        }
    }

    /// Hands over what arrived, one batch per worker.
    fn deliver(&self, batches: &mut [Batch]) {
        for (worker, batch) in self.workers.iter().zip(batches) {
            self.hand_over(worker, batch);
        }
    }

    fn hand_over(&self, worker: &WorkerHandle, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        let batch = std::mem::take(batch);
        let count = u64::from(batch.len());
        match worker.reports.try_send(batch) {
            Ok(()) => worker.shared.waker.wake(),
            Err(_) => _ = self.reports_lost_here.fetch_add(count, Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use crossbeam_channel::bounded;
    use wire::flow::{Addr, Endpoint};
    use wire::hash::EndpointHash;

    use super::Channels;
    use crate::worker::Command;
    use crate::worker::handle::WorkerHandle;
    use crate::worker::link::Seen;

    #[test]
    fn a_worker_that_takes_nothing_holds_nobody() {
        let (worker, inbox) = WorkerHandle::new(0).unwrap();
        let room = worker.commands.capacity().unwrap();
        for _ in 0..room {
            worker.command(Command::EndHold);
        }
        let channels = Arc::new(Channels::new(vec![worker], EndpointHash::new(1), 1));
        let (told, hears) = bounded(1);
        let connection = Arc::clone(&channels);
        thread::spawn(move || {
            connection.set_up(0, true);
            told.send(()).unwrap();
        });
        assert!(hears.recv_timeout(Duration::from_secs(5)).is_ok());
        assert!(channels.is_up());
        drop(inbox);
    }

    #[test]
    fn one_that_goes_leaves_the_others_to_prove_the_way_anew() {
        let (worker, _inbox) = WorkerHandle::new(0).unwrap();
        let link = Arc::clone(&worker.shared);
        let channels = Channels::new(vec![worker], EndpointHash::new(1), 2);
        let mut seen = Seen::default();
        let mut news = |index, is_up| {
            channels.set_up(index, is_up);
            link.link.news(&mut seen).collect::<Vec<_>>()
        };
        assert_eq!(news(0, true), [true]);
        assert!(news(1, true).is_empty());
        assert_eq!(news(0, false), [false, true]);
        assert!(news(0, false).is_empty());
        assert!(news(0, true).is_empty());
        assert_eq!(news(1, false), [false, true]);
        assert_eq!(news(0, false), [false]);
        assert!(!channels.is_up());
    }

    #[test]
    fn a_target_that_all_refuse_is_nobodys() {
        let (worker, _inbox) = WorkerHandle::new(0).unwrap();
        let channels = Channels::new(vec![worker], EndpointHash::new(1), 2);
        let target = |port| Endpoint::new(Addr::v4([10, 0, 0, 2]), port);
        assert!(channels.refuse(0, target(80)));
        assert!(channels.refuse(1, target(81)));
        assert!(!channels.refuse(1, target(80)));
        channels.forget(0);
        assert!(channels.refuse(1, target(80)));
    }
}
