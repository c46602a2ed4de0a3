//! Counts, the bounded list, and what may stand in a table.

use core::time::Duration;
use std::time::UNIX_EPOCH;

use protocol::Mask;
use session::{Outcome, Prefix, Response, RuleId, Samples, TurnEnded};

use super::{Beginnings, LISTED_MAX, escape};
use crate::figures::Figures;

fn turn(online: &[u8], target: Option<&[u8]>) -> TurnEnded {
    let response = |bytes: &[u8]| Response {
        first: Duration::ZERO,
        last: Duration::ZERO,
        bytes: bytes.len() as u64 + 1000,
    };
    let prefix = |bytes: &[u8]| Prefix {
        bytes: bytes.to_vec(),
        whole: true,
    };
    TurnEnded {
        rule: RuleId(0),
        outcome: Outcome::Answered,
        bytes: 1,
        bytes_acknowledged: 1,
        paired: true,
        online: Some(response(online)),
        target: target.map(response),
        lag: Duration::ZERO,
        online_reset: false,
        paced: false,
        round_trip: None,
        samples: Some(Box::new(Samples {
            online: prefix(online),
            target: prefix(target.unwrap_or_default()),
        })),
    }
}

/// Records turns, a millisecond after another from `from_ms` on.
fn recorded(from_ms: u64, turns: &[TurnEnded]) -> Beginnings {
    let mut beginnings = Beginnings::new(64, Mask::default());
    for (ms, turn) in (from_ms..).zip(turns) {
        beginnings.record(turn, || UNIX_EPOCH + Duration::from_millis(ms));
    }
    beginnings
}

