//! Who is told of the run's figures: the summary's file, the histograms' folder, whoever asks at the metrics address,
//! and at the end the user.
//!
//! The run gives its totals once a second; nothing here asks a worker for anything.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use exporter::routes::JSON;
use exporter::{Board, Bound, Routes, Server};
use telemetry::{Histograms, RunTotals, Summary, table::Table};
use tracing::{error, info, warn};

use crate::args::Args;
pub(super) use exporter::Phase;

/// What is shown at the metrics address: a second of the run.
struct Snapshot {
    summary: Summary,
}

/// All who are told.
pub(super) struct Telling {
    summary: Option<PathBuf>,
    histograms: Option<Histograms>,
    exporter: Option<Exporter>,
}

/// The server at the metrics address, and what it shows.
struct Exporter {
    board: Arc<Board<Snapshot>>,
    _server: Server,
}

impl Telling {
    /// Opens what is to be written, and listens at the metrics address.
    ///
    /// # Errors
    ///
    /// In words, where one of them cannot be; nothing was changed then but for a folder that was made.
    pub(super) fn start(args: &Args) -> Result<Self, String> {
        let exporter = match args.metrics {
            Some(addr) => Some(Exporter::start(addr)?),
            None => None,
        };
        let histograms = args.hgrm.as_deref().map(Histograms::create).transpose();
        Ok(Self {
            summary: args.summary.clone(),
            histograms: histograms.map_err(|error| error.to_string())?,
            exporter,
        })
    }

    /// How far the run is now.
    pub(super) fn enter(&self, phase: Phase) {
        if let Some(exporter) = &self.exporter {
            exporter.board.enter(phase);
        }
    }

    /// What there is to tell once a second.
    pub(super) fn second(&mut self, totals: &RunTotals) {
        let summary = Summary::new(totals);
        if let Some(path) = &self.summary
            && let Err(cause) = summary.write(path)
        {
            warn!("{cause}");
        }
        if let Some(histograms) = &mut self.histograms {
            histograms.log(&totals.latency, totals.duration);
        }
        self.publish(summary);
    }

    /// Shows the figures of a run that has just begun: nobody who asks is to wait for the first second.
    pub(super) fn first(&self, totals: &RunTotals) {
        self.publish(Summary::new(totals));
    }

    fn publish(&self, summary: Summary) {
        if let Some(exporter) = &self.exporter {
            exporter.board.publish(Snapshot { summary });
        }
    }

    /// What there is to tell at the end.
    pub(super) fn finish(&mut self, totals: &RunTotals) -> Summary {
        let summary = Summary::new(totals);
        // Whoever closed our standard error does not want to hear it.
        let _ = write!(std::io::stderr(), "{}", Table(&summary));
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
        summary
    }
}

impl Exporter {
    fn start(addr: std::net::SocketAddr) -> Result<Self, String> {
        let bound = Bound::bind(addr).map_err(|error| error.to_string())?;
        let (at, is_open) = (bound.addr(), bound.is_open());
        let board = Board::new();
        let server = bound
            .serve(routes(&board))
            .map_err(|error| format!("cannot start the thread for --metrics: {error}"))?;
        info!("live page at http://{at}/, metrics at http://{at}/metrics");
        if is_open {
            warn!(
                "whoever reaches {at} can read the metrics: there is no password and no TLS. Listen on 127.0.0.1, or have a \
                 firewall or a proxy before it"
            );
        }
        Ok(Self {
            board,
            _server: server,
        })
    }
}

/// Everything that can be asked for at the metrics address.
fn routes(board: &Arc<Board<Snapshot>>) -> Routes {
    let page = telemetry::page::page();
    Routes::new(board)
        .document("/", &page.html, &page.policy)
        .from_board("/summary.json", JSON, board, |_, snapshot| {
            snapshot.summary.json().unwrap_or_default()
        })
}
