//! Digests of whole responses: what they have in common, and what does not fit.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::{any, prop_assert_eq, proptest};

use super::{Digester, is_json_type};
use crate::digest::{
    CONTENT_LEN_MAX, DECODERS_MAX, Digest, Digests, Fields, Headers, JSON_LEN_MAX, Key, Unread,
};

fn shared() -> Arc<Digests> {
    Arc::new(Digests::new(Key { k0: 1, k1: 2 }, Headers::default()))
}

fn read(shared: &Arc<Digests>, headers: &[(&str, &str)], body: &[u8], piece: usize) -> Digest {
    let mut digester = Digester::new(shared);
    digester.on_head(
        200,
        headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    for part in body.chunks(piece.max(1)) {
        digester.on_body(part);
    }
    digester.end()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");

#[test]
fn a_coding_hides_nothing() {
    let shared = shared();
    let body = br#"{"items":[{"id":1},{"id":2}]}"#;
    let plain = read(&shared, &[JSON], body, 3);
    assert!(matches!(&plain.fields, Fields::Known(fields) if fields.len() == 2));
    for (coding, sent) in [
        ("gzip", gzip(body)),
        ("X-GZIP", gzip(body)),
        ("deflate", zlib(body)),
        ("gzip", [gzip(&body[..9]), gzip(&body[9..])].concat()),
    ] {
        let coded = read(&shared, &[JSON, ("content-encoding", coding)], &sent, 5);
        assert_eq!(coded.fields, plain.fields, "{coding}");
        assert_eq!(coded.body(), plain.body(), "{coding}");
        assert_ne!(coded.sent, plain.sent);
    }
}

#[test]
fn what_is_not_read_is_said_and_compared_as_a_whole() {
    let shared = shared();
    let why = |headers: &[(&str, &str)], body: &[u8]| match read(&shared, headers, body, 999).fields
    {
        Fields::Unknown(why) => Some(why),
        Fields::Known(_) => None,
    };
    let gzipped = ("content-encoding", "gzip");
    let long = format!("\"{}\"", "a".repeat(JSON_LEN_MAX as usize));
    let bomb = gzip(&vec![b'1'; CONTENT_LEN_MAX as usize + 1]);
    assert!(bomb.len() < 64 << 10);
    let cut = gzip(&[b'1'; 999]);
    for (headers, body, expected) in [
        (&[][..], &b"[]"[..], Some(Unread::NotJson)),
        (&[JSON], b"", Some(Unread::NotJson)),
        (&[JSON], b"[", Some(Unread::Malformed)),
        (&[JSON], &b"[".repeat(99), Some(Unread::TooDeep)),
        (&[JSON], long.as_bytes(), Some(Unread::TooLong)),
        (&[JSON], &long.as_bytes()[2..], Some(Unread::Malformed)),
        (
            &[JSON, gzipped],
            &gzip(long.as_bytes()),
            Some(Unread::TooLong),
        ),
        (&[JSON, gzipped], b"[1]", Some(Unread::Undecodable)),
        (&[JSON, gzipped], &bomb, Some(Unread::Undecodable)),
        (
            &[JSON, gzipped],
            &cut[..cut.len() - 1],
            Some(Unread::Undecodable),
        ),
        (
            &[JSON, ("content-encoding", "br")],
            b"x",
            Some(Unread::Coding),
        ),
        (
            &[JSON, ("content-encoding", "gzip, gzip")],
            b"x",
            Some(Unread::Coding),
        ),
        (&[JSON, ("content-encoding", "identity")], b"1", None),
        (&[JSON, gzipped], b"", Some(Unread::NotJson)),
    ] {
        assert_eq!(why(headers, body), expected, "{headers:?}");
    }
    let one = read(&shared, &[JSON], long.as_bytes(), 1000);
    let other = read(
        &shared,
        &[JSON],
        long.replace("aa\"", "ab\"").as_bytes(),
        1000,
    );
    assert_eq!(one.sent.len, other.sent.len);
    assert_ne!(one.sent.hash, other.sent.hash);
}

#[test]
fn decoders_are_counted_and_given_back() {
    let shared = shared();
    let gzipped: [(&[u8], &[u8]); 1] = [(b"content-encoding", b"gzip")];
    let mut open: Vec<Digester> = (0..=DECODERS_MAX).map(|_| Digester::new(&shared)).collect();
    for digester in &mut open {
        digester.on_head(200, gzipped);
        digester.on_body(&gzip(b"body"));
    }
    let last = open.pop().map(|mut digester| digester.end());
    assert_eq!(last.unwrap().fields, Fields::Unknown(Unread::Busy));
    // One is broken, one ends, one begins anew, one goes with its connection: each gives its place back.
    open[0].on_body(b"no gzip");
    let _ = open[1].end();
    open[2].on_head(200, []);
    drop(open.pop());
    for _ in 0..4 {
        let mut digester = Digester::new(&shared);
        digester.on_head(200, gzipped);
        open.push(digester);
    }
    let mut one_more = Digester::new(&shared);
    one_more.on_head(200, gzipped);
    one_more.on_body(b"x");
    assert_eq!(one_more.end().fields, Fields::Unknown(Unread::Busy));
    drop(open);
    one_more.on_head(200, gzipped);
    one_more.on_body(&gzip(b"body"));
    assert_eq!(one_more.end().fields, Fields::Unknown(Unread::NotJson));
}

#[test]
fn chosen_headers_are_compared_whatever_their_order_and_case() {
    let shared = shared();
    let of = |headers: &[(&str, &str)]| read(&shared, headers, b"", 1).headers;
    let one = of(&[("Vary", "a"), ("Date", "now"), ("LOCATION", " /x ")]);
    let other = of(&[("location", "/x"), ("vary", "a"), ("Server", "z")]);
    assert_eq!(one, other);
    assert_eq!(one.len(), 2);
    assert_ne!(of(&[("vary", "a"), ("vary", "b")]), of(&[("vary", "ab")]));
    assert_ne!(of(&[("vary", "a")]), of(&[]));
}

#[test]
fn types_of_json_are_known() {
    for kind in [
        "application/json",
        "Application/Problem+JSON ;x=y",
        "text/json",
    ] {
        assert!(is_json_type(kind.as_bytes()), "{kind}");
    }
    for kind in ["", "text/html", "application/jsonp", "application/x-ndjson"] {
        assert!(!is_json_type(kind.as_bytes()), "{kind}");
    }
}

proptest! {
    #[test]
    fn pieces_change_nothing(
        body in proptest::collection::vec(any::<u8>(), 0..400),
        is_coded in any::<bool>(),
        piece in 1_usize..40,
    ) {
        let shared = shared();
        let body = if is_coded { gzip(&body) } else { body };
        let headers = [JSON, ("content-encoding", "gzip")];
        let whole = read(&shared, &headers, &body, usize::MAX);
        prop_assert_eq!(&whole, &read(&shared, &headers, &body, piece));
        prop_assert_eq!(whole.content.is_some(), is_coded);
    }
}
