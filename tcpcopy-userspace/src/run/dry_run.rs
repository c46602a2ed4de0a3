//! The course of a dry run of files: what would be sent to a target goes into a file, together with the answers of one that is made up.
//!
//! It has a time of its own, so that it takes no longer than the files take to be read. It changes nothing on this host, and needs no right.
//!
//! | module | holds |
//! |---|---|
//! | [`stage`] | the engine, the target and the file |
//! | [`shared`] | the stage as the thread that reads and the run have it |

mod shared;
mod stage;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use host::netns::Outside;
use process::{Printer, rights, signals};
use recording::Tapped;
use signal_hook::iterator::Signals;
use telemetry::warning::Kind;
use telemetry::{
    Differences, KernelCounters, Latency, Ledger, RunTotals, Spread, State, WorkerTotals,
};
use tracing::info;

use super::SECOND;
use super::ending::{self, Ending, Stop, Unusable};
use super::preparation::prepare_dry_run;
use super::replaying::Replaying;
use super::tapping::begin;
use super::telling::{Phase, Surroundings, Telling};
use super::totals::{about, others_cpu};
use super::warnings::{Subject, Warnings};
use crate::args::Args;
use crate::plan::Plan;
use shared::Shared;
use stage::Stage;

/// How often it is looked whether the files are read, or somebody wants the end: a small file is read in less.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The device that the file names: there is none.
const DEVICE: &str = "dry-run";

/// What was counted.
#[derive(Clone, Debug)]
struct Figures {
    ledger: Ledger,
    engine: session::Counters,
    workers: WorkerTotals,
    turns_open: u64,
    sessions_open: u64,
    payload_bytes: u64,
    tapped: Tapped,
}

/// Runs to the end of the files.
pub(super) fn course(args: &Args, printer: &Printer, outside: &Outside) -> Ending {
    // All of it is one thread's, whose order is that of the file.
    let args = &Args {
        workers: Some(1),
        ..args.clone()
    };
    match DryRun::start(args, printer, outside) {
        Ok((run, plan)) => run.run(&plan),
        Err(unusable) => unusable.into(),
    }
}

/// A dry run that was started.
struct DryRun<'a> {
    args: &'a Args,
    signals: Signals,
    replaying: Replaying,
    telling: Telling,
    warnings: Warnings,
    stage: Shared,
    file: String,
    state: State,
    started: SystemTime,
    began: Instant,
}

impl<'a> DryRun<'a> {
    fn start(
        args: &'a Args,
        printer: &Printer,
        outside: &Outside,
    ) -> Result<(Self, Plan), Unusable> {
        let no_signals =
            |error| Unusable::new(format!("cannot listen for signals: {error}"), "host");
        let signals = signals::listen().map_err(no_signals)?;
        let nothing = || Unusable::new("a dry run of files needs files", "host");
        let mut replaying = Replaying::open(args)?.ok_or_else(nothing)?;
        let plan = prepare_dry_run(args, outside)?;
        let telling = Telling::start(args, printer)?;
        let file = args.tap.file().ok_or_else(nothing)?;
        let (tap, _) = begin(args, file)?;
        let stage = Stage::new(
            &plan,
            (tap, DEVICE),
            (replaying.are_timed(), args.max_reply_bandwidth.is_some()),
            replaying.playback().is_to_end(),
        );
        let stage = Shared::new(stage);
        let mut warnings = Warnings::default();
        announce(args, &plan, file, &mut warnings);
        rights::keep_only(rights::FILES);
        let no_thread =
            |error| Unusable::new(format!("cannot start a thread: {error}"), "limit-short");
        replaying
            .playback()
            .start_into(args, &plan, stage.clone(), |stage| stage.end())
            .map_err(no_thread)?;
        let run = Self {
            args,
            signals,
            replaying,
            telling,
            warnings,
            stage,
            file: file.display().to_string(),
            state: State::Copying,
            started: SystemTime::now(),
            began: Instant::now(),
        };
        run.telling.enter(Phase::Ready);
        run.telling.first(run.totals(&plan), surroundings());
        Ok((run, plan))
    }

