//! One mode of the demo: the load alone, the load with the copy, and the online server at full speed.

use std::time::{Duration, Instant};

use ::lab::command::{last_line, spec};
use ::lab::copier::{Binaries, Copier, Options, Summary};
use ::lab::machine::Moment;
use ::lab::net::{ONLINE, TARGET};
use ::lab::{Host, Lab, Process, Topology, interrupt, load, service};
use anyhow::{Context, Result};

use super::Arguments;
use crate::stage::{BACK_CPU, FRONT_CPU};
use crate::step;

const PORT: u16 = 8080;
/// Connections of the keep-alive clients.
const CONNECTIONS: u32 = 50;
/// How long the load runs alone, for comparison.
const ALONE_SECONDS: u64 = 4;
/// How long each stretch at full speed takes, and how many pairs of them there are.
const FULL_SPEED_SECONDS: u64 = 2;
const FULL_SPEED_PAIRS: usize = 2;
/// How often the services say what they have seen.
const SERVICE_LINE_EVERY: Duration = Duration::from_millis(100);
/// How much longer than its load a process may take.
const GRACE: Duration = Duration::from_secs(20);

/// What one mode has shown.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) mode: Topology,
    pub(super) sent: u64,
    pub(super) client_errors: u64,
    pub(super) online_requests: u64,
    pub(super) target_requests: u64,
    pub(super) summary: Summary,
    /// CPU time of the whole machine per request, the load alone and with the copy.
    pub(super) machine_alone: Duration,
    pub(super) machine_copied: Duration,
    /// CPU time per request of tcpcopy, and of intercept where there is one.
    pub(super) tcpcopy: Duration,
    pub(super) intercept: Option<Duration>,
    /// Requests per second that the online server answers at full speed, alone and with the copy.
    pub(super) speed_alone: f64,
    pub(super) speed_copied: f64,
}

/// Plays one mode.
pub(super) fn play(
    lab: &Lab,
    binaries: &Binaries,
    mode: Topology,
    arguments: &Arguments,
) -> Result<Scene> {
    say(mode, &format!("the load alone for {ALONE_SECONDS} s"));
    let mut online = serve(lab, Host::Online)?;
    let mut target = serve(lab, Host::Target)?;
    let alone = Load::start(lab, arguments.rate, ALONE_SECONDS)?.run(|_| Ok(()))?;

    let seconds = arguments.seconds;
    say(mode, &format!("the same load, copied, for {seconds} s"));
    let mut copier = Copier::start(lab, binaries, &options(mode))?;
    settle()?;
    let (online_before, target_before) = (seen(&online).requests, seen(&target).requests);
    let cpu_before = (
        copier.tcpcopy.cpu(),
        copier.intercept.as_ref().map(Process::cpu),
    );
    let copied = Load::start(lab, arguments.rate, seconds)?.run(|time| {
        online.expect_alive()?;
        target.expect_alive()?;
        copier.tcpcopy.expect_alive()?;
        let waiting = Instant::now();
        let summary = copier.next_summary()?;
        let line = live(
            time + waiting.elapsed(),
            seen(&online).requests - online_before,
            seen(&target).requests - target_before,
            &summary,
        );
        eprintln!("{line}");
        Ok(())
    })?;
    let requests = u32::try_from(copied.completed).unwrap_or(u32::MAX).max(1);
    let tcpcopy = (copier.tcpcopy.cpu().saturating_sub(cpu_before.0)) / requests;
    let intercept = copier
        .intercept
        .as_ref()
        .map(Process::cpu)
        .zip(cpu_before.1);
    let summary = copier.finish().context("the copy did not end well")?;
    settle()?;
    let (online_requests, target_requests) = (
        seen(&online).requests - online_before,
        seen(&target).requests - target_before,
    );

    say(
        mode,
        "the online server at full speed, without and with the copy",
    );
    let (speed_alone, speed_copied) = full_speed(lab, binaries, mode)?;
    Ok(Scene {
        mode,
        sent: copied.sent,
        client_errors: copied.errors + alone.errors,
        online_requests,
        target_requests,
        summary,
        machine_alone: alone.busy / u32::try_from(alone.completed).unwrap_or(u32::MAX).max(1),
        machine_copied: copied.busy / requests,
        tcpcopy,
        intercept: intercept.map(|(after, before)| after.saturating_sub(before) / requests),
        speed_alone,
        speed_copied,
    })
}

/// Says what begins.
fn say(mode: Topology, what: &str) {
    step::say(&format!("{} mode: {what}", super::report::name(mode)));
}

fn options(mode: Topology) -> Options {
    let mut options = Options::new(
        mode,
        &format!("{ONLINE}:{PORT}"),
        &format!("{TARGET}:{PORT}"),
    );
    options.cpu = Some(BACK_CPU);
    options
}

