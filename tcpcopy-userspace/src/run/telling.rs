//! Who is told of the run's figures: the summary's file, the histograms' folder, whoever watches, whoever asks at the
//! metrics address, and at the end the user.
//!
//! The run gives its totals once a second; nothing here asks a worker for anything.

use std::io::{IsTerminal as _, stderr, stdout};
use std::path::PathBuf;
use std::sync::Arc;

use command_line::AccessArgs;
pub(super) use exporter::Phase;
use exporter::routes::{JSON, PROMETHEUS};
use exporter::{Board, Bound, Routes, Server};
use host::run_time::RunTime;
use process::Printer;
use process::printer::TEXTS_MAX;
use telemetry::{
    Histograms, Place, ProgramRuns, Progress, RunTotals, Snapshot, Summary, Writer,
    table::{Details, Table},
};
use tracing::{error, info, warn};

use super::ending::Unusable;
use crate::args::{self, Args};

/// All who are told.
pub(super) struct Telling {
    /// Of standard error.
    printer: Printer,
    summary: Option<Writer>,
    summary_path: Option<PathBuf>,
    histograms: Option<Histograms>,
    exporter: Option<Exporter>,
    progress: Option<Progress>,
    json: Option<Printer>,
    /// Whether payload of responses may go to standard error and output, which often end in somebody's log.
    with_payload: bool,
    /// Whether every counter is printed at the end.
    is_verbose: bool,
}

/// The server at the metrics address, and what it shows.
struct Exporter {
    board: Arc<Board<Snapshot>>,
    run_time: Option<RunTime>,
    _server: Server,
}

/// What there is to tell of a second besides the totals.
pub(super) struct Surroundings {
    /// Each intercept, and whether the connection to it stands.
    pub(super) channels: Vec<(String, bool)>,
}

impl Telling {
    /// Opens what is to be written, and listens at the metrics address.
    ///
    /// # Errors
    ///
    /// In words, where one of them cannot be; nothing was changed then but for a folder that was made.
    pub(super) fn start(args: &Args, printer: &Printer) -> Result<Self, Unusable> {
        let no_thread = |error| {
            let words = format!("cannot start a thread that writes: {error}");
            Unusable::new(words, "limit-short")
        };
        // Files last: nothing is to be made where something else is refused.
        let exporter = args.listen.as_ref();
        let exporter = exporter.map(|place| Exporter::start(place, &args.access));
        let exporter = exporter.transpose()?;
        let place = args.summary.as_deref().map(Place::open).transpose();
        let place = place.map_err(|error| Unusable::new(error, "summary-folder"))?;
        let histograms = args.hgrm.as_deref().map(Histograms::create).transpose();
        let histograms = histograms.map_err(|error| Unusable::new(error, "summary-folder"))?;
        let progress = match args.progress {
            args::Progress::Auto => stderr().is_terminal(),
            args::Progress::Always => true,
            args::Progress::Never => false,
        };
        let json = args
            .json
            .then(|| Printer::for_descriptor(stdout(), TEXTS_MAX))
            .transpose();
        Ok(Self {
            printer: printer.clone(),
            summary_path: args.summary.clone(),
            summary: place.map(Writer::start).transpose().map_err(no_thread)?,
            histograms,
            exporter,
            progress: progress.then(Progress::new),
            json: json.map_err(no_thread)?,
            with_payload: args.with_payload,
            is_verbose: args.log.verbose,
        })
    }

