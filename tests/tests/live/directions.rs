//! Devices that show packets the other way round, both ways, one way alone, or twice.

use std::net::{Ipv4Addr, SocketAddr};

use lab::copier::{Copier, Options, Summary};
use lab::net::{ASSISTANT, CLIENT, ONLINE, ONLINE_INSIDE, TARGET};
use lab::{Host, Topology};
use tests::copying::{check_clean, finish, start_with};
use tests::{Clients, PORT, Stand, check_complete};

use super::own_traffic::{CONTAINER, CONTAINER_ADDRESS, container};
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

/// Who serves and who asks.
#[derive(Clone, Copy)]
struct Scene {
    server: (Host, SocketAddr),
    /// Where clients ask, and who they are.
    asked: SocketAddr,
    clients: Host,
}

impl Scene {
    /// Clients of the online server, which listens at this address.
    fn at(address: Ipv4Addr) -> Self {
        let here = (address, PORT).into();
        Self {
            server: (Host::Online, here),
            asked: here,
            clients: Host::Client,
        }
    }

    fn from(self, clients: Host) -> Self {
        Self { clients, ..self }
    }
}

/// Copies from anywhere in the lab, with everything that clients ask compared.
fn copied(stand: &Stand, host: Host, options: &Options, scene: Scene) -> Summary {
    copied_while(stand, host, options, scene, || {})
}

/// The same, with something that happens while it goes on.
fn copied_while(
    stand: &Stand,
    host: Host,
    options: &Options,
    scene: Scene,
    meanwhile: impl FnOnce(),
) -> Summary {
    let mut server = nginx(stand, scene.server.0, scene.server.1);
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
    let clients = [Clients::keep_alive(10, 300, 2), Clients::short(100, 2)];
    let running = clients.map(|clients| clients.at(scene.asked).from(scene.clients).start(stand));
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
        ["clients", "online"].map(|row| summary.count(&format!("/hooks/{row}/duplicates")));
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
    let mut options = stand.options().more("-i").more("span0:mirror,span1:mirror");
    options.rules = format!("{PORT}-{TARGET}:{PORT}");
    let summary = copied(&stand, Host::Assistant, &options, Scene::at(ONLINE));
    options.capture = lab::copier::Capture::AfXdp;
    copied(&stand, Host::Assistant, &options, Scene::at(ONLINE));
    assert_eq!(summary.count("/hooks/capture/other_host"), 0);
    let replies = summary.count("/hooks/reply/matched");
    assert!(replies > 0, "replies are consumed where they arrive");
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
    // The other end of the tunnel must be known before packets are mirrored into it: only a few wait for ARP, and a mirror that
    // loses some is another test's matter.
    let known = format!("echo >/dev/tcp/{ASSISTANT}/9 || true");
    stand
        .lab
        .run(Host::Online, "bash", &["-c", &known])
        .expect("bash");
    mirror(&stand, Host::Online, "eth0", "vx0");
    // And the whole way through it: what is mirrored first finds caches that are empty, and may be lost.
    let asked = format!("for i in 1 2 3; do echo >/dev/tcp/{ONLINE}/9 || true; sleep 0.2; done");
    stand
        .lab
        .run(Host::Client, "bash", &["-c", &asked])
        .expect("bash");
    // The device of the mirror may be that of the copies as well.
    // Older kernels attach otherwise.
    let options = stand.options().more("-i").more("vx0:mirror,eth0:mirror");
    let options = options.more("--hook").more("clsact");
    copied(&stand, Host::Assistant, &options, Scene::at(ONLINE));
    let _target = nginx(&stand, Host::Target, (TARGET, PORT).into());
    let spec = lab::Spec::new("doctor", &stand.binaries.tcpcopy)
        .args(["doctor", "-x", &options.rules])
        .args(&options.more);
    let mut doctor = stand.lab.spawn(Host::Assistant, &spec).expect("the doctor");
    let status = doctor
        .wait(std::time::Duration::from_secs(20))
        .expect("it ends");
    let said = doctor.output();
    assert_eq!(status.code(), Some(0), "{said}");
    for words in ["replies on eth0, overhear on vx0", "both sides of mirrored"] {
        assert!(said.contains(words), "{said}");
    }
}

