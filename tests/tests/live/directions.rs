//! Devices that show packets the other way round, both ways, one way alone, or twice.

use std::net::{Ipv4Addr, SocketAddr};

use lab::copier::{Copier, Options, Summary};
use lab::net::{ASSISTANT, CLIENT, ONLINE, ONLINE_INSIDE, TARGET};
use lab::{Host, Topology};
use tests::copying::{check_clean, finish, start_with};
use tests::{Clients, PORT, Stand, check_complete};

use super::places::nginx;

fn stand() -> Option<Stand> {
    super::stand_with(Topology::Direct, &["nginx", "tc"])
}

fn ip(stand: &Stand, host: Host, command: &str) {
    let arguments: Vec<&str> = command.split(' ').collect();
    stand
        .lab
        .namespace(host)
        .ip(&arguments)
        .unwrap_or_else(|error| panic!("ip {command}: {error}"));
}

fn run(stand: &Stand, host: Host, command: &str) {
    let mut words = command.split(' ');
    let program = words.next().expect("a program");
    let arguments: Vec<&str> = words.collect();
    stand
        .lab
        .run(host, program, &arguments)
        .unwrap_or_else(|error| panic!("{command}: {error}"));
}

/// Copies from anywhere in the lab, with everything that clients ask at `online` compared.
fn copied(stand: &Stand, host: Host, options: &Options, online: SocketAddr, from: Host) -> Summary {
    copied_while(stand, host, options, online, from, || {})
}

/// The same, with something that happens while it goes on.
fn copied_while(
    stand: &Stand,
    host: Host,
    options: &Options,
    online: SocketAddr,
    from: Host,
    meanwhile: impl FnOnce(),
) -> Summary {
    let mut server = nginx(stand, Host::Online, online);
    let mut target = nginx(stand, Host::Target, (TARGET, PORT).into());
    let mut copier = if host == Host::Online {
        start_with(stand, options)
    } else {
        let mut copier =
            Copier::start_without_intercept(&stand.lab, &stand.binaries, options, host)
                .unwrap_or_else(|error| panic!("{error}"));
        copier
            .tcpcopy
            .wait_for("ready", std::time::Duration::from_secs(20))
            .unwrap_or_else(|error| panic!("{error}"));
        copier
    };
    let clients = [Clients::keep_alive(10, 300, 3), Clients::short(100, 3)];
    let running = clients.map(|clients| clients.at(online).from(from).start(stand));
    meanwhile();
    let [mut report, more] = running.map(tests::clients::Running::wait);
    report.sent += more.sent;
    report.completed += more.completed;
    report.connections += more.connections;
    report.errors.extend(more.errors);
    let summary = finish(&mut copier);
    let (online, target) = (
        server.finish().expect("online log"),
        target.finish().expect("target log"),
    );
    eprintln!("{}; {}", summary.ledger(), duplicates(&summary));
    check_complete(&report, &online, &target, &summary);
    summary
}

/// Packets that were shown twice, in words.
fn duplicates(summary: &Summary) -> String {
    let [clients, online] =
        ["clients", "online"].map(|row| summary.count(&format!("/kernel/{row}/duplicates")));
    format!("duplicates: {clients} of clients, {online} of the online server")
}

/// Has a device show whatever passes it, both ways, by another device of its host.
fn mirror(stand: &Stand, host: Host, device: &str, by: &str) {
    // There may be one already.
    let _ = stand
        .lab
        .run(host, "tc", &["qdisc", "add", "dev", device, "clsact"]);
    for hook in ["ingress", "egress"] {
        run(
            stand,
            host,
            &format!(
                "tc filter add dev {device} {hook} protocol all u32 match u32 0 0 \
                 action mirred egress mirror dev {by}"
            ),
        );
    }
}

