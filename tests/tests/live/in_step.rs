//! Targets whose answers have other lengths than the online server's: a copy does not fall behind, and the differences are told
//! as what they are.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::copier::Summary;
use lab::process::Spec;
use lab::{Host, Process, Topology};
use tests::copying::{check_books, check_clients, finish, start_with};
use tests::{Clients, PORT, Stand, check_nothing_left};

use super::bodies::Service;
use super::known_faults::is_known;
use super::options::with;
use super::spoken::{connect, line, long};

/// How far a copy may be behind its clients, whatever its target answers.
const LAG_MAX: Duration = Duration::from_secs(1);
/// A copy that has one second at its end must have nothing left to do.
pub(super) const SOON: [&str; 2] = ["--drain", "1s"];

/// The longest that a turn was late, by the copy's own figures.
fn lag_max(summary: &Summary) -> Duration {
    Duration::from_micros(summary.count("/latency_us/lag/max"))
}

/// Everything was copied, and nothing later than a second after its capture.
fn check_in_step(summary: &Summary) {
    let value = summary.value();
    let context = format!(
        "{}; lag {}; {}; {}",
        summary.ledger(),
        value["latency_us"]["lag"],
        value["differences"],
        value["sessions"]
    );
    eprintln!("{context}");
    check_books(summary);
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    assert!(lag_max(summary) < LAG_MAX, "{context}");
}

/// A copy that is further behind than this for one turn in ten does not see the silences that show where answers end: it compares
/// few, one of ten at least, and says so.
const LAG_TO_COMPARE: Duration = Duration::from_millis(10);

/// The turns were compared, at least so many of ten where the copy was given its processor, and told as different in this way.
fn check_told(summary: &Summary, compared_min: u64, difference: &str) {
    let differences = &summary.value()["differences"];
    let compared = summary.count("/differences/compared");
    let lag = Duration::from_micros(summary.count("/latency_us/lag/p90"));
    let compared_min = if lag > LAG_TO_COMPARE {
        1
    } else {
        compared_min
    };
    assert!(
        compared * 10 >= summary.captured() * compared_min,
        "too few compared: {differences}; lag {lag:?}"
    );
    let told = summary.count(&format!("/differences/{difference}"));
    assert!(told * 10 >= compared * 9, "{difference}: {differences}");
}

/// Few fast connections, then many: 2,000 requests a second, then 10,000 as far as the machine goes.
fn loads() -> [Clients; 2] {
    [
        Clients::keep_alive(4, 2000, 2).long(10),
        Clients::keep_alive(50, 10_000, 2).long(10),
    ]
}

