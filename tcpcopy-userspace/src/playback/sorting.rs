//! From one stream of cues to the workers that own their flows, each batch ahead of its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, SendTimeoutError, Sender, bounded};
use replay::Cue;
use session::Instant;
use wire::hash::EndpointHash;

use super::sink::Sink;
use crate::clock;
use crate::plan::Plan;
use crate::worker::cues::Batch;
use crate::worker::slot::Shared;

/// The first packet is due so long after the start, so that it has time to reach its worker.
const LEAD: Duration = Duration::from_millis(20);
/// How far ahead of its time a packet is handed on.
const AHEAD: Duration = Duration::from_millis(200);
/// How long before its first packet is due a batch leaves, full or not.
const LEAVES_BEFORE: Duration = Duration::from_millis(100);
/// How long packets gather that are late already, so that a thread that is behind does not hand them on one by one.
const GATHERS_MAX: Duration = Duration::from_micros(500);
/// How long the thread looks away while a worker's queue is full, or a file has not grown.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A worker's queue, and the batch that grows for it.
pub(super) struct Way {
    batches: Sender<Batch>,
    shared: Arc<Shared>,
    batch: Batch,
    /// When a batch left last because its time had come.
    left: Instant,
}

/// Gives each worker the packets of its flows.
pub(super) struct Sorter {
    ways: Vec<Way>,
    owners: EndpointHash,
    /// When the files' time began.
    start: Instant,
    is_to_end: Arc<AtomicBool>,
    /// Whether the thread may wait in the middle of a file for what is written to it.
    is_read_slowly: bool,
    /// Whether the files have the clients' side alone.
    is_one_sided: bool,
    /// Whether somebody still takes packets.
    is_open: bool,
    /// Whether the thread has waited for a time to come since somebody asked.
    has_waited: bool,
}

impl Way {
    pub(super) fn new(batches: Sender<Batch>, shared: Arc<Shared>) -> Self {
        Self {
            batches,
            shared,
            batch: Batch::default(),
            left: Instant::default(),
        }
    }

    /// Hands on what has gathered. Returns `false` where the worker, or the run, has ended.
    fn flush(&mut self, is_to_end: &AtomicBool) -> bool {
        let batch = std::mem::take(&mut self.batch);
        batch.is_empty() || self.send(batch, is_to_end)
    }

    fn send(&self, mut batch: Batch, is_to_end: &AtomicBool) -> bool {
        loop {
            match self.batches.send_timeout(batch, LOOK_AGAIN) {
                Ok(()) => {
                    self.shared.waker.wake();
                    return true;
                }
                Err(SendTimeoutError::Timeout(back)) if !is_to_end.load(Ordering::Relaxed) => {
                    batch = back;
                }
                Err(_) => return false,
            }
        }
    }
}

impl Sorter {
    pub(super) fn new(
        plan: &Plan,
        ways: Vec<Way>,
        is_read_slowly: bool,
        is_to_end: Arc<AtomicBool>,
    ) -> Self {
        Self {
            ways,
            owners: EndpointHash::new(plan.hash_seed),
            start: clock::now(),
            is_to_end,
            is_read_slowly,
            is_one_sided: false,
            is_open: true,
            has_waited: false,
        }
    }

    /// Waits until a time is near; gives the time that it is.
    fn wait_for(&mut self, due: Instant) -> Instant {
        loop {
            let now = clock::now();
            let left = due.since(now + AHEAD);
            if left.is_zero() || !self.is_open {
                return now;
            }
            self.flush();
            self.goes_on();
            self.has_waited = true;
            thread::sleep(left.clamp(Duration::from_millis(1), AHEAD / 2));
        }
    }
}

impl Sink for Sorter {
    fn begin(&mut self) {
        self.start = clock::now() + LEAD;
    }

    fn now_ns(&self) -> u64 {
        clock::now()
            .as_nanos()
            .saturating_sub(self.start.as_nanos())
    }

    /// It goes to the worker that owns its flow.
    fn take(&mut self, cue: &Cue<'_>) {
        let due = self.start + Duration::from_nanos(cue.due_ns);
        let now = self.wait_for(due);
        let workers = u32::try_from(self.ways.len()).unwrap_or(1);
        let owner = self.owners.owner(&cue.flow.client, workers);
        let Some(way) = self.ways.get_mut(owner as usize) else {
            return;
        };
        way.batch.push(self.start, cue);
        way.batch.is_one_sided = self.is_one_sided;
        let is_near = |due: Instant| due <= now + LEAVES_BEFORE;
        let waits = self.is_read_slowly || now.since(way.left) >= GATHERS_MAX;
        if way.batch.is_full() || waits && way.batch.begins().is_some_and(is_near) {
            way.left = now;
            self.is_open &= way.flush(&self.is_to_end);
        }
    }

    fn has_one_side(&mut self) {
        self.is_one_sided = true;
    }

    fn has_waited(&mut self) -> bool {
        std::mem::replace(&mut self.has_waited, false)
    }

    fn goes_on(&mut self) -> bool {
        self.is_open &= !self.is_to_end.load(Ordering::Relaxed);
        self.is_open
    }

    fn flush(&mut self) {
        for way in &mut self.ways {
            self.is_open &= way.flush(&self.is_to_end);
        }
    }

    /// Has every worker do so, and waits until they have.
    fn come_to_an_end(&mut self) -> bool {
        self.flush();
        let (ended, all_ended) = bounded::<()>(0);
        for way in &self.ways {
            let batch = Batch::of_the_end(ended.clone());
            self.is_open &= way.send(batch, &self.is_to_end);
        }
        drop(ended);
        while let Err(RecvTimeoutError::Timeout) = all_ended.recv_timeout(LOOK_AGAIN) {
            if !self.goes_on() {
                break;
            }
        }
        self.is_open
    }
}
