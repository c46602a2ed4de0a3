//! What is this host's own is left to it: its connections to the target from ports of the reply pool, what it forwards, and
//! what its containers do. And what it records is worth recording.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd as _;

use lab::net::{CLIENT, ONLINE, ONLINE_INSIDE, TARGET};
use lab::nginx::{Config, Nginx};
use lab::{Host, Spec, Topology};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use tests::copying::{check_books, check_clients, finish, start_with};
use tests::{Clients, PORT, Stand, check_clean, check_complete};

use super::robust::pause;

/// How long somebody waits for an answer that must come.
const PATIENCE: TimeVal = TimeVal::new(8, 0);

/// A connection of a host of its own.
struct Caller(TcpStream);

impl Caller {
    /// Connects from a port that is chosen on purpose.
    fn connect(
        stand: &Stand,
        host: Host,
        from: SocketAddrV4,
        to: SocketAddrV4,
    ) -> nix::Result<Self> {
        let connected = stand.lab.namespace(host).enter(|| {
            let stream = socket(
                AddressFamily::Inet,
                SockType::Stream,
                SockFlag::SOCK_CLOEXEC,
                None,
            )?;
            setsockopt(&stream, sockopt::ReuseAddr, &true)?;
            setsockopt(&stream, sockopt::SendTimeout, &PATIENCE)?;
            setsockopt(&stream, sockopt::ReceiveTimeout, &PATIENCE)?;
            bind(stream.as_raw_fd(), &SockaddrIn::from(from))?;
            connect(stream.as_raw_fd(), &SockaddrIn::from(to))?;
            Ok(Self(TcpStream::from(stream)))
        });
        connected.expect("the namespace")
    }

    /// Whether a request is answered.
    fn ask(&mut self) -> Result<(), std::io::Error> {
        self.0
            .write_all(b"GET /?id=own HTTP/1.1\r\nHost: own\r\n\r\n")?;
        let mut answer = Vec::new();
        while !has_ended(&answer) {
            let mut part = [0; 4096];
            match self.0.read(&mut part)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                len => answer.extend(&part[..len]),
            }
        }
        Ok(())
    }
}

/// Whether the 600 bytes of an answer are there.
fn has_ended(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() >= head + 4 + 600)
}

const fn inside(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(ONLINE_INSIDE, port)
}

const fn target() -> SocketAddrV4 {
    SocketAddrV4::new(TARGET, PORT)
}

/// The online host asks the target from each of these ports by itself, and is answered.
pub(super) fn ask_from_ports(stand: &Stand, ports: std::ops::Range<u16>) {
    for port in ports {
        let asked = Caller::connect(stand, Host::Online, inside(port), target());
        let asked = asked
            .map_err(std::io::Error::from)
            .and_then(|mut caller| caller.ask());
        asked.unwrap_or_else(|error| panic!("from port {port}: {error}"));
    }
}

/// Calls of the online host to the target from ports of the pool: opened before the start, bound after it, and reserved for an
/// application.
#[test]
fn own_connections_from_ports_of_the_pool_go_on() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target_server) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let here = stand.lab.namespace(Host::Online);
    here.set("net.ipv4.ip_local_reserved_ports", "20000-20009")
        .expect("a setting");
    let connect = |port| {
        Caller::connect(&stand, Host::Online, inside(port), target())
            .unwrap_or_else(|error| panic!("no connection from port {port}: {error}"))
    };
    let mut callers = vec![connect(10_000), connect(10_001)];
    let mut copier = start_with(&stand, &stand.options());
    let clients = Clients::keep_alive(20, 500, 6).start(&stand);
    pause(1000);
    callers.extend([connect(20_005), connect(25_000), connect(32_767)]);
    for round in 0..10 {
        for caller in &mut callers {
            let port = caller.0.local_addr().expect("an address").port();
            caller
                .ask()
                .unwrap_or_else(|error| panic!("round {round}, port {port}: {error}"));
        }
        pause(300);
    }
    drop(callers);
    let report = clients.wait();
    let summary = finish(&mut copier);
    let (online, mut copied) = (
        online.finish().expect("log"),
        target_server.finish().expect("log"),
    );
    let all = copied.len();
    copied.retain(|request| request.id != "own");
    assert_eq!(all - copied.len(), 50);
    assert!(
        summary.count("/hooks/reply/unleased") > 0,
        "{}",
        summary.ledger()
    );
    check_complete(&report, &online, &copied, &summary);
    check_clean(&stand);
}

