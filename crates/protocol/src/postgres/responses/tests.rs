//! Servers, whose bytes are cut anywhere.

use crate::expect::AwaitedPostgres;
use crate::opening::CancelKey;
use crate::postgres::sqlstate;
use crate::said::{Said, Verdict};

use super::Responses;

/// A message of the protocol.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(4 + body.len()).expect("short");
    [&[kind][..], &len.to_be_bytes(), body].concat()
}

const READY: &[u8] = b"Z\0\0\0\x05I";

fn opening() -> Vec<u8> {
    [
        b"NN".to_vec(),
        frame(b'R', &[0, 0, 0, 10, b'S', 0, 0]),
        frame(b'R', b"\0\0\0\x0br=x"),
        frame(b'R', b"\0\0\0\x0cv=x"),
        frame(b'R', &[0; 4]),
        frame(b'S', b"a\0b\0"),
        frame(b'K', &[0, 0, 0, 7, 1, 2, 3, 4]),
        READY.to_vec(),
    ]
    .concat()
}

/// All that is told of a stream, whose bytes come so many at a time; lengths in a row are summed up.
fn told(responses: &mut Responses, stream: &[u8], step: usize) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    for bytes in stream.chunks(step) {
        responses.push(bytes, &mut |said| match (all.last_mut(), said) {
            (Some(Said::Bytes(sum)), Said::Bytes(len))
            | (Some(Said::Unasked(sum)), Said::Unasked(len)) => *sum += len,
            (_, said) => all.push(said),
        });
    }
    all
}

fn each_way(awaited: &[AwaitedPostgres], stream: &[u8], expected: &[Said]) {
    for step in 1..=stream.len() {
        let mut responses = Responses::opened();
        for awaited in awaited {
            responses.expect(*awaited);
        }
        assert_eq!(
            told(&mut responses, stream, step),
            expected,
            "{step} bytes at a time"
        );
    }
}

fn end(state: Option<&str>) -> Said {
    Said::End(Verdict {
        code: state.map_or(0, |state| {
            super::code_of(state.as_bytes()).expect("a state")
        }),
        is_error: state.is_some(),
        statement: None,
    })
}

#[test]
fn an_opening_is_told() {
    let stream = opening();
    for step in 1..=stream.len() {
        let mut responses = Responses::default();
        let said = told(&mut responses, &stream, step);
        let said: Vec<Said> = said
            .into_iter()
            .filter(|said| !matches!(said, Said::Unasked(_)))
            .collect();
        let key = CancelKey::parse(&[0, 0, 0, 7, 1, 2, 3, 4]);
        assert_eq!(said, [Said::Asked((*b"r=x").into()), Said::Opened(key)]);
    }
    let unasked: u32 = {
        let mut sum = 0;
        Responses::default().push(&stream, &mut |said| {
            if let Said::Unasked(len) = said {
                sum += len;
            }
        });
        sum
    };
    assert_eq!(unasked as usize, stream.len(), "every byte is told");
}

#[test]
fn encryption_ends_it() {
    for stream in [&b"S\x16\x03"[..], b"NG", b"S"] {
        let mut responses = Responses::default();
        let said = told(&mut responses, stream, 1);
        assert_eq!(said.last(), Some(&Said::Left), "{stream:?}");
        assert!(told(&mut responses, b"more", 4).is_empty());
    }
}

#[test]
fn a_query_ends_with_ready() {
    let stream = [
        frame(b'T', b"\0\0"),
        frame(b'D', &[0; 40]),
        frame(b'C', b"SELECT 1\0"),
        READY.to_vec(),
    ]
    .concat();
    let len = u32::try_from(stream.len()).expect("short");
    each_way(
        &[AwaitedPostgres::default()],
        &stream,
        &[Said::Bytes(len), end(None)],
    );
}

#[test]
fn an_error_is_told_by_its_state() {
    let error = frame(b'E', b"SERROR\0VERROR\0C42P01\0Mno such table\0\0");
    let stream = [&error[..], READY, &frame(b'1', b""), READY].concat();
    let (first, second) = (u32::try_from(error.len()).expect("short") + 6, 11);
    each_way(
        &[AwaitedPostgres::default(); 2],
        &stream,
        &[
            Said::Bytes(first),
            end(Some("42P01")),
            Said::Bytes(second),
            end(None),
        ],
    );
    assert_eq!(
        &sqlstate(super::code_of(b"42P01").expect("a state")),
        b"42P01"
    );
}

#[test]
fn the_first_error_counts() {
    let stream = [
        frame(b'E', b"C42601\0\0"),
        frame(b'E', b"C25P02\0\0"),
        READY.to_vec(),
    ]
    .concat();
    let len = u32::try_from(stream.len()).expect("short");
    each_way(
        &[AwaitedPostgres::default()],
        &stream,
        &[Said::Bytes(len), end(Some("42601"))],
    );
}

#[test]
fn data_is_asked_for() {
    let stream = [
        frame(b'G', &[0; 3]),
        frame(b'C', b"COPY 1\0"),
        READY.to_vec(),
    ]
    .concat();
    each_way(
        &[AwaitedPostgres::default()],
        &stream,
        &[Said::Bytes(8), Said::Ready, Said::Bytes(18), end(None)],
    );
}

#[test]
fn what_nobody_asked_is_told_apart() {
    let notice = frame(b'N', b"SNOTICE\0\0");
    let len = u32::try_from(notice.len()).expect("short");
    each_way(&[], &notice, &[Said::Unasked(len)]);
    // The answer to a Sync behind data that nobody wanted, before the answer to a query.
    let stream = [READY, &frame(b'I', b""), READY].concat();
    each_way(
        &[AwaitedPostgres::default()],
        &stream,
        &[Said::Unasked(6), Said::Bytes(11), end(None)],
    );
    each_way(
        &[AwaitedPostgres { bare: true }],
        READY,
        &[Said::Bytes(6), end(None)],
    );
}

#[test]
fn a_connection_that_ends_with_an_error_has_answered() {
    let mut responses = Responses::opened();
    responses.expect(AwaitedPostgres::default());
    responses.push(&frame(b'E', b"C57P01\0\0"), &mut |_| {});
    let mut all = Vec::new();
    responses.close(&mut |said| all.push(said));
    assert_eq!(all, [end(Some("57P01"))]);
}

#[test]
fn what_cannot_be_read_is_lost() {
    for stream in [&b"?\0\0\0\x04"[..], b"Z\0\0\0\0", b"HTTP/1.1 200 OK"] {
        let mut responses = Responses::opened();
        responses.expect(AwaitedPostgres::default());
        let said = told(&mut responses, stream, 1);
        assert_eq!(said.last(), Some(&Said::Lost), "{stream:?}");
        assert!(told(&mut responses, READY, 6).is_empty());
    }
}

#[test]
fn a_client_that_never_waits_is_not_followed() {
    let mut responses = Responses::opened();
    for _ in 0..super::AWAITED_MAX * 2 {
        responses.expect(AwaitedPostgres::default());
    }
    assert_eq!(told(&mut responses, READY, 6), [Said::Lost]);
}
