//! A channel with a key, and what strangers can do to it.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use channel::{Error, Key};
use nix::sys::signal::Signal;
use wire::flow::{Addr, FlowKey, PoolRange};

use crate::client::Client;
use crate::pair::with_pair;
use crate::process::{Intercept, refused};
use crate::{LINE, PORT, flow, ports, target};

/// A file of keys that is gone with the test.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        let name = format!(
            "intercept-key-{}-{:?}",
            process::id(),
            std::thread::current().id()
        );
        let path = env::temp_dir().join(name);
        key_file::create(&path).expect("it is made");
        Self(path)
    }

    fn key(&self, attempt: usize) -> Key {
        key_file::read(&self.0).expect("keys").of_attempt(attempt)
    }

    fn start(&self) -> Intercept {
        Intercept::start(&format!(
            "{LINE} -b 127.0.0.1 --key-file {}",
            self.0.display()
        ))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A test that failed may have removed it.
        let _ = fs::remove_file(&self.0);
    }
}

fn connect(key: Option<Key>) -> Client {
    Client::connect_with(PORT, &[target(80)], 0, key, Vec::new())
}

fn subscribe(key: Key) -> Client {
    let mut client = connect(Some(key));
    client.until("the subscription", |client| client.subscribed);
    client
}

fn refusal(mut client: Client) -> Option<Error> {
    client.until("the end", Client::is_closed);
    client.error
}

#[test]
fn only_who_has_the_key_is_served() {
    with_pair(|pair| {
        let file = File::new();
        let mut intercept = file.start();
        let another = Key::generate().expect("a key");
        assert_eq!(refusal(connect(Some(another))), Some(Error::NotOurKey));
        intercept.wait_for("does not have this end's key");
        assert_eq!(refusal(connect(None)), Some(Error::KeyWanted));
        intercept.wait_for("the peer has no key and this end has one");
        let mut client = subscribe(file.key(0));
        client.open([flow(1)]);
        pair.send_segments(target(80), flow(1).client, 100, 3);
        client.until("the reports", |client| client.reports.len() >= 3);
        assert_eq!(ports(&client), [1, 1, 1]);
        let (status, log) = intercept.end(Signal::SIGTERM);
        assert!(status.success() && !log.contains("insecure"), "{log}");
    });
}

#[test]
fn a_key_is_replaced_while_it_runs() {
    with_pair(|_| {
        let file = File::new();
        let first = file.key(0);
        let mut intercept = file.start();
        let mut old = subscribe(first.clone());
        key_file::rotate(&file.0).expect("it is replaced");
        intercept.wait_for("2 key(s)");
        let mut new = subscribe(file.key(0));
        let mut late = subscribe(first.clone());
        // Whoever proved the key before goes on until it is gone.
        old.open([flow(1)]);
        let only = format!("{}\n", file.key(0).text());
        fs::write(&file.0, only).expect("written");
        intercept.wait_for("1 key(s)");
        for client in [&mut old, &mut late] {
            client.until("the end", Client::is_closed);
        }
        intercept.wait_for("no longer in the file");
        assert_eq!(refusal(connect(Some(first))), Some(Error::NotOurKey));
        new.open([flow(1)]);
        assert!(!new.is_closed() && new.taken.is_empty());
        assert!(intercept.end(Signal::SIGTERM).0.success());
    });
}

