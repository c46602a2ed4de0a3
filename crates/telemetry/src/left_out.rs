//! What a run did not copy and is in no outcome of the ledger. What was left out because a budget was spent, and what was lost
//! before a worker had it, count in the [`fidelity`](crate::fidelity): without them a run that copied next to nothing would read
//! 100 %. The rest is told beside it: every byte of a client that the programs recorded is in a turn of the ledger or here.

use abi::counter::Counter;
use session::Counters;

use crate::figures::Figures;
use crate::kernel::{KernelCounters, WorkerTotals};

/// What names of such counters begin with.
pub(crate) const PREFIX: &str = "left_out_";

/// What was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeftOut {
    /// Requests that found no session because of --max-sessions, --max-new-sessions, --max-cpu or --memory, once per copy.
    pub turns: u64,
    /// Packets of clients that were not recorded while recording was paused.
    pub paused_packets: u64,
    /// Packets of clients that were lost on the way to a worker, whose ring was full, say. The engine sees only that bytes are
    /// missing, and where a flow goes on behind them, not how many requests they were.
    pub lost_packets: u64,
    /// Packets of clients that came to a worker.
    recorded: u64,
    /// What else was left out, by name: flows and bytes of clients.
    others: Figures,
}

impl LeftOut {
    /// What programs and engines counted.
    #[must_use]
    pub fn new(kernel: &KernelCounters, workers: &WorkerTotals, engine: &Counters) -> Self {
        Self {
            turns: engine.sessions_shed,
            paused_packets: kernel.get(Counter::CapturePaused),
            lost_packets: kernel.clients_lost() + workers.frames_lost,
            recorded: engine.client_packets,
            others: engine
                .iter()
                .filter_map(|(name, count)| Some((name.strip_prefix(PREFIX)?, count)))
                .collect(),
        }
    }

    /// As it stands in the summary.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures: Figures = [
            ("turns", self.turns),
            ("paused_packets", self.paused_packets),
            ("lost_packets", self.lost_packets),
        ]
        .into_iter()
        .collect();
        for (name, count) in self.others.iter() {
            figures.push(name, *count);
        }
        figures
    }

    /// Whether nothing of what counts in the fidelity was left out.
    pub(crate) const fn is_nothing(&self) -> bool {
        self.turns == 0 && self.unrecorded() == 0
    }

    /// Packets of clients that no worker had.
    const fn unrecorded(&self) -> u64 {
        self.paused_packets + self.lost_packets
    }

    /// Requests that were left out, beside so many that were captured: those in packets that no worker had are reckoned from those
    /// in packets that one had.
    pub(crate) fn requests(&self, captured: u64) -> f64 {
        let unrecorded = self.unrecorded() as f64;
        let per_packet = if captured > 0 && self.recorded > 0 {
            captured as f64 / self.recorded as f64
        } else {
            1.0
        };
        self.turns as f64 + unrecorded * per_packet
    }

    #[cfg(test)]
    pub(crate) fn of_budgets(turns: u64, paused_packets: u64, recorded: u64) -> Self {
        Self {
            turns,
            paused_packets,
            recorded,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use abi::counter::Counter;
    use session::Counters;

    use super::LeftOut;
    use crate::kernel::{KernelCounters, WorkerTotals};

    #[test]
    fn packets_that_no_worker_had_are_requests_at_the_rate_of_those_that_one_had() {
        let mut kernel = KernelCounters::default();
        let engine = Counters {
            client_packets: 300,
            ..Counters::default()
        };
        let mut workers = WorkerTotals::default();
        let left_out = LeftOut::new(&kernel, &workers, &engine);
        assert!(left_out.is_nothing());
        kernel.set(Counter::CaptureRingFull, 20);
        kernel.set(Counter::CapturePaused, 5);
        workers.frames_lost = 5;
        let left_out = LeftOut::new(&kernel, &workers, &engine);
        assert!(!left_out.is_nothing());
        // Three packets to a request, as on connections of one request each.
        assert!((left_out.requests(100) - 10.0).abs() < 1e-9);
        assert!((left_out.requests(0) - 30.0).abs() < 1e-9);
    }
}
