//! What a run counted and measured, and how it is told.
//!
//! | module | holds |
//! |---|---|
//! | [`ledger`] | turns and bytes by outcome, per rule and in total |
//! | [`fidelity`] | the share of the requests that the target took, or that there is nothing to judge |
//! | [`differences`] | how the target's responses differ from the online server's |
//! | [`samples`] | what responses begin with, where a user asked for it |
//! | [`latency`] | histograms of both servers' responses and of our own lag |
//! | [`histograms`] | the same as files for the plotters of HdrHistogram |
//! | [`kernel`] | the programs' counters, and whether they add up with what the workers saw |
//! | [`spread`] | how much response times vary from one stretch of a run to the next |
//! | [`verdict`] | slower, faster, no difference, or cannot tell |
//! | [`nothing`] | why there is nothing to judge |
//! | [`findings`] | what figures amount to: good, doubtful or bad |
//! | [`outcomes`] | what each outcome is called where people read it |
//! | [`gates`] | what a user asks of a run, and what came of it |
//! | [`feedback`] | a loop that a run has found |
//! | [`change`] | what was turned while a run went on |
//! | [`left_out`] | what was not copied because a budget was spent |
//! | [`warning`] | what a user should hear of while a run goes on |
//! | [`figures`] | named numbers in a fixed order, as they stand in JSON |
//! | [`totals`] | everything that was counted and measured up to a moment |
//! | [`summary`] | the summary of a run |
//! | [`file`] | files that a run leaves: whole or not at all, and nobody else's |
//! | [`writer`] | a thread that keeps such a file up to date |
//! | [`moment`] | a moment of the calendar, as text |
//! | [`tap`] | what is in the file of `--tap` |
//! | [`table`] | the same for a reader's eye |
//! | [`progress`] | a line per second for who watches |
//! | [`replay`] | how far a replay has read its files |
//! | [`metrics`] | the same for Prometheus |
//! | [`page`] | the live page |
//! | [`report`] | the report of one run, or of several beside each other |
//! | `document` | what page and report are put together with |
//!
//! Page and report share `assets/`: the style, the charts and the words of the verdict.
//!
//! **Architecture invariant:** nothing here changes behaviour. A worker adds to structures that it owns alone;
//! readers merge published copies.
#![forbid(unsafe_code)]

pub mod change;
pub mod differences;
mod document;
pub mod feedback;
pub mod fidelity;
pub mod figures;
pub mod file;
pub mod findings;
pub mod gates;
pub mod histograms;
pub mod kernel;
pub mod latency;
pub mod ledger;
pub mod left_out;
pub mod metrics;
pub mod moment;
pub mod nothing;
pub mod outcomes;
pub mod page;
pub mod progress;
pub mod replay;
pub mod report;
pub mod samples;
pub mod spread;
pub mod summary;
pub mod table;
pub mod tap;
pub mod totals;
pub mod verdict;
pub mod warning;
pub mod writer;

pub use change::{Change, Changes};
pub use differences::Differences;
pub use feedback::Feedback;
pub use figures::Figures;
pub use file::{FileError, Place};
pub use gates::{Gates, SlowerMax};
pub use histograms::{Histograms, HistogramsError};
pub use kernel::{KernelCounters, Reconciliation, WorkerTotals};
pub use latency::{Latency, Recorder, Series};
pub use ledger::{Ledger, Tally};
pub use left_out::LeftOut;
pub use metrics::{ProgramRuns, Snapshot};
pub use progress::Progress;
pub use replay::Replay;
pub use samples::{Beginnings, SamplesSummary, Status};
pub use spread::Spread;
pub use summary::Summary;
pub use tap::Tap;
pub use totals::{About, Mode, RunTotals, State};
pub use verdict::Verdict;
pub use warning::{Warning, Warnings};
pub use writer::Writer;
