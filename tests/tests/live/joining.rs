//! Connections that were open before the start: joined where what comes next stands alone, left out and told where it does not.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use lab::copier::{Copier, Summary};
use lab::net::{ONLINE, TARGET};
use lab::process::Spec;
use lab::redis::Redis;
use lab::{Host, Topology};
use tests::copying::{check_books, finish, start, start_with};
use tests::{PORT, Stand, check_nothing_left};

use super::known_faults::is_known;
use super::options::with;
use super::spoken::{Journal, connect, line, long, serve, skip, within};

/// What was left out because it was open before the start: flows, and their bytes.
fn open_before(summary: &Summary) -> (u64, u64) {
    let count = |name| summary.count(&format!("/left_out/open_before_{name}"));
    (count("flows"), count("bytes"))
}

/// Ends a copy of which nothing may have reached the target, and that said why.
fn left_out(mut copier: Copier, flows: u64) -> Summary {
    let summary = finish(&mut copier);
    let log = copier.tcpcopy.log();
    let context = format!(
        "{}; {}; {}",
        summary.ledger(),
        summary.value()["left_out"],
        summary.value()["sessions"]
    );
    eprintln!("{context}");
    check_books(&summary);
    assert_eq!(summary.captured(), 0, "{context}");
    assert_eq!(summary.count("/sessions/opened"), 0, "{context}");
    let (seen, bytes) = open_before(&summary);
    assert_eq!(seen, flows, "{context}");
    assert!(bytes > 0, "{context}");
    assert!(log.contains("--join"), "no hint to --join in {log}");
    summary
}

/// Streams whose beginning was missed mean nothing on another connection: headers refer to earlier ones.
#[test]
fn http2_from_before_the_start() {
    if is_known("http2_from_before_the_start") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "h2load"]) else {
        return;
    };
    let mut online = stand.nginx_with(Host::Online, |config| config.http2 = true);
    let mut target = stand.nginx_with(Host::Target, |config| config.http2 = true);
    let url = format!("http://{ONLINE}:{PORT}/?id=h2");
    let load = ["-D", "4", "-c", "4", "-m", "1", "--rps", "20", &url];
    let spec = Spec::new("h2load", "h2load").args(load);
    let mut load = stand.lab.spawn(Host::Client, &spec).expect("h2load");
    sleep(Duration::from_millis(1500));
    let copier = start(&stand);
    load.wait_success(Duration::from_secs(20)).expect("h2load");
    left_out(copier, 4);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    assert!(online.len() > 100, "{} requests", online.len());
    assert_eq!(target.len(), 0, "requests at the target");
    check_nothing_left(&stand);
}

/// What a client says on a connection of one protocol: `number` tells the messages apart.
type Words = fn(number: u8) -> Vec<u8>;

/// Protocols whose connections have state, with what is said once that is there.
const WITH_STATE: [(&str, Words); 5] = [
    ("TLS", |number| {
        let body = (0..40u8).map(|index| index.wrapping_mul(97).wrapping_add(number) ^ 0x5a);
        [0x17, 3, 3, 0, 40].into_iter().chain(body).collect()
    }),
    ("Redis", |number| {
        format!("*3\r\n$3\r\nSET\r\n$4\r\nk{number:03}\r\n$1\r\nv\r\n").into_bytes()
    }),
    ("PostgreSQL", |number| {
        let text = format!("INSERT INTO t VALUES ({number:03})\0");
        let len = u32::try_from(text.len() + 4).unwrap_or(0);
        [b"Q", &len.to_be_bytes()[..], text.as_bytes()].concat()
    }),
    ("MySQL", |number| {
        let text = format!("INSERT INTO t VALUES ({number:03})");
        let len = u8::try_from(text.len() + 1).unwrap_or(0);
        [&[len, 0, 0, 0, 3], text.as_bytes()].concat()
    }),
    ("MQTT", |number| {
        let text = format!("\0\x05topicmessage {number:03}");
        let len = u8::try_from(text.len()).unwrap_or(0);
        [&[0x30, len], text.as_bytes()].concat()
    }),
];

/// Protocols whose requests each stand alone.
const STANDING_ALONE: [(&str, Words); 2] = [
    ("HTTP/1", |number| {
        format!("GET /{number:03} HTTP/1.1\r\nHost: online\r\n\r\n").into_bytes()
    }),
    ("memcached", |number| {
        format!("get k{number:03}\r\n").into_bytes()
    }),
];

/// Length of each answer of [`answering`], in bytes.
const ANSWER_LEN: usize = 100;

