//! What the doctor tells to run on the target is run there, word by word: the copy works then, and the target's own
//! connections to other hosts go on.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use lab::net::CLIENT_PREFIX;
use lab::{Host, Topology};
use tests::copying::{check_books, check_clients, check_nothing_left, finish};
use tests::{Clients, PORT, Stand};

use super::super::gate::{add_strangers, strangers};
use super::examination::examine;
use super::{arguments, faults};

/// A host that the target reaches by its default route.
const THIRD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
const THIRD_PORT: u16 = 9000;

/// A third host behind a router, which the target has a default route to. Returns who listens there.
fn third_host(stand: &Stand) -> std::net::TcpListener {
    let router = stand.lab.add_target(1).expect("a host");
    stand
        .lab
        .namespace(router)
        .add_address("lo", &format!("{THIRD}/32"))
        .expect("address");
    let via = router.address().expect("an address").to_string();
    stand
        .lab
        .namespace(Host::Target)
        .ip(&["route", "add", "default", "via", &via])
        .expect("route");
    tests::stand::listen(stand, router, THIRD_PORT)
}

fn call_third(stand: &Stand) -> std::io::Result<TcpStream> {
    let third = SocketAddr::from((THIRD, THIRD_PORT));
    let connect = || TcpStream::connect_timeout(&third, Duration::from_secs(2));
    let namespace = stand.lab.namespace(Host::Target);
    namespace.enter(connect).expect("the namespace")
}

#[test]
fn the_targets_own_connections_survive_what_the_doctor_prints() {
    let Some(mut stand) = super::super::stand_with(Topology::Assistant, &["nginx", "iptables"])
    else {
        return;
    };
    let third = third_host(&stand);
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut second = add_strangers(&stand);
    let no_route = ["route", "del", CLIENT_PREFIX];
    let target_host = stand.lab.namespace(Host::Target);
    target_host.ip(&no_route).expect("route");
    let before = call_third(&stand).expect("a connection by the default route");
    let intercept = faults::intercept(&stand);

    let mut arguments = arguments(Topology::Assistant);
    arguments[1] = format!("{PORT}-{}:{PORT}", lab::net::TARGET);
    let sick = examine(&stand, &arguments);
    let finding = sick
        .find("reply-lost")
        .or_else(|| sick.find("reply-came-here"))
        .unwrap_or_else(|| panic!("{sick}"));
    let (host, command) = finding.fixes().into_iter().next().expect("a fix");
    eprintln!("{host:?}: {command}");
    // Twice: who is not sure does it again.
    for _ in 0..2 {
        stand
            .lab
            .run(host, "sh", &["-c", &command])
            .unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    let sound = examine(&stand, &arguments);
    assert_eq!(sound.exit, Some(0), "{sound}");
    drop(intercept);

    let after = call_third(&stand).expect("the target's own connections go their ways");
    for stream in [&before, &after] {
        let (mut taken, _) = third.accept().expect("it arrived");
        std::io::Write::write_all(&mut &*stream, b"x").expect("sent");
        let mut byte = [0];
        std::io::Read::read_exact(&mut taken, &mut byte).expect("it arrives");
    }
    copy_both_networks(&mut stand, &mut online, &mut second, &mut target);
}

/// Clients of both networks are copied whole.
fn copy_both_networks(
    stand: &mut Stand,
    online: &mut lab::nginx::Nginx,
    second: &mut lab::nginx::Nginx,
    target: &mut lab::nginx::Nginx,
) {
    let mut options = stand.options();
    options.rules = format!("{PORT}-{}:{PORT}", lab::net::TARGET);
    let mut copier = tests::copying::start_with(stand, &options);
    let strange = strangers(50, 5).start(stand);
    check_clients(&Clients::short(50, 5).run(stand));
    check_clients(&strange.wait());
    let summary = finish(&mut copier);
    check_books(&summary);
    let asked = online.finish().expect("log").len() + second.finish().expect("log").len();
    assert_eq!(
        target.finish().expect("log").len(),
        asked,
        "{}",
        summary.ledger()
    );
    assert_eq!(summary.answered(), asked as u64, "{}", summary.ledger());
    let log = copier.tcpcopy.log();
    assert!(!log.contains("NOT EVERYTHING IS COPIED"), "{log}");
    check_nothing_left(stand);
}