fn figures(beginnings: &Beginnings) -> Vec<u64> {
    let mut kinds = Figures::new();
    beginnings.push_kinds(&mut kinds);
    let counts = [beginnings.sampled(), beginnings.unsampled()].into_iter();
    counts
        .chain(kinds.iter().map(|(_, count)| *count))
        .collect()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nDate: 1";
const OK_LATER: &[u8] = b"HTTP/1.1 200 OK\r\nDate: 2";
const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\n";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal";

#[test]
fn each_difference_is_counted_by_its_name() {
    let mut lost = turn(OK, Some(OK));
    lost.samples.as_mut().unwrap().target.whole = false;
    let unknown = TurnEnded {
        samples: None,
        ..turn(OK, Some(OK))
    };
    let beginnings = recorded(
        1,
        &[
            turn(OK, Some(OK)),
            turn(OK, Some(OK_LATER)),
            turn(OK, Some(CREATED)),
            turn(OK, Some(FAILED)),
            turn(b"+OK\r\n", Some(b"-ERR no\r\n")),
            turn(b"\x01\x02", Some(b"\x01\x03")),
            turn(OK, None),
            lost,
            unknown,
        ],
    );
    assert_eq!(figures(&beginnings), [6, 2, 3, 2, 5, 1]);
    let json = serde_json::to_value(beginnings.summary(&["a to b".to_owned()])).unwrap();
    let statuses: Vec<_> = json["statuses"].as_array().unwrap().iter().collect();
    let cell = |online: &str, target: &str| {
        let cell = statuses
            .iter()
            .find(|cell| cell["online"] == online && cell["target"] == target);
        cell.map_or(0, |cell| cell["turns"].as_u64().unwrap())
    };
    assert_eq!(cell("http 2xx", "http 2xx"), 3);
    assert_eq!(cell("http 2xx", "http 5xx"), 1);
    assert_eq!(cell("http 2xx", "silent"), 1);
    assert_eq!(cell("redis ok", "redis error"), 1);
    assert_eq!(cell("other", "other"), 1);
    // Not the one whose date alone differs.
    let listed = json["differing"].as_array().unwrap();
    assert_eq!(listed.len(), 4);
    assert_eq!(listed[1]["rule"], "a to b");
    assert_eq!(listed[1]["unix_ms"], 4);
    assert_eq!(listed[1]["target"]["status"], "http 500");
    assert_eq!(listed[1]["target"]["bytes"], 1000 + FAILED.len() as u64);
    assert_eq!(listed[3]["online"]["prefix"], "\\x01\\x02");
    assert_eq!(json["differing_unlisted"], 0);
}

#[test]
fn the_list_is_bounded_and_another_status_comes_first() {
    let bytes = turn(b"a", Some(b"b"));
    let status = turn(OK, Some(FAILED));
    let mut first = recorded(1000, &vec![bytes.clone(); 3 * LISTED_MAX]);
    for ms in [5000, 6000] {
        first.record(&status, || UNIX_EPOCH + Duration::from_millis(ms));
    }
    // Another worker, earlier.
    let second = recorded(10, &[bytes.clone(), status.clone(), bytes]);
    first.add(&second);
    let summary = first.summary(&[]);
    let times: Vec<u64> = summary.differing.iter().map(|turn| turn.unix_ms).collect();
    assert_eq!(times.len(), LISTED_MAX);
    assert!(times.is_sorted() && times.starts_with(&[10, 11, 12, 1000]));
    assert!(times.ends_with(&[5000, 6000]), "{times:?}");
    assert_eq!(
        summary.differing_unlisted,
        3 * LISTED_MAX as u64 + 2 + 3 - LISTED_MAX as u64
    );
    let many = recorded(1, &vec![status; LISTED_MAX + 5]);
    let summary = many.summary(&[]);
    assert_eq!(summary.differing_unlisted, 5);
    assert!(
        summary
            .differing
            .iter()
            .all(|turn| turn.unix_ms <= LISTED_MAX as u64)
    );
}

#[test]
fn what_a_server_says_cannot_write_on_the_terminal() {
    assert_eq!(
        escape(b"a\\b\r\n\x1b[2J\xc3\xa9 ~\x7f"),
        r"a\\b\x0d\x0a\x1b[2J\xc3\xa9 ~\x7f"
    );
    let all: Vec<u8> = (0..=255).collect();
    let text = escape(&all);
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    let table = recorded(1, &[turn(&all, Some(b"\x1b[2J"))])
        .summary(&[])
        .to_string();
    assert!(
        table.contains("target other, 1004 B \"\\x1b[2J\""),
        "{table}"
    );
    assert!(table.contains("...\""), "{table}");
}

/// The address of `--listen` asks nobody who he is.
#[test]
fn without_payload_nothing_of_a_response_is_left_but_counts() {
    let totals = crate::metrics::tests::totals();
    let mut summary = crate::Summary::new(&totals);
    summary.samples = Some(recorded(0, &[turn(OK, Some(FAILED))]).summary(&totals.rules));
    let text = |summary: &crate::Summary| String::from_utf8(summary.json().unwrap()).unwrap();
    assert!(text(&summary).contains("Internal"));
    let shown = summary.without_payload();
    assert!(!text(&shown).contains("Internal"), "{}", text(&shown));
    let samples = shown.samples.unwrap();
    assert_eq!((samples.statuses.len(), samples.differing_unlisted), (1, 1));
}

#[test]
fn no_secret_is_listed() {
    let said = b"HTTP/1.1 500 Oh\r\nSet-Cookie: id=hunter2\r\nServer: a";
    let response = Response {
        first: Duration::ZERO,
        last: Duration::ZERO,
        bytes: 100,
    };
    let prefix = Prefix {
        bytes: said.to_vec(),
        whole: true,
    };
    let side = super::Side::new(response, &prefix, &protocol::Mask::default());
    let shown = String::from_utf8(side.prefix).unwrap();
    assert_eq!(shown, "HTTP/1.1 500 Oh\r\nSet-Cookie: ***\r\nServer: a");
}

/// What the run never shows is not kept, and compared all the same.
#[test]
fn named_values_are_not_kept() {
    let mask = Mask::with(["X-Api-Key".parse().expect("a name")]).expect("few names");
    let mut beginnings = Beginnings::new(64, mask);
    let [online, target] =
        [&b"1"[..], b"2"].map(|value| [b"{\"x-api-key\": \"key", value, b"\"}"].concat());
    beginnings.record(&turn(&online, Some(&target)), || UNIX_EPOCH);
    let summary = serde_json::to_string(&beginnings.summary(&[])).expect("JSON");
    assert!(
        summary.contains("***") && !summary.contains("key1"),
        "{summary}"
    );
}
