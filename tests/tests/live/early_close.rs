//! Targets that close connections which the online server keeps, that are started again, or that take none.

use std::time::Duration;

use lab::access_log::Comparison;
use lab::nginx::Config;
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, finish, start, start_with};
use tests::{Clients, PORT, Stand, check_complete, check_nothing_left};

use super::robust::{pause, survived};

/// Copies to a target that is configured otherwise than the online server; nothing may be missing or doubled.
fn closed_early(topology: Topology, clients: &Clients, change: impl FnOnce(&mut Config)) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    let mut online = stand.nginx(Host::Online);
    let mut target = stand.nginx_with(Host::Target, change);
    let mut copier = start(&stand);
    let report = clients.run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    assert!(
        summary.count("/sessions/reconnected") + summary.count("/sessions/opened") > 0,
        "{}",
        summary.value()
    );
    check_nothing_left(&stand);
}

#[test]
fn target_closes_after_10_requests_direct() {
    let clients = Clients::keep_alive(20, 1000, 3).long(5);
    closed_early(Topology::Direct, &clients, |config| {
        config.keepalive_requests = 10;
    });
}

#[test]
fn target_closes_after_10_requests_assistant() {
    let clients = Clients::keep_alive(20, 1000, 3).long(5);
    closed_early(Topology::Assistant, &clients, |config| {
        config.keepalive_requests = 10;
    });
}

/// Each connection has a request every 1.6 s.
#[test]
fn target_closes_after_1_second_direct() {
    let clients = Clients::keep_alive(32, 20, 4).long(6);
    closed_early(Topology::Direct, &clients, |config| {
        config.keepalive_timeout_s = 1;
    });
}

/// The target's service is ended in order, and started again at once, while requests come.
#[test]
fn target_restarted_under_load() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 500, 6).start(&stand);
    pause(2000);
    target
        .process()
        .stop(Signal::SIGTERM, Duration::from_secs(5))
        .expect("nginx ends");
    let before = target.finish().expect("log");
    let mut target = stand.nginx(Host::Target);
    let report = clients.wait();
    let summary = finish(&mut copier);
    let online = online.finish().expect("log");
    let mut seen = before;
    seen.extend(target.finish().expect("log"));
    let comparison = Comparison::of(&online, &seen);
    assert!(
        comparison.doubled.is_empty() && comparison.extra.is_empty(),
        "{comparison}; {}",
        summary.ledger()
    );
    // What is missing was asked while nobody listened, or up to a second later.
    let share = comparison.fidelity();
    assert!(share > 0.6, "{comparison}; {}", summary.ledger());
    let late = &online[online.len() * 5 / 6..];
    let missing = late
        .iter()
        .filter(|request| comparison.missing.contains(&request.id))
        .count();
    assert_eq!(missing, 0, "{comparison}; {}", summary.ledger());
    survived(&stand, &report, &summary);
}

/// How a target takes no connection.
enum Refusal {
    /// Nobody listens.
    ClosedPort,
    /// A firewall says so, in words of ICMP.
    Reject,
    /// A firewall says nothing.
    Drop,
}

/// The target takes nothing: it is asked now and then, not for each request, and the ledger says what became of them.
fn refusing(refusal: &Refusal, clients: &Clients, most: u64) {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "iptables"]) else {
        return;
    };
    let _online = stand.nginx(Host::Online);
    let target = stand.lab.namespace(Host::Target);
    let port = PORT.to_string();
    let mut rule = vec!["-w", "-A", "INPUT", "-p", "tcp", "--dport", &port];
    match refusal {
        Refusal::ClosedPort => {}
        Refusal::Reject => rule.extend(["-j", "REJECT"]),
        Refusal::Drop => rule.extend(["-j", "DROP"]),
    }
    target.run("iptables", &rule).expect("iptables");
    // Nothing is to come of what waits at the end.
    let options = stand.options().more("--drain").more("1s");
    let mut copier = start_with(&stand, &options);
    let report = clients.run(&stand);
    let asked = arrived(&stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    eprintln!(
        "{asked} packets in 6 s for {} requests; {}",
        report.completed,
        summary.ledger()
    );
    assert_eq!(summary.captured(), report.completed, "{}", summary.ledger());
    assert_eq!(summary.answered(), 0, "{}", summary.ledger());
    assert!((20..=most).contains(&asked), "{asked} packets");
    check_nothing_left(&stand);
}

/// Packets that have come to the target's port.
fn arrived(stand: &Stand) -> u64 {
    let arguments = ["-w", "-L", "INPUT", "-v", "-x", "-n"];
    let listed = stand.lab.run(Host::Target, "iptables", &arguments);
    let listed = listed.expect("iptables");
    let count = listed
        .lines()
        .nth(2)
        .and_then(|rule| rule.split_ascii_whitespace().next()?.parse().ok());
    count.unwrap_or_else(|| panic!("{listed}"))
}

fn keep_alive() -> Clients {
    Clients::keep_alive(20, 1000, 4).long(6)
}

/// A flow asks at most once a second, after a few times in the first.
const KEEP_ALIVE_MOST: u64 = 20 * 12;

#[test]
fn target_with_a_closed_port_is_asked_seldom() {
    refusing(&Refusal::ClosedPort, &keep_alive(), KEEP_ALIVE_MOST);
}

#[test]
fn target_behind_a_reject_is_asked_seldom() {
    refusing(&Refusal::Reject, &keep_alive(), KEEP_ALIVE_MOST);
}

#[test]
fn target_behind_a_drop_is_asked_seldom() {
    refusing(&Refusal::Drop, &keep_alive(), KEEP_ALIVE_MOST);
}

/// Connections that have one request each: a target that refuses them is asked once for each.
#[test]
fn target_with_a_closed_port_is_asked_once_for_each_short_connection() {
    refusing(&Refusal::ClosedPort, &Clients::short(200, 4), 800);
}
