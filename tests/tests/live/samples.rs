//! `--sample-bytes`: differences that were planted are found, by their number, and no payload is kept unless asked.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lab::copier::{CHANNEL_PORT, Capture, Options, Summary};
use lab::net::{ONLINE, TARGET};
use lab::redis::Redis;
use lab::{Host, Topology, interrupt};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use tests::copying::{check_books, check_clients, finish};
use tests::stand::listen;
use tests::{Clients, PORT, Stand, check_nothing_left};
use wire::ethernet;
use wire::segment::Segment;

use super::bodies::Service;
use super::options::with;
use super::places::start;
use super::redis::push;

/// What the first bytes of every response of the lab's service hold.
const SECRET: &[u8] = b"Server: lab";

/// Turns whose online status was of one class and whose target status was of another.
fn cell(summary: &Summary, online: &str, target: &str) -> u64 {
    let cells = summary.value()["samples"]["statuses"].as_array();
    cells
        .into_iter()
        .flatten()
        .filter(|cell| cell["online"] == online && cell["target"] == target)
        .map(|cell| cell["turns"].as_u64().expect("a number"))
        .sum()
}

/// Every turn that was compared was sampled, and nearly all were compared.
fn check_sampled(summary: &Summary) {
    check_books(summary);
    let count = |name: &str| summary.count(&format!("/differences/{name}"));
    let (compared, unpaired) = (count("compared"), count("unpaired"));
    assert_eq!(
        summary.answered(),
        summary.captured(),
        "{}",
        summary.ledger()
    );
    assert_eq!(
        compared + unpaired,
        summary.captured(),
        "{}",
        summary.value()
    );
    assert!(
        compared * 100 >= summary.captured() * 99,
        "{compared} compared"
    );
    assert_eq!((count("sampled"), count("unsampled")), (compared, 0));
}

/// Whether as many were found as were planted, but for those that could not be compared.
fn check_planted(summary: &Summary, found: u64, planted: u64) {
    let unpaired = summary.count("/differences/unpaired");
    assert!(
        found <= planted && found + unpaired >= planted && planted > 0,
        "{found} of {planted} found, {unpaired} unpaired: {}",
        summary.value()["samples"]
    );
}

/// A target that answers every hundredth request with an error.
fn one_percent_fails(topology: Topology, capture: Capture) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    let online = Service::start(&stand, Host::Online);
    let target = Service::start_with(&stand, Host::Target, &["--fail-every", "100"]);
    let options = Options {
        capture,
        ..with(stand.options(), &["--sample-bytes", "64"])
    };
    let mut copier = start(&stand, &options);
    let report = Clients::keep_alive(20, 600, 4).long(5).run(&stand);
    let summary = finish(&mut copier);
    let said = copier.tcpcopy.output();
    check_clients(&report);
    check_sampled(&summary);
    let requests: usize = target.finish().values().map(Vec::len).sum();
    let _ = online.finish();
    assert_eq!(requests as u64, summary.captured());
    let planted = requests as u64 / 100;
    let found = summary.count("/differences/kinds/status_differs");
    check_planted(&summary, found, planted);
    assert_eq!(
        summary.count("/differences/kinds/status_class_differs"),
        found
    );
    assert_eq!(cell(&summary, "http 2xx", "http 5xx"), found);
    let compared = summary.count("/differences/compared");
    assert_eq!(cell(&summary, "http 2xx", "http 2xx"), compared - found);
    // Nothing else differs within 64 bytes: the service tells no time.
    assert_eq!(summary.count("/differences/kinds/prefix_differs"), found);
    let listed = summary.value()["samples"]["differing"].as_array();
    let listed = listed.expect("a list");
    assert_eq!(listed.len(), 20.min(found as usize));
    assert_eq!(
        summary.count("/samples/differing_unlisted"),
        found - listed.len() as u64
    );
    for turn in listed {
        assert_eq!(turn["rule"], summary.value()["rules"][0]["rule"], "{turn}");
        assert_eq!(turn["online"]["status"], "http 200", "{turn}");
        assert_eq!(turn["target"]["status"], "http 500", "{turn}");
        let prefix = turn["target"]["prefix"].as_str().expect("text");
        let expected = r"HTTP/1.1 500 Internal Server Error\x0d\x0aServer: lab\x0d\x0aConten";
        assert!(prefix.starts_with(expected), "{prefix}");
    }
    assert!(
        said.contains(&format!("http 2xx became http 5xx: {found}")),
        "{said}"
    );
    eprintln!("{found} of {planted} errors found among {compared} turns");
    check_nothing_left(&stand);
}