/// A server that answers each message, whatever it is.
fn answering(stand: &Stand, host: Host) -> Journal {
    serve(stand, host, |mut stream, ear| {
        let mut message = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut message) {
            let mut text = String::new();
            for byte in &message[..len] {
                let _ = write!(text, "{}", byte.escape_ascii());
            }
            ear.hears(text);
            if stream.write_all(&[b'r'; ANSWER_LEN]).is_err() {
                return;
            }
        }
    })
}

/// Says something and waits for the answer.
fn say(stream: &mut TcpStream, words: &[u8]) {
    stream.write_all(words).expect("a connection");
    skip(stream, ANSWER_LEN).expect("an answer");
}

/// Messages of each connection after the start.
const MESSAGES: u8 = 10;

/// Opens a connection for each protocol, starts a copy and says the rest; returns the bytes that were said after the start.
fn said_around_the_start(
    stand: &Stand,
    protocols: &[(&str, Words)],
    more: &[&str],
) -> (Copier, u64) {
    let mut streams: Vec<_> = protocols
        .iter()
        .map(|(_, words)| (connect(stand), *words))
        .collect();
    for (stream, words) in &mut streams {
        say(stream, &words(0));
    }
    let copier = start_with(stand, &with(stand.options(), more));
    let mut bytes = 0;
    for number in 1..=MESSAGES {
        for (stream, words) in &mut streams {
            let words = words(number);
            bytes += words.len() as u64;
            say(stream, &words);
        }
        sleep(Duration::from_millis(50));
    }
    (copier, bytes)
}

/// Logins, chosen databases, prepared statements and keys are on the connection: the target would take what follows for
/// something else, or for nothing.
#[test]
fn what_depends_on_its_connection_is_not_joined() {
    if is_known("what_depends_on_its_connection_is_not_joined") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let (online, target) = (
        answering(&stand, Host::Online),
        answering(&stand, Host::Target),
    );
    let (copier, bytes) = said_around_the_start(&stand, &WITH_STATE, &[]);
    let summary = left_out(copier, WITH_STATE.len() as u64);
    let messages = WITH_STATE.len() * (usize::from(MESSAGES) + 1);
    assert_eq!(online.heard().len(), messages);
    assert_eq!(target.connections(), 0, "{:?}", target.texts());
    // TLS is told as what it is.
    let told = open_before(&summary).1 + summary.count("/left_out/unreplayable_bytes");
    assert_eq!(
        told,
        bytes,
        "every byte is told: {}",
        summary.value()["left_out"]
    );
    check_nothing_left(&stand);
}

/// What stands alone is joined at its first turn boundary.
#[test]
fn what_stands_alone_is_joined() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let (online, target) = (
        answering(&stand, Host::Online),
        answering(&stand, Host::Target),
    );
    let (mut copier, _) = said_around_the_start(&stand, &STANDING_ALONE, &[]);
    let summary = finish(&mut copier);
    check_books(&summary);
    assert_eq!(summary.fidelity(), 1.0, "{}", summary.ledger());
    // Of each the first one is needed to see where a turn begins.
    let most = STANDING_ALONE.len() * usize::from(MESSAGES);
    let heard = target.texts();
    assert!(
        (most - STANDING_ALONE.len()..=most).contains(&heard.len()),
        "{heard:?}"
    );
    assert!(
        heard.iter().all(|text| online.texts().contains(text)),
        "{heard:?}"
    );
    check_nothing_left(&stand);
}

/// Who says so has everything joined.
#[test]
fn everything_is_joined_where_it_is_asked_for() {
    if is_known("everything_is_joined_where_it_is_asked_for") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let (_online, target) = (
        answering(&stand, Host::Online),
        answering(&stand, Host::Target),
    );
    let (mut copier, _) = said_around_the_start(&stand, &WITH_STATE, &["--join", "always"]);
    let summary = finish(&mut copier);
    check_books(&summary);
    // TLS is never copied: its keys are not ours.
    let least = (WITH_STATE.len() - 1) * (usize::from(MESSAGES) - 1);
    assert!(
        target.heard().len() >= least,
        "{:?}; {}",
        target.texts(),
        summary.ledger()
    );
    check_nothing_left(&stand);
}