/// An application binds, on purpose, to a port that a session has at that moment: it gets its connection.
#[test]
fn a_leased_port_that_an_application_binds_is_its() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "ss"]) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = stand.options().more("-c").more("10.0.2.1:12000-12199");
    let mut copier = start_with(&stand, &options);
    let clients = Clients::keep_alive(40, 400, 7).start(&stand);
    pause(1500);
    let peers = [
        "-Htn",
        "state",
        "established",
        "sport",
        "=",
        &format!(":{PORT}"),
    ];
    let peers = stand.lab.run(Host::Target, "ss", &peers).expect("ss");
    let leased: Vec<u16> = peers
        .lines()
        .filter_map(|line| {
            line.split_ascii_whitespace()
                .last()?
                .rsplit_once(':')?
                .1
                .parse()
                .ok()
        })
        .collect();
    assert!(leased.len() >= 30, "sessions of the copy: {peers}");
    for port in &leased[..5] {
        let mut caller = Caller::connect(&stand, Host::Online, inside(*port), target())
            .unwrap_or_else(|error| panic!("no connection from the leased port {port}: {error}"));
        for _ in 0..5 {
            caller
                .ask()
                .unwrap_or_else(|error| panic!("port {port}: {error}"));
            pause(50);
        }
    }
    let report = clients.wait();
    let summary = finish(&mut copier);
    assert!(
        summary.count("/hooks/reply/foreign") >= 5,
        "{}",
        summary.ledger()
    );
    check_clients(&report);
    check_books(&summary);
    check_clean(&stand);
}

/// A container of the online host, behind its NAT.
pub(super) const CONTAINER: Host = Host::Further(7);
pub(super) const CONTAINER_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 2);
/// Somebody whom the container talks to.
const THIRD_PARTY: Host = Host::Further(3);

/// Makes the container: the online host forwards for it, and gives its connections these ports.
pub(super) fn container(stand: &Stand, ports: &str) {
    stand.lab.add_target(7).expect("a host");
    let (inner, online) = (
        stand.lab.namespace(CONTAINER),
        stand.lab.namespace(Host::Online),
    );
    inner
        .ip(&["link", "delete", "eth0"])
        .expect("its link to the switch");
    let pair = [
        "link",
        "add",
        "eth0",
        "type",
        "veth",
        "peer",
        "name",
        "ctr0",
        "netns",
        online.name(),
    ];
    inner.ip(&pair).expect("a link");
    for (end, device, address) in [
        (&inner, "eth0", "172.18.0.2/24"),
        (&online, "ctr0", "172.18.0.1/24"),
    ] {
        end.add_address(device, address).expect("an address");
        end.set_link(device, true).expect("up");
    }
    inner
        .ip(&["route", "add", "default", "via", "172.18.0.1"])
        .expect("a route");
    online.set("net.ipv4.ip_forward", "1").expect("a router");
    let masquerade = [
        "-w",
        "-t",
        "nat",
        "-A",
        "POSTROUTING",
        "-s",
        "172.18.0.0/24",
        "-p",
        "tcp",
        "-j",
        "MASQUERADE",
        "--to-ports",
        ports,
    ];
    online.run("iptables", &masquerade).expect("iptables");
}

#[test]
fn a_container_whose_nat_port_lies_in_the_pool_reaches_the_target() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "iptables"]) else {
        return;
    };
    let (mut online, mut target_server) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    container(&stand, "25000-25099");
    let mut copier = start_with(&stand, &stand.options());
    let clients = Clients::keep_alive(20, 500, 4).start(&stand);
    pause(500);
    for port in 40_000..40_020 {
        let from = SocketAddrV4::new(CONTAINER_ADDRESS, port);
        let mut caller = Caller::connect(&stand, CONTAINER, from, target())
            .unwrap_or_else(|error| panic!("no connection of the container: {error}"));
        caller
            .ask()
            .unwrap_or_else(|error| panic!("the container: {error}"));
    }
    let report = clients.wait();
    let summary = finish(&mut copier);
    let (online, mut copied) = (
        online.finish().expect("log"),
        target_server.finish().expect("log"),
    );
    let natted = copied.iter().filter(|request| request.id == "own");
    let in_pool = natted.filter(|request| (25_000..25_100).contains(&request.client_port));
    assert_eq!(in_pool.count(), 20, "the NAT gave ports of the pool");
    copied.retain(|request| request.id != "own");
    check_complete(&report, &online, &copied, &summary);
    check_clean(&stand);
}

