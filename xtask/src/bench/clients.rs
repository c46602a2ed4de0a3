//! The clients of a load, and the plain client that a copy is measured by.

use std::time::Duration;

use ::lab::command::{last_line, spec};
use ::lab::net::{ONLINE, TARGET};
use ::lab::{Host, Lab, Process, Spec, bulk, load};
use anyhow::{Context, Result, bail};

use super::case::{Case, Variant};
use super::run::PORT;
use crate::stage::{BACK_CPU, FRONT_CPU};

/// How much longer than its load a process may take.
const GRACE: Duration = Duration::from_secs(20);

/// What the clients say.
pub(super) struct Loaded {
    pub(super) units: f64,
    pub(super) rate: f64,
    pub(super) errors: u64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) client_cpu: Duration,
    /// CPU time of the plain client, where there was one.
    pub(super) plain_client_cpu: Option<Duration>,
}

/// Runs the clients of a load, and the plain client beside them where that is measured, and waits for their end.
pub(super) fn drive(lab: &Lab, case: Case, variant: Variant, seconds: u32) -> Result<Loaded> {
    if variant != Variant::PlainClient {
        return load_online(lab, case, seconds);
    }
    let plain_client = start_plain_client(lab, case, seconds)?;
    let loaded = load_online(lab, case, seconds)?;
    Ok(Loaded {
        plain_client_cpu: Some(end_plain_client(plain_client, seconds)?),
        ..loaded
    })
}

/// Runs the clients of a load against the online server.
fn load_online(lab: &Lab, case: Case, seconds: u32) -> Result<Loaded> {
    let to = format!("{ONLINE}:{PORT}");
    match case {
        Case::KeepAlive
        | Case::Many
        | Case::Short
        | Case::FlatOut(_)
        | Case::Lossy(_)
        | Case::Answers(_) => {
            let mut process = lab.spawn(
                Host::Client,
                &clients("clients", case, &to, seconds).cpu(FRONT_CPU),
            )?;
            process.wait_success(Duration::from_secs(seconds.into()) + GRACE)?;
            let report: load::Report =
                last_line(&process.output()).context("the clients left no report")?;
            Ok(Loaded {
                units: report.completed as f64,
                rate: report.rate,
                errors: report.failed(),
                p50_us: report.latency.p50,
                p99_us: report.latency.p99,
                client_cpu: process.cpu(),
                plain_client_cpu: None,
            })
        }
        Case::Bulk | Case::BulkNoTso => {
            let spec = spec("sender", "bulk-send")
                .args(["--to", &to, "--seconds", &seconds.to_string()])
                .args(["--streams", "2"])
                .cpu(FRONT_CPU);
            let mut process = lab.spawn(Host::Client, &spec)?;
            process.wait_success(Duration::from_secs(seconds.into()) + GRACE)?;
            let line: bulk::Line =
                last_line(&process.output()).context("the sender left no report")?;
            Ok(Loaded {
                units: line.bytes as f64 / 1e6,
                rate: line.gigabits_per_second(),
                errors: line.broken,
                p50_us: 0.0,
                p99_us: 0.0,
                client_cpu: process.cpu(),
                plain_client_cpu: None,
            })
        }
        Case::Wrk => wrk(lab, &to, seconds),
    }
}

/// The clients of a load that asks one request at a time on each connection.
fn clients(name: &str, case: Case, to: &str, seconds: u32) -> Spec {
    let (connections, rate, short): (u32, u32, bool) = match case {
        Case::KeepAlive => (50, 10_000, false),
        Case::Many => (5_000, 5_000, false),
        Case::FlatOut(connections) => (connections.into(), 0, false),
        Case::Lossy(lossy) if lossy.short => (500, 500, true),
        Case::Lossy(_) => (50, 1_000, false),
        Case::Answers(kilobytes) => (50, 50_000 / u32::from(kilobytes), false),
        _ => (200, 3_000, true),
    };
    let mut spec = spec(name, "load").args(["--to", to, "--seconds", &seconds.to_string()]);
    spec = spec.args(["--rate", &rate.to_string()]);
    spec = spec.args(["--connections", &connections.to_string()]);
    if short {
        spec = spec.args(["--short", "client"]);
    }
    spec
}

/// Starts the same clients on the online server, where a copy would run, against the target.
fn start_plain_client(lab: &Lab, case: Case, seconds: u32) -> Result<Process> {
    let to = format!("{TARGET}:{PORT}");
    let spec = clients("plain-client", case, &to, seconds).cpu(BACK_CPU);
    Ok(lab.spawn(Host::Online, &spec)?)
}

/// Waits for its end; an error if it has not got an answer to each of its requests. Returns its CPU time.
fn end_plain_client(mut client: Process, seconds: u32) -> Result<Duration> {
    client.wait_success(Duration::from_secs(seconds.into()) + GRACE)?;
    let report: load::Report =
        last_line(&client.output()).context("the plain client left no report")?;
    if report.failed() > 0 {
        bail!("{} requests of the plain client failed", report.failed());
    }
    Ok(client.cpu())
}

fn wrk(lab: &Lab, to: &str, seconds: u32) -> Result<Loaded> {
    let url = format!("http://{to}/?id=wrk");
    let spec = Spec::new("wrk", "wrk")
        .args(["-t1", "-c50", "--latency", &format!("-d{seconds}s"), &url])
        .cpu(FRONT_CPU);
    let mut process = lab.spawn(Host::Client, &spec)?;
    process.wait_success(Duration::from_secs(seconds.into()) + GRACE)?;
    let result = ::lab::wrk::parse(&process.output())?;
    Ok(Loaded {
        units: result.requests as f64,
        rate: result.rate,
        errors: result.errors,
        p50_us: result.p50_us,
        p99_us: result.p99_us,
        client_cpu: process.cpu(),
        plain_client_cpu: None,
    })
}
