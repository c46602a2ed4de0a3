//! Who is told of the run's figures: the summary's file, the histograms' folder, whoever watches, whoever asks at the
//! metrics address, and at the end the user.
//!
//! The run gives its totals once a second; nothing here asks a worker for anything.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) use exporter::Phase;
use exporter::routes::{JSON, PROMETHEUS};
use exporter::{Board, Bound, Routes, Server};
use host::run_time::RunTime;
use telemetry::{Histograms, ProgramRuns, Progress, RunTotals, Snapshot, Summary, table::Table};
use tracing::{error, info, warn};

use super::printer::Printer;
use crate::args::{self, Args};

/// All who are told.
pub(super) struct Telling {
    summary: Option<PathBuf>,
    histograms: Option<Histograms>,
    exporter: Option<Exporter>,
    progress: Option<(Progress, Printer)>,
    json: Option<Printer>,
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
    pub(super) fn start(args: &Args) -> Result<Self, String> {
        let exporter = args.metrics.map(Exporter::start).transpose()?;
        let histograms = args.hgrm.as_deref().map(Histograms::create).transpose();
        let no_thread = |error| format!("cannot start a thread that prints: {error}");
        let progress = match args.progress {
            args::Progress::Auto => stderr().is_terminal(),
            args::Progress::Always => true,
            args::Progress::Never => false,
        };
        let progress = progress.then(|| Printer::start(stderr())).transpose();
        let json = args.json.then(|| Printer::start(stdout())).transpose();
        Ok(Self {
            summary: args.summary.clone(),
            histograms: histograms.map_err(|error| error.to_string())?,
            exporter,
            progress: progress
                .map_err(no_thread)?
                .map(|printer| (Progress::new(), printer)),
            json: json.map_err(no_thread)?,
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
        if let Some(path) = &self.summary
            && let Err(cause) = summary.write(path)
        {
            warn!("{cause}");
        }
        if let Some(histograms) = &mut self.histograms {
            histograms.log(&totals.latency, totals.duration);
        }
        if let Some((progress, printer)) = &mut self.progress {
            printer.print(progress.line(&totals).into_bytes());
        }
        if let Some(printer) = &self.json {
            printer.print(summary.json_line().unwrap_or_default());
        }
        self.publish(totals, summary, surroundings);
    }

    /// What there is to tell at the end.
    pub(super) fn finish(&mut self, totals: RunTotals, surroundings: Surroundings) -> Summary {
        let summary = Summary::new(&totals);
        if let Some((_, printer)) = self.progress.take() {
            printer.finish(Vec::new());
        }
        if let Some(printer) = self.json.take() {
            printer.finish(summary.json_line().unwrap_or_default());
        }
        // Whoever closed our standard error does not want to hear it.
        let _ = write!(stderr(), "{}", Table(&summary));
        if let Some(path) = &self.summary
            && let Err(cause) = summary.write(path)
        {
            error!("{cause}");
        }
        if let Some(histograms) = self.histograms.take()
            && let Err(cause) = histograms.finish(&totals.latency, totals.duration)
        {
            warn!("{cause}");
        }
        self.publish(totals, summary.clone(), surroundings);
        summary
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

impl Exporter {
    fn start(addr: SocketAddr) -> Result<Self, String> {
        let board = Board::new();
        let server = Bound::bind(addr).and_then(|bound| bound.serve(routes(&board)));
        let server = server.map_err(|error| error.to_string())?;
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
