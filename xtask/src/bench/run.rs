//! One run: servers, perhaps a copy, a load, and what it cost.

use std::collections::BTreeMap;
use std::time::Duration;

use ::lab::access_log::Comparison;
use ::lab::command::{last_line, spec};
use ::lab::copier::{Binaries, Copier, Options, Summary};
use ::lab::machine::Moment;
use ::lab::net::{ONLINE, TARGET};
use ::lab::nginx::{Answer, Config, Nginx};
use ::lab::stamps::Stamps;
use ::lab::{Host, Lab, Process, bulk, interrupt};
use anyhow::{Context, Result};
use serde::Serialize;

use super::case::{Case, Mode, Variant};
use super::clients;
use super::network;
use crate::stage::{BACK_CPU, FRONT_CPU};

pub(super) const PORT: u16 = 8080;

/// What one run has shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    pub(super) round: u32,
    pub(super) case: Case,
    pub(super) variant: Variant,
    /// Requests answered by the online server; for bulk loads MB that it took.
    pub(super) units: f64,
    /// Requests per second; for bulk loads Gb/s.
    pub(super) rate: f64,
    /// Errors that clients saw.
    pub(super) errors: u64,
    /// Latency that clients saw, in microseconds; 0 for bulk loads.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Share of the online server's requests (bytes) that the target has seen, by the servers' own books.
    pub(super) fidelity: Option<f64>,
    /// The same by the ledger of tcpcopy.
    pub(super) fidelity_ledger: Option<f64>,
    /// CPU time of the whole machine per 1000 requests (per GB), in milliseconds.
    pub(super) machine_ms: f64,
    /// The same by process.
    pub(super) process_ms: BTreeMap<String, f64>,
    /// Peak resident memory by process, in MB.
    pub(super) memory_mb: BTreeMap<String, f64>,
    /// Median time from a target's reply to the frames that it let go, in microseconds.
    pub(super) reaction_us: Option<f64>,
    /// The same from the reply's arrival on the device to the departure of the next request of its session there.
    pub(super) outside_us: Option<f64>,
    /// How long copies left after their originals, 99th percentile in microseconds.
    pub(super) lag_p99_us: Option<f64>,
    /// Packets lost on purpose.
    pub(super) lost: u64,
    /// The ledger, and counters that do not add up.
    pub(super) ledger: String,
    pub(super) residues: Vec<(String, i64)>,
    /// Why the copy failed, if it did.
    pub(super) failure: Option<String>,
}

/// How long, how often, and what else is measured.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) seconds: u32,
    pub(super) round: u32,
    /// Whether packets are stamped from outside.
    pub(super) stamps: bool,
}

/// What the copy says.
#[derive(Default)]
struct Copied {
    summary: Option<Summary>,
    cpu: BTreeMap<String, Duration>,
    /// In megabytes.
    memory: BTreeMap<String, f64>,
    failure: Option<String>,
}