/// The same over a cable of its own, which ends as `span` at another host.
fn mirror_to(stand: &Stand, host: Host, device: &str, to: Host, span: &str) {
    let (here, there) = (format!("to-{span}"), stand.lab.namespace(to));
    let link = format!(
        "link add {here} type veth peer name {span} netns {}",
        there.name()
    );
    ip(stand, host, &link);
    ip(stand, host, &format!("link set {here} up"));
    ip(stand, to, &format!("link set {span} up"));
    mirror(stand, host, device, &here);
}

/// A host beside the online server is shown its traffic, as by a SPAN port. It sees its own copies and their answers there as
/// well, which are neither clients nor replies.
#[test]
fn mirror_port() {
    let Some(stand) = stand() else {
        return;
    };
    mirror_to(&stand, Host::Online, "eth0", Host::Assistant, "span0");
    mirror_to(
        &stand,
        Host::Switch,
        "target-eth0",
        Host::Assistant,
        "span1",
    );
    let online = (ONLINE, PORT).into();
    for rule in [format!("{PORT}"), format!("{ONLINE}:{PORT}")] {
        let mut options = stand.options().more("-i").more("span0:mirror,span1:mirror");
        options.rules = format!("{rule}-{TARGET}:{PORT}");
        let summary = copied(&stand, Host::Assistant, &options, online, Host::Client);
        assert_eq!(summary.count("/kernel/capture/other_host"), 0);
        let replies = summary.count("/kernel/reply/matched");
        assert!(replies > 0, "replies are consumed where they arrive");
    }
}

/// As clouds mirror: in VXLAN, by the device of which the packets come out. Copies leave by the device that it comes in by.
#[test]
fn mirror_in_a_tunnel() {
    let Some(stand) = stand() else {
        return;
    };
    for (host, local, remote) in [
        (Host::Online, ONLINE_INSIDE, ASSISTANT),
        (Host::Assistant, ASSISTANT, ONLINE_INSIDE),
    ] {
        let tunnel = format!(
            "link add vx0 type vxlan id 7 local {local} remote {remote} dev {} dstport 4789",
            if host == Host::Online { "eth1" } else { "eth0" }
        );
        ip(&stand, host, &tunnel);
        ip(&stand, host, "link set vx0 up");
    }
    mirror(&stand, Host::Online, "eth0", "vx0");
    let options = stand.options().more("-i").more("vx0:mirror");
    let online = (ONLINE, PORT).into();
    copied(&stand, Host::Assistant, &options, online, Host::Client);
    // The device of the mirror may be that of the copies as well.
    let options = stand.options().more("-i").more("vx0:mirror,eth0:mirror");
    copied(&stand, Host::Assistant, &options, online, Host::Client);
}

/// The online server is a container, and the copy runs on its host.
#[test]
fn host_end_of_a_containers_link() {
    let Some(stand) = stand() else {
        return;
    };
    ip(&stand, Host::Switch, "address add 10.0.2.250/24 dev br0");
    let online = (ONLINE_INSIDE, PORT).into();
    for rule in [format!("{PORT}"), format!("{ONLINE_INSIDE}:{PORT}")] {
        let mut options = stand.options().more("-i").more("online-eth1:host");
        options.rules = format!("{rule}-{TARGET}:{PORT}");
        copied(&stand, Host::Switch, &options, online, Host::Assistant);
    }
    // The target in the same place: what it answers comes in by the bridge and by the container's link.
    let options = stand.options().more("-i").more("online-eth1:host,br0");
    let options = Options {
        rules: format!("{ONLINE_INSIDE}:{PORT}-{TARGET}:{PORT}"),
        ..options
    };
    copied(&stand, Host::Switch, &options, online, Host::Assistant);
}

/// A second link between client and online server, by which what the online server answers can leave.
fn second_link(stand: &Stand) {
    let client = stand.lab.namespace(Host::Client);
    ip(
        stand,
        Host::Online,
        &format!(
            "link add eth9 type veth peer name eth9 netns {}",
            client.name()
        ),
    );
    for host in [Host::Online, Host::Client] {
        ip(stand, host, "link set eth9 up");
        for device in ["all", "eth0", "eth9"] {
            let name = format!("net.ipv4.conf.{device}.rp_filter");
            stand.lab.namespace(host).set(&name, "0").expect("sysctl");
        }
    }
    ip(stand, Host::Online, "address add 10.0.9.1/24 dev eth9");
    ip(stand, Host::Client, "address add 10.0.9.2/24 dev eth9");
}

