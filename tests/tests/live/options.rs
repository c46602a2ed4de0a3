//! What the options promise: workers, shares, limits, ends, and pools shared through one `intercept`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::access_log::{Comparison, Request};
use lab::copier::{Capture, Copier, Options, Summary, start_intercept};
use lab::interrupt;
use lab::net::TARGET;
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, check_nothing_left, finish};
use tests::{Clients, PORT, Stand, check_clean};

use super::places::{Seen, copied, nginx, start};

pub(super) fn online() -> SocketAddr {
    (lab::net::ONLINE, PORT).into()
}

pub(super) fn target() -> (Host, SocketAddr) {
    (Host::Target, (TARGET, PORT).into())
}

pub(super) fn with(options: Options, more: &[&str]) -> Options {
    more.iter()
        .fold(options, |options, argument| options.more(argument))
}

/// The usual copy, with more arguments.
fn copied_with(stand: &Stand, clients: &[Clients], more: &[&str]) -> Seen {
    let options = with(stand.options(), more);
    copied(stand, &[online()], target(), &options, clients)
}

fn exact_with(topology: Topology, clients: &[Clients], more: &[&str]) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    copied_with(&stand, clients, more).check(&stand);
}

fn mixed() -> [Clients; 2] {
    [
        Clients::keep_alive(50, 5_000, 2).long(4),
        Clients::short(1_000, 2).long(4),
    ]
}

#[test]
fn two_workers_direct() {
    exact_with(Topology::Direct, &mixed(), &["--workers", "2"]);
}

#[test]
fn two_workers_assistant() {
    exact_with(Topology::Assistant, &mixed(), &["--workers", "2"]);
}

#[test]
fn two_workers_af_xdp() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let mut options = with(stand.options(), &["--workers", "2"]);
    options.capture = Capture::AfXdp;
    copied(&stand, &[online()], target(), &options, &mixed()).check(&stand);
}

#[test]
fn short_connections_af_xdp() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let mut options = stand.options();
    options.capture = Capture::AfXdp;
    let clients = [Clients::short(1_000, 2).long(4)];
    copied(&stand, &[online()], target(), &options, &clients).check(&stand);
}

/// Departing by time only must not lose or repeat anything.
#[test]
fn without_waiting_for_responses() {
    exact_with(Topology::Direct, &mixed(), &["-W"]);
}

#[test]
fn a_pool_in_assistant_mode() {
    exact_with(Topology::Assistant, &mixed(), &["-c", "62.135.200.x"]);
}

/// The ids of each connection of the online server, in order.
fn flows(requests: &[Request]) -> BTreeMap<u16, Vec<&str>> {
    let mut flows: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for request in requests {
        flows
            .entry(request.client_port)
            .or_default()
            .push(&request.id);
    }
    flows
}

/// Checks the clients, the books, and that nothing was copied twice; returns the ids that the target has seen.
fn checked(seen: &Seen) -> BTreeSet<&str> {
    check_clients(&seen.report);
    check_books(&seen.summary);
    let comparison = Comparison::of(&seen.online, &seen.target);
    assert!(
        comparison.doubled.is_empty() && comparison.extra.is_empty(),
        "{comparison}; {}",
        seen.summary.ledger()
    );
    seen.target
        .iter()
        .map(|request| request.id.as_str())
        .collect()
}

/// How many flows were copied whole; none may be copied in part.
fn whole_flows(seen: &Seen) -> usize {
    let ids = checked(seen);
    let mut whole = 0;
    for (port, flow) in flows(&seen.online) {
        let copied = flow.iter().filter(|id| ids.contains(*id)).count();
        assert!(
            copied == 0 || copied == flow.len(),
            "{copied} of {} requests of the client's port {port}; {}",
            flow.len(),
            seen.summary.ledger()
        );
        whole += usize::from(copied > 0);
    }
    whole
}

#[test]
fn half_of_the_flows_and_each_whole() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let clients = [Clients::keep_alive(200, 1_000, 2).long(4)];
    let seen = copied_with(&stand, &clients, &["-r", "50", "--seed", "7"]);
    let whole = whole_flows(&seen);
    // 200 fair coins: 5 standard deviations are 35.
    assert!((65..=135).contains(&whole), "{whole} of 200 flows");
    assert_eq!(seen.summary.fidelity(), 1.0, "{}", seen.summary.ledger());
    check_clean(&stand);
}

