//! What a client does not take, the target must not pour into the online host: the copy's window is that of the flow.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use lab::net::ONLINE;
use lab::nginx::Answer;
use lab::{Host, Topology};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt,
};
use tests::copying::{check_books, finish, start};
use tests::{Clients, PORT, Stand, check_complete, check_nothing_left};

use super::robust::pause;

/// What both servers answer with, in bytes.
const BODY: u64 = 100 << 20;
/// The engine's slack (`session::limits::REPLY_SLACK`).
const SLACK: u64 = session::limits::REPLY_SLACK as u64;

/// A connection to the online server that takes little at a time, with a request for all of the body.
fn ask(receive_buffer: usize) -> TcpStream {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::empty(),
        None,
    );
    let socket = socket.expect("a socket");
    // Before the handshake, or the window is offered all the same.
    setsockopt(&socket, sockopt::RcvBuf, &receive_buffer).expect("a buffer");
    let SocketAddr::V4(online) = SocketAddr::from((ONLINE, PORT)) else {
        unreachable!("the lab speaks IPv4");
    };
    let fd = socket.as_fd();
    connect(
        std::os::fd::AsRawFd::as_raw_fd(&fd),
        &SockaddrIn::from(online),
    )
    .expect("a connection");
    let mut stream = TcpStream::from(socket);
    write!(stream, "GET /?id=slow HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    stream
}

/// Bytes that a host has sent by an interface.
fn sent(stand: &Stand, host: Host, interface: &str) -> u64 {
    let table = stand
        .lab
        .namespace(host)
        .enter(|| std::fs::read_to_string("/proc/thread-self/net/dev"));
    let table = table.expect("the namespace").expect("the table of devices");
    let prefix = format!("{interface}:");
    let line = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(&prefix));
    let field = line.and_then(|line| line.split_ascii_whitespace().nth(8)?.parse().ok());
    field.unwrap_or_else(|| panic!("no {interface} in {table}"))
}

/// What the online server has sent to its clients and the target to the online host while `clients` were there.
fn poured(stand: &Stand, clients: impl FnOnce() + Send) -> (u64, u64) {
    let before = (
        sent(stand, Host::Online, "eth0"),
        sent(stand, Host::Target, "eth0"),
    );
    stand
        .lab
        .namespace(Host::Client)
        .enter(clients)
        .expect("the namespace");
    let after = (
        sent(stand, Host::Online, "eth0"),
        sent(stand, Host::Target, "eth0"),
    );
    (after.0 - before.0, after.1 - before.1)
}

/// The target has sent what the online server has, and the slack of each connection, with their headers.
fn check_poured(online: u64, target: u64, connections: u64) {
    let most = online + connections * SLACK;
    eprintln!("online server to clients {online} bytes, target to the online host {target}");
    assert!(
        target <= most + most / 10 + 20_000,
        "the target sent {target} bytes, the online server {online} to {connections} clients"
    );
}

fn servers(stand: &Stand) -> [lab::nginx::Nginx; 2] {
    [Host::Online, Host::Target]
        .map(|host| stand.nginx_with(host, |config| config.answer = Answer::File(BODY)))
}

#[test]
fn a_client_that_reads_nothing() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let _servers = servers(&stand);
    let mut copier = start(&stand);
    let (online, target) = poured(&stand, || {
        let reader = ask(4096);
        thread::sleep(Duration::from_secs(4));
        drop(reader);
    });
    check_poured(online, target, 1);
    // The client has reset its connection, and the target knows.
    pause(1500);
    let (_, more) = poured(&stand, || thread::sleep(Duration::from_secs(1)));
    assert!(more < 5000, "{more} bytes more after the client's reset");
    let summary = finish(&mut copier);
    check_books(&summary);
    assert_eq!(summary.count("/sessions/open"), 0, "{}", summary.value());
    check_nothing_left(&stand);
}

/// Reads at so many bytes per second, a tenth at a time.
fn read_slowly(mut stream: TcpStream, per_second: usize, time: Duration) {
    let begun = Instant::now();
    let mut piece = vec![0; per_second / 10];
    while begun.elapsed() < time {
        stream.read_exact(&mut piece).expect("the body");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn slow_readers() {
    // The long form, by hand: 200 readers for 20 s.
    let long = std::env::var_os("SLOW_READERS_LONG").is_some();
    let (readers, seconds) = if long { (200, 20) } else { (40, 5) };
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let _servers = servers(&stand);
    let mut copier = start(&stand);
    let (online, target) = poured(&stand, || {
        let threads: Vec<_> = (0..readers)
            .map(|_| {
                thread::spawn(move || {
                    read_slowly(ask(16_384), 20_000, Duration::from_secs(seconds));
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("a reader");
        }
    });
    check_poured(online, target, readers);
    let summary = finish(&mut copier);
    check_books(&summary);
    assert!(
        summary.count("/engine/turns_paced") > 0,
        "{}",
        summary.value()
    );
    check_nothing_left(&stand);
}

#[test]
fn aborted_downloads() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let _servers = servers(&stand);
    let mut copier = start(&stand);
    let (online, target) = poured(&stand, || {
        for _ in 0..20 {
            let mut stream = ask(16_384);
            stream.read_exact(&mut [0; 5000]).expect("some of the body");
            // What is unread makes it a reset.
            drop(stream);
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_secs(1));
    });
    check_poured(online, target, 20);
    let summary = finish(&mut copier);
    check_books(&summary);
    assert_eq!(summary.captured(), 20, "{}", summary.ledger());
    check_nothing_left(&stand);
}

/// Nobody is slower for it who reads as fast as he can.
#[test]
fn fast_readers_get_all_of_it() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let [mut online, mut target] = [Host::Online, Host::Target]
        .map(|host| stand.nginx_with(host, |config| config.answer = Answer::File(2 << 20)));
    let mut copier = start(&stand);
    let report = Clients::keep_alive(4, 40, 4).run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_nothing_left(&stand);
}

/// A target that says more than the online server, by more than the slack, holds no later turn up.
#[test]
fn a_target_that_says_more() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let mut online = stand.nginx(Host::Online);
    let mut target = stand.nginx_with(Host::Target, |config| {
        config.answer = Answer::File(3 * SLACK);
    });
    let mut copier = start(&stand);
    let report = Clients::keep_alive(4, 20, 5).run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    assert!(
        summary.count("/engine/reply_bytes_excess") > 0,
        "{}",
        summary.value()
    );
    check_nothing_left(&stand);
}
