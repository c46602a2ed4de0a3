//! Devices that are made of others: VLAN devices and their trunk, a bond whose active member fails, a bridge and its port.

use std::time::Duration;

use lab::copier::Options;
use lab::net::{CLIENT, ONLINE, ONLINE_INSIDE, TARGET};
use lab::{Host, Namespace, Topology, interrupt};
use tests::copying::{check_books, check_clients, check_nothing_left, finish, start_with};
use tests::{Stand, figures};

use super::copy::{complete, loads, run};

fn stand() -> Option<Stand> {
    super::stand(Topology::Direct, &["nginx", "bpftool"])
}

/// The usual copy on these interfaces.
fn on(stand: &Stand, interfaces: &str) -> Options {
    stand.options().more("-i").more(interfaces)
}

fn ip(namespace: &Namespace, arguments: &str) {
    let words: Vec<&str> = arguments.split(' ').collect();
    namespace
        .ip(&words)
        .unwrap_or_else(|error| panic!("this kernel may lack it: {error}"));
}

/// Moves an address from a device to a VLAN device on it.
fn tag(stand: &Stand, host: Host, device: &str, id: u16, address: &str) {
    let namespace = stand.lab.namespace(host);
    ip(&namespace, &format!("address flush dev {device}"));
    let link = format!("link add link {device} name {device}.{id} type vlan id {id}");
    ip(&namespace, &link);
    ip(&namespace, &format!("link set {device}.{id} up"));
    ip(
        &namespace,
        &format!("address add {address}/24 dev {device}.{id}"),
    );
}

/// Clients in VLAN 7, the target in VLAN 9.
fn tagged() -> Option<Stand> {
    let stand = stand()?;
    for (host, device, id, address) in [
        (Host::Client, "eth0", 7, CLIENT),
        (Host::Online, "eth0", 7, ONLINE),
        (Host::Online, "eth1", 9, ONLINE_INSIDE),
        (Host::Target, "eth0", 9, TARGET),
    ] {
        tag(&stand, host, device, id, &address.to_string());
    }
    stand.lab.route_again().expect("routes");
    Some(stand)
}

#[test]
fn vlan_devices() {
    let Some(stand) = tagged() else { return };
    complete(&stand, &on(&stand, "eth0.7,eth1.9"), &loads(), |_| {});
}

/// On the trunk packets are tagged: they are skipped, counted and told, clients notice nothing, and nothing is copied.
#[test]
fn vlan_trunk() {
    let Some(stand) = tagged() else { return };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_with(&stand, &on(&stand, "eth0,eth1.9"));
    let report = run(&stand, &loads());
    copier
        .tcpcopy
        .wait_for("-i eth0,eth1.9,eth0.7", Duration::from_secs(10))
        .expect("the run tells that it sees half, and what to name instead");
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    assert_eq!(summary.captured(), 0, "{}", summary.ledger());
    assert_eq!(target.finish().expect("log").len(), 0);
    let skipped = summary.count("/hooks/capture/vlan");
    assert!(skipped >= report.sent, "{skipped}: {}", summary.value());
    figures::note(&format!(
        "{skipped} tagged packets were skipped and counted on the trunk"
    ));
    check_nothing_left(&stand);
}

/// Two legs from the online host to a bridge, and a bond over them that has this address.
fn bond(stand: &Stand, bridge: Host, name: &str, device: &str, address: &str) {
    let (online, bridge) = (
        stand.lab.namespace(Host::Online),
        stand.lab.namespace(bridge),
    );
    let (second, peer) = (format!("{device}b"), format!("online-{device}b"));
    let pair = format!(
        "link add {second} type veth peer name {peer} netns {}",
        bridge.name()
    );
    ip(&online, &pair);
    ip(&bridge, &format!("link set {peer} master br0"));
    ip(&bridge, &format!("link set {peer} up"));
    ip(&online, &format!("address flush dev {device}"));
    let mode = format!("link add {name} type bond mode active-backup miimon 50 primary {device}");
    ip(&online, &mode);
    for leg in [device, &second] {
        ip(&online, &format!("link set {leg} down"));
        ip(&online, &format!("link set {leg} master {name}"));
    }
    ip(&online, &format!("link set {name} up"));
    ip(&online, &format!("address add {address}/24 dev {name}"));
}

/// Both links of the online host are bonds, and both change their active member in the middle of the load.
#[test]
fn bonds_that_fail_over() {
    let Some(stand) = stand() else { return };
    stand.lab.insert_wire().expect("a bridge");
    bond(&stand, Host::Wire, "bond0", "eth0", &ONLINE.to_string());
    bond(
        &stand,
        Host::Switch,
        "bond1",
        "eth1",
        &ONLINE_INSIDE.to_string(),
    );
    stand.lab.route_again().expect("routes");
    let lab = &stand.lab;
    let failures = std::thread::scope(|scope| {
        let failing = scope.spawn(|| {
            // The load begins when the servers and the copy stand; what fails while it runs is what counts.
            interrupt::wait_until("a captured request", Duration::from_secs(60), || {
                let seen = lab.run(
                    Host::Online,
                    "ss",
                    &["-Htn", "state", "established", "sport = :8080"],
                )?;
                Ok(!seen.trim().is_empty())
            })?;
            interrupt::sleep(Duration::from_secs(1))?;
            lab.namespace(Host::Wire).set_link("online-eth0", false)?;
            interrupt::sleep(Duration::from_secs(1))?;
            lab.namespace(Host::Switch).set_link("online-eth1", false)
        });
        complete(&stand, &on(&stand, "bond0,bond1"), &loads(), |_| {});
        failing.join().expect("no panic")
    });
    failures.expect("the members fail");
    for (bond, active) in [("bond0", "eth0b"), ("bond1", "eth1b")] {
        let file = format!("/proc/net/bonding/{bond}");
        let told = lab.run(Host::Online, "cat", &[&file]).expect("the bond");
        let line = format!("Currently Active Slave: {active}");
        assert!(told.contains(&line), "{told}");
    }
}

/// Makes the clients' device of the online host a port of a bridge that has its address.
fn bridged() -> Option<Stand> {
    let stand = stand()?;
    let online = stand.lab.namespace(Host::Online);
    ip(&online, "address flush dev eth0");
    ip(
        &online,
        "link add lan type bridge stp_state 0 forward_delay 0",
    );
    ip(&online, "link set eth0 master lan");
    ip(&online, "link set lan up");
    ip(&online, &format!("address add {ONLINE}/24 dev lan"));
    Some(stand)
}

#[test]
fn bridge() {
    let Some(stand) = bridged() else { return };
    complete(&stand, &on(&stand, "lan,eth1"), &loads(), |_| {});
}

#[test]
fn port_of_a_bridge() {
    let Some(stand) = bridged() else { return };
    complete(&stand, &on(&stand, "eth0,eth1"), &loads(), |_| {});
}