#[test]
fn answers_that_leave_by_another_device() {
    let Some(stand) = stand() else {
        return;
    };
    second_link(&stand);
    let online = SocketAddr::from((ONLINE, PORT));
    let to_client = format!("route add {CLIENT}/32 via 10.0.9.2");
    ip(&stand, Host::Online, &to_client);
    let named = stand.options().more("-i").more("eth0");
    copied(&stand, Host::Online, &named, online, Host::Client);
    let found = Options {
        finds_interfaces: true,
        ..stand.options()
    };
    copied(&stand, Host::Online, &found, online, Host::Client);
    // A rule decides (`ip rule`), by a table of its own; and that while the run goes on.
    ip(&stand, Host::Online, &to_client.replace("add", "del"));
    ip(&stand, Host::Online, "link set eth9 down");
    copied_while(&stand, Host::Online, &named, online, Host::Client, || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        ip(&stand, Host::Online, "link set eth9 up");
        ip(&stand, Host::Online, &format!("{to_client} table 77"));
        // What watches routes has a moment before they are used.
        std::thread::sleep(std::time::Duration::from_millis(500));
        ip(
            &stand,
            Host::Online,
            &format!("rule add from {ONLINE} lookup 77"),
        );
    });
    check_clean(&stand);
}

/// An address on lo, as LVS wants it (a dummy device is the same to us): requests come in by the device of the default route, answers leave by another one.
#[test]
fn answers_of_an_address_on_lo() {
    let Some(stand) = stand() else {
        return;
    };
    second_link(&stand);
    let address = Ipv4Addr::new(10, 0, 77, 1);
    ip(
        &stand,
        Host::Online,
        &format!("address add {address}/32 dev lo"),
    );
    ip(
        &stand,
        Host::Online,
        &format!("route add default via {CLIENT}"),
    );
    ip(
        &stand,
        Host::Online,
        &format!("route add {CLIENT}/32 via 10.0.9.2"),
    );
    let mut options = stand.options();
    options.finds_interfaces = true;
    options.rules = format!("{address}:{PORT}-{TARGET}:{PORT}");
    let online = (address, PORT).into();
    copied(&stand, Host::Online, &options, online, Host::Client);
    check_clean(&stand);
}

/// A bridge and its member, a device and its mirror: each packet once.
#[test]
fn devices_that_show_the_same_packets() {
    let Some(stand) = stand() else {
        return;
    };
    // The address moves from the device to a bridge above it.
    ip(
        &stand,
        Host::Online,
        "link add brx type bridge stp_state 0 forward_delay 0",
    );
    ip(&stand, Host::Online, "link set brx up");
    ip(
        &stand,
        Host::Online,
        &format!("address del {ONLINE}/24 dev eth0"),
    );
    ip(&stand, Host::Online, "link set eth0 master brx");
    ip(
        &stand,
        Host::Online,
        &format!("address add {ONLINE}/24 dev brx"),
    );
    mirror_to(&stand, Host::Online, "brx", Host::Online, "span0");
    let online = (ONLINE, PORT).into();
    for devices in ["brx,eth0", "brx,span0:mirror", "eth0,brx,span0:mirror"] {
        let options = stand.options().more("-i").more(devices);
        let summary = copied(&stand, Host::Online, &options, online, Host::Client);
        for row in ["clients", "online"] {
            let count = |term: &str| summary.count(&format!("/kernel/{row}/{term}"));
            let others = devices.split(',').count() as u64 - 1;
            // One record in a hundred may be late, or be of packets that are cut otherwise.
            let expected = count("parsed") * others;
            assert!(
                count("duplicates").abs_diff(expected) * 100 <= expected,
                "{devices}: {}",
                summary.value()["kernel"][row]
            );
        }
    }
    check_clean(&stand);
}
