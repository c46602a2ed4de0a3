//! What a client sends.

use super::{Told, begin, bytes, module, note, parts};
use crate::http1::{Awaited, CHUNK_LINE_MAX, FIELDS_MAX, HEAD_MAX, looks_like};
use crate::module::Module;
use crate::requests::{Part, Requests, Why};
use crate::responses::Said;

fn told(stream: &str) -> Vec<Told> {
    parts(&module(), [stream.as_bytes()])
}

fn is_one(stream: &str) {
    assert_eq!(
        told(stream),
        [begin(), bytes(stream), Told::End],
        "{stream:?}"
    );
}

/// It leaves the module with its first byte.
fn leaves(stream: &str, why: Why) {
    assert_eq!(
        told(stream),
        [Told::Leave(why), bytes(stream)],
        "{stream:?}"
    );
}

#[test]
fn requests_of_each_framing() {
    is_one("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    is_one("GET /a?b=c HTTP/1.0\r\n\r\n");
    is_one("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    is_one("POST /a HTTP/1.1\r\nHost: a\r\ncontent-length: 5, 5\r\nContent-Length:5\r\n\r\nhello");
    is_one(
        "PUT /a HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    );
    is_one(
        "PUT /a HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    is_one("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    is_one("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n");
    is_one("PROPFIND /dav HTTP/1.1\r\nHost: a\r\nDepth: 1\r\n\r\n");
}

#[test]
fn pipelined_requests() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let one = |stream| [begin(), bytes(stream), Told::End];
    // Empty lines between requests are nobody's (RFC 9112, section 2.2).
    assert_eq!(
        told(&format!("\r\n{get}{post}\r\n\r\n{get}\r\n")),
        [one(get), one(post), one(get)].concat()
    );
}

#[test]
fn what_the_response_looks_like() {
    let awaited = |stream: &str| match told(stream).first() {
        Some(Told::Begin { awaited, .. }) => *awaited,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        awaited("HEAD / HTTP/1.1\r\n\r\n"),
        Awaited {
            without_body: true,
            tunnels: false
        }
    );
    assert_eq!(
        awaited("CONNECT a:443 HTTP/1.1\r\n\r\n"),
        Awaited {
            without_body: false,
            tunnels: true
        }
    );
}

#[test]
fn what_could_be_understood_in_two_ways_leaves() {
    for wrong in [
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: 5, 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length:\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: 5,\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked,\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked;a=b\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n X: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET /\r\n\r\n",
        "GET a HTTP/1.1\r\n\r\n",
        "GET * HTTP/1.1\r\n\r\n",
        "CONNECT / HTTP/1.1\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\n: empty\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\rGET / HTTP/1.1\r\n\r\n",
        "\x16\x03\x01",
        "EHLO a\r\n",
    ] {
        leaves(wrong, Why::Malformed);
    }
}

#[test]
fn a_fault_in_a_body_leaves_behind_what_is_right() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello";
    assert_eq!(
        told(&format!("{head}!GET /")),
        [
            begin(),
            bytes(head),
            Told::Leave(Why::Malformed),
            bytes("!GET /")
        ]
    );
}

#[test]
fn heads_have_an_end() {
    leaves(
        &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_MAX)),
        Why::TooLong,
    );
    leaves(
        &format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "X: y\r\n".repeat(FIELDS_MAX + 1)
        ),
        Why::TooLong,
    );
    is_one(&format!(
        "GET / HTTP/1.1\r\n{}\r\n",
        "X: y\r\n".repeat(FIELDS_MAX)
    ));
    let line = "GET / HTTP/1.1\r\n\r\n".len();
    is_one(&format!(
        "GET /{} HTTP/1.1\r\n\r\n",
        "a".repeat(HEAD_MAX - line)
    ));
    leaves(
        &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_MAX - line + 1)),
        Why::TooLong,
    );
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("5;{}", "x".repeat(CHUNK_LINE_MAX - 2));
    assert_eq!(
        told(&format!("{head}{chunk}x")),
        [
            begin(),
            bytes(&format!("{head}{chunk}")),
            Told::Leave(Why::TooLong),
            bytes("x")
        ]
    );
}

#[test]
fn a_client_that_waits_for_100_has_the_target_wait() {
    let head = "POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n";
    let module = module();
    let with = |second: &[(&str, bool)]| {
        let (mut requests, mut told) = (Requests::new(&module), Vec::new());
        let mut tell = |part: Part<'_>| note(&mut told, &part);
        requests.push(&module, head.as_bytes(), true, &mut tell);
        for (piece, went_on) in second {
            requests.push(&module, piece.as_bytes(), *went_on, &mut tell);
        }
        told
    };
    let waited = [begin(), bytes(head), Told::Pause, bytes("hello"), Told::End];
    assert_eq!(with(&[("hel", true), ("lo", false)]), waited);
    assert_eq!(with(&[("hel", true), ("lo", true)]), waited);
    let did_not = [begin(), bytes(&format!("{head}hello")), Told::End];
    assert_eq!(with(&[("hel", false), ("lo", true)]), did_not);
    let old = head.replace("1.1", "1.0");
    assert_eq!(
        told(&format!("{old}hello")),
        [begin(), bytes(&format!("{old}hello")), Told::End]
    );
}

#[test]
fn an_upgrade_leaves() {
    let module = module();
    let (mut requests, mut told) = (Requests::new(&module), Vec::new());
    let head = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    let mut tell = |part: Part<'_>| note(&mut told, &part);
    requests.push(&module, head.as_bytes(), true, &mut tell);
    requests.hear(&Said::Left, &mut tell);
    requests.push(&module, b"\x81\x85", true, &mut tell);
    assert_eq!(
        told,
        [
            begin(),
            bytes(head),
            Told::End,
            Told::Leave(Why::Upgraded),
            Told::Bytes(b"\x81\x85".to_vec())
        ]
    );
}

#[test]
fn what_a_flow_looks_like() {
    for (first, is_it) in [
        ("", None),
        ("\r", None),
        ("\r\n", None),
        ("G", None),
        ("GET", None),
        ("GET /a", None),
        ("GET /a HTTP/1.1", None),
        ("GET /a HTTP/1.1\r", Some(true)),
        ("\r\nM-SEARCH * HTTP/1.0\r\n", Some(true)),
        ("GET /a\r\n", Some(false)),
        ("GET a\r\n", Some(false)),
        ("get a\r\n", Some(false)),
        ("OPTIONS rtsp://a RTSP/1.0\r\n", Some(false)),
        ("PRI * HTTP/2.0\r\n", Some(false)),
        ("*1\r\n", Some(false)),
        (" GET", Some(false)),
        ("\x16\x03\x01", Some(false)),
        ("GET / HTTP/1.1\n", Some(false)),
        ("GET /\x01", Some(false)),
    ] {
        assert_eq!(looks_like(first.as_bytes()), is_it, "{first:?}");
    }
    assert_eq!(looks_like(&[b'A'; 33]), Some(false));
    assert_eq!(looks_like(&b"\r\n".repeat(17)), Some(false));
    let long = format!("GET /{}", "a".repeat(9000));
    assert_eq!(looks_like(long.as_bytes()), Some(true));
}

#[test]
fn what_a_flow_speaks_is_found_in_any_pieces() {
    let module = Module::default();
    let stream = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let one = [begin(), bytes(stream), Told::End];
    assert_eq!(parts(&module, stream.as_bytes().chunks(1)), one);
    let other = "get a\r\nset b\r\n";
    assert_eq!(
        parts(&module, other.as_bytes().chunks(1)),
        [Told::Leave(Why::Unknown), bytes(other)]
    );
}