/// Connections that were open before the start: whoever shares a place in the engine's tables, each is joined at its
/// next request, and from then on nothing is left out.
#[test]
fn each_of_many_open_connections_is_joined() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (servers(&stand), nginx(&stand, target().0, target().1));
    let clients = Clients::keep_alive(400, 1_600, 6).start(&stand);
    interrupt::sleep(Duration::from_millis(1500)).expect("no signal");
    let mut copier = start(&stand, &stand.options());
    let report = clients.wait();
    let summary = finish(&mut copier);
    let seen = Seen {
        report,
        online: online.finish().expect("log"),
        target: target.finish().expect("log"),
        summary,
    };
    let ids = checked(&seen);
    let mut joined_at = Vec::new();
    for (port, flow) in flows(&seen.online) {
        let first = flow
            .iter()
            .position(|id| ids.contains(id))
            .unwrap_or_else(|| panic!("the client's port {port} was never joined"));
        assert!(
            flow[first..].iter().all(|id| ids.contains(id)),
            "requests of the client's port {port} are missing; {}",
            seen.summary.ledger()
        );
        joined_at.push(first);
    }
    // Connections take turns, so all are joined within a few rounds of each other.
    let (first, last) = (joined_at.iter().min(), joined_at.iter().max());
    assert!(
        last.zip(first)
            .is_some_and(|(last, first)| last - first <= 4),
        "joined between request {first:?} and {last:?}"
    );
    check_clean(&stand);
}

#[test]
fn few_sessions_at_a_time() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let clients = [Clients::keep_alive(50, 1_000, 2).long(4)];
    let seen = copied_with(&stand, &clients, &["--max-sessions", "10"]);
    assert_eq!(whole_flows(&seen), 10, "{}", seen.summary.value());
    assert!(
        seen.summary.count("/sessions/shed") > 0,
        "{}",
        seen.summary.value()
    );
    check_clean(&stand);
}

#[test]
fn few_new_sessions_per_second() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let clients = [Clients::short(300, 4)];
    let seen = copied_with(&stand, &clients, &["--max-new-sessions", "50"]);
    let copied = checked(&seen).len();
    // 4 s touch 5 of the clock's seconds, and a busy machine another.
    assert!((150..=300).contains(&copied), "{copied} sessions");
    assert!(
        seen.summary.count("/sessions/shed") > 0,
        "{}",
        seen.summary.value()
    );
    check_clean(&stand);
}

#[test]
fn a_run_of_two_seconds() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (servers(&stand), nginx(&stand, target().0, target().1));
    let mut copier = start(&stand, &with(stand.options(), &["--duration", "2s"]));
    let clients = Clients::keep_alive(20, 500, 4).start(&stand);
    copier
        .tcpcopy
        .wait_success(Duration::from_secs(5))
        .unwrap_or_else(|error| panic!("{error}"));
    let report = clients.wait();
    let summary = copier.summary().expect("a summary");
    check_clients(&report);
    check_books(&summary);
    let waited = summary.captured() - summary.answered() - summary.outcome("pending");
    assert!(
        summary.answered() > 300 && waited == 0,
        "{}",
        summary.ledger()
    );
    check_clean(&stand);
}

fn servers(stand: &Stand) -> lab::nginx::Nginx {
    nginx(stand, Host::Online, online())
}

#[test]
fn a_fidelity_that_is_too_low() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let _online = servers(&stand);
    let options = with(stand.options(), &["--min-fidelity", "99"]);
    let mut copier = start(&stand, &options);
    let report = Clients::keep_alive(20, 500, 2).run(&stand);
    check_clients(&report);
    let status = copier
        .tcpcopy
        .stop(Signal::SIGINT, Duration::from_secs(20))
        .expect("it ends");
    assert_eq!(status.code(), Some(3), "{}", copier.tcpcopy.tail());
    assert!(
        copier.tcpcopy.log().contains("--min-fidelity"),
        "{}",
        copier.tcpcopy.tail()
    );
    check_books(&copier.summary().expect("a summary"));
    check_clean(&stand);
}

/// A target that accepts connections and never reads or answers.
fn stalled(stand: &Stand) -> std::net::TcpListener {
    tests::stand::listen(stand, Host::Target, PORT)
}

/// A second signal ends the drain; whatever waited is pending.
#[test]
fn a_second_signal_ends_at_once() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (servers(&stand), stalled(&stand));
    let mut copier = start(&stand, &stand.options());
    let report = Clients::keep_alive(20, 500, 2).run(&stand);
    check_clients(&report);
    copier.tcpcopy.signal(Signal::SIGINT).expect("a signal");
    interrupt::sleep(Duration::from_millis(700)).expect("no signal");
    copier.tcpcopy.expect_alive().expect("it drains");
    let second = Instant::now();
    copier.tcpcopy.signal(Signal::SIGINT).expect("a signal");
    copier
        .tcpcopy
        .wait_success(Duration::from_secs(5))
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(
        second.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        second.elapsed()
    );
    let summary = copier.summary().expect("a summary");
    check_books(&summary);
    assert_eq!(
        (summary.captured(), summary.outcome("pending")),
        (report.completed, report.completed),
        "{}",
        summary.ledger()
    );
    check_clean(&stand);
}