/// The online server answers 600 bytes, the target something else.
fn other_lengths(test: &str, target: &[&str], compared_min: u64, told: &[&str]) {
    if is_known(test) {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = Service::start(&stand, Host::Online);
    let target = Service::start_with(&stand, Host::Target, target);
    let mut completed = 0;
    let mut summaries = Vec::new();
    for clients in loads() {
        let mut copier = start_with(&stand, &with(stand.options(), &SOON));
        let report = clients.run(&stand);
        check_clients(&report);
        completed += report.completed;
        let summary = finish(&mut copier);
        assert_eq!(summary.captured(), report.completed, "{}", summary.ledger());
        check_in_step(&summary);
        summaries.push(summary);
    }
    let (online, target) = (online.finish(), target.finish());
    assert_eq!(online.len() as u64, completed);
    assert!(
        online == target,
        "{} of {} requests",
        target.len(),
        online.len()
    );
    for summary in &summaries {
        for difference in told {
            check_told(summary, compared_min, difference);
        }
    }
    check_nothing_left(&stand);
}

/// Another `Server:` line, say.
#[test]
fn responses_that_are_one_byte_shorter() {
    other_lengths(
        "responses_that_are_one_byte_shorter",
        &["--size", "599"],
        9,
        &["kinds/target_shorter"],
    );
}

#[test]
fn responses_that_are_one_byte_longer() {
    other_lengths(
        "responses_that_are_one_byte_longer",
        &["--size", "601"],
        9,
        &["kinds/target_longer"],
    );
}

/// An error page in the place of a document, say.
#[test]
fn responses_that_are_a_tenth() {
    other_lengths(
        "responses_that_are_a_tenth",
        &["--size", "60"],
        9,
        &["kinds/target_shorter"],
    );
}

/// A token or a date in each of them, say.
#[test]
fn responses_of_random_lengths() {
    let target = ["--size", "500", "--size-spread", "200"];
    other_lengths("responses_of_random_lengths", &target, 9, &["differing"]);
}

/// memcached on a host.
fn memcached(stand: &Stand, host: Host) -> Process {
    let listens = (host.address().expect("an address"), PORT).into();
    let spec = Spec::new(&format!("memcached-{}", host.name()), "memcached");
    let (address, port) = (
        host.address().expect("an address").to_string(),
        PORT.to_string(),
    );
    let spec = spec.args(["-u", "root", "-l", &address, "-p", &port, "-t", "1", "-v"]);
    let mut process = stand.lab.spawn(host, &spec).expect("memcached");
    lab::nginx::wait_listening(&stand.lab, host, listens, &mut process).expect("memcached");
    process
}

/// How many keys clients asked a memcached for.
fn asked(stand: &Stand, host: Host) -> u64 {
    let address = host.address().expect("an address");
    let said = stand.lab.namespace(host).enter(|| -> std::io::Result<u64> {
        let mut stream = TcpStream::connect((address, PORT))?;
        stream.write_all(b"stats\r\n")?;
        while let Some(said) = line(&mut stream) {
            if let Some(count) = said.strip_prefix("STAT cmd_get ") {
                return Ok(count.parse().unwrap_or(0));
            }
        }
        Ok(0)
    });
    said.expect("the namespace").expect("statistics")
}

/// Asks for a key so many times a second.
fn ask(mut stream: TcpStream, rate: u32, seconds: u64) -> std::io::Result<u64> {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        stream.write_all(b"get something\r\n")?;
        loop {
            let said = line(&mut stream).ok_or(std::io::ErrorKind::UnexpectedEof)?;
            if said == "END" {
                break;
            }
        }
        count += 1;
        let next = Duration::from_secs_f64(count as f64 / f64::from(rate));
        sleep(next.saturating_sub(start.elapsed()));
    }
    Ok(count)
}

/// A cache that is empty says that it has nothing, which is shorter than what it was asked for.
#[test]
fn an_empty_memcached() {
    if is_known("an_empty_memcached") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &["memcached"]) else {
        return;
    };
    let (_online, _target) = (
        memcached(&stand, Host::Online),
        memcached(&stand, Host::Target),
    );
    let mut setter = connect(&stand);
    let value = "v".repeat(100);
    write!(setter, "set something 0 0 100\r\n{value}\r\n").expect("a connection");
    assert_eq!(line(&mut setter).as_deref(), Some("STORED"));
    drop(setter);
    let mut copier = start_with(&stand, &with(stand.options(), &SOON));
    let seconds = if long() { 10 } else { 3 };
    let threads: Vec<_> = (0..4)
        .map(|_| connect(&stand))
        .map(|stream| std::thread::spawn(move || ask(stream, 500, seconds)))
        .collect();
    let counts = threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic").expect("answers"));
    let count: u64 = counts.sum();
    let summary = finish(&mut copier);
    assert_eq!(asked(&stand, Host::Online), count);
    let copied = asked(&stand, Host::Target);
    eprintln!("{count} asked, {copied} copied");
    check_in_step(&summary);
    assert_eq!(copied, count, "{}", summary.ledger());
    check_told(&summary, 9, "kinds/target_shorter");
    check_nothing_left(&stand);
}
