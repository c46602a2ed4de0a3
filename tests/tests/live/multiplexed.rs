//! Connections on which several requests and answers are under way at the same time: no request waits for what is not its
//! answer.

use std::io::Write;
use std::time::Duration;

use lab::copier::Summary;
use lab::net::ONLINE;
use lab::process::Spec;
use lab::{Host, Process, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, finish, start_with};
use tests::{PORT, Stand, check_nothing_left};

use super::in_step::SOON;
use super::known_faults::is_known;
use super::options::with;
use super::spoken::{Journal, check_lag, connect, line, long, serve};

/// Length of the document that is asked for, in bytes.
const DOCUMENT_LEN: usize = 60_000;

/// nghttpd on a host, which says each frame that it gets.
fn nghttpd(stand: &Stand, host: Host) -> Process {
    let address = host.address().expect("an address");
    let port = PORT.to_string();
    let documents = stand
        .lab
        .folder()
        .join(format!("documents-{}", host.name()));
    std::fs::create_dir(&documents).expect("a folder");
    std::fs::write(documents.join("document"), vec![b'd'; DOCUMENT_LEN]).expect("a document");
    let documents = documents.display().to_string();
    let address_text = address.to_string();
    let arguments = [
        "--no-tls",
        "--verbose",
        "--htdocs",
        &documents,
        "--address",
        &address_text,
        &port,
    ];
    let spec = Spec::new(&format!("nghttpd-{}", host.name()), "nghttpd").args(arguments);
    let mut process = stand.lab.spawn(host, &spec).expect("nghttpd");
    let listens = (address, PORT).into();
    lab::nginx::wait_listening(&stand.lab, host, listens, &mut process).expect("nghttpd");
    process
}

/// Requests that an nghttpd has got.
fn requests(mut server: Process) -> usize {
    let _ = server.stop(Signal::SIGTERM, Duration::from_secs(5));
    let said = format!("{}{}", server.output(), server.log());
    said.matches("recv HEADERS frame").count()
}

/// Copies what h2load sends with these arguments; nothing may be later than a second, and nothing left at the end.
fn load(stand: &Stand, arguments: &[&str]) -> (Summary, String) {
    let mut copier = start_with(stand, &with(stand.options(), &SOON));
    let url = format!("http://{ONLINE}:{PORT}/document");
    let all = [arguments, &[url.as_str()]].concat();
    let said = stand.lab.run(Host::Client, "h2load", &all).expect("h2load");
    let summary = finish(&mut copier);
    check_books(&summary);
    (summary, said)
}

/// Twenty connections with ten requests each at a time.
#[test]
fn http2_with_many_streams() {
    if is_known("http2_with_many_streams") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &["nghttpd", "h2load"]) else {
        return;
    };
    let (online, target) = (nghttpd(&stand, Host::Online), nghttpd(&stand, Host::Target));
    let (summary, _) = load(
        &stand,
        &["-c", "20", "-m", "10", "-n", "5000", "-w", "16", "-W", "16"],
    );
    let (online, target) = (requests(online), requests(target));
    let value = summary.value();
    let context = format!(
        "{target} of {online}; {}; lag {}; {}; {}",
        summary.ledger(),
        value["latency_us"]["lag"],
        value["sessions"],
        value["differences"]
    );
    eprintln!("{context}");
    assert_eq!((online, target), (5000, 5000), "{context}");
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    let lag = Duration::from_micros(summary.count("/latency_us/lag/max"));
    assert!(lag < Duration::from_secs(1), "{context}");
    assert_eq!(summary.count("/differences/differing"), 0, "{context}");
    check_nothing_left(&stand);
}

/// Requests of a connection that are under way at the same time.
const STREAMS: usize = 10;

/// A server that answers each request after a time of its own, so that answers come in another order than requests did. `salt`
/// makes one server's times differ from another's.
fn in_any_order(stand: &Stand, host: Host, salt: u64) -> Journal {
    serve(stand, host, move |mut stream, ear| {
        while let Some(said) = line(&mut stream) {
            let number: u64 = said
                .rsplit(' ')
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or(0);
            let wait = Duration::from_micros((number * 7919 + salt * 104_729) % 13 * 900);
            ear.hears(said);
            let Ok(mut answers) = stream.try_clone() else {
                return;
            };
            std::thread::spawn(move || {
                std::thread::sleep(wait);
                // One write is one segment: answers are not mixed.
                let _ = answers.write_all(format!("answer {number:05}\n").as_bytes());
            });
        }
    })
}

/// Each answer lets the next request go, and answers come in any order: connections as those of gRPC are.
#[test]
fn answers_in_any_order() {
    if is_known("answers_in_any_order") {
        return;
    }
    const CONNECTIONS: usize = 20;
    let requests = if long() { 3000 } else { 100 };
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = in_any_order(&stand, Host::Online, 1);
    let target = in_any_order(&stand, Host::Target, 2);
    let copier = start_with(&stand, &with(stand.options(), &SOON));
    std::thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let mut stream = connect(&stand);
            scope.spawn(move || {
                for request in 0..requests {
                    if request >= STREAMS {
                        line(&mut stream).expect("an answer");
                    }
                    writeln!(stream, "request {number} {request}").expect("a connection");
                }
                for _ in 0..STREAMS {
                    line(&mut stream).expect("an answer");
                }
            });
        }
    });
    check_lag(copier, &online, &target, Duration::from_secs(1));
    check_nothing_left(&stand);
}
