//! Planting what takes more than a line.

use std::any::Any;
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};

use aya::EbpfLoader;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use lab::copier::{self, CHANNEL_PORT};
use lab::net::{ONLINE_INSIDE, TARGET};
use lab::{Host, Process};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use tests::{PORT, Stand};

use super::Planted;

/// Runs `ip` on a host.
pub(in super::super) fn on(stand: &Stand, host: Host, arguments: &[&str]) {
    stand.lab.namespace(host).ip(arguments).expect("ip");
}

/// Somebody who takes connections at the target.
pub(in super::super) fn server(stand: &Stand) -> TcpListener {
    tests::stand::listen(stand, Host::Target, PORT)
}

/// An intercept that serves the lab's target.
pub(in super::super) fn intercept(stand: &Stand) -> Process {
    let options = stand.options();
    assert_eq!(CHANNEL_PORT, 36_524, "as the table says");
    copier::start_intercept(&stand.lab, &stand.binaries, &options).expect("intercept")
}

/// A connection of the online host to the target from this port.
pub(in super::super) fn connection_from(stand: &Stand, port: u16) -> OwnedFd {
    let namespace = stand.lab.namespace(Host::Online);
    let connected = namespace.enter(|| {
        let stream = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        let address = |addr, port| SockaddrIn::from(SocketAddrV4::new(addr, port));
        bind(stream.as_raw_fd(), &address(ONLINE_INSIDE, port))?;
        connect(stream.as_raw_fd(), &address(TARGET, PORT))?;
        // Closed by a reset: the server would keep its half for long.
        let at_once = nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&stream, sockopt::Linger, &at_once)?;
        Ok::<_, nix::Error>(stream)
    });
    connected.expect("the namespace").expect("a connection")
}

/// The target drops what is for its port.
pub(in super::super) fn target_drops(stand: &Stand) {
    let port = PORT.to_string();
    let namespace = stand.lab.namespace(Host::Target);
    namespace
        .drop_matching(&["-p", "tcp", "--dport", &port])
        .expect("iptables");
}

/// A program of somebody else that drops copies: `inject`, which knows no way out for them.
pub(in super::super) fn stranger(
    stand: &Stand,
    interface: &'static str,
    hook: TcAttachType,
) -> Box<dyn Any> {
    let namespace = stand.lab.namespace(Host::Online);
    let attached = namespace.enter(|| {
        let object = programs::tcpcopy().expect("the programs are built");
        let mut ebpf = EbpfLoader::new().load(object).expect("they load");
        let program: &mut SchedClassifier = ebpf
            .program_mut(programs::name::INJECT)
            .expect("it is there")
            .try_into()
            .expect("a classifier");
        program.load().expect("it loads");
        let order = TcAttachOptions::TcxOrder(LinkOrder::first());
        program
            .attach_with_options(interface, hook, order)
            .expect("it attaches");
        ebpf
    });
    Box::new(attached.expect("the namespace"))
}

/// An assistant that sends on to the clients what intercept does not take.
pub(in super::super) fn forwarding_assistant(stand: &Stand) -> Planted {
    let assistant = stand.lab.namespace(Host::Assistant);
    assistant.set("net.ipv4.ip_forward", "1").expect("sysctl");
    let online = ONLINE_INSIDE.to_string();
    on(
        stand,
        Host::Assistant,
        &["route", "add", "10.0.1.0/24", "via", &online],
    );
    Vec::new()
}

/// A target with two interfaces: copies come in by one, and its way to the clients goes out by the other.
pub(in super::super) fn strict_target(stand: &Stand) -> Planted {
    let (target, switch) = (
        stand.lab.namespace(Host::Target),
        stand.lab.namespace(Host::Switch),
    );
    // Each interface answers ARP for its own address only, or copies would come in by the other one.
    target
        .set("net.ipv4.conf.all.arp_ignore", "1")
        .expect("sysctl");
    on(
        stand,
        Host::Target,
        &[
            "link",
            "add",
            "eth1",
            "type",
            "veth",
            "peer",
            "name",
            "target-eth1",
            "netns",
            switch.name(),
        ],
    );
    on(
        stand,
        Host::Switch,
        &["link", "set", "target-eth1", "master", "br0", "up"],
    );
    on(
        stand,
        Host::Target,
        &["address", "add", "10.0.4.2/24", "dev", "eth1"],
    );
    on(stand, Host::Target, &["link", "set", "eth1", "up"]);
    on(
        stand,
        Host::Assistant,
        &["address", "add", "10.0.4.3/24", "dev", "eth0"],
    );
    on(
        stand,
        Host::Target,
        &["route", "replace", "10.0.1.0/24", "via", "10.0.4.3"],
    );
    for interface in ["all", "eth0"] {
        let name = format!("net.ipv4.conf.{interface}.rp_filter");
        target.set(&name, "1").expect("sysctl");
    }
    Vec::new()
}

/// A firewall of the target that lets SYNs in, and nothing of a connection that it does not know.
pub(in super::super) fn one_sided(stand: &Stand) -> Planted {
    let port = PORT.to_string();
    let rule = ["-p", "tcp", "--dport", &port, "!", "--syn"];
    let namespace = stand.lab.namespace(Host::Target);
    namespace.drop_matching(&rule).expect("iptables");
    Vec::new()
}
