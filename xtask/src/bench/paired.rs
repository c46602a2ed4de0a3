//! `cargo xtask bench paired`: whether the times that a copy reports are those that clients see.
//!
//! Online server and target answer after delays that are planted in them. What the copy says of the online server is held
//! against the clients that drove it during the same run; what it says of the target, against the same clients driving the
//! target itself from the online server's host, right before, at the same rate. Either side of a pair contains the path.

use std::time::Duration;

use ::lab::command::{last_line, spec};
use ::lab::copier::{Binaries, Copier, Options, Summary};
use ::lab::net::{ONLINE, TARGET};
use ::lab::{Host, Lab, Process, Topology, interrupt, load};
use anyhow::{Context, Result, bail};
use clap::Args;
use nix::sys::signal::Signal;

use crate::setup::Purpose;
use crate::stage::{self, BACK_CPU, FRONT_CPU};
use crate::step;

const PORT: u16 = 8080;
/// Requests per second, and how many connections they are spread over: enough for a delay of 10 ms.
const RATE: u32 = 5000;
const CONNECTIONS: u32 = 100;
/// How much longer than its load a process may take.
const GRACE: Duration = Duration::from_secs(20);
/// A figure may differ by this share, or by so many microseconds, whichever is more.
const SHARE_MAX: f64 = 0.05;
const DIFFERENCE_MAX_US: f64 = 50.0;
/// Planted delays of online server and target, in milliseconds: each with a target that is slower and one that is faster.
const DELAYS_MS: [(&str, &str); 6] = [
    ("0.2", "3"),
    ("0.2", "0.1"),
    ("2", "7"),
    ("2", "0.5"),
    ("10", "15"),
    ("10", "5"),
];

/// Arguments of `bench paired`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How long each load runs, in seconds.
    #[arg(long, default_value_t = 6)]
    seconds: u32,
    /// Only the first so many pairs of delays.
    #[arg(long, default_value_t = DELAYS_MS.len())]
    pairs: usize,
    /// Replies by way of the assistant server.
    #[arg(long)]
    assistant: bool,
    /// Fail where a figure differs by more than 5 % and 50 us.
    #[arg(long)]
    strict: bool,
    /// Do not look for what is missing on this machine.
    #[arg(long)]
    no_setup: bool,
}

/// Runs the bench.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let binaries = stage::prepare((!arguments.no_setup).then_some(Purpose::Tests))?;
    interrupt::install()?;
    let mode = if arguments.assistant {
        Topology::Assistant
    } else {
        Topology::Direct
    };
    let lab = Lab::up("tcpcopy-paired".parse()?, mode)?;
    let heads = [
        "delays", "side", "p50 told", "p50 seen", "p99 told", "p99 seen",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let mut apart = 0;
    for (online, target) in DELAYS_MS.into_iter().take(arguments.pairs) {
        step::say(&format!(
            "online server after {online} ms, target after {target} ms"
        ));
        let pair = Pair::measure(&lab, &binaries, mode, (online, target), arguments.seconds)?;
        for (side, told, seen) in pair.sides() {
            let close = told.iter().zip(&seen).all(|(told, seen)| {
                (told - seen).abs() <= (seen * SHARE_MAX).max(DIFFERENCE_MAX_US)
            });
            apart += usize::from(!close);
            let mut row = vec![format!("{online} / {target} ms"), side.to_owned()];
            for (told, seen) in told.iter().zip(&seen) {
                row.extend([format!("{told:.0} us"), format!("{seen:.0} us")]);
            }
            if !close {
                row.push("APART".to_owned());
            }
            rows.push(row);
        }
    }
    stage::print(&stage::table(&rows))?;
    stage::print(&format!(
        "{RATE} requests per second on {CONNECTIONS} connections; {apart} of {} rows are apart by more than {:.0} % and {DIFFERENCE_MAX_US} us",
        rows.len() - 1,
        SHARE_MAX * 100.0
    ))?;
    if arguments.strict && apart > 0 {
        bail!("the copy tells other times than its clients see");
    }
    Ok(())
}

/// What a run says and what its clients saw.
struct Pair {
    summary: Summary,
    clients: load::Report,
    clients_of_target: load::Report,
}

impl Pair {
    fn measure(
        lab: &Lab,
        binaries: &Binaries,
        mode: Topology,
        delays_ms: (&str, &str),
        seconds: u32,
    ) -> Result<Self> {
        let mut online = serve(lab, Host::Online, delays_ms.0)?;
        let mut target = serve(lab, Host::Target, delays_ms.1)?;
        let clients_of_target = drive(lab, Host::Online, &TARGET.to_string(), seconds)?;
        let rule = |address: &dyn std::fmt::Display| format!("{address}:{PORT}");
        let mut options = Options::new(mode, &rule(&ONLINE), &rule(&TARGET));
        options.cpu = Some(BACK_CPU);
        let mut copier = Copier::start(lab, binaries, &options)?;
        interrupt::sleep(Duration::from_millis(300))?;
        let clients = drive(lab, Host::Client, &ONLINE.to_string(), seconds)?;
        let summary = copier.finish()?;
        for server in [&mut online, &mut target] {
            server.stop(Signal::SIGTERM, Duration::from_secs(5))?;
        }
        let residues = summary.residues();
        if !residues.is_empty() || summary.answered() != summary.captured() {
            step::say(&format!("{}; residues {residues:?}", summary.ledger()));
        }
        Ok(Self {
            summary,
            clients,
            clients_of_target,
        })
    }

    /// Of each side, p50 and p99 until the last byte, as told and as seen, in microseconds.
    fn sides(&self) -> [(&'static str, [f64; 2], [f64; 2]); 2] {
        let told = |side: &str| {
            ["p50", "p99"].map(|name| {
                self.summary
                    .count(&format!("/latency_us/{side}/last_byte/{name}")) as f64
            })
        };
        let seen = |report: &load::Report| [report.latency.p50, report.latency.p99];
        [
            ("online", told("online"), seen(&self.clients)),
            ("target", told("target"), seen(&self.clients_of_target)),
        ]
    }
}

fn serve(lab: &Lab, host: Host, delay_ms: &str) -> Result<Process> {
    let (address, cpu) = if host == Host::Online {
        (ONLINE, FRONT_CPU)
    } else {
        (TARGET, BACK_CPU)
    };
    let spec = spec(&format!("{}-service", host.name()), "serve").cpu(cpu);
    let listen = format!("{address}:{PORT}");
    let mut process = lab.spawn(
        host,
        &spec.args(["--listen", &listen, "--delay-ms", delay_ms]),
    )?;
    process.wait_for("ready", Duration::from_secs(5))?;
    Ok(process)
}

fn drive(lab: &Lab, from: Host, to: &str, seconds: u32) -> Result<load::Report> {
    let [rate, connections, time] = [RATE, CONNECTIONS, seconds].map(|number| number.to_string());
    let spec = spec(&format!("clients-of-{to}"), "load")
        .args(["--to", &format!("{to}:{PORT}"), "--seconds", &time])
        .args(["--rate", &rate, "--connections", &connections])
        .cpu(FRONT_CPU);
    let mut process = lab.spawn(from, &spec)?;
    process.wait_success(Duration::from_secs(seconds.into()) + GRACE)?;
    let report: load::Report =
        last_line(&process.output()).context("the clients left no report")?;
    if report.failed() > 0 {
        bail!("{} of the clients' requests failed", report.failed());
    }
    Ok(report)
}
