//! Servers that speak whenever they like: what clients say comes to the target although the target has less to say.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use lab::{Host, Topology};
use tests::check_nothing_left;
use tests::copying::start_with;

use super::in_step::SOON;
use super::known_faults::is_known;
use super::options::with;
use super::spoken::{Ear, check_lag, connect, line, long, serve, skip};

/// How far a copy may be behind its clients. That the server speaks unasked has to be found out first.
const LAG_MAX: Duration = Duration::from_secs(2);

/// Says something every so often, whatever the client does, until nobody listens.
fn tick(stream: &TcpStream, every: Duration, word: &'static [u8]) {
    if let Ok(mut stream) = stream.try_clone() {
        std::thread::spawn(move || {
            while stream.write_all(word).is_ok() {
                sleep(every);
            }
        });
    }
}

/// Both sides send frames of their own; the target's server has less to say than the online server.
#[test]
fn frames_in_both_directions() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let server = |host, every| {
        serve(&stand, host, move |stream, ear| {
            tick(&stream, every, b"\0\0\0\x04tick");
            ear.hears_lines(stream);
        })
    };
    let online = server(Host::Online, Duration::from_millis(200));
    let target = server(Host::Target, Duration::from_secs(5));
    let copier = start_with(&stand, &with(stand.options(), &SOON));
    let seconds = if long() { 45 } else { 6 };
    std::thread::scope(|scope| {
        for number in 0..4 {
            let mut stream = connect(&stand);
            scope.spawn(move || {
                let mut read = stream.try_clone().expect("a socket");
                let reader = std::thread::spawn(move || while skip(&mut read, 8).is_ok() {});
                for message in 0..seconds * 10 {
                    writeln!(stream, "message {number} {message}").expect("a connection");
                    sleep(Duration::from_millis(100));
                }
                let _ = stream.shutdown(std::net::Shutdown::Both);
                reader.join().expect("no panic");
            });
        }
    });
    check_lag(copier, &online, &target, LAG_MAX);
    check_nothing_left(&stand);
}

/// A WebSocket over which the server pushes and the client acknowledges each piece of news; the target's server has one for
/// twenty of the online server's.
#[test]
fn news_by_websocket() {
    if is_known("news_by_websocket") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    const NEWS: &[u8] = b"\x81\x04news";
    let server = |host, every| {
        serve(&stand, host, move |mut stream, ear: &Ear| {
            // The request for the upgrade ends with an empty line.
            while line(&mut stream).is_some_and(|said| !said.is_empty()) {}
            let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
            if stream.write_all(upgrade).is_ok() {
                tick(&stream, every, NEWS);
                ear.hears_lines(stream);
            }
        })
    };
    let online = server(Host::Online, Duration::from_millis(50));
    let target = server(Host::Target, Duration::from_secs(1));
    let copier = start_with(&stand, &with(stand.options(), &SOON));
    let news = if long() { 600 } else { 100 };
    std::thread::scope(|scope| {
        for number in 0..4 {
            let mut stream = connect(&stand);
            scope.spawn(move || {
                let request = "GET /news HTTP/1.1\r\nHost: news\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(request.as_bytes()).expect("a connection");
                while line(&mut stream).is_some_and(|said| !said.is_empty()) {}
                for message in 0..news {
                    skip(&mut stream, NEWS.len()).expect("news");
                    writeln!(stream, "got {number} {message}").expect("a connection");
                }
            });
        }
    });
    let summary = check_lag(copier, &online, &target, LAG_MAX);
    assert_eq!(summary.outcome("target_closed"), 0, "{}", summary.ledger());
    check_nothing_left(&stand);
}