/// The online server is a container, and the copy runs on its host.
#[test]
fn host_end_of_a_containers_link() {
    let Some(stand) = stand() else {
        return;
    };
    ip(&stand, Host::Switch, "address add 10.0.2.250/24 dev br0");
    for (devices, rule) in [
        ("online-eth1:host", format!("{PORT}")),
        // The bridge is where copies leave, too.
        ("online-eth1:host,br0", format!("{ONLINE_INSIDE}:{PORT}")),
    ] {
        let mut options = stand.options().more("-i").more(devices);
        options.rules = format!("{rule}-{TARGET}:{PORT}");
        if devices.contains("br0") {
            options = options.more("--hook").more("clsact");
        }
        let scene = Scene::at(ONLINE_INSIDE).from(Host::Assistant);
        copied(&stand, Host::Switch, &options, scene);
    }
}

/// Clients ask the host's address, which publishes the container's port: each request comes in by the device that copies leave by,
/// and leaves by the container's link with the container's address. It is copied once.
#[test]
fn host_end_of_a_link_behind_a_published_port() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "iptables"]) else {
        return;
    };
    container(&stand, "50000-50999");
    let published = format!(
        "iptables -w -t nat -A PREROUTING -d {ONLINE_INSIDE} -p tcp --dport {PORT} -j DNAT --to {CONTAINER_ADDRESS}"
    );
    run(&stand, Host::Online, &published);
    let scene = Scene {
        server: (CONTAINER, (CONTAINER_ADDRESS, PORT).into()),
        asked: (ONLINE_INSIDE, PORT).into(),
        clients: Host::Assistant,
    };
    let mut options = stand.options().more("-i").more("ctr0:host");
    options.rules = format!("{PORT}-{TARGET}:{PORT}");
    copied(&stand, Host::Online, &options, scene);
    check_clean(&stand);
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
    let to_client = format!("route add {CLIENT}/32 via 10.0.9.2");
    ip(&stand, Host::Online, &to_client);
    let named = stand.options().more("-i").more("eth0");
    copied(&stand, Host::Online, &named, Scene::at(ONLINE));
    // Some connections by one device, some by the other.
    let paths = format!("route replace {CLIENT}/32 nexthop via 10.0.9.2 nexthop dev eth0");
    ip(&stand, Host::Online, &paths);
    let by_ports = "net.ipv4.fib_multipath_hash_policy";
    stand
        .lab
        .namespace(Host::Online)
        .set(by_ports, "1")
        .expect("sysctl");
    let found = Options {
        finds_interfaces: true,
        ..stand.options()
    };
    copied(&stand, Host::Online, &found, Scene::at(ONLINE));
    // A rule decides (`ip rule`), by a table of its own; and that while the run goes on.
    ip(&stand, Host::Online, &format!("route del {CLIENT}/32"));
    ip(&stand, Host::Online, "link set eth9 down");
    copied_while(&stand, Host::Online, &named, Scene::at(ONLINE), || {
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
    copied(&stand, Host::Online, &options, Scene::at(address));
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
    for devices in ["brx,eth0", "eth0,brx,span0:mirror"] {
        let options = stand.options().more("-i").more(devices);
        let summary = copied(&stand, Host::Online, &options, Scene::at(ONLINE));
        for row in ["clients", "online"] {
            let count = |term: &str| summary.count(&format!("/hooks/{row}/{term}"));
            let others = devices.split(',').count() as u64 - 1;
            // One record in a hundred may be late, or be of packets that are cut otherwise.
            let expected = count("parsed") * others;
            assert!(
                count("duplicates").abs_diff(expected) * 100 <= expected,
                "{devices}: {}",
                summary.value()["hooks"][row]
            );
        }
    }
    check_clean(&stand);
}
