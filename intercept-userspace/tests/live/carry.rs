//! How many reports a second a connection carries, and what one costs. A measurement, not a test:
//! `cargo test --release -p intercept-userspace --test live -- --ignored --nocapture`

use std::fs;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::pair::{Target, with_pair};
use crate::process::Intercept;
use crate::{LINE, PORT, flow, target};

/// How long each rate is kept up.
const TIME: Duration = Duration::from_secs(4);
const FLOWS: u16 = 50;

#[test]
#[ignore = "a measurement"]
fn what_a_connection_carries() {
    with_pair(|pair| {
        println!(
            "offered/s  reports/s  missing  lost   cpu us per report: worker  writer  other   reports per write"
        );
        for rate in [2_000, 20_000, 50_000, 100_000, 200_000, u64::MAX] {
            measure(pair, rate);
        }
    });
}

#[expect(clippy::print_stdout, reason = "its result")]
fn measure(pair: &Target, rate: u64) {
    let intercept = Intercept::start(LINE);
    let mut client = Client::subscribe(PORT, &[target(80)]);
    client.open((0..FLOWS).map(flow));
    client.keep = false;
    let before = threads(intercept.pid());
    let start = Instant::now();
    let sent = pair.start_flood(
        target(80),
        (0..FLOWS).map(|n| flow(n).client).collect(),
        rate,
        TIME,
    );
    client.idle(TIME);
    let sent = sent.recv().expect("it ends");
    let took = start.elapsed();
    client.idle(Duration::from_millis(200));
    let after = threads(intercept.pid());
    let reports = client.count;
    let cpu = |name: &str| {
        let sum =
            |all: &[(String, u64)]| all.iter().filter(|t| t.0 == name).map(|t| t.1).sum::<u64>();
        (sum(&after) - sum(&before)) as f64 / 1e3 / reports as f64
    };
    let (_, log) = intercept.end(nix::sys::signal::Signal::SIGTERM);
    let row: Vec<u64> = log
        .lines()
        .find(|line| line.starts_with("127.0.0.1:"))
        .map(|line| {
            line.split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    println!(
        "{:>9.0}  {:>9.0}  {:>7}  {:>5}   {:>25.2}  {:>6.2}  {:>5.2}   {:>6.1}",
        sent as f64 / took.as_secs_f64(),
        reports as f64 / took.as_secs_f64(),
        sent - reports,
        client.lost,
        cpu("worker"),
        cpu("writer"),
        cpu("reader") + cpu("intercept") + cpu("accept"),
        reports as f64 / row.get(3).copied().unwrap_or(1).max(1) as f64,
    );
}

/// Name and CPU time of each thread, in nanoseconds.
fn threads(pid: u32) -> Vec<(String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    tasks
        .flatten()
        .filter_map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((
                name.trim().to_owned(),
                schedstat.split_whitespace().next()?.parse().ok()?,
            ))
        })
        .collect()
}
