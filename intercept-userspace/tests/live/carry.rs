//! How many reports a second a connection carries from a real interface, and what one costs. As a test it is short; with
//! `MEASURE=1 cargo test --release -p intercept-userspace --test live carry -- --nocapture` it prints a table.

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::client::Client;
use crate::pair::{Target, with_pair};
use crate::process::Intercept;
use crate::{LINE, PORT, flow, target};

const FLOWS: u16 = 50;
const RATES: [u64; 6] = [2_000, 10_000, 20_000, 50_000, 100_000, u64::MAX];

/// What came of a flood.
struct Carried {
    sent: u64,
    came: u64,
    lost: u64,
    ring_full: u64,
    took: Duration,
    /// CPU time of the workers and of all other threads, in nanoseconds.
    worker_ns: u64,
    others_ns: u64,
}

#[test]
fn at_ordinary_rates_no_report_is_missing() {
    with_pair(|pair| {
        let carried = carry(pair, 10_000, Duration::from_millis(500));
        assert_eq!((carried.came, carried.lost), (carried.sent, 0));
        if env::var_os("MEASURE").is_none() {
            return;
        }
        println!(
            "offered/s  came/s  missing  told lost  ring full  CPU us per report: worker  others"
        );
        for rate in RATES {
            let carried = carry(pair, rate, Duration::from_secs(4));
            let per_second = |count: u64| count as f64 / carried.took.as_secs_f64();
            let per_report = |ns: u64| ns as f64 / 1e3 / carried.came.max(1) as f64;
            println!(
                "{:>9.0}  {:>6.0}  {:>7}  {:>9}  {:>9}  {:>25.2}  {:>6.2}",
                per_second(carried.sent),
                per_second(carried.came),
                carried.sent - carried.came,
                carried.lost,
                carried.ring_full,
                per_report(carried.worker_ns),
                per_report(carried.others_ns),
            );
        }
    });
}

fn carry(pair: &Target, rate: u64, time: Duration) -> Carried {
    let intercept = Intercept::start(LINE);
    let mut client = Client::subscribe(PORT, &[target(80)]);
    client.open((0..FLOWS).map(flow));
    client.keep = false;
    let before = cpu_ns(intercept.pid());
    let start = Instant::now();
    let clients = (0..FLOWS).map(|n| flow(n).client).collect();
    let sent = pair.start_flood(target(80), clients, rate, time);
    client.idle(time);
    let sent = sent.recv().expect("it ends");
    let took = start.elapsed();
    client.idle(Duration::from_millis(200));
    let after = cpu_ns(intercept.pid());
    let (_, log) = intercept.end(Signal::SIGTERM);
    let ring_full = log
        .lines()
        .find_map(|line| line.trim().strip_prefix("lost, ring full"))
        .and_then(|count| count.trim().parse().ok());
    Carried {
        sent,
        came: client.count,
        lost: client.lost,
        ring_full: ring_full.expect("it is in the closing table"),
        took,
        worker_ns: after.0 - before.0,
        others_ns: after.1 - before.1,
    }
}

/// CPU time of the workers and of all other threads.
fn cpu_ns(pid: u32) -> (u64, u64) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let (mut worker, mut others) = (0, 0);
    for task in tasks.flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let schedstat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let first = schedstat.split_whitespace().next();
        let ns: u64 = first.and_then(|ns| ns.parse().ok()).unwrap_or(0);
        *if name.trim() == "worker" {
            &mut worker
        } else {
            &mut others
        } += ns;
    }
    (worker, others)
}