#[test]
fn one_percent_of_errors_is_found_direct() {
    one_percent_fails(Topology::Direct, Capture::Ring);
}

#[test]
fn one_percent_of_errors_is_found_direct_af_xdp() {
    one_percent_fails(Topology::Direct, Capture::AfXdp);
}

#[test]
fn one_percent_of_errors_is_found_assistant() {
    one_percent_fails(Topology::Assistant, Capture::Ring);
}

#[test]
fn one_percent_of_errors_is_found_assistant_af_xdp() {
    one_percent_fails(Topology::Assistant, Capture::AfXdp);
}

/// Both servers write three bytes at a time: a sample comes in many segments.
fn tiny_segments(topology: Topology) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    let tiny = ["--write-bytes", "3", "--size", "20"];
    let online = Service::start_with(&stand, Host::Online, &tiny);
    let failing = [&tiny[..], &["--fail-every", "50"]].concat();
    let target = Service::start_with(&stand, Host::Target, &failing);
    let options = with(stand.options(), &["--sample-bytes", "128"]);
    let mut copier = start(&stand, &options);
    let report = Clients::keep_alive(10, 100, 4).run(&stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_sampled(&summary);
    let requests: usize = target.finish().values().map(Vec::len).sum();
    let _ = online.finish();
    let found = summary.count("/differences/kinds/status_differs");
    check_planted(&summary, found, requests as u64 / 50);
    let compared = summary.count("/differences/compared");
    assert_eq!(cell(&summary, "http 2xx", "http 2xx"), compared - found);
    let replies = summary.count("/engine/reply_packets");
    assert!(
        replies > 20 * compared,
        "{replies} segments: {compared} turns"
    );
    check_nothing_left(&stand);
}

#[test]
fn a_sample_may_come_in_tiny_segments_direct() {
    tiny_segments(Topology::Direct);
}

#[test]
fn a_sample_may_come_in_tiny_segments_assistant() {
    tiny_segments(Topology::Assistant);
}

/// One of the target's keys is of another type: what is pushed to it is answered with an error.
fn redis_errors(topology: Topology) {
    let Some(stand) = super::stand_with(topology, &["redis-server", "redis-cli"]) else {
        return;
    };
    let redis = |host, name, address: Ipv4Addr| {
        Redis::start(&stand.lab, host, name, (address, PORT).into()).expect("redis")
    };
    let _online = redis(Host::Online, "redis-online", ONLINE);
    let target = redis(Host::Target, "redis-target", TARGET);
    target
        .ask(&stand.lab, &["SET", "list:3", "no list"])
        .expect("redis");
    let options = with(stand.options(), &["--sample-bytes", "32"]);
    let mut copier = start(&stand, &options);
    let pushed = stand.lab.namespace(Host::Client).enter(|| {
        let server: SocketAddr = (ONLINE, PORT).into();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|list| scope.spawn(move || push(server, list)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect::<std::io::Result<Vec<()>>>()
        })
    });
    pushed
        .expect("the namespace")
        .expect("every value is pushed");
    let summary = finish(&mut copier);
    check_sampled(&summary);
    let found = summary.count("/differences/kinds/status_differs");
    check_planted(&summary, found, 1000);
    assert_eq!(cell(&summary, "redis value", "redis error"), found);
    assert_eq!(
        cell(&summary, "redis value", "redis value"),
        summary.count("/differences/compared") - found
    );
    let first = &summary.value()["samples"]["differing"][0];
    assert_eq!(first["online"]["prefix"], r":1\x0d\x0a");
    let error = first["target"]["prefix"].as_str().expect("text");
    assert!(error.starts_with("-WRONGTYPE Operation against"), "{error}");
    check_nothing_left(&stand);
}

