//! Which flows are copied, and how often: several copies, a sample, connections that were open before.

use std::collections::{HashMap, HashSet};

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

/// Each request comes to the target exactly `copies` times, and the ledger says the same.
fn copied_often(topology: Topology, copies: usize, pool: &str, clients: &Clients) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = stand.options().more("-n").more(&copies.to_string());
    let mut options = options.more("-c").more(pool);
    if topology == Topology::Direct {
        options = options.more("--pool-is-routed");
    }
    let mut copier = start_with(&stand, &options);
    let report = clients.run(&stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    assert_eq!(online.len() as u64, report.completed);
    let seen = counts(&target);
    for request in &online {
        assert_eq!(
            seen.get(request.id.as_str()),
            Some(&copies),
            "{}: {}",
            request.id,
            summary.ledger()
        );
    }
    let turns = copies * online.len();
    assert_eq!(target.len(), turns, "{}", summary.ledger());
    assert_eq!(
        (summary.captured(), summary.answered()),
        (turns as u64, turns as u64),
        "{}",
        summary.ledger()
    );
    check_clean(&stand);
}

#[test]
fn three_copies_of_each_flow() {
    let clients = Clients::keep_alive(20, 500, 2).long(4);
    copied_often(Topology::Direct, 3, "62.135.200.0/28", &clients);
}

#[test]
fn three_copies_of_each_short_flow_assistant() {
    let clients = Clients::short(300, 2).long(4);
    copied_often(Topology::Assistant, 3, "62.135.200.0/28", &clients);
}

#[test]
fn ten_copies_of_each_flow_assistant() {
    let clients = Clients::keep_alive(20, 200, 2).long(4);
    copied_often(Topology::Assistant, 10, "62.135.200.0/28", &clients);
}

/// 100 connections per second become 10,000: the target is driven a hundred times as hard, by exactly a hundred times as much.
#[test]
fn a_hundred_copies_of_each_short_flow() {
    let clients = Clients::short(100, 2).long(10);
    copied_often(Topology::Direct, 100, "62.135.200.0/26", &clients);
}

/// 8,000 sessions from 4,000 ports: each comes back into use although the one before has hardly ended.
#[test]
fn ten_copies_of_each_short_flow() {
    let clients = Clients::short(200, 2).long(4);
    copied_often(Topology::Direct, 10, "62.135.200.1:10000-13999", &clients);
}

/// A pool that is too small for `-n` is warned of with the arithmetic, and turns that find no port are collisions.
#[test]
fn a_pool_too_small_for_the_copies() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = [
        "-n",
        "10",
        "-c",
        "62.135.200.1:1000-1159",
        "--pool-is-routed",
    ];
    let options = options
        .iter()
        .fold(stand.options(), |all, one| all.more(one));
    let mut copier = start_with(&stand, &options);
    let said = copier.tcpcopy.log();
    for words in [
        "160 addresses and ports per target",
        "16 flows at a time",
        "collision",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let report = Clients::keep_alive(20, 400, 2).long(4).run(&stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    let seen = counts(&target);
    assert!(seen.values().all(|count| *count == 10));
    let flows = |requests: &[Request], wanted: &dyn Fn(&Request) -> bool| {
        let ports = requests.iter().filter(|request| wanted(request));
        ports
            .map(|request| request.client_port)
            .collect::<HashSet<_>>()
            .len()
    };
    let whole = flows(&online, &|request| seen.contains_key(request.id.as_str()));
    let all = flows(&online, &|_| true);
    assert_eq!((whole, all), (16, 20), "{}", summary.ledger());
    assert_eq!(
        (summary.captured(), summary.answered()),
        (10 * online.len() as u64, target.len() as u64),
        "{}",
        summary.ledger()
    );
    assert_eq!(
        summary.outcome("collision"),
        summary.captured() - summary.answered(),
        "{}",
        summary.ledger()
    );
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
    let report = Clients::short(500, 2).long(4).run(&stand);
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

/// Connections that were open when the copy started: nothing is missing of any after the first of its requests that was
/// copied, which is the one after its first turn boundary.
#[test]
fn joined_mid_stream_at_10k() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let clients = Clients::keep_alive(50, 10_000, 6).start(&stand);
    lab::interrupt::sleep(std::time::Duration::from_secs(2)).expect("no signal");
    let mut copier = start(&stand);
    let report = clients.wait();
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    let seen = counts(&target);
    assert!(
        seen.values().all(|count| *count == 1),
        "{}",
        summary.ledger()
    );
    let mut flows: HashMap<u16, Vec<bool>> = HashMap::new();
    for request in &online {
        let copied = seen.contains_key(request.id.as_str());
        flows.entry(request.client_port).or_default().push(copied);
    }
    let (mut earliest, mut latest) = (usize::MAX, 0);
    for (port, copied) in &flows {
        let first = copied.iter().position(|copied| *copied);
        let first = first.unwrap_or_else(|| panic!("{port} was never joined"));
        assert!(
            copied[first..].iter().all(|copied| *copied),
            "requests of {port} are missing; {}",
            summary.ledger()
        );
        (earliest, latest) = (earliest.min(first), latest.max(first));
    }
    assert_eq!(flows.len(), 50);
    // Connections take turns, but not strictly at this rate: each does one of 200 requests per second.
    assert!(
        latest - earliest < 40,
        "joined between request {earliest} and {latest}"
    );
    assert_eq!(
        (summary.captured(), summary.answered()),
        (target.len() as u64, target.len() as u64),
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
