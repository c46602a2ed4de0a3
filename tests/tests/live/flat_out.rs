//! Connections on which each request follows the response before at once: the copy must keep up with its original, or
//! catch up within the drain.

use lab::access_log::Comparison;
use lab::{Host, Topology};
use tests::copying::{check_books, check_clients, finish, start_with};
use tests::{Clients, check_nothing_left};

/// Runs some connections as fast as they go; at least 99.9 % of the turns must be answered within the drain.
fn flat_out(topology: Topology, connections: u32) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    // Six times as long as the load: somebody else may want the processors as well.
    let mut copier = start_with(&stand, &stand.options().more("--drain").more("15s"));
    let report = Clients::keep_alive(connections, 0, 3).run(&stand);
    let summary = finish(&mut copier);
    let comparison = Comparison::of(
        &online.finish().expect("log"),
        &target.finish().expect("log"),
    );
    let latency = &summary.value()["latency_us"];
    eprintln!(
        "{:.0} requests/s; reaction in us {}; lag {}; {}",
        report.rate,
        latency["reaction"],
        latency["lag"],
        summary.ledger()
    );
    check_clients(&report);
    check_books(&summary);
    assert!(
        comparison.doubled.is_empty() && comparison.extra.is_empty(),
        "{comparison}"
    );
    assert!(
        summary.fidelity() >= 0.999 && comparison.fidelity() >= 0.999,
        "{comparison}; {}",
        summary.ledger()
    );
    check_nothing_left(&stand);
}

#[test]
fn one_connection_flat_out_direct() {
    flat_out(Topology::Direct, 1);
}

#[test]
fn four_connections_flat_out_direct() {
    flat_out(Topology::Direct, 4);
}

#[test]
fn four_connections_flat_out_assistant() {
    flat_out(Topology::Assistant, 4);
}
