//! Multipath TCP (RFC 8684): the bytes of one connection travel by several, of which each alone makes no sense. The target must
//! never get a body that is made of pieces, and what could not be copied is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lab::command::last_line;
use lab::load::Report;
use lab::net::ONLINE;
use lab::process::Spec;
use lab::service::read_record;
use lab::{Host, Process, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, finish, start_with};
use tests::{PORT, Stand, check_nothing_left};

use super::bodies::Service;
use super::known_faults::is_known;
use super::options::with;

/// Uploads, each on a connection of its own.
const UPLOADS: u64 = 8;

/// A part of the lab whose sockets are those of Multipath TCP.
fn multipath(stand: &Stand, name: &str, part: &str) -> Spec {
    let program = stand.part().display().to_string();
    Spec::new(name, "mptcpize").args(["run", &program, part])
}

/// The service of the online host, which keeps the digest of each body.
fn service(stand: &Stand, record: &Path) -> Process {
    let spec = multipath(stand, "service-online", "serve").args([
        "--listen",
        &format!("{ONLINE}:{PORT}"),
        "--record",
        &record.display().to_string(),
    ]);
    let mut service = stand.lab.spawn(Host::Online, &spec).expect("the service");
    service
        .wait_for("ready", Duration::from_secs(5))
        .expect("the service");
    service
}

/// Sends the uploads.
fn upload(stand: &Stand) -> Report {
    let (to, count) = (format!("{ONLINE}:{PORT}"), UPLOADS.to_string());
    let spec = multipath(stand, "clients", "load")
        .args(["--quiet", "--to", &to, "--seconds", "5", "--rate", "4"])
        .args(["--requests", &count, "--connections", &count])
        .args(["--body", "4000000"]);
    let mut clients = stand.lab.spawn(Host::Client, &spec).expect("clients");
    clients
        .wait_success(Duration::from_secs(30))
        .expect("clients");
    last_line(&clients.output()).expect("a report")
}

/// Allows two subflows, and gives the client a second address for the second one.
fn two_subflows(stand: &Stand) {
    let (client, online) = (
        stand.lab.namespace(Host::Client),
        stand.lab.namespace(Host::Online),
    );
    client.add_address("eth0", "10.0.1.77/24").expect("address");
    for host in [&client, &online] {
        let limits = "mptcp limits set subflows 2 add_addr_accepted 2";
        host.ip(&limits.split(' ').collect::<Vec<_>>())
            .expect("limits");
    }
    let endpoint = "mptcp endpoint add 10.0.1.77 dev eth0 subflow fullmesh";
    client
        .ip(&endpoint.split(' ').collect::<Vec<_>>())
        .expect("an endpoint");
}

/// How many subflows beside the first ones a host has seen joined.
fn joined(stand: &Stand) -> u64 {
    let said = stand.lab.run(Host::Online, "cat", &["/proc/net/netstat"]);
    let said = said.expect("statistics");
    let mut lines = said.lines().filter(|line| line.starts_with("MPTcpExt:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let count = names
        .split(' ')
        .zip(values.split(' '))
        .find_map(|(name, value)| (name == "MPJoinAckRx").then(|| value.parse().ok()));
    count.flatten().unwrap_or(0)
}

/// The bodies that a server has got, by request.
fn bodies(record: &Path) -> BTreeMap<u64, (u64, u64)> {
    let entries = read_record(record).expect("the record");
    entries
        .iter()
        .map(|entry| (entry.id, (entry.body_len, entry.digest)))
        .collect()
}

/// Uploads whose bytes come by two subflows.
#[test]
fn uploads_by_two_subflows() {
    if is_known("uploads_by_two_subflows") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &["mptcpize"]) else {
        return;
    };
    two_subflows(&stand);
    let record = stand.lab.folder().join("multipath.record");
    let mut online = service(&stand, &record);
    let target = Service::start(&stand, Host::Target);
    let options = with(stand.options(), &["--response-timeout", "1s"]);
    let mut copier = start_with(&stand, &options);
    let report = upload(&stand);
    let joined = joined(&stand);
    let summary = finish(&mut copier);
    online
        .stop(Signal::SIGTERM, Duration::from_secs(5))
        .expect("the service ends");
    let (online, target) = (bodies(&record), target.finish());
    let context = format!(
        "{joined} subflows joined; {} whole at the target; {}; {}; {}",
        target.len(),
        summary.ledger(),
        summary.value()["left_out"],
        summary.value()["sessions"]
    );
    eprintln!("{context}");
    check_clients(&report);
    check_books(&summary);
    assert_eq!(online.len() as u64, UPLOADS, "{context}");
    assert!(joined > 0, "no second subflow: nothing is shown");
    for entry in target.values().flatten() {
        let right = online.get(&entry.id);
        let got = (entry.body_len, entry.digest);
        assert_eq!(right, Some(&got), "request {:016x}; {context}", entry.id);
    }
    // A subflow that joins is no connection.
    assert!(summary.count("/sessions/begun") <= UPLOADS, "{context}");
    // Who says that it was copied has a whole body at the target to show for it.
    assert!(summary.answered() <= target.len() as u64, "{context}");
    for blamed in ["timed_out", "target_closed", "reset"] {
        assert_eq!(summary.outcome(blamed), 0, "{blamed}: {context}");
    }
    check_nothing_left(&stand);
}
