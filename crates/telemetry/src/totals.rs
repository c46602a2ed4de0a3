//! Everything that a run has counted and measured up to a moment, added up over its workers: what summaries, metrics and lines of
//! progress are made of.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use session::Counters;

use crate::change::Changes;
use crate::differences::Differences;
use crate::feedback::Feedback;
use crate::figures::Figures;
use crate::gates::Gates;
use crate::kernel::{KernelCounters, WorkerTotals};
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::replay::Replay;
use crate::spread::Spread;
use crate::tap::Tap;
use crate::warning::Warnings;

/// How replies come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// To the online server itself.
    Direct,
    /// To an assistant server that reports them.
    Assistant,
}

impl Mode {
    /// The word in summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Assistant => "assistant",
        }
    }
}

/// Where the run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Set up; in assistant mode the path is not proven yet, and nothing is copied.
    Starting,
    /// Ready: it copies.
    Copying,
    /// Nothing new is captured; open turns may still end.
    Draining,
    /// Over, and everything is counted. A summary that says anything else was left by a run that was killed, or that goes
    /// on.
    Ended,
}

/// What is known of a run before it begins.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What the user calls it.
    pub title: Option<String>,
    /// How fast files are replayed: how many times as fast as they were captured, or `max`; nothing where clients are copied live.
    pub speed: Option<String>,
    /// Whether nothing is sent: the target is made up.
    pub is_dry_run: bool,
    /// The name of the host.
    pub host: String,
    /// The kernel's release.
    pub kernel_release: String,
    /// The command line after the program's name.
    pub options: Vec<String>,
    /// What everything random followed from.
    pub seed: u64,
    /// What is asked of it.
    pub gates: Gates,
}

/// Everything that a summary is made of, added up over the workers.
#[derive(Debug)]
pub struct RunTotals {
    /// How replies come back.
    pub mode: Mode,
    /// Where the run stands.
    pub state: State,
    /// When the run was started.
    pub started: SystemTime,
    /// What is known of it besides.
    pub about: About,
    /// When it was ready, if ever: then copying began.
    pub ready: Option<SystemTime>,
    /// When it was over.
    pub ended: Option<SystemTime>,
    /// Time since capture ended; 0 while it goes on.
    pub drain: Duration,
    /// Time since it was ready, the drain included.
    pub duration: Duration,
    /// Each rule as the start printed it, in the order of the ledger's rules.
    pub rules: Vec<String>,
    /// Turns and bytes that ended.
    pub ledger: Ledger,
    /// Turns that are open now.
    pub turns_open: u64,
    /// Sessions that run now.
    pub sessions_open: u64,
    /// What the run may take, and takes now: `payload_bytes`, `payload_bytes_max`, `sessions_max`.
    pub budget: Figures,
    /// What was measured.
    pub latency: Latency,
    /// How that varied from stretch to stretch.
    pub spread: Spread,
    /// How responses differed.
    pub differences: Differences,
    /// What the engines counted.
    pub engine: Counters,
    /// What the workers counted.
    pub workers: WorkerTotals,
    /// What the programs counted.
    pub kernel: KernelCounters,
    /// CPU time of each thread, by name, in seconds.
    pub cpu_seconds: Figures<f64>,
    /// Times that something was paused or lost for a reason of the run's own: `max_cpu` pauses, lost channels, ...
    pub notes: Figures,
    /// What the user was told of while it went on.
    pub warnings: Warnings,
    /// What was turned while it went on.
    pub changes: Changes,
    /// The loop that ended the run.
    pub feedback: Option<Feedback>,
    /// How far the files of a replay are read.
    pub replay: Option<Replay>,
    /// What responses of flows with a protocol module say.
    pub comparison: Option<comparison::Report>,
    /// What is in the file of `--tap`.
    pub tap: Option<Tap>,
}

/// The one note that is no count: how far the estimates of the assistants' clocks may be off, in microseconds.
pub(crate) const CLOCK_ERROR: &str = "clock_error_us";

impl RunTotals {
    /// Everything that happened so many times.
    pub(crate) fn incidents(&self) -> Figures {
        let counts = self.notes.iter().filter(|(name, _)| *name != CLOCK_ERROR);
        let dropped = self.tap.as_ref().map(|tap| &tap.dropped_packets);
        let dropped = dropped.map(|count| ("tap_dropped", count));
        counts
            .chain(dropped)
            .map(|(name, count)| (name, *count))
            .collect()
    }
}