fn serve(lab: &Lab, host: Host) -> Result<Process> {
    let (address, cpu) = if host == Host::Online {
        (ONLINE, FRONT_CPU)
    } else {
        (TARGET, BACK_CPU)
    };
    let spec = spec(&format!("{}-service", host.name()), "serve");
    let mut process = lab.spawn(
        host,
        &spec
            .args(["--listen", &format!("{address}:{PORT}")])
            .args(["--every-ms", &SERVICE_LINE_EVERY.as_millis().to_string()])
            .cpu(cpu),
    )?;
    process.wait_for("ready", Duration::from_secs(5))?;
    Ok(process)
}

/// Waits until the last lines of the services say all that they have seen.
fn settle() -> Result<()> {
    Ok(interrupt::sleep(SERVICE_LINE_EVERY * 3)?)
}

/// What a service has seen, as of its last line.
fn seen(service: &Process) -> service::Line {
    last_line(&service.output()).unwrap_or_default()
}

fn live(time: Duration, online: u64, target: u64, summary: &Summary) -> String {
    let median = |server: &str| match summary.count(&format!("/latency_us/{server}/first_byte/p50"))
    {
        0 => "-".to_owned(),
        median => median.to_string(),
    };
    format!(
        "{:>5.1} s   seen by online {online:>6}   copied {:>6}   answered {:>6}   seen by target {target:>6}   \
         p50 in us: online {}, target {}",
        time.as_secs_f64(),
        summary.captured(),
        summary.answered(),
        median("online"),
        median("target"),
    )
}

/// What a load has shown.
struct Loaded {
    sent: u64,
    completed: u64,
    errors: u64,
    /// CPU time of the whole machine.
    busy: Duration,
}

/// Keep-alive and short clients side by side.
struct Load {
    parts: Vec<Process>,
    seconds: u64,
    start: Moment,
}

impl Load {
    fn start(lab: &Lab, rate: u32, seconds: u64) -> Result<Self> {
        let start = Moment::now();
        let part = |name: &str, rate: u32, more: &[&str]| -> Result<Process> {
            let spec = spec(name, "load").args([
                "--to",
                &format!("{ONLINE}:{PORT}"),
                "--expect-length",
                "600",
            ]);
            let spec = spec.args([
                "--rate",
                &rate.to_string(),
                "--seconds",
                &seconds.to_string(),
            ]);
            let spec = spec
                .args(["--connections", &CONNECTIONS.to_string()])
                .args(more)
                .cpu(FRONT_CPU);
            Ok(lab.spawn(Host::Client, &spec)?)
        };
        let short = rate / 4;
        let parts = vec![
            part("keep-alive-clients", (rate - short).max(1), &[])?,
            part("short-clients", short.max(1), &["--short", "client"])?,
        ];
        Ok(Self {
            parts,
            seconds,
            start,
        })
    }

    /// Waits for the end, and calls `each_second` meanwhile.
    fn run(mut self, mut each_second: impl FnMut(Duration) -> Result<()>) -> Result<Loaded> {
        let start = Instant::now();
        for second in 1..=self.seconds {
            interrupt::sleep(Duration::from_secs(second).saturating_sub(start.elapsed()))?;
            each_second(start.elapsed())?;
        }
        let mut loaded = Loaded {
            sent: 0,
            completed: 0,
            errors: 0,
            busy: Duration::ZERO,
        };
        for part in &mut self.parts {
            part.wait_success(GRACE)?;
            let report: load::Report =
                last_line(&part.output()).context("the clients left no report")?;
            loaded.sent += report.sent;
            loaded.completed += report.completed;
            loaded.errors += report.failed();
        }
        loaded.busy = Moment::now().busy_since(&self.start);
        Ok(loaded)
    }
}

/// Requests per second at full speed, alone and with the copy: medians of interleaved stretches.
fn full_speed(lab: &Lab, binaries: &Binaries, mode: Topology) -> Result<(f64, f64)> {
    let (mut alone, mut copied) = (Vec::new(), Vec::new());
    for _ in 0..FULL_SPEED_PAIRS {
        alone.push(stretch(lab)?);
        let mut copier = Copier::start(lab, binaries, &options(mode))?;
        copied.push(stretch(lab)?);
        copier
            .finish()
            .context("the copy at full speed did not end well")?;
    }
    Ok((
        crate::stage::median(&mut alone),
        crate::stage::median(&mut copied),
    ))
}

fn stretch(lab: &Lab) -> Result<f64> {
    let spec = spec("full-speed-clients", "load").args([
        "--to",
        &format!("{ONLINE}:{PORT}"),
        "--rate",
        "0",
    ]);
    let spec = spec
        .args(["--seconds", &FULL_SPEED_SECONDS.to_string()])
        .cpu(FRONT_CPU);
    let mut clients = lab.spawn(Host::Client, &spec)?;
    clients.wait_success(GRACE)?;
    let report: load::Report =
        last_line(&clients.output()).context("the clients left no report")?;
    Ok(report.rate)
}
