//! What a digest of a response costs: a workload to be run under callgrind, which counts instructions (docs/performance.md).
//!
//! | arguments | does |
//! |---|---|
//! | `list COUNT` | digests of so many responses with a list of small objects |
//! | `object COUNT` | ... with one object that holds others, texts, flags and escapes |
//! | `pieces COUNT` | ... with the list of `list`, 32 times as long, in segments of 1,448 bytes; 32 of `COUNT` are one response |
//! | `text COUNT` | ... of a type that is no JSON |
//!
//! A body, or a 32nd of it, has [`BODY_LEN`] bytes, so that what one more of `COUNT` costs is what a kilobyte costs:
//!
//! ```text
//! cargo bench -p protocol --bench digest --no-run
//! valgrind --tool=callgrind target/release/deps/digest-* list 640
//! valgrind --tool=callgrind target/release/deps/digest-* list 1280
//! ```
//!
//! The difference of both, divided by 640, is free of what happens once.

use std::sync::Arc;

use protocol::digest::{Digester, Digests, Fields, Headers, Key};

/// Bytes of a body.
const BODY_LEN: usize = 1000;
/// Bodies of the list that make one response of `pieces`.
const PARTS: usize = 32;
/// Bytes of one segment of it.
const SEGMENT_LEN: usize = 1448;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [load, count] => run(load, count.parse().expect("a number")),
        // As cargo runs it.
        _ => {
            for load in ["list", "object", "pieces", "text"] {
                run(load, 100);
            }
        }
    }
}

fn run(load: &str, count: usize) {
    let (kind, body, count) = match load {
        "list" => ("application/json", list(BODY_LEN), count),
        "object" => ("application/json", object(), count),
        "pieces" => ("application/json", list(PARTS * BODY_LEN), count / PARTS),
        "text" => ("text/html", list(BODY_LEN), count),
        _ => panic!("no load is named {load}"),
    };
    let shared = Arc::new(Digests::new(Key { k0: 1, k1: 2 }, Headers::default()));
    let mut digester = Digester::new(&shared);
    for _ in 0..count {
        digester.on_head(200, [(&b"content-type"[..], kind.as_bytes())]);
        for segment in body.chunks(SEGMENT_LEN) {
            digester.on_body(segment);
        }
        let digest = digester.end();
        assert_eq!(
            matches!(digest.fields, Fields::Known(_)),
            kind == "application/json"
        );
    }
}

/// An array of objects with three fields each, filled with blanks up to `len` bytes.
fn list(len: usize) -> Vec<u8> {
    let mut body = b"[".to_vec();
    for number in 12_345.. {
        let element = format!(r#"{{"id":{number},"name":"some name","price":9.5}}"#);
        // A comma or the end stands behind each.
        if body.len() + element.len() + 1 > len {
            break;
        }
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(element.as_bytes());
    }
    body.push(b']');
    body.resize(len, b' ');
    body
}

/// One object as an account or an order is told, filled by a text up to [`BODY_LEN`] bytes.
fn object() -> Vec<u8> {
    let text = r#"{"status":"ok","account":{"id":"3f2504e0-4f89-11d3-9a0c-0305e82c3301","name":"Some Body","mail":"somebody@example.com",
        "created_at":"2026-11-29T12:30:00Z","active":true,"verified":false,"referrer":null,"balance":-1234.56,"tags":["new","large","eu"]},
        "address":{"street":"1 Some Street","city":"Größe","zip":"12345","country":"DE","position":{"latitude":52.520008,"longitude":13.404954}},
        "@context":"https:\/\/example.com\/orders","limits":{"daily":1000,"monthly":25000,"rate":1.5e3},"orders":[],"pages":{},
        "note":""#;
    let mut body = text.as_bytes().to_vec();
    let words = b"A quick brown fox \\\"jumps\\\" over the lazy dog.\\n";
    while body.len() + words.len() + 2 <= BODY_LEN {
        body.extend_from_slice(words);
    }
    body.extend_from_slice(b"\"}");
    body.resize(BODY_LEN, b' ');
    body
}
