//! Responses compared by their contents, beside a baseline: what a new build says differently is found, and nothing else.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::copier::{Options, Summary};
use lab::net::{ONLINE, TARGET};
use lab::{Host, Topology};
use tests::copying::{check_books, check_nothing_left, finish, start_with};
use tests::{PORT, Stand};

use super::options::with;
use super::spoken::{connect, long, serve_at};

/// Where the baseline listens, on the target's host.
const BASELINE: u16 = PORT + 1;
/// Connections of a load.
const CONNECTIONS: usize = 20;

/// How long a client thinks.
const PAUSE: Duration = Duration::from_millis(10);

/// What a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    Old,
    /// One user of 128 has another price.
    OtherPrice,
}

/// Whether a new build asks another price of this user: of one in 128, in no order.
fn is_raised(number: u64) -> bool {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40 & 127 == 0
}

/// Anything, another each time.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// What a server says: it has a clock, draws identifiers, and lists things in any order, as servers do.
fn body(path: &str, build: Build) -> (&'static str, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a clock").as_millis();
    let mut segments = path.trim_start_matches('/').split(['/', '?']);
    let kind = segments.next().unwrap_or_default();
    let number: u64 = segments.next().and_then(|it| it.parse().ok()).unwrap_or(0);
    match kind {
        "users" => {
            let raised = build == Build::OtherPrice && is_raised(number);
            let price = 100 + number % 10 + u64::from(raised);
            let body = format!(
                r#"{{"id":{number},"name":"user {number}","account":{{"price":{price},"currency":"EUR"}},"now":{now},"trace":"{:016x}"}}"#,
                random()
            );
            ("application/json", body)
        }
        "orders" => {
            let mut items = ["apples", "pears", "plums", "cherries"];
            let by = random() as usize % items.len();
            items.rotate_left(by);
            let body = format!(r#"{{"items":{items:?},"total":{},"at":{now}}}"#, number % 9);
            ("application/json; charset=utf-8", body)
        }
        _ => ("text/plain", format!("this is {path}")),
    }
}

/// A server on a host, which answers in chunks now and then.
fn server(stand: &Stand, (host, port): (Host, u16), build: Build) {
    serve_at(stand, (host, port), move |stream, _| {
        let mut reader = BufReader::new(stream);
        let (mut path, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(rest) = line.strip_prefix("GET ") {
                path = rest.split(' ').next().unwrap_or_default().to_owned();
            }
            if line != "\r\n" {
                continue;
            }
            let (kind, body) = body(&path, build);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n");
            let said = if random().is_multiple_of(3) {
                let (first, rest) = body.split_at(body.len() / 2);
                format!(
                    "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n",
                    first.len(),
                    rest.len()
                )
            } else {
                format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
            };
            if reader.get_mut().write_all(said.as_bytes()).is_err() {
                return;
            }
        }
    });
}

/// Asks, and reads the answer.
fn ask(reader: &mut BufReader<TcpStream>, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    reader
        .get_mut()
        .write_all(request.as_bytes())
        .expect("sent");
    let (mut len, mut line) = (None, String::new());
    loop {
        line.clear();
        assert_ne!(reader.read_line(&mut line).expect("a head"), 0);
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            len = value.trim().parse::<usize>().ok();
        }
        if line == "\r\n" {
            break;
        }
    }
    if let Some(len) = len {
        let mut body = vec![0; len];
        return reader.read_exact(&mut body).expect("a body");
    }
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a size");
        let len = usize::from_str_radix(line.trim(), 16).expect("a size");
        let mut piece = vec![0; len + 2];
        reader.read_exact(&mut piece).expect("a piece");
        if len == 0 {
            return;
        }
    }
}

/// So many requests on each connection, half of them of users.
fn load(stand: &Stand, requests: usize) {
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let stream = connect(stand);
                stream.set_nodelay(true).expect("a socket");
                let mut reader = BufReader::new(stream);
                for number in 0..requests {
                    let id = connection * requests + number;
                    let path = match id % 4 {
                        0 | 1 => format!("/users/{id}"),
                        2 => format!("/orders/{id}?page=2"),
                        _ => "/health".to_owned(),
                    };
                    ask(&mut reader, &path);
                    // What comes at one moment is one piece of evidence.
                    std::thread::sleep(PAUSE);
                }
            });
        }
    });
}