/// Whoever has the key announces sessions of the pool and the targets that it subscribed for, and no others.
#[test]
fn an_announcement_beyond_the_pool_is_refused() {
    with_pair(|_| {
        let mut intercept = Intercept::start(LINE);
        let pool = PoolRange {
            prefix: flow(1).client.addr,
            mask: Addr::v6([0xff; 16]),
            port_first: 1000,
            port_last: 1999,
        };
        let mut client = Client::connect_with(PORT, &[target(80)], 0, None, vec![pool]);
        client.until("the subscription", |client| client.subscribed);
        let of_another_target = FlowKey {
            server: target(81),
            ..flow(1001)
        };
        client.open([
            flow(1000),
            flow(999),
            flow(1999),
            flow(2000),
            of_another_target,
        ]);
        client.until("the answer", |client| client.taken.len() >= 3);
        assert_eq!(client.taken, [flow(999), flow(2000), of_another_target]);
        intercept.wait_for("sources-beyond");
    });
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    with_pair(|_| {
        let file = File::new();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        fs::set_permissions(&file.0, permissions).expect("set");
        let said = |arguments: String| {
            let output = refused(&arguments);
            assert_eq!(output.status.code(), Some(2));
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let refusal = said(format!("{LINE} --key-file {}", file.0.display()));
        assert!(refusal.contains("chmod 600"), "{refusal}");
        let refusal = said(format!("{LINE} --key-file /nowhere/key"));
        assert!(refusal.contains("tcpcopy keygen /nowhere/key"), "{refusal}");
    });
}

/// What strangers do for a while: a connection that says nothing, one that says a hello byte by byte, nonsense, and the beginning of a
/// conversation that somebody recorded.
fn molest(stranger: &mut TcpStream, number: usize, recorded: &[u8]) {
    let said: &[u8] = match number % 4 {
        0 => b"",
        1 => &recorded[..1 + number % 17],
        2 => b"\xff\xff\xff\xff\xff\xff\xff\xff",
        _ => recorded,
    };
    // It may be closed already, which is what should become of it.
    let _ = stranger.write_all(said);
}

/// What a `tcpcopy` without the key could record of one with it: a hello and a proof.
fn recorded(key: Key) -> Vec<u8> {
    let (mut said, now) = (Vec::new(), Instant::now());
    let mut end = channel::TcpcopyEnd::new(vec![target(80)], 0, Some(key.clone()), now, &mut said);
    let mut answer = Vec::new();
    let mut other = channel::InterceptEnd::new(Some(channel::Keys::one(key)), now);
    other.space()[..said.len()].copy_from_slice(&said);
    other.filled(now, said.len());
    other.greet(&mut answer).expect("a hello");
    end.space()[..answer.len()].copy_from_slice(&answer);
    end.filled(now, answer.len());
    assert!(end.next_event(&mut said).expect("a hello").is_none());
    said
}

fn resident_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

/// Strangers in their thousands: a `tcpcopy` that is served loses no report, memory does not grow, and nobody is told anything. With
/// `SOAK=10 cargo test -p intercept-userspace --test live strangers -- --nocapture` it takes ten times as many, and says how it went.
#[test]
fn strangers_hold_up_nobody() {
    let times: usize = env::var("SOAK").map_or(1, |times| times.parse().expect("a number"));
    with_pair(move |pair| {
        let file = File::new();
        let intercept = file.start();
        let mut client = subscribe(file.key(0));
        client.open([flow(1)]);
        // It pings while strangers are waited for.
        let is_over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&is_over);
        let served = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                client.idle(Duration::from_millis(20));
            }
            client
        });
        let recorded = recorded(file.key(0));
        let before = resident_kb(intercept.pid());
        let (mut idle, mut most, mut told) = (Vec::new(), 0, 0_u64);
        let began = Instant::now();
        for number in 0..1000 * times {
            let Ok(mut stranger) = TcpStream::connect(PORT) else {
                continue;
            };
            molest(&mut stranger, number, &recorded);
            idle.push(stranger);
            if number % (20 * times) == 0 {
                pair.send_segments(target(80), flow(1).client, 100, 1);
            }
            if idle.len() >= 500 {
                told += idle.drain(..250).map(bytes_told).sum::<u64>();
                most = most.max(resident_kb(intercept.pid()));
            }
        }
        let sent = 50;
        let rate = 1000.0 * times as f64 / began.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        let mut client = served.join().expect("it is served");
        client.until("every report", |client| client.reports.len() >= sent);
        let after = resident_kb(intercept.pid());
        told += idle.drain(..).map(bytes_told).sum::<u64>();
        println!(
            "{} strangers, {rate:.0} per second: {sent} of {sent} reports, {told} bytes told to strangers, resident {before} kB, at most {most}, then {after}",
            1000 * times
        );
        assert!(
            most.max(after) < before + 65_536,
            "{before} kB became {most}, then {after}"
        );
        // A hello, and the answer to a proof that was recorded: 66 and more bytes, which are of no use without the key.
        assert!(told <= 100 * 250 * times as u64, "{told}");
        let mut another = subscribe_in_time(&file);
        another.open([flow(2)]);
        let (status, log) = intercept.end(Signal::SIGTERM);
        assert!(status.success(), "{log}");
        assert!(log.lines().count() < 400 + 20 * times, "{log}");
    });
}

/// A `tcpcopy` whose address came too often tries again, as one does.
fn subscribe_in_time(file: &File) -> Client {
    let began = Instant::now();
    loop {
        let mut client = connect(Some(file.key(0)));
        while !client.subscribed && !client.is_closed() {
            client.idle(Duration::from_millis(20));
        }
        if client.subscribed {
            return client;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it is kept out");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What a stranger was told, in bytes.
fn bytes_told(mut stranger: TcpStream) -> u64 {
    stranger.set_nonblocking(true).expect("it is a socket");
    let mut told = Vec::new();
    match stranger.read_to_end(&mut told) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    told.len() as u64
}
