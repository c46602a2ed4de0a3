//! Targets whose responses are shorter than the online server's: no connection may go at the pace of their silences.

use lab::{Host, Topology};
use tests::copying::{check_books, check_clients, finish, start};
use tests::{Clients, check_nothing_left};

use super::bodies::Service;

/// So many connections and requests per second, and the length of each response of the target; the online server's has 600
/// bytes.
fn shorter(connections: u32, rate: u32, size: &str) {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let online = Service::start_with(&stand, Host::Online, &["--size", "600"]);
    let target = Service::start_with(&stand, Host::Target, &["--size", size]);
    let mut copier = start(&stand);
    let report = Clients::keep_alive(connections, rate, 8)
        .long(30)
        .run(&stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let lag = &summary.value()["latency_us"]["lag"];
    eprintln!("{connections} connections, {rate}/s, {size} bytes: lag {lag}");
    assert_eq!(online.finish().len(), target.finish().len());
    let (captured, count) = (summary.captured(), |path: &str| summary.count(path));
    assert_eq!(summary.answered(), captured, "{}", summary.ledger());
    assert!(count("/differences/compared") * 100 >= captured * 99);
    assert_eq!(
        count("/differences/kinds/target_shorter"),
        count("/differences/compared")
    );
    // A silence of the shortest kind before each turn would have them seconds behind in the middle of the run.
    let median = count("/latency_us/lag/p50");
    assert!(median < 20_000, "{lag}");
    check_nothing_left(&stand);
}

#[test]
fn a_target_that_answers_a_byte_less_on_few_connections() {
    shorter(4, 2000, "599");
}

#[test]
fn a_target_that_answers_a_tenth_on_many_connections() {
    shorter(50, 10_000, "60");
}
