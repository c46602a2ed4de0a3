//! What is measured: servers that differ in a known way, and what the summary says of them.

use std::fs;

use lab::{Host, Topology};
use tests::copying::{check_books, check_clients, finish};
use tests::{Clients, check_nothing_left};

use super::bodies::Service;
use super::options::with;
use super::places::start;

/// The target answers 5 ms later, and with 100 bytes less.
fn slower_and_shorter(topology: Topology) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    let online = Service::start_with(&stand, Host::Online, &["--delay-ms", "2"]);
    let target = Service::start_with(&stand, Host::Target, &["--delay-ms", "7", "--size", "500"]);
    let folder = stand.lab.folder().join("histograms");
    let options = with(stand.options(), &["--hgrm", &folder.display().to_string()]);
    let mut copier = start(&stand, &options);
    let report = Clients::keep_alive(20, 500, 5).run(&stand);
    let summary = finish(&mut copier);
    assert_eq!(online.finish().len(), target.finish().len());
    check_clients(&report);
    check_books(&summary);
    let captured = summary.captured();
    assert_eq!(summary.answered(), captured, "{}", summary.ledger());
    let count = |path: &str| summary.count(path);
    // A session out of step is not compared, and says so.
    let compared = count("/differences/compared");
    assert_eq!(compared + count("/differences/unpaired"), captured);
    assert!(compared * 100 >= captured * 99, "{compared} of {captured}");
    assert_eq!(count("/differences/kinds/target_shorter"), compared);
    assert_eq!(count("/differences/kinds/target_longer"), 0);
    let median = |side: &str| count(&format!("/latency_us/{side}/last_byte/p50"));
    let (online, net) = (median("online"), median("target_net"));
    eprintln!(
        "last byte after {online} us online and {net} us net of the path; clients' own median {} us",
        report.latency.p50
    );
    // The machine may be busy with other tests: figures are for the bench, this is about the right one being in its place.
    assert!((2_000..4_000).contains(&online), "{online}");
    assert!((4_000..8_000).contains(&(net - online)), "{net} - {online}");
    assert!(median("target") >= net);
    assert!(median("target_intended") >= median("target"));
    for (file, series) in [
        ("online_first_byte", "online/first_byte"),
        ("target_last_byte_net", "target_net/last_byte"),
        ("lag", "lag"),
    ] {
        let table = fs::read_to_string(folder.join(format!("{file}.hgrm"))).expect(file);
        let total = count(&format!("/latency_us/{series}/count"));
        assert!(
            table.contains(&format!("Total count    = {total:>12}]")),
            "{file}: {total} in the summary; {table}"
        );
    }
    let log = fs::read_to_string(folder.join("tcpcopy.hlog")).expect("the log");
    let intervals = log.lines().filter(|line| line.starts_with("Tag=lag,"));
    assert!(intervals.count() >= 4, "one for each second: {log}");
    check_nothing_left(&stand);
}

#[test]
fn a_target_that_is_slower_and_says_less_is_told_so_direct() {
    slower_and_shorter(Topology::Direct);
}

#[test]
fn a_target_that_is_slower_and_says_less_is_told_so_assistant() {
    slower_and_shorter(Topology::Assistant);
}
