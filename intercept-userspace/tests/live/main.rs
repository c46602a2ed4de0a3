//! `intercept` between a real target and a real channel, in a pair of namespaces. Needs root and the programs; says
//! SKIP where there are none.

mod carry;
mod client;
mod pair;
mod payload;
mod process;
mod trust;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use channel::{Error, Refusal};
use host::clock::now_ns;
use nix::sys::signal::Signal;
use wire::flow::{Endpoint, FlowKey};
use wire::tcp::Flags;

use client::Client;
use pair::{ASSISTANT, CLIENT, TARGET, ip, with_pair};
use process::{Intercept, refused};

const PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 36_524);
const LINE: &str = "-i a0 -x 192.0.2.20:80,192.0.2.20:81";

fn target(port: u16) -> Endpoint {
    SocketAddr::from((TARGET, port)).into()
}

fn flow(client_port: u16) -> FlowKey {
    FlowKey {
        client: SocketAddr::from((CLIENT, client_port)).into(),
        server: target(80),
    }
}

/// What `ip` shows of the interface.
fn show() -> String {
    let output = Command::new("ip")
        .args(["link", "show", "a0"])
        .output()
        .expect("ip");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ports(client: &Client) -> Vec<u16> {
    client
        .reports
        .iter()
        .map(|seen| seen.segment.destination.port)
        .collect()
}

#[test]
fn a_targets_syn_is_reported_and_nothing_stays() {
    with_pair(|pair| {
        let intercept = Intercept::start(LINE);
        assert!(show().contains("xdp"), "attached");
        let mut client = Client::subscribe(PORT, &[target(80)]);
        let sent_ns = now_ns();
        let _syn = pair.send_syn(80, SocketAddrV4::new(CLIENT, 4711));
        client.until("the report", |client| !client.reports.is_empty());
        let seen = client.reports[0].clone();
        assert_eq!(seen.segment.source, target(80));
        assert_eq!(seen.segment.destination, flow(4711).client);
        assert_eq!(seen.segment.flags, Flags::SYN);
        assert_eq!(seen.packet_len as usize, seen.headers.len());
        assert_eq!(seen.segment.options(&seen.headers).mss, Some(1460));
        let meanwhile = sent_ns..=now_ns();
        assert!(
            meanwhile.contains(&seen.stamp_ns),
            "{} is not in {meanwhile:?}",
            seen.stamp_ns
        );

        // Payload is counted, not reported.
        pair.send_segments(target(80), flow(4711).client, 1000, 3);
        client.until("the reports", |client| client.reports.len() >= 4);
        let seen = client.reports[1].clone();
        assert_eq!((seen.packet_len, seen.headers.len()), (1040, 40));
        assert_eq!(seen.payload, b"");
        assert_eq!(seen.segment.payload_len, 1000);

        let (status, log) = intercept.end(Signal::SIGTERM);
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!show().contains("xdp"), "detached");
        client.until("the end", Client::is_closed);
        for word in [
            "matched                                     4",
            "delivered                                   4",
            "4          0          0",
        ] {
            assert!(log.contains(word), "no `{word}` in\n{log}");
        }
        assert!(!log.contains("residue"), "{log}");
    });
}

#[test]
fn every_mode_reports_packets_of_every_length() {
    with_pair(|pair| {
        ip("link set a0 mtu 3000");
        pair.run(|| ip("link set t0 mtu 3000"));
        for mode in ["copy", "generic"] {
            let intercept = Intercept::start(&format!("{LINE} --xdp-mode {mode}"));
            let mut client = Client::subscribe(PORT, &[target(80)]);
            for payload in [0, 1, 536, 1460, 2960] {
                pair.send_segments(target(80), flow(1).client, payload, 1);
            }
            client.until("the reports", |client| client.reports.len() >= 5);
            let lengths: Vec<u32> = client.reports.iter().map(|seen| seen.packet_len).collect();
            assert_eq!(lengths, [40, 41, 576, 1500, 3000], "{mode}");
            let (_, log) = intercept.end(Signal::SIGTERM);
            assert!(
                log.contains(&format!("XDP mode {mode}, 1 rx queue")),
                "{log}"
            );
            assert!(!log.contains("residue"), "{log}");
        }
    });
}

