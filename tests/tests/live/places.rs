//! Where servers can stand: on one host, behind a gateway, at IPv6 addresses, at several addresses and ports.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use lab::access_log::Request;
use lab::copier::{Copier, Options, Summary};
use lab::load::Report;
use lab::net::{ASSISTANT, ONLINE, ONLINE_INSIDE, TARGET};
use lab::nginx::{Config, Nginx};
use lab::{Host, Topology};
use tests::copying::finish;
use tests::{Clients, PORT, Stand, check_complete, check_nothing_left};

/// What the two sides have seen of a copy that is over.
pub(super) struct Seen {
    pub(super) report: Report,
    pub(super) online: Vec<Request>,
    pub(super) target: Vec<Request>,
    pub(super) summary: Summary,
}

impl Seen {
    /// Each request once, nothing left, and the next start works.
    pub(super) fn check(&self, stand: &Stand) {
        check_complete(&self.report, &self.online, &self.target, &self.summary);
        check_nothing_left(stand);
    }
}

pub(super) fn nginx(stand: &Stand, host: Host, listen: SocketAddr) -> Nginx {
    let name = format!("nginx-{}-{}", host.name(), listen.port());
    Nginx::start(&stand.lab, host, &Config::new(&name, listen))
        .unwrap_or_else(|error| panic!("nginx: {error}"))
}

pub(super) fn start(stand: &Stand, options: &Options) -> Copier {
    Copier::start(&stand.lab, &stand.binaries, options).unwrap_or_else(|error| panic!("{error}"))
}

/// Copies loads that run side by side, to their end.
pub(super) fn copied(
    stand: &Stand,
    online: &[SocketAddr],
    target: (Host, SocketAddr),
    options: &Options,
    clients: &[Clients],
) -> Seen {
    let mut servers: Vec<Nginx> = online
        .iter()
        .map(|listen| nginx(stand, Host::Online, *listen))
        .collect();
    let mut target = nginx(stand, target.0, target.1);
    let mut copier = start(stand, options);
    let running: Vec<_> = clients.iter().map(|clients| clients.start(stand)).collect();
    let mut report = Report::default();
    for running in running {
        let one = running.wait();
        report.sent += one.sent;
        report.completed += one.completed;
        report.connections += one.connections;
        report.errors.extend(one.errors);
    }
    let summary = finish(&mut copier);
    let online = servers
        .iter_mut()
        .flat_map(|server| server.finish().expect("online log"))
        .collect();
    Seen {
        report,
        online,
        target: target.finish().expect("target log"),
        summary,
    }
}

fn keep_alive() -> Clients {
    Clients::keep_alive(20, 1_000, 2).long(4)
}

fn short() -> Clients {
    Clients::short(500, 2).long(4)
}

/// From the online server's usual place to a target on the same host.
fn copied_here(target: SocketAddr) {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let here = SocketAddr::from((ONLINE, PORT));
    let options = Options::new(Topology::Direct, &here.to_string(), &target.to_string());
    let clients = [keep_alive(), short()];
    let seen = copied(&stand, &[here], (Host::Online, target), &options, &clients);
    for interface in ["all", "eth0", "eth1", "lo"] {
        let name = format!("net.ipv4.conf.{interface}.route_localnet");
        let value = stand
            .lab
            .run(Host::Online, "sysctl", &["-n", &name])
            .expect("sysctl");
        assert_eq!(value.trim(), "0", "{name} was changed");
    }
    seen.check(&stand);
}

#[test]
fn target_at_another_address_of_the_online_host() {
    copied_here((ONLINE_INSIDE, PORT).into());
}

#[test]
fn target_at_another_port_of_the_online_address() {
    copied_here((ONLINE, PORT + 1).into());
}

#[test]
fn target_on_loopback() {
    copied_here((Ipv4Addr::LOCALHOST, PORT + 1).into());
}

/// The address of a target behind a gateway.
const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 2);

/// Moves the target behind the assistant, which forwards, over a link of this MTU.
fn move_behind_gateway(stand: &Stand, mtu: u16) {
    let (online, gateway, target) = (
        stand.lab.namespace(Host::Online),
        stand.lab.namespace(Host::Assistant),
        stand.lab.namespace(Host::Target),
    );
    let peer = target.name();
    let pair = [
        "link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", peer,
    ];
    gateway.ip(&pair).expect("a link");
    for (end, address) in [(&gateway, "10.0.3.1/24"), (&target, "10.0.3.2/24")] {
        end.add_address("eth1", address).expect("an address");
        end.set_mtu("eth1", mtu).expect("an MTU");
        end.set_link("eth1", true).expect("up");
    }
    target.set_link("eth0", false).expect("down");
    target
        .ip(&["route", "add", "10.0.0.0/16", "via", "10.0.3.1"])
        .expect("a route back");
    gateway.set("net.ipv4.ip_forward", "1").expect("a router");
    online
        .ip(&["route", "add", "10.0.3.0/24", "via", &ASSISTANT.to_string()])
        .expect("a route");
}

fn copied_through_gateway(mtu: u16, clients: &[Clients]) {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    move_behind_gateway(&stand, mtu);
    let (here, there) = (
        SocketAddr::from((ONLINE, PORT)),
        SocketAddr::from((BEHIND, PORT)),
    );
    let options = Options::new(Topology::Direct, &here.to_string(), &there.to_string());
    let seen = copied(&stand, &[here], (Host::Target, there), &options, clients);
    // The next start must be possible with the usual target.
    let target = stand.lab.namespace(Host::Target);
    target.set_link("eth0", true).expect("up");
    seen.check(&stand);
}

