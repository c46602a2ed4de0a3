//! What must be true of every copy.

use lab::access_log::{Comparison, Request};
use lab::copier::{Copier, Options, Summary};
use lab::load::Report;
use lab::{Host, Topology};

use crate::{Stand, figures};

/// Checks that clients saw no error, that the target has seen each request of the online server exactly once, and
/// that the books of the copy say the same.
///
/// # Panics
///
/// Where that is not so.
pub fn check_complete(report: &Report, online: &[Request], target: &[Request], summary: &Summary) {
    figures::copied(online, target, summary);
    check_clients(report);
    let comparison = Comparison::of(online, target);
    let context = format!(
        "{comparison}; ledger: {}; sessions: {}; notes: {}; kernel: {}",
        summary.ledger(),
        summary.value()["sessions"],
        summary.value()["incidents"],
        summary.value()["hooks"]["capture"]
    );
    assert_eq!(
        online.len() as u64,
        report.completed,
        "the online server has seen what clients sent: {context}"
    );
    assert!(comparison.is_exact(), "{context}");
    check_books(summary);
    assert_eq!(
        summary.captured(),
        online.len() as u64,
        "every request is a turn: {context}"
    );
    assert_eq!(
        summary.answered(),
        summary.captured(),
        "every turn is answered: {context}"
    );
}

/// Checks that the clients of the online server saw nothing of the copy.
///
/// # Panics
///
/// Where a request failed.
pub fn check_clients(report: &Report) {
    assert!(report.sent > 0, "the clients sent nothing");
    assert!(
        report.errors.is_empty(),
        "{} of {} requests to the online server failed: {:?}",
        report.failed(),
        report.sent,
        report.errors
    );
}

/// Checks that the ledger adds up and the counters of the kernel reconcile.
///
/// # Panics
///
/// Where they do not.
pub fn check_books(summary: &Summary) {
    assert!(
        summary.adds_up(),
        "the ledger does not add up: {}",
        summary.value()
    );
    let residues = summary.residues();
    assert!(
        residues.is_empty(),
        "counters do not add up: {residues:?} in {}",
        summary.value()
    );
}

/// Checks that nothing of a copy is left behind on the online host, and that another one can start and end.
///
/// # Panics
///
/// Where something is left, or the next start fails.
pub fn check_clean(stand: &Stand) {
    check_nothing_left(stand);
    let mut copier = start(stand);
    finish(&mut copier);
    check_nothing_left(stand);
}

/// Checks that no program, no filter and no device of ours is left.
///
/// # Panics
///
/// Where one is.
pub fn check_nothing_left(stand: &Stand) {
    let left = left(stand);
    figures::left(left.len());
    assert!(left.is_empty(), "left behind: {}", left.join("; "));
}

/// The private device, filters and the hosts' programs of ours that are there.
fn left(stand: &Stand) -> Vec<String> {
    let mut left = Vec::new();
    let links = stand
        .lab
        .run(Host::Online, "ip", &["-brief", "link"])
        .expect("ip link");
    if links.contains("tcpcopy0") {
        left.push(format!("the private device: {links}"));
    }
    let mut hosts = vec![Host::Online];
    if stand.lab.topology() == Topology::Assistant {
        hosts.push(Host::Assistant);
    }
    for interface in ["eth0", "eth1"] {
        for direction in ["ingress", "egress"] {
            let arguments = ["filter", "show", "dev", interface, direction];
            // A host without `tc` has no filters either.
            let filters = stand
                .lab
                .run(Host::Online, "tc", &arguments)
                .unwrap_or_default();
            if filters.contains("tcpcopy/") {
                left.push(format!("filters on {interface}: {filters}"));
            }
        }
    }
    if lab::system::missing(&["bpftool"]).is_empty() {
        for host in hosts {
            let programs = stand
                .lab
                .run(host, "bpftool", &["net", "show"])
                .expect("bpftool net");
            if PROGRAMS.iter().any(|name| programs.contains(name)) {
                left.push(format!("programs on {}: {programs}", host.name()));
            }
        }
    }
    left
}

/// The names of our programs in the kernel.
pub const PROGRAMS: [&str; 9] = [
    "capture", "observe", "overhear", "replies", "inject", "absorb", "steer", "deliver", "sink",
];

/// Starts a copy as the stand's options say.
///
/// # Panics
///
/// Where it does not become ready.
#[must_use]
pub fn start(stand: &Stand) -> Copier {
    start_with(stand, &stand.options())
}

/// Starts a copy with these options.
///
/// # Panics
///
/// Where it does not become ready.
#[must_use]
pub fn start_with(stand: &Stand, options: &Options) -> Copier {
    Copier::start(&stand.lab, &stand.binaries, options).unwrap_or_else(|error| panic!("{error}"))
}

/// Ends a copy in order.
///
/// # Panics
///
/// Where it does not end with success.
pub fn finish(copier: &mut Copier) -> Summary {
    copier.finish().unwrap_or_else(|error| panic!("{error}"))
}