/// Runs a load once.
pub(super) fn run(
    lab: &mut Lab,
    binaries: Option<&Binaries>,
    case: Case,
    variant: Variant,
    times: Times,
) -> Result<Run> {
    let Times { seconds, round, .. } = times;
    if let Variant::Copied(mode, _) = variant {
        lab.set_topology(mode.topology())?;
    }
    network::set_offloads(lab, case != Case::BulkNoTso)?;
    let mut servers = Servers::start(lab, case)?;
    let mut copier = start_copier(lab, binaries, variant)?;
    interrupt::sleep(Duration::from_millis(300))?;
    network::begin_losses(lab, case)?;
    let stamps = match case {
        Case::FlatOut(_) if times.stamps && copier.is_some() => {
            Some(Stamps::start(lab, Host::Online, "eth1", PORT)?)
        }
        _ => None,
    };
    let cpu_before = cpu(&servers, copier.as_ref());
    let before = Moment::now();
    let loaded = clients::drive(lab, case, variant, seconds)?;
    let outside_us = stamps.map(median_us).transpose()?.flatten();
    let memory = copier.as_ref().map(memory).unwrap_or_default();
    let mut copied = copier.take().map(finish).transpose()?.unwrap_or_default();
    let lost = network::end_losses(lab, case)?;
    // After the drain: what the copy does late costs as well.
    let busy = Moment::now().busy_since(&before);
    copied.memory = memory;
    copied.cpu.extend(cpu(&servers, None));
    let fidelity = servers.finish(case)?;
    let thousands = (loaded.units / 1000.0).max(1e-9);
    let per_thousand = |duration: Duration| duration.as_secs_f64() * 1000.0 / thousands;
    let spent = |(name, after): (&String, &Duration)| {
        let earlier = cpu_before.get(name).copied().unwrap_or_default();
        (name.clone(), per_thousand(after.saturating_sub(earlier)))
    };
    let mut process_ms: BTreeMap<String, f64> = copied.cpu.iter().map(spent).collect();
    process_ms.insert("clients".to_owned(), per_thousand(loaded.client_cpu));
    if let Some(cpu) = loaded.plain_client_cpu {
        process_ms.insert("plain client".to_owned(), per_thousand(cpu));
    }
    let summary = copied.summary.as_ref();
    Ok(Run {
        round,
        case,
        variant,
        units: loaded.units,
        rate: loaded.rate,
        errors: loaded.errors,
        p50_us: loaded.p50_us,
        p99_us: loaded.p99_us,
        fidelity: matches!(variant, Variant::Copied(..)).then_some(fidelity),
        fidelity_ledger: summary.map(Summary::fidelity),
        machine_ms: per_thousand(busy),
        process_ms,
        memory_mb: copied.memory,
        reaction_us: summary.and_then(|summary| figure(summary, "/latency_us/reaction/p50")),
        outside_us,
        lag_p99_us: summary.and_then(|summary| figure(summary, "/latency_us/lag/p99")),
        lost,
        ledger: summary.map(Summary::ledger).unwrap_or_default(),
        residues: summary.map(Summary::residues).unwrap_or_default(),
        failure: copied.failure,
    })
}

/// Starts the copy, where there is to be one.
fn start_copier(
    lab: &Lab,
    binaries: Option<&Binaries>,
    variant: Variant,
) -> Result<Option<Copier>> {
    match variant {
        Variant::Alone | Variant::PlainClient => Ok(None),
        Variant::Copied(mode, capture) => {
            let mut options = Options::new(
                mode.topology(),
                &format!("{ONLINE}:{PORT}"),
                &format!("{TARGET}:{PORT}"),
            );
            if mode.has_module() {
                options.rules.push_str("/protocol=http1");
            }
            options.capture = capture;
            options.has_key = mode == Mode::AssistantWithKey;
            if mode == Mode::TwoWorkers {
                options = options.more("--workers").more("2");
            } else {
                options.cpu = Some(BACK_CPU);
            }
            let binaries = binaries.context("tcpcopy and intercept are not built")?;
            let copier = Copier::start(lab, binaries, &options);
            copier.map(Some).with_context(|| describe(mode))
        }
    }
}

/// The median of the times from replies to requests, in microseconds.
fn median_us(stamps: Stamps) -> Result<Option<f64>> {
    let times = stamps.finish()?;
    let median = times.get(times.len() / 2);
    Ok(median.map(|time| time.as_nanos() as f64 / 1000.0))
}

fn figure(summary: &Summary, path: &str) -> Option<f64> {
    summary.value().pointer(path)?.as_f64()
}

fn describe(mode: Mode) -> String {
    match mode {
        Mode::Direct | Mode::TwoWorkers | Mode::DirectWithModule => {
            "the copy in direct mode did not start".to_owned()
        }
        Mode::Assistant | Mode::AssistantWithKey | Mode::AssistantWithModule => {
            "the copy in assistant mode did not start".to_owned()
        }
    }
}

