//! One run of a case: servers, perhaps a copy, what happens to them, and what the online server's clients see of it.

use std::time::Duration;

use ::lab::command::{last_line, spec};
use ::lab::copier::{Binaries, Copier};
use ::lab::{Process, interrupt, load};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde::Serialize;

use super::case::{Beside, Case, Frozen, UPLOAD_LEN};
use super::scene::{Scene, Servers};
use crate::stage::FRONT_CPU;

/// The measured load: requests per second, and the keep-alive connections that they are spread over.
pub(super) const RATE: u32 = 2_000;
pub(super) const CONNECTIONS: u32 = 50;
/// Connections that upload.
const UPLOADERS: u32 = 8;
/// Slow readers, and what each of them takes per second, in bytes.
const READERS: u32 = 100;
const READER_RATE: u32 = 20_000;
/// When something happens to the target or to the assistant, from the start of the measured load.
const AFTER: Duration = Duration::from_secs(1);
/// How much earlier than the measured load the one beside it begins, and how much longer it may last.
const LEAD: Duration = Duration::from_millis(500);
/// How much longer than its load a process may take.
const GRACE: Duration = Duration::from_secs(20);

/// What one run has shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    pub(super) case: Case,
    pub(super) round: u32,
    /// Whether there was a copy.
    pub(super) copied: bool,
    /// From the time when a request should have left to the end of its response, in microseconds.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// The same from the time when it did leave.
    pub(super) from_sending_us: (f64, f64),
    pub(super) completed: u64,
    pub(super) failed: u64,
    /// Requests that never left, because all connections were waiting when the time was over.
    pub(super) unsent: u64,
    /// MB that the online server's device towards the target has received and sent.
    pub(super) received_mb: f64,
    pub(super) sent_mb: f64,
    /// Turns that the copy has captured, and its ledger.
    pub(super) captured: u64,
    pub(super) ledger: String,
    /// What is to be known about the copy: its memory budget, an end of its own.
    pub(super) note: Option<String>,
}

impl Run {
    /// One that has shown nothing yet.
    pub(super) fn of(case: Case, round: u32) -> Self {
        Self {
            case,
            round,
            copied: false,
            p50_us: 0.0,
            p99_us: 0.0,
            from_sending_us: (0.0, 0.0),
            completed: 0,
            failed: 0,
            unsent: 0,
            received_mb: 0.0,
            sent_mb: 0.0,
            captured: 0,
            ledger: String::new(),
            note: None,
        }
    }

    /// It in one line.
    pub(super) fn line(&self) -> String {
        let lost = if self.failed + self.unsent > 0 {
            format!(", {} FAILED, {} NOT SENT", self.failed, self.unsent)
        } else {
            String::new()
        };
        let ledger = if self.copied {
            format!("; {}", self.ledger)
        } else {
            String::new()
        };
        let note = self
            .note
            .as_ref()
            .map_or(String::new(), |note| format!("; {note}"));
        format!(
            "p50 {:.0} us, p99 {:.0} us, {} requests{lost}, from the target {:.1} MB, towards it {:.1} MB{ledger}{note}",
            self.p50_us, self.p99_us, self.completed, self.received_mb, self.sent_mb
        )
    }
}

/// Runs the load of a case once, with a copy where there are binaries for one.
pub(super) fn run(
    scene: &Scene,
    case: Case,
    binaries: Option<&Binaries>,
    round: u32,
    seconds: u32,
) -> Result<Run> {
    let mut servers = Servers::start(scene)?;
    let mut copy = binaries.map(|binaries| scene.copy(binaries)).transpose()?;
    if scene.plan.frozen == Frozen::FromTheStart {
        servers.freeze_target()?;
    }
    let before = scene.passed()?;
    let mut beside = beside(scene, seconds)?;
    interrupt::sleep(LEAD)?;
    let mut clients = clients(scene, seconds)?;
    interrupt::sleep(AFTER)?;
    if scene.plan.frozen == Frozen::AfterASecond {
        servers.freeze_target()?;
    }
    if scene.plan.intercept_gone
        && let Some((copier, _)) = &mut copy
        && let Some(mut intercept) = copier.intercept.take()
    {
        intercept.stop(Signal::SIGKILL, GRACE)?;
    }
    clients.wait_success(Duration::from_secs(seconds.into()) + GRACE)?;
    let after = scene.passed()?;
    let report: load::Report =
        last_line(&clients.output()).context("the clients left no report")?;
    if let Some(beside) = &mut beside {
        beside.stop(Signal::SIGTERM, GRACE)?;
    }
    let mut run = Run {
        p50_us: report.latency_intended.p50,
        p99_us: report.latency_intended.p99,
        from_sending_us: (report.latency.p50, report.latency.p99),
        completed: report.completed,
        failed: report.failed(),
        unsent: u64::from(RATE * seconds).saturating_sub(report.sent),
        received_mb: (after.0 - before.0) as f64 / 1e6,
        sent_mb: (after.1 - before.1) as f64 / 1e6,
        ..Run::of(case, round)
    };
    if let Some((copier, budget)) = &mut copy {
        run.copied = true;
        let end = end(copier)?;
        let budget = budget.map(|budget| format!("--memory {budget}"));
        let notes: Vec<String> = budget.into_iter().chain(end).collect();
        run.note = (!notes.is_empty()).then(|| notes.join(", "));
        if let Ok(summary) = copier.summary() {
            run.captured = summary.captured();
            run.ledger = summary.ledger();
        }
    }
    Ok(run)
}

/// Ends the copy, and says what is unusual about its end: that it came by itself, or not as it should. Both are results.
fn end(copier: &mut Copier) -> Result<Option<String>> {
    if let Some(status) = copier.tcpcopy.poll()? {
        return Ok(Some(format!("the run ended by itself, {status}")));
    }
    match copier.finish() {
        Ok(_) => Ok(None),
        Err(::lab::Error::Interrupted) => Err(::lab::Error::Interrupted.into()),
        Err(error) => {
            let text = error.to_string();
            Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
        }
    }
}

/// Starts the clients that are measured.
fn clients(scene: &Scene, seconds: u32) -> Result<Process> {
    let spec = spec("clients", "load").cpu(FRONT_CPU).args([
        "--quiet".to_owned(),
        format!("--to={}", scene.online()),
        format!("--rate={RATE}"),
        format!("--connections={CONNECTIONS}"),
        format!("--seconds={seconds}"),
    ]);
    Ok(scene.lab.spawn(scene.clients(), &spec)?)
}

/// Starts the load beside them, where there is one.
fn beside(scene: &Scene, seconds: u32) -> Result<Option<Process>> {
    let to = format!("--to={}", scene.online_beside());
    // The end is the caller's signal; this is for the case that it does not come.
    let seconds = format!("--seconds={}", u64::from(seconds) + GRACE.as_secs());
    let spec = match scene.plan.beside {
        Beside::Nothing => return Ok(None),
        Beside::SlowReaders => spec("readers", "read-slowly").args([
            to,
            seconds,
            format!("--readers={READERS}"),
            format!("--bytes-per-second={READER_RATE}"),
        ]),
        Beside::Uploads(rate) => spec("uploaders", "load").args([
            "--quiet".to_owned(),
            to,
            seconds,
            format!("--rate={rate}"),
            format!("--connections={UPLOADERS}"),
            format!("--body={UPLOAD_LEN}"),
        ]),
    };
    let process = scene.lab.spawn(scene.clients(), &spec.cpu(FRONT_CPU))?;
    Ok(Some(process))
}