#[test]
fn every_queue_has_its_worker() {
    with_pair(|pair| {
        pair.run(|| {
            ip("link set t0 down");
            ip("link del t0");
        });
        pair.join(2);
        let intercept = Intercept::start(LINE);
        let mut client = Client::subscribe(PORT, &[target(80)]);
        for port in 1000..1064 {
            pair.send_segments(target(80), flow(port).client, 10, 1);
        }
        client.until("the reports", |client| client.reports.len() >= 64);
        let mut seen = ports(&client);
        seen.sort_unstable();
        assert!(seen.into_iter().eq(1000..1064));
        let (_, log) = intercept.end(Signal::SIGTERM);
        assert!(
            log.contains("2 rx queue(s)") && log.contains("queue 1"),
            "{log}"
        );
        assert!(!log.contains("residue"), "{log}");
    });
}

#[test]
fn garbage_closes_its_own_connection_only() {
    with_pair(|pair| {
        let mut intercept = Intercept::start(LINE);
        let mut good = Client::subscribe(PORT, &[target(80)]);

        let mut bad = TcpStream::connect(PORT).expect("it listens");
        bad.write_all(b"GET / HTTP/1.1\r\nHost: intercept\r\n\r\n")
            .expect("it is sent");
        // Our hello, then the end (a reset, since it leaves bytes unread).
        let _ = bad.read_to_end(&mut Vec::new());
        intercept.wait_for("does not speak tcpcopy's channel");

        let mut late = Client::subscribe(PORT, &[target(80)]);
        late.send(&[0xff; 64]);
        late.until("the end", Client::is_closed);
        intercept.wait_for("frame of 4294967295 bytes");

        let mut other = TcpStream::connect(PORT).expect("it listens");
        other
            .write_all(b"tcpcopy\n\x00\x01\x00\x06\x01\x00\x00\x00\x00\x00")
            .expect("it is sent");
        let mut hello = Vec::new();
        let _ = other.read_to_end(&mut hello);
        let ours = channel::VERSION;
        let begins = [&b"tcpcopy\n"[..], &ours.to_be_bytes()].concat();
        assert_eq!(&hello[..10], begins, "the other side can name our version");
        let words = format!("speaks version 1 of the channel, this build speaks version {ours}");
        intercept.wait_for(&words);

        let _syn = pair.send_syn(80, SocketAddrV4::new(CLIENT, 4711));
        good.until("the report", |client| !client.reports.is_empty());
        let (status, log) = intercept.end(Signal::SIGINT);
        assert_eq!(status.code(), Some(0), "{log}");
    });
}

#[test]
fn each_gets_what_is_its_own() {
    with_pair(|pair| {
        let intercept = Intercept::start(LINE);
        let mut a = Client::subscribe(PORT, &[target(80)]);
        let mut b = Client::subscribe(PORT, &[target(80)]);
        let mut c = Client::subscribe(PORT, &[target(81)]);
        a.open([flow(1001), flow(1002)]);
        b.open([flow(1003)]);
        for port in [1001, 1002, 1003, 1004] {
            pair.send_segments(target(80), flow(port).client, 10, 1);
        }
        pair.send_segments(target(81), flow(1005).client, 10, 1);
        a.until("reports", |client| client.reports.len() >= 2);
        b.until("reports", |client| !client.reports.is_empty());
        c.until("reports", |client| !client.reports.is_empty());
        for client in [&mut a, &mut b, &mut c] {
            client.idle(Duration::from_millis(50));
        }
        // Nobody has announced 1004, which may be either's; 1005 can be nobody else's.
        assert_eq!(ports(&a), [1001, 1002]);
        assert_eq!(ports(&b), [1003]);
        assert_eq!(ports(&c), [1005]);

        // The second to announce a session is told that it is not its own, and gets nothing of it.
        b.open([flow(1001), flow(1003), flow(1006)]);
        b.until("the answer", |client| !client.taken.is_empty());
        assert_eq!(b.taken, [flow(1001)]);
        pair.send_segments(target(80), flow(1001).client, 10, 1);
        a.until("the report", |client| client.reports.len() >= 3);
        b.idle(Duration::from_millis(50));
        assert_eq!(ports(&a), [1001, 1002, 1001]);
        assert_eq!(ports(&b), [1003]);

        // A tcpcopy that is gone has no flows any more; the next one of them is a stranger's.
        drop(a);
        std::thread::sleep(Duration::from_millis(100));
        pair.send_segments(target(80), flow(1001).client, 10, 1);
        b.until("the report", |client| client.reports.len() >= 2);
        assert_eq!(ports(&b), [1003, 1001]);

        let mut refused = Client::connect(PORT, &[target(80), target(82)]);
        refused.until("the refusal", Client::is_closed);
        let why = Refusal::UnknownTarget(target(82));
        assert_eq!(refused.error, Some(Error::Refused(why)));
        drop(intercept);
    });
}

