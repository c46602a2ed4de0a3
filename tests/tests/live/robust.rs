//! What goes wrong in real networks: in each case the clients of the online server notice nothing, the copy does not
//! exit, nothing stays behind, the next start works, and the ledger says what happened to every turn.

use std::io::{Read, Write};
use std::time::Duration;

use lab::access_log::Comparison;
use lab::copier::{Copier, Options, Summary};
use lab::load::Report;
use lab::net::{CLIENT_PREFIX, ONLINE, ONLINE_INSIDE, TARGET};
use lab::nginx::{Config, Nginx};
use lab::{Host, Topology, interrupt};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, check_nothing_left, finish, start};
use tests::{Clients, PORT, Stand, check_clean, check_complete};

fn pause(milliseconds: u64) {
    interrupt::sleep(Duration::from_millis(milliseconds)).expect("no signal");
}

/// The clients noticed nothing, the books are right, and nothing is left.
fn survived(stand: &Stand, report: &Report, summary: &Summary) {
    check_clients(report);
    check_books(summary);
    assert!(summary.captured() > 0, "nothing was captured");
    check_clean(stand);
}

#[test]
fn egress_mtu_of_1400() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    stand
        .lab
        .namespace(Host::Online)
        .set_mtu("eth1", 1400)
        .expect("mtu");
    let mut copier = start(&stand);
    let report = Clients::keep_alive(20, 300, 5)
        .and(&["--body", "20000"])
        .run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    assert_eq!(
        summary.count("/kernel/inject/too_big"),
        0,
        "the segments fit: {}",
        summary.value()
    );
    check_complete(&report, &online, &target, &summary);
    check_clean(&stand);
}

/// The MTU falls while sessions run: what was sent too big is counted, and sent again in smaller pieces.
#[test]
fn egress_mtu_falls_under_load() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 300, 6)
        .and(&["--body", "20000"])
        .start(&stand);
    pause(2000);
    stand
        .lab
        .namespace(Host::Online)
        .set_mtu("eth1", 1400)
        .expect("mtu");
    let report = clients.wait();
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_clean(&stand);
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
    let mut copier = start(&stand);
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
    let mut options = stand.options();
    options.rules = format!("{},{ONLINE}:{}-10.0.2.77:{PORT}", options.rules, PORT + 1);
    let mut copier = Copier::start(&stand.lab, &stand.binaries, &options)
        .unwrap_or_else(|error| panic!("{error}"));
    let dead = Clients::short(200, 6).at_port(PORT + 1);
    let dead = dead.start(&stand);
    let report = Clients::keep_alive(20, 1000, 6).run(&stand);
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
fn intercept_killed_and_started_again() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = stand.options();
    let mut copier = start(&stand);
    let clients = Clients::short(300, 12).start(&stand);
    pause(2000);
    let mut killed = copier.intercept.take().expect("an intercept");
    killed
        .stop(Signal::SIGKILL, Duration::from_secs(2))
        .expect("intercept dies");
    pause(1000);
    copier
        .tcpcopy
        .expect_alive()
        .expect("tcpcopy goes on without intercept");
    copier.intercept = Some(
        lab::copier::start_intercept(&stand.lab, &stand.binaries, &options)
            .expect("intercept starts again"),
    );
    let report = clients.wait();
    let summary = finish(&mut copier);
    let requests = target.finish().expect("log").len() as u64;
    assert!(
        requests * 10 > report.completed * 6,
        "{requests} of {}: {}",
        report.completed,
        summary.ledger()
    );
    survived(&stand, &report, &summary);
}

#[test]
fn tcpcopy_killed_and_started_again() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut killed = start(&stand);
    let clients = Clients::keep_alive(50, 1000, 12).start(&stand);
    pause(3000);
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