#[test]
fn errors_of_redis_are_found_direct() {
    redis_errors(Topology::Direct);
}

#[test]
fn errors_of_redis_are_found_assistant() {
    redis_errors(Topology::Assistant);
}

/// What a binary protocol answers to the request of this number: 40 bytes that begin like gzip.
fn binary(number: u32, differs: bool) -> Vec<u8> {
    let mut answer = b"\x1f\x8b\x08\x00\xff\x00\r\n\\\"".to_vec();
    answer.extend_from_slice(&number.to_be_bytes());
    answer.resize(40, 0x80);
    if differs {
        // Inside the sample of 32 bytes.
        answer[31] = 0x81;
    }
    // Outside of it both differ always.
    answer[39] = u8::from(differs);
    answer
}

/// Answers each request, a number of 4 bytes, until the client leaves.
fn answer(listener: &TcpListener, differs: fn(u32) -> bool) {
    let Ok((mut stream, _)) = listener.accept() else {
        return;
    };
    let mut number = [0; 4];
    while stream.read_exact(&mut number).is_ok() {
        let number = u32::from_be_bytes(number);
        if stream.write_all(&binary(number, differs(number))).is_err() {
            return;
        }
    }
}

/// Bytes that are no text and of no protocol that is known are compared as they are.
#[test]
fn binary_responses_are_compared_byte_by_byte() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = listen(&stand, Host::Online, PORT);
    let target = listen(&stand, Host::Target, PORT);
    let options = with(stand.options(), &["--sample-bytes", "32"]);
    let mut copier = start(&stand, &options);
    let servers = [
        std::thread::spawn(move || answer(&online, |_| false)),
        std::thread::spawn(move || answer(&target, |number| number % 10 == 9)),
    ];
    let asked = stand.lab.namespace(Host::Client).enter(|| {
        let mut stream = TcpStream::connect((ONLINE, PORT))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut answer = [0; 40];
        for number in 0..500u32 {
            stream.write_all(&number.to_be_bytes())?;
            stream.read_exact(&mut answer)?;
        }
        std::io::Result::Ok(())
    });
    asked.expect("the namespace").expect("every answer comes");
    let summary = finish(&mut copier);
    for server in servers {
        server.join().expect("no panic");
    }
    check_sampled(&summary);
    assert_eq!(summary.captured(), 500, "{}", summary.ledger());
    assert_eq!(summary.count("/differences/kinds/status_differs"), 0);
    check_planted(
        &summary,
        summary.count("/differences/kinds/prefix_differs"),
        50,
    );
    let first = &summary.value()["samples"]["differing"][0];
    let number = r"\x00\x00\x00\x09";
    let expected = format!(
        r#"\x1f\x8b\x08\x00\xff\x00\x0d\x0a\\"{number}{}"#,
        r"\x80".repeat(17)
    );
    assert_eq!(first["online"]["prefix"], expected + r"\x80");
    assert!(
        first["target"]["prefix"]
            .as_str()
            .is_some_and(|prefix| prefix.ends_with(r"\x80\x81")),
        "{first}"
    );
    check_nothing_left(&stand);
}

/// Keeps what travels over the channel.
struct Wiretap {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u8>>,
}