/// The copy of these options beside a baseline.
fn options(stand: &Stand, more: &[&str]) -> Options {
    let mut options = stand.options();
    options.rules = format!(
        "{},{ONLINE}:{PORT}-{TARGET}:{BASELINE}=baseline",
        options.rules
    );
    options.targets = format!("{},{TARGET}:{BASELINE}", options.targets);
    with(with(options, &["--protocol", "http1"]), more)
}

/// The places that are called changed: route, kind and name.
fn changed(summary: &Summary) -> Vec<(String, String, String)> {
    let groups = summary.value()["comparison"]["groups"].as_array();
    let mut changed = Vec::new();
    for group in groups.expect("groups") {
        let route = format!(
            "{} {}",
            group["method"].as_str().unwrap_or_default(),
            group["route"].as_str().unwrap_or_default()
        );
        for place in group["places"].as_array().into_iter().flatten() {
            if place["says"] == "changed" {
                let text = |key: &str| place[key].as_str().unwrap_or_default().to_owned();
                changed.push((route.clone(), text("kind"), text("name")));
            }
        }
    }
    changed
}

/// Copies a load, and says what was found.
fn compared(stand: &Stand, more: &[&str], requests: usize) -> Summary {
    let mut copier = start_with(stand, &options(stand, more));
    load(stand, requests);
    let summary = finish(&mut copier);
    check_books(&summary);
    let all = (CONNECTIONS * requests) as u64;
    let context = format!("{}; {}", summary.ledger(), summary.value()["comparison"]);
    assert_eq!(summary.answered(), all, "{context}");
    for arm in ["compared", "baseline_compared"] {
        let path = format!("/comparison/responses/{arm}");
        assert_eq!(summary.count(&path), all, "{arm}: {context}");
    }
    summary
}

fn one_price_of_a_hundred(topology: Topology) {
    let Some(stand) = super::stand_with(topology, &[]) else {
        return;
    };
    server(&stand, (Host::Online, PORT), Build::Old);
    server(&stand, (Host::Target, PORT), Build::OtherPrice);
    server(&stand, (Host::Target, BASELINE), Build::Old);
    // Half of them are of users, of which about one in a hundred has another price.
    let summary = compared(&stand, &[], 300);
    let ids = 0..CONNECTIONS as u64 * 300;
    let raised = ids.filter(|id| id % 4 < 2 && is_raised(*id)).count();
    let comparison = &summary.value()["comparison"];
    eprintln!("{}", comparison["largest"]);
    let wanted = ["GET /users/*", "value", ".account.price"].map(str::to_owned);
    assert_eq!(changed(&summary), [wanted.into()], "{comparison:#}");
    assert_eq!(comparison["largest"]["responses"], raised, "{comparison:#}");
    // Clocks, identifiers and orders are noise, and named as that.
    let noise = comparison["groups"].to_string();
    for name in [".now", ".trace", ".items[]", ".at"] {
        assert!(noise.contains(&format!("\"{name}\"")), "{name}: {noise}");
    }
    check_nothing_left(&stand);
}

#[test]
fn one_price_of_a_hundred_direct() {
    one_price_of_a_hundred(Topology::Direct);
}

#[test]
fn one_price_of_a_hundred_assistant() {
    one_price_of_a_hundred(Topology::Assistant);
}

/// Two equal servers: silent. 100 runs in the long form, of which 95 are to be.
#[test]
fn two_equal_servers_are_equal() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    for at in [
        (Host::Online, PORT),
        (Host::Target, PORT),
        (Host::Target, BASELINE),
    ] {
        server(&stand, at, Build::Old);
    }
    let runs = if long() { 100 } else { 2 };
    let alarms: Vec<_> = (0..runs)
        .map(|_| changed(&compared(&stand, &["--max-difference", "0.1%"], 100)))
        .filter(|changed| !changed.is_empty())
        .collect();
    eprintln!("{} of {runs} runs with an alarm: {alarms:?}", alarms.len());
    // One in twenty is what is promised; of two runs both would be far beyond that.
    assert!(alarms.len() <= (runs / 20).max(1), "{alarms:?}");
    std::thread::sleep(Duration::from_millis(10));
    check_nothing_left(&stand);
}
