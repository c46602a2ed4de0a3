//! Requests that could get lost without a word: flows that are taken up again, targets that close, budgets that are spent. Each
//! request is copied, or stands among what was not, with its reason.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use lab::copier::Summary;
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, finish, start, start_with};
use tests::{Clients, check_nothing_left};

use super::bodies::Service;
use super::known_faults::is_known;
use super::options::with;
use super::spoken::{Journal, connect, line, serve, skip, within};

/// What one wants to know where something is wrong.
pub(super) fn context(summary: &Summary) -> String {
    let value = summary.value();
    format!(
        "{}; {}; {}; {}",
        summary.ledger(),
        value["left_out"],
        value["sessions"],
        value["differences"]
    )
}

/// A server of HTTP/1 that writes down the first line of each request and closes after so many responses.
fn http(stand: &tests::Stand, host: Host, requests: usize) -> Journal {
    serve(stand, host, move |mut stream, ear| {
        for _ in 0..requests {
            let Some(said) = line(&mut stream) else {
                return;
            };
            while line(&mut stream).is_some_and(|header| !header.is_empty()) {}
            ear.hears(said);
            let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(response).is_err() {
                return;
            }
        }
    })
}

/// Length of a response of [`http`], in bytes.
const RESPONSE_LEN: usize = 40;

/// Sends a request to a server of [`http`] and waits for the response.
fn get(stream: &mut TcpStream, path: &str) {
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: online\r\n\r\n").expect("a connection");
    skip(stream, RESPONSE_LEN).expect("a response");
}

/// Clients that ask more seldom than their sessions live: each request is copied, on a new connection where need be.
#[test]
fn clients_that_ask_seldom() {
    if is_known("clients_that_ask_seldom") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = http(&stand, Host::Online, usize::MAX);
    let target = http(&stand, Host::Target, usize::MAX);
    let options = with(stand.options(), &["--idle-timeout", "1s"]);
    let mut copier = start_with(&stand, &options);
    let mut streams: Vec<_> = (0..8).map(|_| connect(&stand)).collect();
    for round in 0..4 {
        for (number, stream) in streams.iter_mut().enumerate() {
            get(stream, &format!("{number}/{round}"));
        }
        sleep(Duration::from_millis(1800));
    }
    within(3, || target.heard().len() == online.heard().len());
    let summary = finish(&mut copier);
    let context = context(&summary);
    eprintln!(
        "{} of {} heard; {context}",
        target.heard().len(),
        online.heard().len()
    );
    check_books(&summary);
    assert_eq!(online.heard().len(), 32);
    assert_eq!(online.texts(), target.texts(), "{context}");
    assert_eq!(
        (summary.captured(), summary.fidelity()),
        (32, 1.0),
        "{context}"
    );
    check_nothing_left(&stand);
}

/// A transaction with a pause that is longer than its session lives: the rest of it is not sent without its beginning, and
/// what was not sent is told.
#[test]
fn a_transaction_with_a_long_pause() {
    if is_known("a_transaction_with_a_long_pause") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let server = |host| {
        serve(&stand, host, |mut stream, ear| {
            while let Some(said) = line(&mut stream) {
                ear.hears(said);
                if stream.write_all(b"DONE\n").is_err() {
                    return;
                }
            }
        })
    };
    let (online, target) = (server(Host::Online), server(Host::Target));
    let options = with(
        stand.options(),
        &["--idle-timeout", "1s", "--response-timeout", "1s"],
    );
    let mut copier = start_with(&stand, &options);
    let mut stream = connect(&stand);
    let mut say = |said: &str| {
        writeln!(stream, "{said}").expect("a connection");
        assert_eq!(line(&mut stream).as_deref(), Some("DONE"));
    };
    say("BEGIN");
    say("INSERT 1");
    sleep(Duration::from_millis(2500));
    for said in ["INSERT 2", "INSERT 3", "COMMIT"] {
        say(said);
        sleep(Duration::from_millis(100));
    }
    drop(stream);
    let summary = finish(&mut copier);
    let heard = target.heard();
    let context = format!("{heard:?}; {}", context(&summary));
    eprintln!("{context}");
    check_books(&summary);
    assert_eq!(online.heard().len(), 5);
    let first = heard.first().map(|first| first.connection);
    let without_beginning = heard.iter().any(|one| Some(one.connection) != first);
    assert!(!without_beginning, "sent without its beginning: {context}");
    let copied = heard.len() as u64;
    let told = summary.captured() - summary.answered()
        + summary.count("/left_out/open_before_flows")
        + summary.count("/left_out/turns");
    assert!(copied == 5 || told > 0, "lost without a word: {context}");
    assert_eq!(summary.outcome("timed_out"), 0, "{context}");
    check_nothing_left(&stand);
}