    /// From here on these programs' run time is measured now and then, if anybody can ask for it.
    pub(super) fn watch(&mut self, programs: impl IntoIterator<Item = (&'static str, u32)>) {
        if let Some(exporter) = &mut self.exporter {
            exporter.run_time = Some(RunTime::new(programs));
        }
    }

    /// How far the run is now.
    pub(super) fn enter(&self, phase: Phase) {
        if let Some(exporter) = &self.exporter {
            exporter.board.enter(phase);
        }
    }

    /// Shows the figures of a run that has just begun: nobody who asks is to wait for the first second.
    pub(super) fn first(&self, totals: RunTotals, surroundings: Surroundings) {
        let summary = Summary::new(&totals);
        self.publish(totals, summary, surroundings);
    }

    /// What there is to tell once a second.
    pub(super) fn second(&mut self, totals: RunTotals, surroundings: Surroundings) {
        if let Some(exporter) = &mut self.exporter {
            exporter.second();
        }
        let summary = Summary::new(&totals);
        if let Some(writer) = &mut self.summary {
            writer.write(summary.json().unwrap_or_default());
            if let Some(complaint) = writer.complaint() {
                warn!(
                    finding = "summary-unwritten",
                    "{complaint}; it is tried again each second"
                );
            }
        }
        if let Some(histograms) = &mut self.histograms {
            histograms.log(&totals.latency, totals.duration);
            if let Some(complaint) = histograms.complaint() {
                warn!(finding = "histograms-unwritten", "{complaint}");
            }
        }
        if let Some(progress) = &mut self.progress {
            self.printer.print(progress.line(&totals).into_bytes());
        }
        if let Some(printer) = &self.json {
            // Curves are most of a summary, and what a second adds to them is little.
            printer.print(self.json_line(&summary.clone().without_curves()));
        }
        self.publish(totals, summary, surroundings);
    }

    /// What there is to tell at the end.
    ///
    /// # Errors
    ///
    /// In words, what of it could not be told to whom it was to be told: a file, or standard output.
    pub(super) fn finish(
        &mut self,
        totals: RunTotals,
        surroundings: Surroundings,
    ) -> Result<Summary, String> {
        let summary = Summary::new(&totals);
        let mut failures = Vec::new();
        if let Some(writer) = self.summary.take()
            && let Err(cause) = writer.finish(summary.json().unwrap_or_default())
        {
            failures.push(format!("the summary is missing: {cause}"));
        }
        if let Some(histograms) = self.histograms.take()
            && let Err(cause) = histograms.finish(&totals.latency, totals.duration)
        {
            failures.push(cause.to_string());
        }
        let table = self.table(&summary);
        if let Some(printer) = self.json.take() {
            // Standard output is a program's to read.
            self.printer.print_surely(table);
            printer.print_surely(self.json_line(&summary));
            if let Err(cause) = printer.finish() {
                failures.push(format!("cannot write to standard output: {cause}"));
            }
        } else if !print_to_output(&table) {
            // A full disk under standard output: whoever reads at all reads standard error then.
            self.printer.print_surely(table);
        }
        self.publish(totals, summary.clone(), surroundings);
        let Some(last) = failures.pop() else {
            return Ok(summary);
        };
        for failure in failures {
            error!(finding = "run-failed", "{failure}");
        }
        Err(last)
    }

    /// What a reader sees at the end.
    fn table(&self, summary: &Summary) -> Vec<u8> {
        let shown = self.shown(summary);
        let shown = shown.as_ref().unwrap_or(summary);
        let mut text = format!("{}\n", Table(shown));
        if self.is_verbose {
            text.push_str(&format!("{}\n", Details(shown)));
        }
        text.push_str(match &self.summary_path {
            Some(_) => "details: tcpcopy report",
            None => "details: --verbose, or --summary RUN.json and tcpcopy report",
        });
        if let Some(path) = &self.summary_path {
            text.push_str(&format!(" {} --out report.html", path.display()));
        }
        text.push_str("; what each line means: docs/summary.md\n");
        text.into_bytes()
    }

    /// The summary as it may be shown on standard error and output, where that is not all of it.
    fn shown(&self, summary: &Summary) -> Option<Summary> {
        let is_less = !self.with_payload && summary.samples.is_some();
        is_less.then(|| summary.clone().without_payload())
    }

    fn json_line(&self, summary: &Summary) -> Vec<u8> {
        let shown = self.shown(summary);
        let line = shown.as_ref().unwrap_or(summary).json_line();
        line.unwrap_or_default()
    }

    fn publish(&self, totals: RunTotals, summary: Summary, surroundings: Surroundings) {
        if let Some(exporter) = &self.exporter {
            exporter.board.publish(Snapshot {
                totals,
                summary: summary.without_payload(),
                channels: surroundings.channels,
                programs: exporter.programs(),
            });
        }
    }
}

/// Prints to standard output; returns whether that did not fail. A pipe that nobody reads is not waited for: see [`Printer`].
fn print_to_output(table: &[u8]) -> bool {
    let Ok(printer) = Printer::for_descriptor(stdout(), TEXTS_MAX) else {
        return false;
    };
    printer.print_surely(table.to_vec());
    printer.finish().is_ok()
}

impl Exporter {
    fn start(place: &exporter::Place, access: &AccessArgs) -> Result<Self, Unusable> {
        let access = access.access();
        let access = access.map_err(|error| Unusable::new(error, "metrics-token"))?;
        let board = Board::new();
        let bound = Bound::bind(place);
        let server = bound.and_then(|bound| bound.serve(routes(&board), access));
        let server = server.map_err(|error| Unusable::new(error, "metrics-address"))?;
        Ok(Self {
            board,
            run_time: None,
            _server: server,
        })
    }

    fn second(&mut self) {
        if let Some(Err(cause)) = self.run_time.as_mut().map(RunTime::second) {
            info!("no cost of the programs in the metrics: {cause}");
            self.run_time = None;
        }
    }

    fn programs(&self) -> Vec<ProgramRuns> {
        let programs = self.run_time.iter().flat_map(RunTime::programs);
        programs
            .map(|(name, runs)| ProgramRuns {
                name,
                count: runs.count,
                nanos: runs.nanos,
            })
            .collect()
    }
}

/// Everything that can be asked for at the metrics address.
fn routes(board: &Arc<Board<Snapshot>>) -> Routes {
    let page = telemetry::page::page();
    Routes::new(board)
        .document("/", &page.html, &page.policy)
        .from_board("/metrics", PROMETHEUS, board, |phase, snapshot| {
            let families = snapshot.families(phase == Phase::Ready);
            families.text().into_bytes()
        })
        .from_board("/summary.json", JSON, board, |_, snapshot| {
            snapshot.summary.json().unwrap_or_default()
        })
}
