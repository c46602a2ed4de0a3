//! A channel with a key.

use std::time::Duration;

use lab::copier::{self, Copier};
use lab::{Host, Topology};
use tests::copying::{check_nothing_left, finish};
use tests::{Clients, check_clean, check_complete};

use super::robust::pause;

/// With a key everything is copied as without, also while the key is replaced: who is connected stays so.
#[test]
fn everything_is_copied_while_the_key_is_replaced() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut options = stand.options();
    options.has_key = true;
    let mut copier = Copier::start(&stand.lab, &stand.binaries, &options).expect("a copy");
    let clients = Clients::short(300, 4).start(&stand);
    pause(1000);
    key_file::rotate(&copier::key_file(&stand.lab)).expect("the key is replaced");
    let report = clients.wait();
    let summary = finish(&mut copier);
    let intercept = copier.intercept.as_ref().expect("it ran").log();
    for log in [&copier.tcpcopy.log(), &intercept] {
        assert!(
            log.contains("2 key(s)") && !log.contains("insecure"),
            "{log}"
        );
    }
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_clean(&stand);
}

/// Whoever has another key is told so at once, and copies nothing.
#[test]
fn another_key_ends_the_start() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let mut options = stand.options();
    options.has_key = true;
    let _intercept =
        copier::start_intercept(&stand.lab, &stand.binaries, &options).expect("intercept");
    let file = copier::key_file(&stand.lab);
    std::fs::remove_file(&file).expect("it was made");
    for (has_key, words) in [
        (true, "does not have this end's key"),
        (false, "the peer has a key and this end has none"),
    ] {
        options.has_key = has_key;
        let mut copier =
            Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online)
                .expect("it can be started");
        let status = copier
            .tcpcopy
            .wait(Duration::from_secs(20))
            .expect("it ends");
        let log = copier.tcpcopy.log();
        assert_eq!(status.code(), Some(2), "{log}");
        assert!(
            log.contains(words) && log.contains("[intercept-other-key]"),
            "{log}"
        );
    }
    check_nothing_left(&stand);
}
