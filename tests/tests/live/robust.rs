//! What goes wrong in real networks: in each case the clients of the online server notice nothing, the copy does not
//! exit, nothing stays behind, the next start works, and the ledger says what happened to every turn.

use std::time::Duration;

use lab::access_log::Comparison;
use lab::copier::{Copier, Options, Summary};
use lab::load::Report;
use lab::net::{ONLINE, ONLINE_INSIDE, TARGET};
use lab::nginx::{Config, Nginx};
use lab::{Host, Topology, interrupt};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, check_nothing_left, finish, start, start_with};
use tests::{Clients, PORT, Stand, check_clean, check_complete};

pub(super) fn pause(milliseconds: u64) {
    interrupt::sleep(Duration::from_millis(milliseconds)).expect("no signal");
}

/// The clients noticed nothing, the books are right, and nothing is left.
pub(super) fn survived(stand: &Stand, report: &Report, summary: &Summary) {
    check_clients(report);
    check_books(summary);
    assert!(summary.captured() > 0, "nothing was captured");
    check_clean(stand);
}

#[test]
fn target_down_for_2_seconds() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::short(300, 10).start(&stand);
    pause(2000);
    target
        .process()
        .stop(Signal::SIGKILL, Duration::from_secs(2))
        .expect("nginx dies");
    pause(2000);
    let mut target = stand.nginx(Host::Target);
    let report = clients.wait();
    let summary = finish(&mut copier);
    let after = target.finish().expect("log").len();
    // 6 s of 300 requests follow the outage; half of them allow for a target that is probed before it is trusted.
    assert!(
        after > 900,
        "only {after} requests after the outage: {}",
        summary.ledger()
    );
    survived(&stand, &report, &summary);
}

#[test]
fn target_link_down_for_2_seconds() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 500, 10).start(&stand);
    pause(2000);
    // The switch's side: the target's own would lose its routes.
    stand
        .lab
        .namespace(Host::Switch)
        .set_link("target-eth0", false)
        .expect("link");
    pause(2000);
    stand
        .lab
        .namespace(Host::Switch)
        .set_link("target-eth0", true)
        .expect("link");
    let report = clients.wait();
    let summary = finish(&mut copier);
    let requests = target.finish().expect("log").len() as u64;
    assert!(
        requests * 10 > report.completed * 7,
        "{requests} of {}: {}",
        report.completed,
        summary.ledger()
    );
    survived(&stand, &report, &summary);
}

#[test]
fn closed_target_port() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let _online = stand.nginx(Host::Online);
    // Nothing is to come of what waits at the end.
    let mut copier = start_with(&stand, &stand.options().more("--drain").more("1s"));
    let report = Clients::keep_alive(20, 500, 4).run(&stand);
    let summary = finish(&mut copier);
    assert_eq!(summary.answered(), 0, "{}", summary.ledger());
    assert!(
        summary.outcome("refused") + summary.outcome("shed") > 0,
        "{}",
        summary.ledger()
    );
    survived(&stand, &report, &summary);
}

#[test]
fn of_two_targets_the_dead_one_does_not_hurt_the_other() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let second = Config::new("nginx-second", (ONLINE, PORT + 1).into());
    let _second = Nginx::start(&stand.lab, Host::Online, &second).expect("nginx");
    // Nobody answers ARP for 10.0.2.77.
    // Nothing is to come of what waits for the dead one at the end.
    let mut options = stand.options().more("--drain").more("3s");
    options.rules = format!("{},{ONLINE}:{}-10.0.2.77:{PORT}", options.rules, PORT + 1);
    let mut copier = Copier::start(&stand.lab, &stand.binaries, &options)
        .unwrap_or_else(|error| panic!("{error}"));
    let dead = Clients::short(200, 4).at_port(PORT + 1);
    let dead = dead.start(&stand);
    let report = Clients::keep_alive(20, 1000, 4).run(&stand);
    let dead = dead.wait();
    let summary = finish(&mut copier);
    let comparison = Comparison::of(
        &online.finish().expect("log"),
        &target.finish().expect("log"),
    );
    assert!(comparison.is_exact(), "{comparison}; {}", summary.ledger());
    check_clients(&dead);
    survived(&stand, &report, &summary);
}

