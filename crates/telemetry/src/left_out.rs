//! What a run did not copy and is in no outcome of the ledger. What was left out because a budget was spent counts in the
//! [`fidelity`](crate::fidelity): without it a run that copied next to nothing would read 100 %. The rest is told beside it:
//! every byte of a client that the programs recorded is in a turn of the ledger or here.

use abi::counter::Counter;
use session::Counters;

use crate::figures::Figures;
use crate::kernel::KernelCounters;

/// What names of such counters begin with.
pub(crate) const PREFIX: &str = "left_out_";

/// What was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeftOut {
    /// Requests that found no session because of --max-sessions, --rate, --max-cpu or --memory, once per copy.
    pub turns: u64,
    /// Packets of clients that were not recorded while recording was paused.
    pub paused_packets: u64,
    /// Packets of clients that were.
    recorded: u64,
    /// What else was left out, by name: flows and bytes of clients.
    others: Figures,
}

impl LeftOut {
    /// What programs and engines counted.
    #[must_use]
    pub fn new(kernel: &KernelCounters, engine: &Counters) -> Self {
        Self {
            turns: engine.sessions_shed,
            paused_packets: kernel.get(Counter::CapturePaused),
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
        ]
        .into_iter()
        .collect();
        for (name, count) in self.others.iter() {
            figures.push(name, *count);
        }
        figures
    }

    /// Whether no budget left anything out.
    pub(crate) const fn is_nothing(&self) -> bool {
        self.turns == 0 && self.paused_packets == 0
    }

    /// Requests that a budget left out, beside so many that were captured: those in packets that were not recorded are reckoned
    /// from those in packets that were.
    pub(crate) fn requests(&self, captured: u64) -> f64 {
        let paused = if captured > 0 && self.recorded > 0 {
            self.paused_packets as f64 * captured as f64 / self.recorded as f64
        } else {
            self.paused_packets as f64
        };
        self.turns as f64 + paused
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
