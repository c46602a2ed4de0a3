//! HTTP/1 by its module: requests of every kind, filters, rewriting and the write valve, against servers that say what they heard.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lab::copier::{Options, Summary};
use lab::{Host, Topology};
use tests::copying::{check_books, finish, start_with};
use tests::{Clients, Stand, check_complete, check_nothing_left};

use super::options::with;
use super::spoken::{Ear, Journal, connect, long, serve};

/// Connections of a load, and rounds of one request of each kind on every connection.
const CONNECTIONS: usize = 20;

fn rounds() -> usize {
    if long() { 100 } else { 6 }
}

/// Reads one request; `None` at the end of the connection. Returns its head and its body, and asks for the body where the client
/// waits for that.
fn request(stream: &mut TcpStream, held: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let head = loop {
        if let Some(at) = held.windows(4).position(|it| it == b"\r\n\r\n") {
            break held.drain(..at + 4).collect::<Vec<u8>>();
        }
        more(stream, held)?;
    };
    let head = String::from_utf8(head).ok()?;
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    if field("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = Vec::new();
    if field("transfer-encoding").is_some() {
        loop {
            let line = line(stream, held)?;
            let len = usize::from_str_radix(line.trim(), 16).ok()?;
            while held.len() < len + 2 {
                more(stream, held)?;
            }
            body.extend(held.drain(..len));
            held.drain(..2);
            if len == 0 {
                break;
            }
        }
    } else if let Some(len) = field("content-length").and_then(|it| it.parse::<usize>().ok()) {
        while held.len() < len {
            more(stream, held)?;
        }
        body.extend(held.drain(..len));
    }
    Some((head, body))
}

fn line(stream: &mut TcpStream, held: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = held.windows(2).position(|it| it == b"\r\n") {
            let line = held.drain(..at + 2).collect::<Vec<u8>>();
            return String::from_utf8(line).ok();
        }
        more(stream, held)?;
    }
}

fn more(stream: &mut TcpStream, held: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 << 10];
    let len = stream.read(&mut piece).ok().filter(|len| *len > 0)?;
    held.extend_from_slice(&piece[..len]);
    Some(())
}

/// What a server says to a request: `more` bytes than the path asks for, in chunks, with a status without a body, or in two parts with
/// a pause between them.
fn response(head: &str, number: usize, more: usize) -> Vec<Vec<u8>> {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let len = 40 + number * 37 % 900 + more;
    let body = vec![b'r'; len];
    let whole = |status: &str, fields: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\n{fields}Server: {more}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    if head.starts_with("HEAD") {
        return vec![whole("200 OK", &format!("Content-Length: {len}\r\n"), b"")];
    }
    match path.rsplit('/').next().unwrap_or_default() {
        "unchanged" => vec![whole("304 Not Modified", "ETag: \"a\"\r\n", b"")],
        "nothing" => vec![whole("204 No Content", "", b"")],
        "chunks" => {
            let mut said = whole("200 OK", "Transfer-Encoding: chunked\r\n", b"");
            for piece in body.chunks(100) {
                said.extend_from_slice(format!("{:x};a=b\r\n", piece.len()).as_bytes());
                said.extend_from_slice(piece);
                said.extend_from_slice(b"\r\n");
            }
            said.extend_from_slice(b"0\r\nX-Trailer: 1\r\n\r\n");
            vec![said]
        }
        "pauses" => {
            let said = whole("200 OK", &format!("Content-Length: {len}\r\n"), &body);
            let (first, last) = said.split_at(said.len() / 2);
            vec![first.to_vec(), last.to_vec()]
        }
        _ => vec![whole(
            "200 OK",
            &format!("Content-Length: {len}\r\n"),
            &body,
        )],
    }
}

/// What is written down of a request: method, target, host, team, mark, and the length and a sum of the body.
fn noted(head: &str, body: &[u8]) -> String {
    let first = head.lines().next().unwrap_or_default();
    let field = |name: &str| {
        let value = head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        value.unwrap_or_else(|| "-".to_owned())
    };
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    format!(
        "{first} {} {} {} {} {sum}",
        field("host"),
        field("x-team"),
        field("x-tcpcopy"),
        body.len()
    )
}

fn server(stand: &Stand, host: Host, more: usize) -> Journal {
    serve(stand, host, move |mut stream, ear: &Ear| {
        let mut held = Vec::new();
        let mut number = 0;
        while let Some((head, body)) = request(&mut stream, &mut held) {
            ear.hears(noted(&head, &body));
            let parts = response(&head, number, more);
            let last = parts.len() - 1;
            for (at, part) in parts.into_iter().enumerate() {
                if stream.write_all(&part).is_err() {
                    return;
                }
                if at < last {
                    std::thread::sleep(Duration::from_millis(15));
                }
            }
            number += 1;
        }
    })
}

