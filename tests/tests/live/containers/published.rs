//! The online server is in a container: behind a bridge of the online host, which publishes its port by DNAT and lets it out by
//! MASQUERADE.
//!
//! ```text
//! client eth0 ── eth0 online eth1 ── target
//!                     docker0
//!                        └── eth0 container (eth0 and lo, nothing else)
//! ```

use std::net::{Ipv4Addr, SocketAddr};

use lab::copier::{Copier, Options};
use lab::net::{ONLINE, TARGET};
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use tests::copying::finish;
use tests::{Clients, PORT, Stand};

use super::super::places::nginx;
use super::{END_WITHIN, Servers, check_nothing_on, doctor, start_on};

/// The container.
const CONTAINER: Host = Host::Further(1);
/// Its address, which nobody but its host knows.
const INSIDE: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);
/// The port that it serves.
const SERVED: u16 = 8081;

/// A lab whose online server is in a container.
fn stand() -> Option<Stand> {
    let stand = super::super::stand_with(Topology::Direct, &["nginx", "iptables"])?;
    let container = stand.lab.add_target(1).expect("a namespace");
    let (host, inside) = (
        stand.lab.namespace(Host::Online),
        stand.lab.namespace(container),
    );
    inside
        .ip(&["link", "delete", "eth0"])
        .expect("its link to the switch");
    for arguments in [
        "link add docker0 type bridge",
        "link set docker0 up",
        "address add 172.17.0.1/16 dev docker0",
        &format!(
            "link add veth1a2b type veth peer name eth0 netns {}",
            inside.name()
        ),
        "link set veth1a2b master docker0 up",
    ] {
        host.ip(&arguments.split(' ').collect::<Vec<_>>())
            .expect("the bridge");
    }
    for arguments in [
        "address add 172.17.0.2/16 dev eth0",
        "link set eth0 up",
        "route add default via 172.17.0.1",
    ] {
        inside
            .ip(&arguments.split(' ').collect::<Vec<_>>())
            .expect("the container");
    }
    host.set("net.ipv4.ip_forward", "1").expect("a router");
    for rule in [
        format!(
            "-A PREROUTING ! -i docker0 -p tcp --dport {PORT} -j DNAT --to-destination {INSIDE}:{SERVED}"
        ),
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE".to_owned(),
    ] {
        let arguments: Vec<&str> = "-w -t nat".split(' ').chain(rule.split(' ')).collect();
        host.run("iptables", &arguments).expect("a rule");
    }
    Some(stand)
}

fn servers(stand: &Stand) -> Servers {
    Servers {
        online: nginx(stand, CONTAINER, (INSIDE, SERVED).into()),
        target: stand.nginx(Host::Target),
    }
}

fn loads() -> [Clients; 2] {
    [Clients::keep_alive(10, 300, 2), Clients::short(200, 2)]
}

/// A copy of what comes to `online` to the target.
fn copy(online: SocketAddr) -> Options {
    Options::new(
        Topology::Direct,
        &online.to_string(),
        &format!("{TARGET}:{PORT}"),
    )
}

fn check_clean(stand: &Stand) {
    for host in [Host::Online, CONTAINER, Host::Switch] {
        check_nothing_on(stand, host);
    }
}

/// From the host: capture comes before DNAT, and answers are seen after it was undone, so the published port is what is copied.
#[test]
fn a_published_port_is_copied_on_the_host() {
    let Some(stand) = stand() else { return };
    let by_address = copy((ONLINE, PORT).into());
    let mut by_port = by_address.clone();
    // As a user would say it: no address, no interface.
    by_port.rules = format!("{PORT}-{TARGET}:{PORT}");
    let (exit, document) = {
        let _servers = servers(&stand);
        doctor(&stand, Host::Online, &["-x", &by_port.rules])
    };
    assert_eq!(exit, Some(0), "{document:#}");
    for (options, clients) in [by_address, by_port].iter().zip(loads()) {
        let servers = servers(&stand);
        let copier = start_on(&stand, Host::Online, options);
        servers.check_copied(&stand, copier, &clients);
        check_clean(&stand);
    }
}

/// From inside: the container's own address and port are what is copied, and both the copies and the replies pass the NAT of its
/// host. Started outside with --netns, and by somebody who is in the container.
#[test]
fn a_container_is_copied_from_inside_through_masquerade() {
    let Some(stand) = stand() else { return };
    let container = stand.lab.namespace(CONTAINER);
    let from_outside = copy((INSIDE, SERVED).into())
        .more("--netns")
        .more(container.name());
    let mut from_inside = copy((INSIDE, SERVED).into());
    from_inside.rules = format!("{SERVED}-{TARGET}:{PORT}");
    let (exit, document) = {
        let _servers = servers(&stand);
        doctor(
            &stand,
            Host::Switch,
            &["-x", &from_inside.rules, "--netns", container.name()],
        )
    };
    assert_eq!(exit, Some(0), "{document:#}");
    for ((host, options), clients) in [(Host::Switch, from_outside), (CONTAINER, from_inside)]
        .iter()
        .zip(loads())
    {
        let servers = servers(&stand);
        let copier = start_on(&stand, *host, options);
        servers.check_copied(&stand, copier, &clients);
        check_clean(&stand);
    }
}

/// The container goes on to serve when its copier is killed; and where the container goes, the copier can still be ended. Meanwhile its
/// host can have a copier of its own.
#[test]
fn a_copier_that_is_killed_and_a_container_that_goes() {
    let Some(stand) = stand() else { return };
    let container = stand.lab.namespace(CONTAINER);
    let options = copy((INSIDE, SERVED).into())
        .more("--netns")
        .more(container.name());
    let servers = servers(&stand);
    let mut copier: Copier = start_on(&stand, Host::Switch, &options);
    let [clients, _] = loads();
    let running = clients.start(&stand);
    super::super::robust::pause(500);
    copier
        .tcpcopy
        .stop(Signal::SIGKILL, END_WITHIN)
        .expect("it ends");
    let report = running.wait();
    tests::copying::check_clients(&report);
    drop(servers);
    let servers = self::servers(&stand);
    let copier = start_on(&stand, Host::Switch, &options);
    let rule = format!("{PORT}-{TARGET}:{PORT}");
    let (exit, document) = doctor(&stand, Host::Online, &["-x", &rule]);
    assert_eq!(exit, Some(0), "{document:#}");
    servers.check_copied(&stand, copier, &clients);
    check_clean(&stand);
    let mut copier = start_on(&stand, Host::Switch, &options);
    // As an engine does it.
    container
        .ip(&["link", "delete", "eth0"])
        .expect("its device");
    let told = copier.tcpcopy.wait_for("eth0 is gone", super::READY_WITHIN);
    told.unwrap_or_else(|error| panic!("{error}"));
    tests::copying::check_books(&finish(&mut copier));
    check_clean(&stand);
}