/// A Redis client that has logged in and chosen a database before the start: nothing of it is written into another one.
#[test]
fn redis_database_chosen_before_the_start() {
    if is_known("redis_database_chosen_before_the_start") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &["redis-server", "redis-cli"]) else {
        return;
    };
    let server = |host, name, address| {
        Redis::start(&stand.lab, host, name, (address, PORT).into()).expect("redis")
    };
    let _online = server(Host::Online, "redis-online", ONLINE);
    let target = server(Host::Target, "redis-target", TARGET);
    let mut streams: Vec<_> = (0..4).map(|_| connect(&stand)).collect();
    let ask = |stream: &mut TcpStream, words: String| {
        write!(stream, "{words}\r\n").expect("a connection");
        let said = line(stream);
        assert_eq!(said.as_deref(), Some("+OK"), "{words}");
    };
    for stream in &mut streams {
        ask(stream, "SELECT 5".to_owned());
    }
    let copier = start(&stand);
    for key in 0..20 {
        for (number, stream) in streams.iter_mut().enumerate() {
            ask(stream, format!("SET key{number}-{key} value"));
        }
        sleep(Duration::from_millis(20));
    }
    left_out(copier, 4);
    let keys = target.ask(&stand.lab, &["INFO", "keyspace"]).expect("INFO");
    assert!(!keys.contains("db0"), "{keys}");
    check_nothing_left(&stand);
}

/// A server behind a proxy: each connection begins with a line that tells the client, and is closed without it.
fn behind_a_proxy(stand: &Stand, host: Host) -> Journal {
    serve(stand, host, |mut stream, ear| {
        if line(&mut stream).is_none_or(|first| !first.starts_with("PROXY ")) {
            ear.hears("no PROXY line");
            return;
        }
        while let Some(said) = line(&mut stream) {
            if said.starts_with("GET ") {
                ear.hears(said);
            } else if said.is_empty() && stream.write_all(&[b'r'; ANSWER_LEN]).is_err() {
                return;
            }
        }
    })
}

/// Connections of a proxy that were open before the start, and 200 requests on them afterwards.
fn proxied(stand: &Stand, more: &[&str]) -> (Copier, Journal) {
    let _online = behind_a_proxy(stand, Host::Online);
    let target = behind_a_proxy(stand, Host::Target);
    let mut streams: Vec<_> = (0..4).map(|_| connect(stand)).collect();
    let get = |stream: &mut TcpStream, number: u32| {
        let request = format!("GET /{number} HTTP/1.1\r\nHost: online\r\n\r\n");
        say(stream, request.as_bytes());
    };
    for (number, stream) in (0..).zip(&mut streams) {
        stream
            .write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n")
            .expect("a connection");
        get(stream, number);
    }
    let copier = start_with(stand, &with(stand.options(), more));
    for number in 0..50 {
        for (index, stream) in (0..).zip(&mut streams) {
            get(stream, 1000 * (index + 1) + number);
        }
        sleep(Duration::from_millis(40));
    }
    (copier, target)
}

/// What is joined is thrown out by the target while the online server goes on: this is found out, said, and stopped.
#[test]
fn a_missed_proxy_line() {
    if is_known("a_missed_proxy_line") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let (mut copier, target) = proxied(&stand, &["--join", "always"]);
    let summary = finish(&mut copier);
    let log = copier.tcpcopy.log();
    let context = format!(
        "{} connections; {}; {}",
        target.connections(),
        summary.ledger(),
        summary.value()["left_out"]
    );
    eprintln!("{context}");
    check_books(&summary);
    assert!((1..60).contains(&target.connections()), "{context}");
    assert!(log.contains("--join"), "no hint to --join in {log}");
    check_nothing_left(&stand);
}

/// With `-O` these flows are left out, which is said as that and not as a service that nobody uses.
#[test]
fn full_sessions_only() {
    if is_known("full_sessions_only") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let (copier, target) = proxied(&stand, &["-O"]);
    left_out(copier, 4);
    assert_eq!(target.connections(), 0);
    check_nothing_left(&stand);
}

/// A client that asks seldom and was there before the start is joined at its second request. It is tried with a pause that is
/// longer than a flow without a session is usually remembered.
#[test]
fn a_poller_from_before_the_start() {
    if is_known("a_poller_from_before_the_start") || !long() {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let (_online, target) = (
        answering(&stand, Host::Online),
        answering(&stand, Host::Target),
    );
    let (_, words) = STANDING_ALONE[0];
    let mut stream = connect(&stand);
    say(&mut stream, &words(0));
    let mut copier = start(&stand);
    say(&mut stream, &words(1));
    sleep(Duration::from_secs(40));
    say(&mut stream, &words(2));
    within(5, || !target.heard().is_empty());
    let summary = finish(&mut copier);
    check_books(&summary);
    let second = target.texts().iter().any(|text| text.contains("/002"));
    assert!(
        second,
        "{}; {}",
        summary.ledger(),
        summary.value()["sessions"]
    );
    check_nothing_left(&stand);
}
