//! Responses of any form through digests and comparison. The first byte chooses how the body is cut into pieces, the second its type and
//! coding, then come the request's target up to a line's end, and the body.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use comparison::{Answers, Arm, Comparison};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use protocol::Asked;
use protocol::digest::{
    CONTENT_LEN_MAX, Digest, Digester, Digests, FIELDS_MAX, Fields, Headers, Key,
};

/// In the second byte: the body is packed before it is sent, as its coding says.
const PACKED: u8 = 0x80;
/// In the second byte: its type is JSON.
const JSON: u8 = 0x40;
/// Codings, by the lowest bits of the second byte.
const CODINGS: [&str; 4] = ["", "gzip", "deflate", "br"];
/// Longest text of a path, in bytes, but for those of the two that every table has.
const PATH_LEN_MAX: usize = protocol::digest::paths::PATH_LEN_MAX;

/// Feeds one input.
///
/// # Panics
///
/// Where a digest depends upon how its bytes were cut, a bound is not kept, or equal responses are said to differ.
pub fn run(data: &[u8]) {
    let [piece, form, rest @ ..] = data else {
        return;
    };
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (target, body) = match end {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (&rest[..0], rest),
    };
    let coding = CODINGS[usize::from(form & 3)];
    let packed = (form & PACKED != 0).then(|| pack(coding, body)).flatten();
    let sent = packed.as_deref().unwrap_or(body);
    let shared = Arc::new(Digests::new(Key { k0: 1, k1: 2 }, Headers::default()));
    let read = |piece| {
        let kind = if form & JSON != 0 {
            "application/json"
        } else {
            "text/html"
        };
        let mut digester = Digester::new(&shared);
        let headers = [("Content-Type", kind), ("content-encoding", coding)];
        let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        digester.on_head(200, headers);
        sent.chunks(piece).for_each(|part| digester.on_body(part));
        digester.end()
    };
    let (whole, pieces) = (read(sent.len().max(1)), read(usize::from(*piece) + 1));
    assert_eq!(whole, pieces, "in pieces of {piece} and one");
    assert_eq!(whole.sent.len, sent.len() as u64);
    check(&shared, &whole);
    if packed.is_some() && !body.is_empty() {
        assert_eq!(whole.body().len, body.len() as u64, "what was packed");
    }
    compare(&shared, target, &whole, &pieces);
}

fn pack(coding: &str, body: &[u8]) -> Option<Vec<u8>> {
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).ok()?;
            encoder.finish().ok()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).ok()?;
            encoder.finish().ok()
        }
        _ => None,
    }
}

fn check(shared: &Digests, digest: &Digest) {
    assert!(
        digest
            .content
            .is_none_or(|content| content.len <= CONTENT_LEN_MAX)
    );
    let Fields::Known(fields) = &digest.fields else {
        return;
    };
    assert!(fields.len() <= FIELDS_MAX);
    assert!(fields.is_sorted_by(|one, other| one.path < other.path));
    let paths = shared.paths();
    for field in fields {
        let text = paths.text(field.path);
        assert!(text.len() <= PATH_LEN_MAX, "{text}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}

fn compare(shared: &Arc<Digests>, target: &[u8], one: &Digest, other: &Digest) {
    let mut comparison = Comparison::new(Arc::clone(shared), Vec::new());
    let asked = Asked::path(b"GET", target);
    let answers = Answers {
        online: one,
        online_time: None,
        other: Some(other),
        other_time: None,
    };
    for arm in [Arm::Target, Arm::Baseline] {
        comparison.record(arm, &asked, &answers, Duration::from_secs(1));
    }
    let report = comparison.drain().report();
    assert_eq!(report.responses.compared, 1);
    assert_eq!(report.responses.differing, 0);
    let route = &report.groups[0].route;
    assert!(route.starts_with('/') && route.bytes().all(|byte| byte.is_ascii_graphic()));
}