#[test]
fn what_is_for_the_assistant_itself_passes() {
    with_pair(|pair| {
        let mut intercept = Intercept::start(LINE);
        let connect = |from: u16, to: Ipv4Addr| {
            let listener = TcpListener::bind((to, 0)).expect("our own address");
            listener.set_nonblocking(true).expect("an option");
            let port = listener.local_addr().expect("bound").port();
            let syn = pair.send_syn(from, SocketAddrV4::new(to, port));
            let deadline = Instant::now() + Duration::from_secs(2);
            while Instant::now() < deadline {
                if listener.accept().is_ok() {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            drop(syn);
            false
        };
        assert!(connect(80, ASSISTANT));
        // An address that this host gets while it runs.
        let new = Ipv4Addr::new(192, 0, 2, 10);
        ip(&format!("addr add {new}/24 dev a0"));
        intercept.wait_for("192.0.2.10");
        assert!(connect(81, new));
        let (_, log) = intercept.end(Signal::SIGTERM);
        assert!(
            log.contains("matched                                     0"),
            "{log}"
        );
    });
}

#[test]
fn a_tcpcopy_that_says_nothing_is_dropped() {
    with_pair(|_| {
        let mut intercept = Intercept::start(LINE);
        let start = Instant::now();
        let mut silent = TcpStream::connect(PORT).expect("it listens");
        let _ = silent.read_to_end(&mut Vec::new());
        assert!(
            (4..8).contains(&start.elapsed().as_secs()),
            "{:?}",
            start.elapsed()
        );
        intercept.wait_for("nothing heard");
    });
}

#[test]
fn after_a_kill_the_next_start_works() {
    with_pair(|pair| {
        for _ in 0..3 {
            let intercept = Intercept::start(LINE);
            let mut client = Client::subscribe(PORT, &[target(80)]);
            pair.send_segments(target(80), flow(1).client, 10, 1);
            client.until("the report", |client| !client.reports.is_empty());
            let _ = intercept.end(Signal::SIGKILL);
            client.until("the end", Client::is_closed);
        }
    });
}

#[test]
fn what_cannot_be_used_is_refused_and_nothing_changes() {
    with_pair(|_| {
        ip("link add down0 type veth peer name down1");
        ip("tuntap add dev tun0 mode tun");
        let taken = TcpListener::bind("127.0.0.1:36525").expect("it is free");
        let cases = [
            ("-i nowhere0 -x 192.0.2.20:80", "nowhere0"),
            ("-i down0 -x 192.0.2.20:80", "down"),
            ("-i tun0 -x 192.0.2.20:80", "Ethernet"),
            ("-i a0 -x 192.0.2.20:80 -p 36525", "another port with -p"),
            (
                "-i a0 -x 192.0.2.20:80 -b 192.0.2.77 --insecure",
                "no such address",
            ),
            ("-i a0 -x 192.0.2.20:80 -b 192.0.2.9", "--insecure"),
            ("-i a0 -x 192.0.2.9:80", "this very host"),
            ("-i a0 -x 192.0.2.20:80,192.0.2.20:80", "twice"),
            ("-i a0 -x 192.0.2.20:80 --xdp-mode zero-copy", "zero-copy"),
            ("-i a0", "-x"),
        ];
        for (line, word) in cases {
            let output = refused(line);
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{line}: {text}");
            assert!(text.contains(word), "{line}: no `{word}` in: {text}");
            assert!(!show().contains("xdp"), "{line}");
        }
        drop(taken);
    });
}
