//! What a pool bears, and that a client keeps its address there.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::interrupt;
use lab::{Host, Topology};
use tests::copying::{check_books, check_clients, check_nothing_left, finish};
use tests::{Clients, PORT};

use super::options::{online, target, with};
use super::places::{copied, nginx, start};

/// A port rests for a second after its session: a hundred ports bear 70 short connections per second, as the start has reckoned
/// (100 = 50 per second that last 1 s; these last next to nothing).
#[test]
fn a_small_pool_bears_what_its_arithmetic_says() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let options = with(
        stand.options(),
        &["-c", "10.0.2.1:20000-20099", "--pool-sticky"],
    );
    let clients = [Clients::short(70, 4)];
    let seen = copied(&stand, &[online()], target(), &options, &clients);
    seen.check(&stand);
    let log = std::fs::read_to_string(stand.lab.folder().join("tcpcopy.log")).expect("a log");
    assert!(log.contains("1 address x 100 ports = 100;"), "{log}");
}

/// Two ranges, of which a client has one address.
#[test]
fn a_client_keeps_its_address_of_several_ranges() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (host, address) = target();
    let _servers = [(Host::Online, online()), (host, address)].map(|it| nginx(&stand, it.0, it.1));
    let pool = ["-c", "62.135.200.0/28,62.135.200.64/29", "--pool-sticky"];
    let mut copier = start(&stand, &with(stand.options(), &pool));
    let clients = Clients::keep_alive(30, 600, 2).start(&stand);
    interrupt::sleep(Duration::from_millis(1000)).expect("no signal");
    let port = format!("sport = :{PORT}");
    let connections = stand.lab.run(Host::Target, "ss", &["-Htn", &port]);
    let connections = connections.expect("ss");
    let peers: Vec<&str> = { connections.lines() }
        .filter_map(|line| line.split_whitespace().nth(4)?.rsplit_once(':'))
        .map(|(address, _)| address)
        .collect();
    let addresses: BTreeSet<&&str> = peers.iter().collect();
    assert!(peers.len() >= 25 && addresses.len() == 1, "{connections}");
    check_clients(&clients.wait());
    let summary = finish(&mut copier);
    check_books(&summary);
    assert_eq!(
        (summary.answered(), summary.count("/sessions/astray")),
        (summary.captured(), 0)
    );
    check_nothing_left(&stand);
}
