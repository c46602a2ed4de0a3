//! nginx to nginx: each request of the online server's access log is in the target's exactly once.

use std::time::Duration;

use lab::copier::{Capture, Copier, Options};
use lab::net::ONLINE;
use lab::{Host, Spec, Topology};
use tests::copying::{check_books, finish};
use tests::{Clients, PORT, Stand, check_complete, check_nothing_left};

/// Copies a load and checks everything.
fn copied(topology: Topology, clients: &Clients, change: impl FnOnce(Options) -> Options) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand, &change(stand.options()));
    let report = clients.run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (
        online.finish().expect("online log"),
        target.finish().expect("target log"),
    );
    check_complete(&report, &online, &target, &summary);
    check_nothing_left(&stand);
}

fn start(stand: &Stand, options: &Options) -> Copier {
    Copier::start(&stand.lab, &stand.binaries, options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn keep_alive_2k_direct() {
    copied(
        Topology::Direct,
        &Clients::keep_alive(50, 2_000, 3).long(10),
        |options| options,
    );
}

#[test]
fn keep_alive_10k_direct() {
    copied(
        Topology::Direct,
        &Clients::keep_alive(50, 10_000, 4).long(20),
        |options| options,
    );
}

#[test]
fn short_1k_direct() {
    copied(
        Topology::Direct,
        &Clients::short(1_000, 3).long(10),
        |options| options,
    );
}

/// 60,000 connections: more than the pool has ports.
#[test]
fn short_3k_direct() {
    copied(
        Topology::Direct,
        &Clients::short(3_000, 4).long(20),
        |options| options,
    );
}

#[test]
fn keep_alive_2k_assistant() {
    copied(
        Topology::Assistant,
        &Clients::keep_alive(50, 2_000, 3).long(10),
        |options| options,
    );
}

#[test]
fn keep_alive_10k_assistant() {
    copied(
        Topology::Assistant,
        &Clients::keep_alive(50, 10_000, 4).long(20),
        |options| options,
    );
}

#[test]
fn short_1k_assistant() {
    copied(
        Topology::Assistant,
        &Clients::short(1_000, 3).long(10),
        |options| options,
    );
}

#[test]
fn short_3k_assistant() {
    copied(
        Topology::Assistant,
        &Clients::short(3_000, 4).long(20),
        |options| options,
    );
}

/// Its rings hold far less than the ring buffer: a worker that is held up for a moment loses frames at higher rates.
#[test]
fn keep_alive_2k_direct_af_xdp() {
    let clients = Clients::keep_alive(50, 2_000, 3).long(10);
    copied(Topology::Direct, &clients, |options| Options {
        capture: Capture::AfXdp,
        ..options
    });
}

#[test]
fn short_closed_by_the_server_direct() {
    let clients = Clients::keep_alive(500, 1_000, 3)
        .long(5)
        .and(&["--short", "server"]);
    copied(Topology::Direct, &clients, |options| options);
}

/// wrk as fast as it goes for 10 s: at least 99.9 % must have been answered within the drain.
#[test]
fn full_speed_direct() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "wrk"]) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand, &stand.options());
    let url = format!("http://{ONLINE}:{PORT}/?id=wrk");
    let wrk = Spec::new("wrk", "wrk").args(["-t1", "-c50", "-d10s", "--latency", &url]);
    let mut wrk = stand.lab.spawn(Host::Client, &wrk).expect("wrk");
    wrk.wait_success(Duration::from_secs(30)).expect("wrk ends");
    let load = lab::wrk::parse(&wrk.output()).expect("a result of wrk");
    let summary = finish(&mut copier);
    assert_eq!(load.errors, 0, "{}", wrk.output());
    check_books(&summary);
    let context = format!("{:.0} req/s, {}", load.rate, summary.ledger());
    assert!(
        summary.fidelity() >= 0.999,
        "fidelity {}: {context}",
        summary.fidelity()
    );
    let (online, target) = (
        online.finish().expect("online log").len(),
        target.finish().expect("target log").len(),
    );
    assert!(target <= online, "{target} of {online}: {context}");
    assert!(
        target as f64 >= 0.999 * online as f64,
        "{target} of {online}: {context}"
    );
    check_nothing_left(&stand);
}