    fn run(mut self, plan: &Plan) -> Ending {
        let stop = self.wait(plan);
        let ended = self.stage.end();
        self.state = State::Ended;
        let unread = self.replaying.end().or(ended.err());
        let totals = self.totals(plan);
        let summary = match self.telling.finish(totals, surroundings()) {
            Ok(summary) => summary,
            Err(words) => return Ending::Failed(words),
        };
        if let Some(unmatched) = self.replaying.nothing_matched() {
            return Ending::Unmatched(unmatched);
        }
        unread.map_or_else(|| ending::of(stop, &summary), Ending::Failed)
    }

    /// Waits for the end of the files, of `--duration`, or of a user's patience.
    fn wait(&mut self, plan: &Plan) -> Stop {
        let mut told = Instant::now();
        let mut stopped: Option<Instant> = None;
        while !self.replaying.are_read() {
            let is_asked = self.signals.pending().next().is_some();
            match stopped {
                None if is_asked || self.is_over() => {
                    info!("stopping: what was read is brought to its end");
                    self.replaying.playback().stop();
                    stopped = Some(Instant::now());
                }
                // Whoever writes to a pipe may be silent for hours.
                Some(since) if is_asked || since.elapsed() >= SECOND => break,
                _ => {}
            }
            if told.elapsed() >= SECOND {
                told += SECOND;
                self.replaying.look(self.began.elapsed());
                let totals = self.totals(plan);
                self.telling.second(totals, surroundings());
            }
            thread::sleep(LOOK_EVERY);
        }
        stopped.map_or(Stop::Played, |_| Stop::Asked)
    }

    /// Whether `--duration` is over.
    fn is_over(&self) -> bool {
        let duration = self.args.duration;
        duration.is_some_and(|it| self.began.elapsed() >= it)
    }

    fn totals(&self, plan: &Plan) -> RunTotals {
        let figures = self.stage.figures();
        let mut notes = telemetry::Figures::new();
        self.replaying.notes(&mut notes);
        let tapped = figures.tapped;
        RunTotals {
            mode: plan.mode,
            state: self.state,
            started: self.started,
            about: about(self.args, plan),
            ready: Some(self.started),
            ended: (self.state == State::Ended).then(SystemTime::now),
            drain: Duration::ZERO,
            duration: self.began.elapsed(),
            rules: plan.rule_names.clone(),
            ledger: figures.ledger,
            turns_open: figures.turns_open,
            sessions_open: figures.sessions_open,
            budget: [
                ("payload_bytes", figures.payload_bytes),
                ("payload_bytes_max", plan.payload_bytes_max),
                ("sessions_max", plan.sessions_max.into()),
            ]
            .into_iter()
            .collect(),
            latency: Latency::default(),
            spread: Spread::new(),
            differences: Differences::default(),
            engine: figures.engine,
            workers: figures.workers,
            kernel: KernelCounters::default(),
            cpu_seconds: others_cpu(),
            notes,
            warnings: self.warnings.list(),
            changes: telemetry::Changes::default(),
            feedback: None,
            replay: Some(self.replaying.progress(self.began.elapsed())),
            comparison: None,
            tap: Some(telemetry::Tap {
                file: self.file.clone(),
                sent_packets: tapped.sent,
                received_packets: tapped.received,
                packet_bytes: tapped.packet_bytes,
                file_bytes: tapped.file_bytes,
                dropped_packets: 0,
            }),
        }
    }
}

fn announce(args: &Args, plan: &Plan, file: &Path, warnings: &mut Warnings) {
    for (rule, source) in plan.rule_names.iter().zip(&plan.source_words) {
        info!("dry run    {rule}, {source}");
    }
    if let Some(files) = &args.replay {
        info!("reading    {}", crate::playback::of_files(files));
    }
    info!("writing    {}", file.display());
    for warning in &plan.warnings {
        warnings.raise(Kind::PoolSmall, Subject::Run, warning);
    }
}

const fn surroundings() -> Surroundings {
    Surroundings {
        channels: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
