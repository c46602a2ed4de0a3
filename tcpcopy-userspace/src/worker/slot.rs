//! Where a worker leaves its figures for others to read.
//!
//! The worker writes a few times per second; a reader copies under the lock. Nothing else is shared with a worker.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use process::Waker;
use session::{Counters, RuleId, Sight, Tally};
use telemetry::{Differences, Latency, Ledger, WorkerTotals};
use wire::flow::{Addr, Endpoint};

use super::link::Link;

/// What a worker shares with the rest of the process.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The latest figures.
    pub(crate) slot: Mutex<Slot>,
    /// What was counted of echoes, more often than the rest while somebody watches.
    pub(crate) tally: Mutex<Tally>,
    /// Commands that were obeyed before they were written.
    pub(crate) obeyed: AtomicU64,
    /// To be called after a command or reports were queued, and after `link` was set.
    pub(crate) waker: Waker,
    /// Assistant mode: whether reports can arrive.
    pub(crate) link: Link,
    /// What the user should hear of clients whose copies wait; taken by the run.
    pub(crate) unproven: Mutex<Vec<Unproven>>,
    /// Why targets have not let sessions in; taken by the run.
    logins_failed: Mutex<Vec<(RuleId, String)>>,
}

/// Most networks of clients that a worker tells of between two looks of the run; of more nobody reads.
const UNPROVEN_MAX: usize = 16;

/// Most reasons for failed logins that a worker tells of between two looks of the run.
const LOGINS_FAILED_MAX: usize = 16;

/// Clients whose copies wait, because nothing comes back to them: see [`session::Event::PathUnproven`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unproven {
    pub(crate) target: Endpoint,
    pub(crate) client: Addr,
    pub(crate) accepts: bool,
}

impl Shared {
    /// Nothing has been counted yet, of a run with so many rules.
    ///
    /// # Errors
    ///
    /// Where the process has no file descriptor left.
    pub(crate) fn new(rules: usize) -> io::Result<Self> {
        Ok(Self {
            slot: Mutex::new(Slot::new(rules)),
            tally: Mutex::default(),
            obeyed: AtomicU64::new(0),
            waker: Waker::new()?,
            link: Link::default(),
            unproven: Mutex::default(),
            logins_failed: Mutex::default(),
        })
    }

    /// Leaves word of such clients.
    pub(crate) fn note_unproven(&self, unproven: Unproven) {
        let mut all = self.unproven.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < UNPROVEN_MAX {
            all.push(unproven);
        }
    }

    /// Leaves word of a login that has failed; of those that fail alike one is enough.
    pub(crate) fn note_login_failed(&self, failed: (RuleId, String)) {
        let mut all = self
            .logins_failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if all.len() < LOGINS_FAILED_MAX && !all.contains(&failed) {
            all.push(failed);
        }
    }

    /// Those that were left.
    pub(crate) fn take_logins_failed(&self) -> Vec<(RuleId, String)> {
        let mut all = self
            .logins_failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut all)
    }

    /// What was left.
    pub(crate) fn take_unproven(&self) -> Vec<Unproven> {
        let mut all = self.unproven.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut all)
    }
}

/// Figures of one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) ledger: Ledger,
    pub(crate) latency: Latency,
    pub(crate) differences: Differences,
    pub(crate) counters: Counters,
    /// What was seen of each rule's service.
    pub(crate) sights: Vec<Sight>,
    pub(crate) totals: WorkerTotals,
    pub(crate) port: port::Statistics,
    /// Of a replay: whether everything of the files was taken.
    pub(crate) is_played: bool,
    pub(crate) sessions: u64,
    /// See [`session::Engine::flows_outside_sample`].
    pub(crate) flows_outside_sample: u64,
    pub(crate) turns_open: u64,
    /// What a drain waits for; before it, an upper bound of that.
    pub(crate) turns_waiting: u64,
    /// Sessions whose target has been asked and has not answered yet.
    pub(crate) in_flight: u64,
    pub(crate) payload_bytes: u64,
    /// Times that `--max-bandwidth` was reached.
    pub(crate) bandwidth_reached: u64,
    /// CPU time of the worker's thread.
    pub(crate) cpu: Duration,
}

impl Slot {
    /// Empty figures for so many rules.
    pub(crate) fn new(rules: usize) -> Self {
        Self {
            ledger: Ledger::new(rules),
            sights: vec![Sight::default(); rules],
            ..Self::default()
        }
    }

    /// Adds those of another worker.
    pub(crate) fn add(&mut self, other: &Self) {
        self.ledger.add(&other.ledger);
        self.latency.add(&other.latency);
        self.differences.add(&other.differences);
        self.counters.add(&other.counters);
        for (mine, theirs) in self.sights.iter_mut().zip(&other.sights) {
            mine.add(theirs);
        }
        self.totals.add(&other.totals);
        self.sessions += other.sessions;
        self.flows_outside_sample += other.flows_outside_sample;
        self.turns_open += other.turns_open;
        self.turns_waiting += other.turns_waiting;
        self.in_flight += other.in_flight;
        self.payload_bytes += other.payload_bytes;
        self.bandwidth_reached += other.bandwidth_reached;
        self.port.tx_dropped += other.port.tx_dropped;
        self.port.kicks += other.port.kicks;
        self.port.kicks_no_memory += other.port.kicks_no_memory;
        self.port.rx_ring_full += other.port.rx_ring_full;
        self.port.rx_fill_ring_empty += other.port.rx_fill_ring_empty;
        self.port.rx_dropped += other.port.rx_dropped;
        self.port.received += other.port.received;
    }
}
