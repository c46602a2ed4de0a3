//! `cargo xtask bench metrics`: what it costs to be asked once a second, with many sessions.
//!
//! The CPU time of the thread `metrics` is what a scrape costs; the main thread's is that of publishing as well. Both are
//! the scheduler's own figures, in nanoseconds. A scrape's time is that of connecting, asking and reading.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::lab::command::spec;
use ::lab::copier::{Copier, Options};
use ::lab::net::{ONLINE, TARGET};
use ::lab::{Host, Lab, Process, Topology, http, interrupt, machine};
use anyhow::{Context, Result, bail};
use clap::Args;
use nix::sys::signal::Signal;

use crate::setup::Purpose;
use crate::stage::{self, BACK_CPU, FRONT_CPU};
use crate::step;

const PORT: u16 = 8080;
/// How long sessions may take to open.
const OPEN_MAX: Duration = Duration::from_secs(60);

/// Arguments of `bench metrics`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Sessions that are open.
    #[arg(long, default_value_t = 5_000)]
    sessions: u32,
    /// Requests per second over all of them.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// Scrapes, one each second.
    #[arg(long, default_value_t = 30)]
    scrapes: u32,
    /// Fail if the thread takes more than this share of a core, in percent.
    #[arg(long)]
    cpu_max: Option<f64>,
    /// Fail if the median scrape takes more milliseconds than this.
    #[arg(long)]
    scrape_ms_max: Option<f64>,
    /// Do not look for what is missing on this machine.
    #[arg(long)]
    no_setup: bool,
}

/// Runs the bench.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let binaries = stage::prepare((!arguments.no_setup).then_some(Purpose::Tests))?;
    interrupt::install()?;
    let lab = Lab::up("tcpcopy-bench-metrics".parse()?, Topology::Direct)?;
    let _online = serve(&lab, Host::Online, FRONT_CPU)?;
    let _target = serve(&lab, Host::Target, BACK_CPU)?;
    let server = SocketAddr::from(([127, 0, 0, 1], 9524));
    let mut options = Options::new(
        Topology::Direct,
        &format!("{ONLINE}:{PORT}"),
        &format!("{TARGET}:{PORT}"),
    );
    options.cpu = Some(BACK_CPU);
    let options = options.more("--listen").more(&server.to_string());
    let mut copier = Copier::start(&lab, &binaries, &options)?;
    let mut clients = start_clients(&lab, arguments)?;
    let scrape = || -> Result<String> {
        let answer = http::get(&lab.namespace(Host::Online), server, "/metrics")?;
        (answer.status == 200)
            .then_some(answer.body)
            .context("a scrape was refused")
    };
    step::say(&format!("waiting for {} sessions", arguments.sessions));
    let enough = f64::from(arguments.sessions) * 0.99;
    interrupt::wait_until("the sessions", OPEN_MAX, || {
        Ok(scrape().is_ok_and(|text| gauge(&text, "tcpcopy_sessions") >= enough))
    })?;
    step::say(&format!("{} scrapes, one each second", arguments.scrapes));
    let pid = copier.tcpcopy.pid();
    let cpu = || ["metrics", "tcpcopy"].map(|name| machine::thread_cpu(pid, name));
    let (before, began) = (cpu(), Instant::now());
    let (mut times, mut text) = (Vec::new(), String::new());
    for second in 1..=arguments.scrapes {
        let asked = Instant::now();
        text = scrape()?;
        times.push(asked.elapsed().as_secs_f64() * 1000.0);
        let next = began + Duration::from_secs(second.into());
        interrupt::sleep(next.saturating_duration_since(Instant::now()))?;
    }
    let (after, elapsed) = (cpu(), began.elapsed());
    let sessions = gauge(&text, "tcpcopy_sessions");
    clients.stop(Signal::SIGTERM, Duration::from_secs(10))?;
    let summary = copier.finish()?;
    let percent = |thread: usize| {
        (after[thread] - before[thread]).as_secs_f64() * 100.0 / elapsed.as_secs_f64()
    };
    let (metrics, main) = (percent(0), percent(1));
    let longest = times.iter().copied().fold(0.0, f64::max);
    let median = stage::median(&mut times);
    stage::print(&format!(
        "{sessions} sessions, {} turns; {} scrapes of {} KB: median {median:.2} ms, longest {longest:.2} ms\n\
         CPU in percent of a core: thread `metrics` {metrics:.3}, main thread (which publishes, with the summary's file) {main:.3}",
        summary.captured(),
        times.len(),
        text.len() / 1000,
    ))?;
    check(
        "the thread `metrics` takes, in percent of a core,",
        metrics,
        arguments.cpu_max,
    )?;
    check(
        "the median scrape takes, in ms,",
        median,
        arguments.scrape_ms_max,
    )
}

fn start_clients(lab: &Lab, arguments: &Arguments) -> Result<Process> {
    let seconds = u64::from(arguments.scrapes) + OPEN_MAX.as_secs();
    let clients = spec("clients", "load").cpu(FRONT_CPU).args([
        "--quiet".to_owned(),
        format!("--to={ONLINE}:{PORT}"),
        format!("--connections={}", arguments.sessions),
        format!("--rate={}", arguments.rate),
        format!("--seconds={seconds}"),
    ]);
    Ok(lab.spawn(Host::Client, &clients)?)
}

fn check(what: &str, value: f64, max: Option<f64>) -> Result<()> {
    match max {
        Some(max) if value > max => bail!("{what} {value:.3}, more than {max}"),
        _ => Ok(()),
    }
}

fn serve(lab: &Lab, host: Host, cpu: usize) -> Result<Process> {
    let address = host.address().context("a host with an address")?;
    let spec = spec(&format!("{}-service", host.name()), "serve").cpu(cpu);
    let listen = format!("--listen={address}:{PORT}");
    let mut process = lab.spawn(host, &spec.arg(listen))?;
    process.wait_for("ready", Duration::from_secs(5))?;
    Ok(process)
}

/// The value of a metric without labels; 0 where it is not there.
fn gauge(text: &str, name: &str) -> f64 {
    let values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values
        .filter_map(|value| value.parse().ok())
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::gauge;

    #[test]
    fn a_gauge_is_found_by_its_whole_name() {
        let text = "# TYPE a gauge\na_max 7\na 5\nb{c=\"d\"} 3\n";
        assert_eq!((gauge(text, "a"), gauge(text, "b")), (5.0, 0.0));
    }
}
