//! What a script reads of a run: the exit status of its gates, and that a run with an end always ends.

use std::time::Duration;

use lab::copier::{Copier, Summary};
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, check_nothing_left};
use tests::{Clients, Stand};

use super::bodies::Service;
use super::options::with;
use super::places::start;

/// What a careful script asks of a run, but for speed: servers and clients share two processors here.
const GATES: [&str; 6] = [
    "--min-fidelity",
    "99.9",
    "--max-differing",
    "0.1",
    "--min-requests",
    "1000",
];

/// Copies to a target with these faults; gives the exit status, standard output, the last line of the log, and the summary.
fn judged(stand: &Stand, target: &[&str]) -> (Option<i32>, String, String, Summary) {
    let online = Service::start_with(stand, Host::Online, &[]);
    let target = Service::start_with(stand, Host::Target, target);
    let options = with(stand.options(), &GATES);
    let options = with(options, &["--response-timeout", "2s", "--title", "a try"]);
    let mut copier = start(stand, &options);
    check_clients(&Clients::keep_alive(20, 500, 4).run(stand));
    let status = copier.tcpcopy.stop(Signal::SIGINT, Duration::from_secs(30));
    let status = status.unwrap_or_else(|error| panic!("{error}"));
    let log = copier.tcpcopy.log();
    let last = log.lines().last().unwrap_or_default().to_owned();
    let said = copier.tcpcopy.output();
    let summary = copier.summary().expect("a summary");
    check_books(&summary);
    online.finish();
    target.finish();
    (status.code(), said, last, summary)
}

#[test]
fn gates_pass_an_equal_target_and_fail_one_that_differs() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (status, said, _, summary) = judged(&stand, &[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(said.matches("ok    m").count(), 3, "{said}");
    assert!(said.contains("\na try\n"), "{said}");
    let value = summary.value();
    assert_eq!(
        (&value["title"], &value["nothing_to_judge"]),
        (&"a try".into(), &().into())
    );
    for key in ["started", "ready", "ended"] {
        assert!(value[key].is_string(), "{key}: {value}");
    }
    let captured_for = value["capture_seconds"].as_f64().expect("a number");
    assert!((3.5..10.0).contains(&captured_for), "{captured_for} s");

    let (status, said, last, summary) = judged(&stand, &["--truncate-every", "50"]);
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("FAIL  max-differing"), "{said}");
    assert!(
        last.contains("not passed: --max-differing <= 0.1 %"),
        "{last}"
    );
    assert_eq!(summary.value()["gates"][1]["result"], "failed");
    check_nothing_left(&stand);
}

/// The assistant is down: a run with an end says why it cannot begin, and ends.
#[test]
fn a_run_that_cannot_begin_ends() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let options = with(
        stand.options(),
        &["--duration", "1s", "--ready-timeout", "4s"],
    );
    let copier =
        Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online);
    let mut copier = copier.unwrap_or_else(|error| panic!("{error}"));
    let status = copier.tcpcopy.wait(Duration::from_secs(20));
    let log = copier.tcpcopy.log();
    assert_eq!(status.expect("it ends").code(), Some(4), "{log}");
    let last = log.lines().last().unwrap_or_default();
    for words in ["not ready after 4 s", "cannot connect to intercept at"] {
        assert!(last.contains(words), "`{words}` is not in {log}");
    }
    let summary = copier.summary().expect("a summary");
    assert!(summary.value()["ready"].is_null() && summary.value()["fidelity"].is_null());
    check_nothing_left(&stand);
}

/// Packets come, and `-r` takes none of their connections: that is said early, and at the end.
#[test]
fn a_share_that_takes_nothing_is_told() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let online = Service::start_with(&stand, Host::Online, &[]);
    let more = ["-r", "0.000001", "--min-fidelity", "99"];
    let mut copier = start(&stand, &with(stand.options(), &more));
    let clients = Clients::keep_alive(5, 50, 14).start(&stand);
    let words = "-r left out every connection that was seen";
    let told = copier.tcpcopy.wait_for(words, Duration::from_secs(13));
    told.unwrap_or_else(|error| panic!("{error}"));
    let summary = copier.next_summary().expect("a summary");
    assert_eq!(summary.value()["warnings"][0]["kind"], "nothing_captured");
    check_clients(&clients.wait());
    let status = copier.tcpcopy.stop(Signal::SIGINT, Duration::from_secs(20));
    let log = copier.tcpcopy.log();
    assert_eq!(status.expect("it ends").code(), Some(4), "{log}");
    assert!(
        log.lines().last().unwrap_or_default().contains(words),
        "{log}"
    );
    online.finish();
    check_nothing_left(&stand);
}