/// A rule without an address means this host's addresses: not what it forwards, and those too that it gets later.
#[test]
fn what_is_forwarded_is_not_copied_and_a_new_address_is() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "iptables"]) else {
        return;
    };
    let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let start = |name: &str, host, listen| {
        Nginx::start(&stand.lab, host, &Config::new(name, listen))
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let _online = start("nginx-online", Host::Online, anywhere);
    let mut target_server = stand.nginx(Host::Target);
    container(&stand, "50000-50999");
    stand.lab.add_target(3).expect("a host");
    let third = Ipv4Addr::new(10, 0, 2, 103);
    let mut third_server = start("nginx-third", THIRD_PARTY, anywhere);
    let mut options = stand.options().more("-i").more("eth0,eth1,ctr0");
    options.rules = format!("{PORT}-{TARGET}:{PORT}");
    let mut copier = start_with(&stand, &options);
    for port in 40_000..40_010 {
        let from = SocketAddrV4::new(CONTAINER_ADDRESS, port);
        let to = SocketAddrV4::new(third, PORT);
        let mut caller = Caller::connect(&stand, CONTAINER, from, to).expect("a connection");
        caller.ask().expect("an answer");
    }
    pause(500);
    let late = Ipv4Addr::new(10, 0, 1, 77);
    stand
        .lab
        .namespace(Host::Online)
        .add_address("eth0", &format!("{late}/24"))
        .expect("an address");
    pause(500);
    for (to, port) in [(ONLINE, 41_000), (late, 41_001)] {
        let from = SocketAddrV4::new(CLIENT, port);
        let to = SocketAddrV4::new(to, PORT);
        let mut caller = Caller::connect(&stand, Host::Client, from, to).expect("a connection");
        caller.ask().expect("an answer");
        caller.ask().expect("an answer");
    }
    pause(500);
    let summary = finish(&mut copier);
    assert_eq!(
        third_server.finish().expect("log").len(),
        10,
        "the third party was asked"
    );
    assert_eq!(
        target_server.finish().expect("log").len(),
        4,
        "{}",
        summary.ledger()
    );
    assert_eq!(
        (summary.captured(), summary.answered()),
        (4, 4),
        "{}",
        summary.ledger()
    );
    assert_eq!(summary.count("/incidents/address_changes"), 1);
    check_books(&summary);
    check_clean(&stand);
}

/// The route to the only target goes for longer than a request waits: recording stops, and goes on when the route is back.
#[test]
fn nothing_is_recorded_where_no_target_can_be_reached() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, mut target_server) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = stand.options().more("--response-timeout").more("1s");
    let mut copier = start_with(&stand, &options);
    let clients = Clients::short(200, 10).start(&stand);
    pause(1500);
    let online = stand.lab.namespace(Host::Online);
    online
        .ip(&["route", "add", "unreachable", &format!("{TARGET}/32")])
        .expect("no route");
    pause(4000);
    let during = copier.next_summary().expect("a summary");
    let paused = during.count("/hooks/capture/paused");
    assert!(
        paused > 200,
        "{paused} packets were not recorded: {}",
        during.ledger()
    );
    assert!(during.count("/hooks/observe/paused") > 200);
    online
        .ip(&["route", "del", "unreachable", &format!("{TARGET}/32")])
        .expect("a route");
    pause(500);
    let before = target_server.requests().expect("log").len();
    let report = clients.wait();
    let summary = finish(&mut copier);
    let after = target_server.finish().expect("log").len();
    assert!(
        after > before + 200,
        "{before} requests, then {after}: {}",
        summary.ledger()
    );
    assert_eq!(summary.count("/incidents/recording_pauses"), 1);
    let recorded = summary.count("/hooks/capture/paused") - paused;
    assert!(
        recorded < 1000,
        "{recorded} packets after the summary in the pause"
    );
    check_clients(&report);
    check_books(&summary);
    check_clean(&stand);
}

/// A machine that is always busier than allowed: once the last session has ended, nothing is recorded.
#[test]
fn nothing_is_recorded_while_the_machine_is_too_busy() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = stand.options().more("--max-cpu").more("1");
    // One that does nothing but to be busy: requests alone may come and go between two ticks of the kernel's clock.
    let busy = Spec::new("busy", "sh").args(["-c", "while :; do :; done"]);
    let _busy = stand.lab.spawn(Host::Client, &busy).expect("sh");
    let mut copier = start_with(&stand, &options);
    let report = Clients::short(1000, 6).run(&stand);
    let summary = finish(&mut copier);
    let paused = summary.count("/hooks/capture/paused");
    assert!(
        paused > 300,
        "{paused} packets were not recorded: {}",
        summary.ledger()
    );
    assert!(summary.count("/hooks/observe/paused") > 300);
    assert!(summary.count("/incidents/recording_paused_worker_seconds") >= 2);
    check_clients(&report);
    check_books(&summary);
    check_clean(&stand);
}

/// The kernel may give every port to outgoing connections but those that are reserved: the pool is made of these.
#[test]
fn with_every_port_ephemeral_reserved_ones_make_the_pool() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let here = stand.lab.namespace(Host::Online);
    here.set("net.ipv4.ip_local_port_range", "1024 65535")
        .expect("a setting");
    here.set("net.ipv4.ip_local_reserved_ports", "8080,30000-30999")
        .expect("a setting");
    let (mut online, mut target_server) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_with(&stand, &stand.options());
    let report = Clients::keep_alive(20, 500, 3).run(&stand);
    let summary = finish(&mut copier);
    let copied = target_server.finish().expect("log");
    let in_pool = |port| (30_000..31_000).contains(&port);
    assert!(
        copied.iter().all(|request| in_pool(request.client_port)),
        "{copied:?}"
    );
    check_complete(&report, &online.finish().expect("log"), &copied, &summary);
    check_clean(&stand);
}
