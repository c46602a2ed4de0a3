//! Which flows are copied, and how often: several copies, a sample, connections that were open before.

use std::collections::HashMap;

use lab::access_log::Request;
use lab::{Host, Topology};
use tests::copying::{check_books, check_clients, finish, start, start_with};
use tests::{Clients, check_clean};

/// How often each id was seen.
fn counts(requests: &[Request]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for request in requests {
        *counts.entry(request.id.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn three_copies_of_each_flow() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = stand
        .options()
        .more("-n")
        .more("3")
        .more("-c")
        .more("62.135.200.0/28");
    let mut copier = start_with(&stand, &options);
    let report = Clients::keep_alive(20, 500, 4).run(&stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    let seen = counts(&target);
    for request in &online {
        assert_eq!(
            seen.get(request.id.as_str()),
            Some(&3),
            "{}: {}",
            request.id,
            summary.ledger()
        );
    }
    assert_eq!(target.len(), 3 * online.len(), "{}", summary.ledger());
    check_clean(&stand);
}

/// Half of the flows are copied, and of each flow all or nothing.
#[test]
fn half_of_the_flows() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_with(&stand, &stand.options().more("-r").more("50"));
    let report = Clients::short(500, 4).run(&stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let (online, target) = (
        online.finish().expect("log").len() as f64,
        target.finish().expect("log").len() as f64,
    );
    // 2000 flows: five standard deviations of a fair coin are 5.6 %.
    let share = target / online;
    assert!(
        (0.44..0.56).contains(&share),
        "{share} of the flows: {}",
        summary.ledger()
    );
    assert_eq!(summary.fidelity(), 1.0, "{}", summary.ledger());
    check_clean(&stand);
}

/// Connections that were open when the copy started: nothing is missing after the first request of each.
#[test]
fn joined_mid_stream() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let clients = Clients::keep_alive(50, 1000, 10).start(&stand);
    lab::interrupt::sleep(std::time::Duration::from_secs(2)).expect("no signal");
    let mut copier = start(&stand);
    let report = clients.wait();
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    let seen = counts(&target);
    // From the first request that the target has seen on, with a margin for the other connections to join.
    let first = online
        .iter()
        .position(|request| seen.contains_key(request.id.as_str()))
        .expect("something is copied");
    let missing = online[first + 200..]
        .iter()
        .filter(|request| !seen.contains_key(request.id.as_str()))
        .count();
    assert_eq!(
        missing,
        0,
        "of {}: {}",
        online.len() - first,
        summary.ledger()
    );
    assert!(
        seen.values().all(|count| *count == 1),
        "{}",
        summary.ledger()
    );
    check_clean(&stand);
}

/// `-O`: flows that were open before are left out, new ones are copied whole.
#[test]
fn full_sessions_only() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let clients = Clients::keep_alive(20, 500, 6).start(&stand);
    lab::interrupt::sleep(std::time::Duration::from_secs(1)).expect("no signal");
    let mut copier = start_with(&stand, &stand.options().more("-O"));
    let fresh = Clients::short(200, 3).and(&["--first-id", "1"]).run(&stand);
    let report = clients.wait();
    let summary = finish(&mut copier);
    check_clients(&report);
    check_clients(&fresh);
    check_books(&summary);
    let target = target.finish().expect("log");
    assert_eq!(target.len() as u64, fresh.completed, "{}", summary.ledger());
    assert!(
        target
            .iter()
            .all(|request| request.id.starts_with("00000000")),
        "{}",
        summary.ledger()
    );
    check_clean(&stand);
}