/// One request of each kind; `id` makes them differ from all others.
fn kinds(id: &str) -> Vec<Vec<Vec<u8>>> {
    let host = "Host: www.example.com\r\n";
    let plain = |method: &str, path: &str, fields: &str| {
        format!("{method} {path}?id={id} HTTP/1.1\r\n{host}{fields}\r\n").into_bytes()
    };
    let body = format!("body of {id}");
    let sized = format!("Content-Length: {}\r\n", body.len());
    let upload = [plain("PUT", "/api/one", &sized), body.clone().into_bytes()].concat();
    let chunked = [
        plain(
            "POST",
            "/api/many",
            "Transfer-Encoding: chunked\r\nX-Team: blue\r\n",
        ),
        format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes(),
    ]
    .concat();
    let asks = plain(
        "POST",
        "/api/asks",
        &format!("{sized}Expect: 100-continue\r\n"),
    );
    vec![
        vec![plain("GET", "/api/plain", "X-Team: blue\r\n")],
        vec![plain("GET", "/static/chunks", "")],
        vec![plain("HEAD", "/api/plain", "")],
        vec![plain("GET", "/api/unchanged", "If-None-Match: \"a\"\r\n")],
        vec![plain("DELETE", "/api/nothing", "")],
        vec![plain("GET", "/static/pauses", "X-Team: red\r\n")],
        vec![upload],
        vec![chunked],
        vec![asks, body.into_bytes()],
        // A pipeline.
        vec![
            [
                plain("GET", "/api/first", ""),
                plain("POST", "/api/second", "Content-Length: 0\r\n"),
                plain("GET", "/static/third", ""),
            ]
            .concat(),
        ],
    ]
}

/// Reads responses until `count` have come; bodies are of the servers above.
fn responses(stream: &mut TcpStream, held: &mut Vec<u8>, sent: &[u8]) {
    let text = String::from_utf8_lossy(sent).into_owned();
    for head in text.split("\r\n\r\n").filter(|it| it.contains(" HTTP/1.1")) {
        let first = head.lines().find(|it| it.contains(" HTTP/1.1"));
        let is_head = first.is_some_and(|it| it.starts_with("HEAD"));
        let said = loop {
            let at = loop {
                if let Some(at) = held.windows(4).position(|it| it == b"\r\n\r\n") {
                    break at;
                }
                more(stream, held).expect("an answer");
            };
            let said = String::from_utf8(held.drain(..at + 4).collect()).expect("text");
            if !said.starts_with("HTTP/1.1 100") {
                break said;
            }
        };
        let len = said
            .lines()
            .find_map(|it| it.strip_prefix("Content-Length: "));
        if said.contains("chunked") {
            while !held
                .windows(19)
                .any(|it| it == b"0\r\nX-Trailer: 1\r\n\r\n")
            {
                more(stream, held).expect("the rest");
            }
            held.clear();
        } else if let Some(len) = len
            .and_then(|it| it.parse::<usize>().ok())
            .filter(|_| !is_head)
        {
            while held.len() < len {
                more(stream, held).expect("the rest");
            }
            held.drain(..len);
        }
    }
}

/// What clients do: each connection sends every kind, again and again.
fn load(stand: &Stand) {
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut stream = connect(stand);
                stream.set_nodelay(true).expect("a socket");
                let mut held = Vec::new();
                for round in 0..rounds() {
                    for parts in kinds(&format!("{connection}-{round}")) {
                        let (first, rest) = parts.split_first().expect("a part");
                        stream.write_all(first).expect("sent");
                        for part in rest {
                            // Until the server asks for it.
                            while !held.ends_with(b"100 Continue\r\n\r\n") {
                                more(&mut stream, &mut held).expect("100 Continue");
                            }
                            held.clear();
                            stream.write_all(part).expect("sent");
                        }
                        responses(&mut stream, &mut held, first);
                    }
                }
            });
        }
    });
}

/// Copies a load with `options`, to a target that says `more` bytes in each answer; returns what both servers heard, and the summary.
fn copied(
    topology: Topology,
    arguments: &[&str],
    more: usize,
) -> Option<(Vec<String>, Vec<String>, Summary)> {
    let stand = super::stand_with(topology, &[])?;
    let (online, target) = (
        server(&stand, Host::Online, 300),
        server(&stand, Host::Target, more),
    );
    let options: Options = with(stand.options(), arguments);
    let mut copier = start_with(&stand, &options);
    load(&stand);
    let summary = finish(&mut copier);
    check_books(&summary);
    check_nothing_left(&stand);
    let heard = (online.texts(), target.texts(), summary);
    assert_eq!(
        heard.0.len(),
        CONNECTIONS * rounds() * 12,
        "every request was served"
    );
    Some(heard)
}

