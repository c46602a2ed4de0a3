//! A way to the target that is narrow or moves, and packets that are dropped late.

use lab::access_log::Comparison;
use lab::copier::{Copier, Options};
use lab::net::{ONLINE, TARGET};
use lab::nginx::{Config, Nginx};
use lab::{Host, Topology};
use tests::copying::{finish, start};
use tests::{Clients, PORT, check_complete, check_nothing_left};

use super::robust::{pause, survived};

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
    let report = Clients::keep_alive(20, 300, 3)
        .long(5)
        .and(&["--body", "20000"])
        .run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    assert_eq!(
        summary.count("/hooks/inject/too_big"),
        0,
        "the segments fit: {}",
        summary.value()
    );
    check_complete(&report, &online, &target, &summary);
    check_nothing_left(&stand);
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
    check_nothing_left(&stand);
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
    let clients = Clients::keep_alive(20, 500, 5).long(8).start(&stand);
    pause(2000);
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

/// The online host drops packets of its clients behind `capture`: what the online server got, the target gets.
#[test]
fn packets_dropped_behind_capture() {
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
    let report = Clients::keep_alive(50, 1000, 5).long(8).run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
}
