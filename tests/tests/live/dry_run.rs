//! `--dry-run`: the file has what a target would be sent, request by request, and nothing is sent.

use std::path::Path;
use std::time::Duration;

use lab::access_log::Comparison;
use lab::copier::Summary;
use lab::net::TARGET;
use lab::{Host, Spec, Topology};
use tests::copying::{check_books, check_clients, check_nothing_left, finish, start_with};
use tests::{Clients, PORT, Stand};

use super::record::record;
use super::replay::Recorded;
use super::tap::Read;

const NEEDS: [&str; 3] = ["nginx", "tshark", "setpriv"];

/// A dry run of files by a process without any right, to its end.
fn without_rights(stand: &Stand, recorded: &Recorded, file: &str, options: &[&str]) -> Summary {
    let rule = format!("{PORT}-{TARGET}:{PORT}");
    let summary = stand.lab.folder().join("dry.json");
    let no_rights = [
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--ambient-caps=-all",
    ];
    let spec = Spec::new("dry-run", "setpriv")
        .args(no_rights)
        .args([stand.binaries.tcpcopy.display()])
        .args(["replay", "-x", &rule, "--dry-run", file, "--summary"])
        .args([summary.display()])
        .args(options.iter().copied())
        .args(["--pcap"])
        .args([recorded.file.display()]);
    let mut process = stand.lab.spawn(Host::Online, &spec).expect("a dry run");
    let ended = process.wait_success(Duration::from_secs(20));
    ended.unwrap_or_else(|error| panic!("{error}\n{}", process.log()));
    assert!(process.output().contains("DRY RUN: nothing was sent"));
    let summary = Summary::read(&summary).expect("a summary");
    check_books(&summary);
    assert_eq!(summary.value()["dry_run"], true);
    assert_eq!(
        summary.count("/differences/compared"),
        0,
        "nothing is compared"
    );
    summary
}

/// The file of a dry run has each request of the recording so many times, whole, and so many packets as the summary says.
fn check(recorded: &Recorded, file: &Path, summary: &Summary, times: usize) {
    let read = Read::new(file);
    let seen = read.as_log();
    let expected = (recorded.requests.len() * times) as u64;
    let context = summary.ledger();
    assert_eq!(
        (seen.len() as u64, summary.captured(), summary.answered()),
        (expected, expected, expected),
        "{context}"
    );
    if times == 1 {
        let comparison = Comparison::of(&recorded.requests, &seen);
        assert!(comparison.is_exact(), "{comparison}");
    }
    let packets = [&read.sent, &read.received].map(|side| side.values().sum::<u64>());
    let told = ["sent", "received"].map(|side| summary.count(&format!("/tap/{side}_packets")));
    assert_eq!(packets, told);
}

#[test]
fn a_dry_run_of_files_has_every_request_once_and_needs_no_right() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let loads = [Clients::keep_alive(20, 1000, 2), Clients::short(500, 1)];
    let (recorded, _) = record(&stand, "recorded.pcapng", &[], &loads);
    let mut target = stand.nginx(Host::Target);
    let file = stand.lab.folder().join("dry.pcapng");
    let name = file.display().to_string();
    for (options, times) in [
        // Five minutes of the file's time: a dry run has one of its own.
        (&["--speed", "0.01"][..], 1),
        (&["--speed", "max", "--force"], 1),
        (&["--speed", "max", "--force", "-n", "2", "--loop", "2"], 4),
    ] {
        let summary = without_rights(&stand, &recorded, &name, options);
        check(&recorded, &file, &summary, times);
    }
    without_rights(&stand, &recorded, "/dev/null", &["--speed", "max"]);
    assert_eq!(target.finish().expect("the log").len(), 0, "it was sent");
    check_nothing_left(&stand);
}

#[test]
fn a_live_dry_run_sends_nothing() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let file = stand.lab.folder().join("dry.pcapng");
    let options = stand
        .options()
        .more("--dry-run")
        .more(&file.display().to_string());
    let mut copier = start_with(&stand, &options);
    check_clients(&Clients::keep_alive(20, 1000, 1).run(&stand));
    check_clients(&Clients::short(300, 1).run(&stand));
    let summary = finish(&mut copier);
    check_books(&summary);
    let recorded = Recorded {
        file: file.clone(),
        requests: online.finish().expect("the log"),
    };
    check(&recorded, &file, &summary, 1);
    assert_eq!(target.finish().expect("the log").len(), 0, "it was sent");
    assert_eq!(summary.count("/hooks/inject/frames"), 0);
    let log = copier.tcpcopy.log();
    assert!(log.contains("DRY RUN: NOTHING IS SENT"), "{log}");
    assert!(!log.contains("WILL EXECUTE"), "{log}");
    check_nothing_left(&stand);
}