/// The target has heard just what is expected, each request once.
fn check(heard: &(Vec<String>, Vec<String>, Summary), expected: impl Fn(&str) -> Option<String>) {
    let (online, target, summary) = heard;
    let mut wanted: Vec<String> = online.iter().filter_map(|it| expected(it)).collect();
    wanted.sort();
    let count = |all: &[String]| {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for one in all {
            *counts.entry(one.clone()).or_default() += 1;
        }
        counts
    };
    let mut differing = count(&wanted);
    for (one, times) in count(target) {
        *differing.entry(one).or_default() -= times;
    }
    differing.retain(|_, times| *times != 0);
    assert!(
        differing.is_empty(),
        "{} differ, of {} expected and {} heard: {:?}; {}",
        differing.len(),
        wanted.len(),
        target.len(),
        differing.iter().take(5).collect::<Vec<_>>(),
        summary.ledger()
    );
    assert_eq!(summary.fidelity(), 1.0, "{}", summary.ledger());
    let filtered = online.len() - wanted.len();
    assert_eq!(
        summary.count("/ledger/filtered"),
        filtered as u64,
        "{}",
        summary.ledger()
    );
    // Each answer belongs to its request: nothing is out of step.
    let value = summary.value();
    let context = format!("{} {}", summary.ledger(), value["differences"]);
    eprintln!("{context}; lag {}", value["latency_us"]["lag"]);
    assert_eq!(summary.count("/differences/unpaired"), 0, "{context}");
    assert_eq!(
        summary.count("/differences/compared"),
        summary.answered(),
        "{context}"
    );
}

/// Answers that are shorter or longer than the online server's end where they end: no request waits for a silence.
fn every_kind(topology: Topology) {
    for more in [300, 0, 5_000] {
        let Some(heard) = copied(topology, &["--protocol", "http1"], more) else {
            return;
        };
        check(&heard, |it| Some(it.to_owned()));
    }
}

#[test]
fn every_kind_direct() {
    every_kind(Topology::Direct);
}

#[test]
fn every_kind_assistant() {
    every_kind(Topology::Assistant);
}

#[test]
fn only_what_is_safe() {
    let safe = |it: &str| it.starts_with("GET ") || it.starts_with("HEAD ");
    let options = ["--protocol", "auto", "--read-only"];
    let Some(heard) = copied(Topology::Direct, &options, 0) else {
        return;
    };
    check(&heard, |it| safe(it).then(|| it.to_owned()));
}

#[test]
fn only_what_is_like_a_filter() {
    let options = [
        "--protocol",
        "http1",
        "--only",
        "method=GET,POST path=/api/* header:X-Team=blue",
        "--only",
        "path=/static/*",
        "--except",
        "path=*/third",
    ];
    let Some(heard) = copied(Topology::Direct, &options, 700) else {
        return;
    };
    check(&heard, |it| {
        let is_api = it.contains(" /api/") && it.contains(" blue ");
        let is_static = it.contains(" /static/") && !it.contains("/third");
        (is_api || is_static).then(|| it.to_owned())
    });
}

#[test]
fn requests_are_rewritten() {
    let options = [
        "--protocol",
        "http1",
        "--rewrite-path",
        "/api/=/v2/api/",
        "--host",
        "staging.example.com",
        "--set-header",
        "X-Team: green",
        "--mark-header",
    ];
    let Some(heard) = copied(Topology::Direct, &options, 0) else {
        return;
    };
    check(&heard, |it| {
        let it = it.replace(" /api/", " /v2/api/");
        let (request, rest) = it.split_once(" HTTP/1.1 ")?;
        let rest: Vec<&str> = rest.split(' ').collect();
        let [_, _, _, len, sum] = rest[..] else {
            return None;
        };
        Some(format!(
            "{request} HTTP/1.1 staging.example.com green 1 {len} {sum}"
        ))
    });
}

/// nginx under load: each request once, as without a module.
fn nginx(topology: Topology) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_with(&stand, &with(stand.options(), &["--protocol", "auto"]));
    let report = Clients::keep_alive(50, 2_000, 3).long(20).run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_nothing_left(&stand);
}

#[test]
fn nginx_direct() {
    nginx(Topology::Direct);
}

#[test]
fn nginx_assistant() {
    nginx(Topology::Assistant);
}