/// The route to the target moves to another device while sessions run.
#[test]
fn route_to_the_target_changes() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    // An address of the target that is not on a link, so that routes decide.
    let far = "10.9.9.9";
    let (online_host, target_host) = (
        stand.lab.namespace(Host::Online),
        stand.lab.namespace(Host::Target),
    );
    target_host
        .add_address("lo", &format!("{far}/32"))
        .expect("address");
    online_host
        .ip(&["route", "add", far, "via", &TARGET.to_string()])
        .expect("route");
    online_host
        .ip(&[
            "link",
            "add",
            "eth2",
            "type",
            "veth",
            "peer",
            "name",
            "eth1",
            "netns",
            target_host.name(),
        ])
        .expect("link");
    online_host
        .add_address("eth2", "10.0.3.1/24")
        .expect("address");
    target_host
        .add_address("eth1", "10.0.3.2/24")
        .expect("address");
    online_host.set_link("eth2", true).expect("link");
    target_host.set_link("eth1", true).expect("link");
    let mut online = stand.nginx(Host::Online);
    let config = Config::new(
        "nginx-far",
        format!("{far}:{PORT}").parse().expect("an address"),
    );
    let mut target = Nginx::start(&stand.lab, Host::Target, &config).expect("nginx");

    let options = Options::new(
        Topology::Direct,
        &format!("{ONLINE}:{PORT}"),
        &format!("{far}:{PORT}"),
    );
    let mut copier = Copier::start(&stand.lab, &stand.binaries, &options)
        .unwrap_or_else(|error| panic!("{error}"));
    let clients = Clients::keep_alive(20, 500, 8).start(&stand);
    pause(3000);
    online_host
        .ip(&["route", "replace", far, "via", "10.0.3.2"])
        .expect("route");
    let report = clients.wait();
    let summary = finish(&mut copier);
    let comparison = Comparison::of(
        &online.finish().expect("log"),
        &target.finish().expect("log"),
    );
    assert!(comparison.is_exact(), "{comparison}; {}", summary.ledger());
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
    let clients = Clients::keep_alive(20, 500, 6).start(&stand);
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

/// With the clients' own addresses and no way back through `intercept` nothing may be copied: the target's replies
/// would reach real clients.
#[test]
fn nothing_is_copied_before_the_path_is_proven() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    // The target answers clients through the online server, which does not forward.
    stand
        .lab
        .namespace(Host::Target)
        .ip(&[
            "route",
            "replace",
            CLIENT_PREFIX,
            "via",
            &ONLINE_INSIDE.to_string(),
        ])
        .expect("route");
    let options = stand.options();
    let _intercept =
        lab::copier::start_intercept(&stand.lab, &stand.binaries, &options).expect("intercept");
    let mut copier =
        Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online)
            .expect("tcpcopy");
    let report = Clients::keep_alive(20, 500, 5).run(&stand);
    let _ = copier.tcpcopy.signal(Signal::SIGINT);
    let _ = copier
        .tcpcopy
        .wait(Duration::from_secs(20))
        .expect("tcpcopy ends");
    check_clients(&report);
    assert_eq!(
        target.finish().expect("log").len(),
        0,
        "{}",
        copier.tcpcopy.log()
    );
    check_nothing_left(&stand);
}

/// 1 % of the copies get lost on the way: they are sent again, and no request is missing or double.
#[test]
fn lossy_way_to_the_target() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "iptables"]) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    stand
        .lab
        .namespace(Host::Target)
        .lose_arriving(0.01)
        .expect("iptables");
    let mut copier = start(&stand);
    let report = Clients::keep_alive(50, 1000, 8).run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    stand
        .lab
        .namespace(Host::Target)
        .lose_nothing()
        .expect("iptables");
    check_clean(&stand);
}

/// 1 % of the packets between clients and online server get lost: what the online server got, the target gets.
#[test]
fn lossy_way_between_clients_and_online_server() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "iptables"]) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    // Lost behind `capture`, which then sees each lost packet twice: once lost and once again.
    let namespace = stand.lab.namespace(Host::Online);
    let port = PORT.to_string();
    let probability = [
        "-m",
        "statistic",
        "--mode",
        "random",
        "--probability",
        "0.01",
    ];
    let mut conditions = vec!["-p", "tcp", "--dport", &port];
    conditions.extend(probability);
    namespace.drop_matching(&conditions).expect("iptables");
    stand
        .lab
        .namespace(Host::Client)
        .lose_arriving(0.01)
        .expect("iptables");
    let mut copier = start(&stand);
    let report = Clients::keep_alive(50, 1000, 8).run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
}

/// Whoever speaks nonsense to `intercept` is shown out, and nobody else notices.
#[test]
fn garbage_on_the_channel() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 1000, 6).start(&stand);
    pause(1000);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0; 4096]] {
        let closed = stand
            .lab
            .namespace(Host::Online)
            .enter(|| shown_out(garbage))
            .expect("the namespace");
        assert!(
            closed.expect("a connection"),
            "intercept keeps a connection that speaks nonsense"
        );
    }
    let report = clients.wait();
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_clean(&stand);
}

/// Whether `intercept` closes a connection on which this is said.
fn shown_out(garbage: &[u8]) -> std::io::Result<bool> {
    let address = std::net::SocketAddr::from((lab::net::ASSISTANT, lab::copier::CHANNEL_PORT));
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // It may be closed before all is written.
    let _ = stream.write_all(garbage);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => Ok(true),
        Err(error) => Ok(error.kind() == std::io::ErrorKind::ConnectionReset),
    }
}