#[test]
fn target_behind_a_gateway() {
    copied_through_gateway(1500, &[keep_alive(), short()]);
}

/// The link behind the gateway is narrower than ours: the gateway says so by ICMP, and segments get smaller.
#[test]
fn target_behind_a_gateway_with_a_narrow_link() {
    let clients = Clients::keep_alive(10, 200, 2)
        .long(4)
        .and(&["--body", "20000"]);
    copied_through_gateway(1400, &[clients]);
}

/// A pool of two addresses of the online host: what the first has no ports for comes from the second.
#[test]
fn two_addresses_in_a_pool() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let online = stand.lab.namespace(Host::Online);
    online
        .add_address("eth1", "10.0.2.11/24")
        .expect("an address");
    let pool = format!("{ONLINE_INSIDE}:10000-10099,10.0.2.11:20000-20999");
    let options = super::options::with(stand.options(), &["-c", &pool]);
    let (here, there) = ((ONLINE, PORT).into(), (TARGET, PORT).into());
    let clients = [Clients::keep_alive(200, 1_000, 2).long(4)];
    let seen = copied(&stand, &[here], (Host::Target, there), &options, &clients);
    let connections = |ports: std::ops::RangeInclusive<u16>| {
        let of_target = seen.target.iter().map(|request| request.client_port);
        let of_range: BTreeSet<u16> = of_target.filter(|port| ports.contains(port)).collect();
        of_range.len()
    };
    assert_eq!(connections(10_000..=10_099), 100);
    assert_eq!(connections(20_000..=20_999), 100);
    seen.check(&stand);
}

/// Gives every host an IPv6 address besides; the target answers them as the topology says.
pub(super) fn add_ipv6(stand: &Stand) {
    for (host, interface, address) in [
        (Host::Client, "eth0", "fd00:1::2/64"),
        (Host::Online, "eth0", "fd00:1::1/64"),
        (Host::Online, "eth1", "fd00:2::1/64"),
        (Host::Target, "eth0", "fd00:2::2/64"),
        (Host::Assistant, "eth0", "fd00:2::3/64"),
    ] {
        let host = stand.lab.namespace(host);
        host.set_ipv6(true).expect("IPv6");
        host.ip(&["address", "add", address, "dev", interface, "nodad"])
            .expect("an address");
    }
    let gateway = match stand.lab.topology() {
        Topology::Direct => "fd00:2::1",
        Topology::Assistant => "fd00:2::3",
    };
    stand
        .lab
        .namespace(Host::Target)
        .ip(&["-6", "route", "add", "fd00:1::/64", "via", gateway])
        .expect("a route");
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn copied_ipv6(topology: Topology, online: &str, host: Host, target: &str) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    add_ipv6(&stand);
    let options = Options::new(topology, online, target);
    let (online, target) = (address(online), address(target));
    let clients = [keep_alive().at(online), short().at(online)];
    let seen = copied(&stand, &[online], (host, target), &options, &clients);
    seen.check(&stand);
}

#[test]
fn ipv6_direct() {
    copied_ipv6(
        Topology::Direct,
        "[fd00:1::1]:8080",
        Host::Target,
        "[fd00:2::2]:8080",
    );
}

#[test]
fn ipv6_assistant() {
    copied_ipv6(
        Topology::Assistant,
        "[fd00:1::1]:8080",
        Host::Target,
        "[fd00:2::2]:8080",
    );
}

#[test]
fn ipv6_target_on_the_online_host() {
    copied_ipv6(
        Topology::Direct,
        "[fd00:1::1]:8080",
        Host::Online,
        "[fd00:2::1]:8080",
    );
}

#[test]
fn ipv6_online_server_and_ipv4_target() {
    copied_ipv6(
        Topology::Direct,
        "[fd00:1::1]:8080",
        Host::Target,
        "10.0.2.2:8080",
    );
}

#[test]
fn ipv4_online_server_and_ipv6_target() {
    copied_ipv6(
        Topology::Direct,
        "10.0.1.1:8080",
        Host::Target,
        "[fd00:2::2]:8080",
    );
}

/// A rule without an address means each address of the host.
#[test]
fn every_address_of_the_online_host() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let online = stand.lab.namespace(Host::Online);
    online
        .add_address("eth0", "10.0.1.77/24")
        .expect("an address");
    let mut options = stand.options();
    options.rules = format!("{PORT}-{TARGET}:{PORT}");
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let second = address("10.0.1.77:8080");
    let clients = [keep_alive(), short().at(second)];
    let there = (Host::Target, (TARGET, PORT).into());
    let seen = copied(&stand, &[everywhere], there, &options, &clients);
    seen.check(&stand);
}

#[test]
fn two_online_ports_to_one_target() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let mut options = stand.options();
    options.rules = format!(
        "{ONLINE}:{PORT}-{TARGET}:{PORT},{ONLINE}:{}-{TARGET}:{PORT}",
        PORT + 1
    );
    let here = [(ONLINE, PORT).into(), (ONLINE, PORT + 1).into()];
    let clients = [keep_alive(), short().at_port(PORT + 1)];
    let there = (Host::Target, (TARGET, PORT).into());
    let seen = copied(&stand, &here, there, &options, &clients);
    seen.check(&stand);
}