#[test]
fn tcpcopy_killed_and_started_again() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut killed = start(&stand);
    let clients = Clients::keep_alive(50, 1000, 9).long(12).start(&stand);
    pause(2000);
    killed
        .tcpcopy
        .stop(Signal::SIGKILL, Duration::from_secs(5))
        .expect("tcpcopy dies");
    let mut copier = start(&stand);
    let report = clients.wait();
    let summary = finish(&mut copier);
    let comparison = Comparison::of(
        &online.finish().expect("log"),
        &target.finish().expect("log"),
    );
    assert!(
        comparison.doubled.is_empty() && comparison.extra.is_empty(),
        "{comparison}"
    );
    assert!(
        comparison.fidelity() > 0.6,
        "{comparison}; {}",
        summary.ledger()
    );
    survived(&stand, &report, &summary);
}

/// A copies to B and B copies to A: without a mark on copies they would feed on each other for ever.
#[test]
fn two_copiers_facing_each_other() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let back = Config::new("nginx-inside", (ONLINE_INSIDE, PORT).into());
    let mut back_server = Nginx::start(&stand.lab, Host::Online, &back).expect("nginx");
    let mut forth = start(&stand);
    let options = Options::new(
        Topology::Direct,
        &format!("{TARGET}:{PORT}"),
        &format!("{ONLINE_INSIDE}:{PORT}"),
    );
    let mut back =
        Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Target)
            .expect("the second copier");
    back.tcpcopy
        .wait_for("ready", Duration::from_secs(20))
        .expect("the second copier");
    let report = Clients::keep_alive(20, 500, 4).run(&stand);
    pause(1000);
    let (there, here) = (finish(&mut forth), finish(&mut back));
    let comparison = Comparison::of(
        &online.finish().expect("log"),
        &target.finish().expect("log"),
    );
    assert!(comparison.is_exact(), "{comparison}; {}", there.ledger());
    assert_eq!(here.captured(), 0, "copies were copied: {}", here.ledger());
    assert_eq!(
        back_server.finish().expect("log").len(),
        0,
        "copies came back"
    );
    check_nothing_left(&stand);
    survived(&stand, &report, &there);
}

#[test]
fn syn_flood_at_the_online_server() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 500, 4).start(&stand);
    pause(1000);
    let sent = stand
        .lab
        .namespace(Host::Client)
        .enter(|| super::flood::syn_flood(ONLINE, PORT, 20_000));
    assert!(sent.expect("the namespace").expect("raw socket") >= 20_000);
    let report = clients.wait();
    let summary = finish(&mut copier);
    let comparison = Comparison::of(
        &online.finish().expect("log"),
        &target.finish().expect("log"),
    );
    assert!(comparison.is_exact(), "{comparison}; {}", summary.ledger());
    survived(&stand, &report, &summary);
}

/// The online host speaks to the target on its own account: its packets are none of the copy's business.
#[test]
fn the_online_host_uses_the_target_itself() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "curl"]) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 500, 5).start(&stand);
    let url = format!("http://{TARGET}:{PORT}/?id=curl");
    for _ in 0..20 {
        let body = stand
            .lab
            .run(Host::Online, "curl", &["-sS", "--max-time", "5", &url])
            .expect("curl");
        assert_eq!(body.len(), 600);
        pause(100);
    }
    let report = clients.wait();
    let summary = finish(&mut copier);
    let (online, mut target) = (online.finish().expect("log"), target.finish().expect("log"));
    let copies = target.len();
    target.retain(|request| request.id != "curl");
    assert_eq!(copies - target.len(), 20);
    check_complete(&report, &online, &target, &summary);
    check_clean(&stand);
}
