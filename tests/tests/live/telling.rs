//! What a run says of itself to those who do not wish it well, while it ends, and on the terminal.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::copier::{Copier, Options};
use lab::http;
use lab::net::ONLINE_INSIDE;
use lab::{Host, Topology, interrupt};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::copying::{check_books, check_clients, finish};
use tests::{Clients, check_clean};

use super::bodies::Service;
use super::metrics::{answers, get, tcpcopy};
use super::options::with;
use super::places::start;

/// While a request is waited for at the end, who asks is told that no more is copied; the last figures are shown.
#[test]
fn a_run_that_drains_is_not_ready() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let _online = Service::start(&stand, Host::Online);
    let _target = Service::start_with(&stand, Host::Target, &["--delay-ms", "4000"]);
    let options = with(stand.options(), &["--listen", &tcpcopy().to_string()]);
    let mut copier = start(&stand, &options);
    answers(&stand, tcpcopy(), "/ready", 200);
    let report = Clients::keep_alive(1, 1, 1).run(&stand);
    check_clients(&report);
    copier.tcpcopy.signal(Signal::SIGINT).expect("it runs");
    copier
        .tcpcopy
        .wait_for("stopping", Duration::from_secs(5))
        .expect("it drains");
    interrupt::wait_until("the run to drain", Duration::from_secs(2), || {
        Ok(get(&stand, Host::Online, tcpcopy(), "/ready").status == 503)
    })
    .expect("not ready any more");
    let ready = get(&stand, Host::Online, tcpcopy(), "/ready");
    assert_eq!(ready.body, "draining\n");
    let text = get(&stand, Host::Online, tcpcopy(), "/metrics").body;
    assert!(text.contains("\ntcpcopy_ready 0\n"), "{text}");
    copier
        .tcpcopy
        .wait_success(Duration::from_secs(20))
        .expect("it ends");
    let summary = copier.summary().expect("a summary");
    check_books(&summary);
    assert_eq!(
        summary.answered(),
        summary.captured(),
        "{}",
        summary.ledger()
    );
}

/// Whoever reaches the address can ask for nothing but what is shown, and hold up nobody.
#[test]
fn hostile_requests() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let server = SocketAddr::from((ONLINE_INSIDE, 9524));
    let options = with(stand.options(), &["--listen", &server.to_string()]);
    let mut copier = start(&stand, &options);
    let clients = Clients::keep_alive(20, 500, 8).start(&stand);
    // From another host, each at its worst: half a request, an answer that nobody reads, a flood of connections.
    let mut held = Vec::new();
    for round in 0..3 {
        for _ in 0..50 {
            let there = stand.lab.namespace(Host::Target);
            let mut stream = http::connect(&there, server).expect("a connection");
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metr");
            held.push(stream);
        }
        let asked = Instant::now();
        assert_eq!(get(&stand, Host::Target, server, "/ready").status, 200);
        assert!(asked.elapsed() < Duration::from_secs(3), "round {round}");
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    for (request, status) in [
        (&b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"[..], Some(421)),
        (b"POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 9\r\n\r\nx", Some(405)),
        (b"DELETE / HTTP/1.0\r\n\r\n", Some(405)),
        (b"GET /../../etc/shadow HTTP/1.0\r\n\r\n", Some(404)),
        (b"GET /metrics/ HTTP/1.0\r\n\r\n", Some(404)),
        (&[0xff; 70_000], None),
        (long.as_bytes(), None),
    ] {
        let there = stand.lab.namespace(Host::Target);
        let answer = http::ask(&there, server, request).expect("a connection");
        let said = answer.as_ref().map(|answer| answer.status);
        match status {
            Some(_) => assert_eq!(said, status),
            None => assert!(said.is_none_or(|code| (400..500).contains(&code)), "{answer:?}"),
        }
    }
    let report = clients.wait();
    drop(held);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    tests::check_complete(&report, &online, &target, &summary);
    // An address that cannot be had changes nothing.
    let taken = tests::stand::listen(&stand, Host::Online, 9524);
    for addr in ["127.0.0.1:9524", "192.0.2.1:9524", "localhost:9524"] {
        let options: Options = with(stand.options(), &["--listen", addr]);
        let mut refused =
            Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online)
                .expect("tcpcopy");
        let status = refused
            .tcpcopy
            .wait(Duration::from_secs(10))
            .expect("it ends");
        assert_eq!(status.code(), Some(2), "{addr}: {}", refused.tcpcopy.log());
        tests::copying::check_nothing_left(&stand);
    }
    drop(taken);
    check_clean(&stand);
}

/// Lines for machines are whole summaries, and the last one is the end's; lines for people do not mix with them.
#[test]
fn progress_and_json() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = with(stand.options(), &["--json", "--progress", "always"]);
    let mut copier = start(&stand, &options);
    let report = Clients::keep_alive(20, 500, 4).run(&stand);
    let summary = finish(&mut copier);
    let lines: Vec<Value> = copier
        .tcpcopy
        .output()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is a summary"))
        .collect();
    assert!(lines.len() >= 4, "{} lines", lines.len());
    assert_eq!(lines.last(), Some(summary.value()));
    let log = copier.tcpcopy.log();
    let told = log
        .lines()
        .filter(|line| line.contains('%') && line.contains(" ms"));
    assert!(told.count() >= 3, "{log}");
    assert_eq!(log.matches("fidelity  sessions").count(), 1, "{log}");
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    tests::check_complete(&report, &online, &target, &summary);
}
