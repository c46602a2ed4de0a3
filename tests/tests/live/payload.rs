//! Rules with a protocol module: responses of both servers come whole, from 10 bytes to 300 kB, and the copy is what it is without.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::copier::{Capture, Options};
use lab::net::{ONLINE, ONLINE_INSIDE};
use lab::{Host, Topology};
use tests::copying::{check_books, check_clients, finish};
use tests::{Clients, PORT, Stand, check_nothing_left};

use super::bodies::Service;
use super::metrics::{get, tcpcopy};
use super::options::with;
use super::places::start;
use super::robust::pause;

/// Lengths of responses, and how many requests are sent for each.
const LENGTHS: [u64; 5] = [10, 1_000, 10_000, 100_000, 300_000];
const REQUESTS: u64 = 200;
/// Bytes of all those responses, without their heads.
const BODIES_LEN: u64 = REQUESTS * (10 + 1_000 + 10_000 + 100_000 + 300_000);
/// How soon figures are published once everything was answered.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(5);
/// Where they are asked for.
const METRICS: [&str; 2] = ["--listen", "127.0.0.1:9524"];

/// What was counted of one side's responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Payload {
    seen: u64,
    missing: u64,
}

/// What is counted now: of the online server, and of the target.
fn counted(stand: &Stand) -> (Payload, Payload) {
    let text = get(stand, Host::Online, tcpcopy(), "/metrics").body;
    let number = |side: &str, result: &str| -> u64 {
        let mut lines = text.lines();
        let found = lines.find_map(|line| {
            let rest = line.strip_prefix("tcpcopy_response_payload_bytes_total{")?;
            let (labels, n) = rest.split_once("} ")?;
            let both = [format!("side=\"{side}\""), format!("result=\"{result}\"")];
            both.iter().all(|it| labels.contains(it)).then_some(n)
        });
        found.and_then(|n| n.parse().ok()).expect("the metric")
    };
    let of = |side| Payload {
        seen: number(side, "seen"),
        missing: number(side, "missing"),
    };
    (of("online"), of("target"))
}

/// The same as soon as the target's are as many, or no more come.
fn counted_in_the_end(stand: &Stand) -> (Payload, Payload) {
    let until = Instant::now() + PUBLISHED_WITHIN;
    loop {
        let (online, target) = counted(stand);
        let all = online.seen.max(BODIES_LEN);
        let is_all = online.seen == all && target.seen + target.missing >= all;
        if is_all || Instant::now() > until {
            return (online, target);
        }
        pause(100);
    }
}

/// Clients on connections that stay open, one length after the other.
fn ask(stand: &Stand) {
    for len in LENGTHS {
        let (path, len) = (format!("/{len}"), len.to_string());
        let clients =
            Clients::keep_alive(10, 100, 4).and(&["--path", &path, "--expect-length", &len]);
        let report = clients
            .and(&["--requests", &REQUESTS.to_string()])
            .run(stand);
        check_clients(&report);
        assert_eq!(report.completed, REQUESTS, "{len}");
    }
}

/// Copies all of it with these options; gives what was counted of both sides' responses.
fn copied(stand: &Stand, target: (Host, SocketAddr), options: &Options) -> (Payload, Payload) {
    let online = Service::start(stand, Host::Online);
    let target = match target {
        (Host::Online, listen) => Service::start_named(stand, Host::Online, "here", listen),
        (host, listen) => Service::start_at(stand, host, listen, &[]),
    };
    let mut copier = start(stand, options);
    ask(stand);
    let payload = counted_in_the_end(stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish(), target.finish());
    let context = format!("{}\n{}", summary.ledger(), copier.tcpcopy.log());
    assert_eq!(
        online.len() as u64,
        REQUESTS * LENGTHS.len() as u64,
        "{context}"
    );
    assert_eq!(online, target, "{context}");
    check_books(&summary);
    assert_eq!(summary.captured(), online.len() as u64, "{context}");
    assert_eq!(summary.answered(), summary.captured(), "{context}");
    check_nothing_left(stand);
    payload
}

/// Both sides' responses came, all of them whole.
fn check_whole((online, target): (Payload, Payload)) {
    eprintln!("online {online:?}, target {target:?}");
    assert_eq!((online.missing, target.missing), (0, 0));
    // With their heads, some of them twice where a segment was sent again.
    let usual = BODIES_LEN..BODIES_LEN * 21 / 20;
    assert!(usual.contains(&online.seen), "{online:?}");
    assert!(usual.contains(&target.seen), "{target:?}");
}

fn with_module(options: Options) -> Options {
    let rules = format!("{}/protocol=http1", options.rules);
    with(Options { rules, ..options }, &METRICS)
}

/// At the usual place.
fn copied_whole(topology: Topology, change: impl FnOnce(Options) -> Options) {
    let Some(stand) = super::stand_with(topology, &[]) else {
        return;
    };
    let options = change(with_module(stand.options()));
    let target = SocketAddr::from((Host::Target.address().expect("an address"), PORT));
    check_whole(copied(&stand, (Host::Target, target), &options));
}

#[test]
fn in_direct_mode() {
    copied_whole(Topology::Direct, |options| options);
}

#[test]
fn in_assistant_mode() {
    copied_whole(Topology::Assistant, |options| options);
}

#[test]
fn in_assistant_mode_with_a_key() {
    copied_whole(Topology::Assistant, |options| Options {
        has_key: true,
        ..options
    });
}

#[test]
fn beside_clients_that_are_cloned() {
    copied_whole(Topology::Direct, |options| Options {
        capture: Capture::AfXdp,
        ..options
    });
}

#[test]
fn of_a_target_on_the_same_host() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let (here, target) = (
        SocketAddr::from((ONLINE, PORT)),
        SocketAddr::from((ONLINE_INSIDE, PORT + 1)),
    );
    let options = Options::new(Topology::Direct, &here.to_string(), &target.to_string());
    check_whole(copied(
        &stand,
        (Host::Online, target),
        &with_module(options),
    ));
}

/// A rule without a module has none of it, in either mode.
#[test]
fn without_a_module_nothing_is_read() {
    for topology in [Topology::Direct, Topology::Assistant] {
        let Some(stand) = super::stand_with(topology, &[]) else {
            return;
        };
        let options = with(stand.options(), &METRICS);
        let target = SocketAddr::from((Host::Target.address().expect("an address"), PORT));
        let nothing = (Payload::default(), Payload::default());
        assert_eq!(copied(&stand, (Host::Target, target), &options), nothing);
    }
}
