//! What a script reads of a run that copies nothing: that it always ends, and why. What gates say is in [`super::gates`].

use std::time::Duration;

use lab::copier::Copier;
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use tests::Clients;
use tests::copying::{check_clients, check_nothing_left};

use super::bodies::Service;
use super::options::with;
use super::places::start;

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