/// SIGTERM is as good as SIGINT.
#[test]
fn sigterm_ends_in_order() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (servers(&stand), nginx(&stand, target().0, target().1));
    let mut copier = start(&stand, &stand.options());
    let report = Clients::keep_alive(20, 500, 2).run(&stand);
    copier.tcpcopy.signal(Signal::SIGTERM).expect("a signal");
    copier
        .tcpcopy
        .wait_success(Duration::from_secs(12))
        .unwrap_or_else(|error| panic!("{error}"));
    let seen = Seen {
        report,
        online: online.finish().expect("log"),
        target: target.finish().expect("log"),
        summary: copier.summary().expect("a summary"),
    };
    seen.check(&stand);
}

/// Signals and memory: a target that takes nothing fills the budget, and not more.
#[test]
fn little_memory_and_a_stalled_target() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (servers(&stand), stalled(&stand));
    let options = with(stand.options(), &["--memory", "1M", "--drain", "1s"]);
    let mut copier = start(&stand, &options);
    let report = Clients::keep_alive(20, 100, 4)
        .and(&["--body", "200000"])
        .run(&stand);
    let before = copier.next_summary().expect("a summary");
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let context = format!("{}; {}", summary.ledger(), before.value());
    assert!(summary.outcome("shed") > 0, "{context}");
    assert_eq!(summary.answered(), 0, "{context}");
    check_clean(&stand);
}

/// Little memory and many short connections: new ones are left out, and none of those that run ends early.
#[test]
fn new_flows_are_left_out_before_running_ones_are_hurt() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (servers(&stand), stalled(&stand));
    let options = with(stand.options(), &["--memory", "2M", "--drain", "1s"]);
    let mut copier = start(&stand, &options);
    let report = Clients::short(100, 5).and(&["--body", "40000"]).run(&stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let context = format!("{}; {}", summary.ledger(), summary.value()["sessions"]);
    assert!(summary.count("/sessions/shed") > 0, "{context}");
    assert_eq!(summary.outcome("shed"), 0, "{context}");
    assert!(
        (1..report.completed).contains(&summary.captured()),
        "{context}"
    );
    assert!(
        copier.tcpcopy.log().contains("and 2 MiB may wait"),
        "{}",
        copier.tcpcopy.log()
    );
    check_clean(&stand);
}

/// Two online servers on two hosts, one with its clients' own addresses, one with a pool, share an `intercept`.
#[test]
fn two_copies_through_one_intercept() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let second = stand.lab.add_target(1).expect("a host");
    let at = SocketAddr::from((second.address().expect("an address"), PORT));
    let mut first_server = servers(&stand);
    let mut second_server = nginx(&stand, second, at);
    let mut target_server = nginx(&stand, target().0, target().1);
    // The assistant is a client as good as any of the second server.
    let far = Clients::keep_alive(20, 500, 4)
        .from(Host::Online)
        .at(at)
        .and(&["--first-id", "1"]);

    let first_options = stand.options();
    let mut intercept =
        start_intercept(&stand.lab, &stand.binaries, &first_options).expect("intercept");
    let mut second_options = Options::new(
        Topology::Assistant,
        &at.to_string(),
        &format!("{TARGET}:{PORT}"),
    );
    second_options = with(second_options, &["-c", "62.135.200.0/28"]);
    second_options.name = "tcpcopy-second".to_owned();
    let mut copiers: Vec<Copier> = [(&first_options, Host::Online), (&second_options, second)]
        .into_iter()
        .map(|(options, host)| {
            let mut copier =
                Copier::start_without_intercept(&stand.lab, &stand.binaries, options, host)
                    .expect("a copier");
            copier
                .tcpcopy
                .wait_for("ready", Duration::from_secs(20))
                .unwrap_or_else(|error| panic!("{error}"));
            copier
        })
        .collect();
    let far = far.start(&stand);
    let near = Clients::short(500, 4).run(&stand);
    let far = far.wait();
    let summaries: Vec<Summary> = copiers.iter_mut().map(finish).collect();
    intercept.expect_alive().expect("it serves on");
    intercept
        .stop(Signal::SIGTERM, Duration::from_secs(5))
        .expect("it ends");
    let mut online = first_server.finish().expect("log");
    online.extend(second_server.finish().expect("log"));
    let comparison = Comparison::of(&online, &target_server.finish().expect("log"));
    for (report, summary) in [&near, &far].into_iter().zip(&summaries) {
        check_clients(report);
        check_books(summary);
        assert_eq!(
            (summary.captured(), summary.answered()),
            (report.completed, report.completed),
            "{}; {comparison}",
            summary.ledger()
        );
    }
    assert!(comparison.is_exact(), "{comparison}");
    check_nothing_left(&stand);
    check_clean(&stand);
}