/// The target closes after each response where the online server goes on: connections are counted as the target saw them, and
/// that it closes is told.
#[test]
fn a_target_that_closes_after_each_response() {
    if is_known("a_target_that_closes_after_each_response") {
        return;
    }
    const CONNECTIONS: usize = 4;
    const REQUESTS: usize = 50;
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = http(&stand, Host::Online, usize::MAX);
    let target = http(&stand, Host::Target, 1);
    let mut copier = start(&stand);
    std::thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let mut stream = connect(&stand);
            scope.spawn(move || {
                for request in 0..REQUESTS {
                    get(&mut stream, &format!("{number}/{request}"));
                    sleep(Duration::from_millis(20));
                }
            });
        }
    });
    let summary = finish(&mut copier);
    let table = copier.tcpcopy.output();
    let connections = target.connections() as u64;
    let context = format!("{connections} connections; {}", context(&summary));
    eprintln!("{context}");
    check_books(&summary);
    assert_eq!(online.texts(), target.texts(), "{context}");
    assert_eq!(connections, (CONNECTIONS * REQUESTS) as u64, "{context}");
    assert_eq!(summary.count("/sessions/opened"), connections, "{context}");
    let again = connections - CONNECTIONS as u64;
    assert_eq!(summary.count("/sessions/reconnected"), again, "{context}");
    // The clients close after their last requests: whether the target was first is not sure for those.
    let closes = summary.count("/target_closes");
    assert!(
        (again..=connections).contains(&closes),
        "{closes} told; {context}"
    );
    assert!(
        table.contains(&format!("THE TARGET CLOSED {closes} TIMES")),
        "not in the table: {table}"
    );
    check_nothing_left(&stand);
}

/// Flows that find no session are counted once, stand in the headline and fail the gate.
#[test]
fn flows_beyond_the_sessions() {
    if is_known("flows_beyond_the_sessions") {
        return;
    }
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let more = [
        "--max-sessions",
        "5",
        "--max-new-sessions",
        "10",
        "--min-fidelity",
        "90",
    ];
    let mut copier = start_with(&stand, &with(stand.options(), &more));
    let report = Clients::short(200, 3).run(&stand);
    check_clients(&report);
    let status = copier
        .tcpcopy
        .stop(Signal::SIGINT, Duration::from_secs(20))
        .expect("it ends");
    let summary = copier.summary().expect("a summary");
    let log = copier.tcpcopy.log();
    let context = format!("{} flows; {}", report.completed, context(&summary));
    eprintln!("{context}");
    assert_eq!(status.code(), Some(3), "{log}");
    check_books(&summary);
    let left_out = summary.count("/left_out/turns");
    assert_eq!(summary.captured() + left_out, report.completed, "{context}");
    let shed = summary.count("/sessions/shed") + summary.count("/sessions/collided");
    assert_eq!(shed, left_out, "counted twice: {context}");
    assert!(
        copier.tcpcopy.output().contains(&left_out.to_string()),
        "not in the table: {log}"
    );
    assert_eq!(
        target.finish().expect("log").len() as u64,
        summary.captured(),
        "{context}"
    );
    check_nothing_left(&stand);
}

/// Length of each upload, in bytes.
const UPLOAD_LEN: usize = 200_000;

/// A target that takes each upload slowly before it answers: three times as long as its client leaves between two of them.
fn reading_slowly(stand: &tests::Stand, host: Host) -> Journal {
    serve(stand, host, |mut stream, ear| {
        while let Some(said) = line(&mut stream) {
            while line(&mut stream).is_some_and(|header| !header.is_empty()) {}
            for _ in 0..4 {
                if skip(&mut stream, UPLOAD_LEN / 4).is_err() {
                    return;
                }
                sleep(Duration::from_millis(150));
            }
            ear.hears(said);
            let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(response).is_err() {
                return;
            }
        }
    })
}

/// Memory that is spent ends sessions, and each request of them is in one entry of the ledger or beside it.
#[test]
fn uploads_beyond_the_memory() {
    if is_known("uploads_beyond_the_memory") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let _online = Service::start(&stand, Host::Online);
    let target = reading_slowly(&stand, Host::Target);
    let more = ["--memory", "6M", "--drain", "1s"];
    let mut copier = start_with(&stand, &with(stand.options(), &more));
    let body = ["--body", &UPLOAD_LEN.to_string()];
    let short = Clients::short(50, 4).and(&body).start(&stand);
    let kept = Clients::keep_alive(20, 100, 4).and(&body).run(&stand);
    let short = short.wait();
    let summary = finish(&mut copier);
    check_clients(&kept);
    check_clients(&short);
    check_books(&summary);
    let requests = kept.completed + short.completed;
    let context = format!("{requests} requests; {}", context(&summary));
    eprintln!("{context}");
    assert!(
        summary.answered() < requests,
        "nothing was spent: {context}"
    );
    // What was cut off by the end of the run may have been taken by the target all the same.
    assert!(
        target.heard().len() as u64 >= summary.answered(),
        "{context}"
    );
    let told = summary.captured() + summary.count("/left_out/turns");
    assert_eq!(told, requests, "{context}");
    check_nothing_left(&stand);
}