impl Wiretap {
    /// On all interfaces of the online server's host.
    fn start(stand: &Stand) -> Self {
        let open = || -> nix::Result<OwnedFd> {
            let kind = (AddressFamily::Packet, SockType::Raw);
            let tap = socket(kind.0, kind.1, SockFlag::empty(), SockProtocol::EthAll)?;
            setsockopt(&tap, sockopt::RcvBufForce, &(64 << 20))?;
            setsockopt(&tap, sockopt::ReceiveTimeout, &TimeVal::new(0, 50_000))?;
            Ok(tap)
        };
        let namespace = stand.lab.namespace(Host::Online);
        let tap = namespace
            .enter(open)
            .expect("the namespace")
            .expect("a tap");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut said, mut frame) = (Vec::new(), vec![0; 1 << 17]);
            while !stopped.load(Ordering::Relaxed) {
                let Ok(len) = recv(tap.as_raw_fd(), &mut frame, MsgFlags::empty()) else {
                    continue;
                };
                let Ok(segment) = Segment::parse(&frame[..len], ethernet::HEADER_LEN) else {
                    continue;
                };
                if [segment.source.port, segment.destination.port].contains(&CHANNEL_PORT)
                    && let Some(payload) = segment.payload(&frame[..len])
                {
                    said.extend_from_slice(payload);
                }
            }
            said
        });
        Self { stop, thread }
    }

    /// What was said.
    fn finish(self) -> Vec<u8> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

fn holds(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// The summary's text, the closing table's and what went over the channel, of a copy with these options.
fn written(topology: Topology, more: &[&str]) -> Option<[Vec<u8>; 3]> {
    let stand = super::stand(topology)?;
    let online = Service::start(&stand, Host::Online);
    // Responses differ, so there is something to list.
    let target = Service::start_with(&stand, Host::Target, &["--fail-every", "2"]);
    let tap = Wiretap::start(&stand);
    let options = with(stand.options(), more);
    let mut copier = start(&stand, &options);
    let report = Clients::keep_alive(5, 100, 3).run(&stand);
    let summary = finish(&mut copier);
    interrupt::sleep(Duration::from_millis(100)).expect("no signal");
    let said = copier.tcpcopy.log() + &copier.tcpcopy.output();
    let sent = tap.finish();
    check_clients(&report);
    check_books(&summary);
    let _ = (online.finish(), target.finish());
    assert_eq!(summary.value().get("samples").is_some(), !more.is_empty());
    assert_eq!(!sent.is_empty(), topology == Topology::Assistant);
    check_nothing_left(&stand);
    Some([summary.value().to_string().into(), said.into(), sent])
}

#[test]
fn no_payload_is_kept_unless_asked() {
    for topology in [Topology::Direct, Topology::Assistant] {
        let Some(written) = written(topology, &[]) else {
            return;
        };
        for secret in [SECRET, b"HTTP/1", b"xxxxx"] {
            for (text, what) in written.iter().zip(["summary", "log", "channel"]) {
                assert!(
                    !holds(text, secret),
                    "{topology:?}: the {what} holds payload"
                );
            }
        }
    }
}

/// The same look finds it where it was asked for.
#[test]
fn payload_is_where_it_was_asked_for_and_no_more_than_that() {
    let Some([summary, said, sent]) = written(Topology::Assistant, &["--sample-bytes", "64"])
    else {
        return;
    };
    assert!(holds(&summary, SECRET));
    assert!(holds(&sent, SECRET));
    // The bodies lie behind the first 64 bytes.
    assert!(!holds(&sent, b"xxxxx") && !holds(&summary, b"xxxxx"));
    // What is printed often ends in somebody's log: that is asked for by itself.
    assert!(!holds(&said, b"HTTP/1.1 500") && !holds(&said, SECRET));
    let more = ["--sample-bytes", "64", "--with-payload"];
    let Some([_, said, _]) = written(Topology::Assistant, &more) else {
        return;
    };
    assert!(holds(&said, b"HTTP/1.1 500"));
}