fn cpu(servers: &Servers, copier: Option<&Copier>) -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::from([
        ("online".to_owned(), servers.online.cpu()),
        ("target".to_owned(), servers.target.cpu()),
    ]);
    if let Some(copier) = copier {
        times.insert("tcpcopy".to_owned(), copier.tcpcopy.cpu());
        if let Some(intercept) = &copier.intercept {
            times.insert("intercept".to_owned(), intercept.cpu());
        }
    }
    times
}

fn memory(copier: &Copier) -> BTreeMap<String, f64> {
    let megabytes = |process: &Process| process.memory_peak() as f64 / 1e6;
    let mut peaks = BTreeMap::from([("tcpcopy".to_owned(), megabytes(&copier.tcpcopy))]);
    if let Some(intercept) = &copier.intercept {
        peaks.insert("intercept".to_owned(), megabytes(intercept));
    }
    peaks
}

/// Ends the copy; a copy that ended badly is a result, not the end of the bench.
fn finish(mut copier: Copier) -> Result<Copied> {
    let mut copied = Copied::default();
    match copier.finish() {
        Ok(summary) => copied.summary = Some(summary),
        Err(::lab::Error::Interrupted) => return Err(::lab::Error::Interrupted.into()),
        Err(error) => {
            copied.failure = Some(error.to_string());
            copied.summary = copier.summary().ok();
        }
    }
    copied
        .cpu
        .insert("tcpcopy".to_owned(), copier.tcpcopy.cpu());
    if let Some(intercept) = &copier.intercept {
        copied.cpu.insert("intercept".to_owned(), intercept.cpu());
    }
    Ok(copied)
}

/// Online and target server.
struct Servers {
    online: Server,
    target: Server,
}

enum Server {
    Nginx(Nginx),
    Sink(Process),
}

impl Server {
    fn start(lab: &Lab, case: Case, host: Host) -> Result<Self> {
        let (address, cpu) = if host == Host::Online {
            (ONLINE, FRONT_CPU)
        } else {
            (TARGET, BACK_CPU)
        };
        if case.is_bulk() {
            let spec = spec(&format!("{}-sink", host.name()), "bulk-sink").cpu(cpu);
            let mut sink =
                lab.spawn(host, &spec.args(["--listen", &format!("{address}:{PORT}")]))?;
            sink.wait_for("ready", Duration::from_secs(5))?;
            return Ok(Self::Sink(sink));
        }
        let mut config = Config::new(&format!("{}-nginx", host.name()), (address, PORT).into());
        config.cpu = Some(cpu);
        if let Case::Answers(kilobytes) = case {
            config.answer = Answer::File(u64::from(kilobytes) * 1000);
        }
        Ok(Self::Nginx(Nginx::start(lab, host, &config)?))
    }

    fn cpu(&self) -> Duration {
        match self {
            Self::Nginx(nginx) => nginx.cpu(),
            Self::Sink(sink) => sink.cpu(),
        }
    }
}

impl Servers {
    fn start(lab: &Lab, case: Case) -> Result<Self> {
        Ok(Self {
            online: Server::start(lab, case, Host::Online)?,
            target: Server::start(lab, case, Host::Target)?,
        })
    }

    /// Ends both and says which share of what online has seen the target has seen.
    fn finish(&mut self, case: Case) -> Result<f64> {
        Ok(match (&mut self.online, &mut self.target) {
            (Server::Nginx(online), Server::Nginx(target)) => {
                let (online, target) = (online.finish()?, target.finish()?);
                if case == Case::Wrk {
                    // wrk sends the same request always: only counts can be compared.
                    target.len() as f64 / (online.len() as f64).max(1.0)
                } else {
                    Comparison::of(&online, &target).fidelity()
                }
            }
            (Server::Sink(online), Server::Sink(target)) => {
                let (online, target) = (sunk(online)?, sunk(target)?);
                target.bytes as f64 / (online.bytes as f64).max(1.0)
            }
            _ => 0.0,
        })
    }
}

fn sunk(sink: &mut Process) -> Result<bulk::Line> {
    sink.signal(nix::sys::signal::Signal::SIGTERM)?;
    sink.wait_success(Duration::from_secs(5))?;
    last_line(&sink.output()).context("the sink left no report")
}
