//! Responses as servers write them, cut anywhere.

use super::Responses;
use crate::expect::{AwaitedMysql, MysqlAnswer, MysqlFormat};
use crate::mysql::packets::packet;
use crate::said::{Said, Verdict};

const OK: &[u8] = b"\0\0\0\x02\0\0\0";
const END: &[u8] = b"\xfe\0\0\x02\0";
const MORE: &[u8] = b"\xfe\0\0\x0a\0";
const CURSOR: &[u8] = b"\xfe\0\0\x42\0";
/// The same where it is deprecated.
const WELL: &[u8] = b"\xfe\0\0\x02\0\0\0";
const ERROR: &[u8] = b"\xff\x7a\x04#42S02no table";
const COLUMN: &[u8] = b"\x03def\0\0\0\x01a\0\x0c";

fn stream(payloads: &[&[u8]]) -> Vec<u8> {
    (1..)
        .zip(payloads)
        .flat_map(|(number, payload)| packet(number, payload))
        .collect()
}

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

fn end(code: u32, statement: Option<u32>) -> Said {
    Said::End(Verdict {
        code,
        is_error: code != 0,
        statement,
    })
}

/// Each of these is all of a response.
fn check(answer: MysqlAnswer, format: MysqlFormat, payloads: &[&[u8]], expected: &Said) {
    let stream = stream(payloads);
    let len = u32::try_from(stream.len()).expect("short");
    let twice = [&stream[..], &stream].concat();
    for step in 1..=stream.len() {
        let mut responses = Responses::opened(format);
        for _ in 0..2 {
            let format = MysqlFormat::default();
            responses.expect(AwaitedMysql { answer, format });
        }
        let one = [Said::Bytes(len), expected.clone()];
        assert_eq!(
            told(&mut responses, &twice, step),
            [&one[..], &one].concat(),
            "{answer:?}, {payloads:?}, {step} at a time"
        );
    }
}

#[test]
fn each_answer_ends() {
    let (old, new) = (
        MysqlFormat::default(),
        MysqlFormat {
            deprecates_eof: true,
            ..MysqlFormat::default()
        },
    );
    let well = end(0, None);
    for format in [old, new] {
        check(MysqlAnswer::Ok, format, &[OK], &well);
        check(MysqlAnswer::Ok, format, &[ERROR], &end(1146, None));
        check(MysqlAnswer::Text, format, &[b"Uptime: 7"], &well);
        check(MysqlAnswer::Results, format, &[OK], &well);
        check(
            MysqlAnswer::Results,
            format,
            &[b"\0\0\0\x0a\0\0\0", OK],
            &well,
        );
        check(
            MysqlAnswer::Prepared,
            format,
            &[b"\0\x07\0\0\0\0\0\0\0\0\0\0"],
            &end(0, Some(7)),
        );
        check(MysqlAnswer::Prepared, format, &[ERROR], &end(1146, None));
    }
}

#[test]
fn answers_end_as_they_are_written() {
    let (old, new) = (
        MysqlFormat::default(),
        MysqlFormat {
            deprecates_eof: true,
            ..MysqlFormat::default()
        },
    );
    let well = end(0, None);
    let row: &[u8] = b"\x01x";
    let null: &[u8] = b"\xfb";
    check(MysqlAnswer::Ok, old, &[END], &well);
    check(MysqlAnswer::Fields, old, &[COLUMN, COLUMN, END], &well);
    check(MysqlAnswer::Fields, new, &[COLUMN, WELL], &well);
    check(MysqlAnswer::Rows, old, &[b"\0\0x", END], &well);
    check(MysqlAnswer::Rows, new, &[b"\0\0x", WELL], &well);
    check(
        MysqlAnswer::Results,
        old,
        &[b"\x02", COLUMN, COLUMN, END, row, null, END],
        &well,
    );
    check(
        MysqlAnswer::Results,
        new,
        &[b"\x02", COLUMN, COLUMN, row, null, WELL],
        &well,
    );
    check(
        MysqlAnswer::Results,
        old,
        &[b"\x01", COLUMN, END, row, ERROR],
        &end(1146, None),
    );
    check(
        MysqlAnswer::Results,
        old,
        &[b"\x01", COLUMN, END, row, MORE, b"\x01", COLUMN, END, END],
        &well,
    );
    check(
        MysqlAnswer::Results,
        old,
        &[b"\x01", COLUMN, END, MORE, ERROR],
        &end(1146, None),
    );
    check(MysqlAnswer::Results, old, &[b"\x01", COLUMN, CURSOR], &well);
    check(
        MysqlAnswer::Results,
        old,
        &[b"\xff\xff\xff progress", OK],
        &well,
    );
    let prepared: &[u8] = b"\0\x07\0\0\0\x01\0\x02\0\0\0\0";
    check(
        MysqlAnswer::Prepared,
        old,
        &[prepared, COLUMN, COLUMN, END, COLUMN, END],
        &end(0, Some(7)),
    );
    check(
        MysqlAnswer::Prepared,
        new,
        &[prepared, COLUMN, COLUMN, COLUMN],
        &end(0, Some(7)),
    );
}

#[test]
fn descriptions_are_left_out() {
    let caches = MysqlFormat {
        caches: true,
        ..MysqlFormat::default()
    };
    check(
        MysqlAnswer::Results,
        caches,
        &[b"\x01\0", END, b"\x01x", END],
        &end(0, None),
    );
    check(
        MysqlAnswer::Results,
        caches,
        &[b"\x01\x01", COLUMN, END, END],
        &end(0, None),
    );
    let leaves_out = MysqlFormat {
        leaves_out: true,
        deprecates_eof: true,
        ..MysqlFormat::default()
    };
    check(
        MysqlAnswer::Results,
        leaves_out,
        &[b"\x01\0", b"\x01x", WELL],
        &end(0, None),
    );
    check(
        MysqlAnswer::Prepared,
        leaves_out,
        &[b"\0\x07\0\0\0\x01\0\x01\0\0\0\0\0"],
        &end(0, Some(7)),
    );
}

#[test]
fn a_file_is_asked_for() {
    let stream = [packet(1, b"\xfb/a"), packet(4, OK)].concat();
    let mut responses = Responses::opened(MysqlFormat::default());
    responses.expect(AwaitedMysql {
        answer: MysqlAnswer::Results,
        format: MysqlFormat::default(),
    });
    assert_eq!(
        told(&mut responses, &stream, 1),
        [Said::Bytes(7), Said::Ready, Said::Bytes(11), end(0, None)]
    );
}

#[test]
fn an_opening_is_told() {
    let stream = [
        packet(0, b"\x0a5.5\0"),
        packet(2, b"\xfemysql_native_password\0nonce\0"),
        packet(4, OK),
        packet(1, ERROR),
    ]
    .concat();
    let mut responses = Responses::default();
    let said = told(&mut responses, &stream, 3);
    let said: Vec<&Said> = said
        .iter()
        .filter(|said| !matches!(said, Said::Unasked(_)))
        .collect();
    assert_eq!(
        said,
        [&Said::Asked((*b"\x0a5.5\0").into()), &Said::Opened(None)]
    );
    responses.expect(AwaitedMysql {
        answer: MysqlAnswer::User,
        format: MysqlFormat::default(),
    });
    let another = [packet(1, b"\xfeplugin\0"), packet(3, OK)].concat();
    let said = told(&mut responses, &another, 100);
    assert_eq!(said[1..], [Said::Opened(None), end(0, None)]);
}

#[test]
fn what_cannot_be_read_is_lost() {
    for payloads in [
        &[&b""[..]][..],
        &[b"\xfe"],
        &[b"\x01", COLUMN, b"\x01x"],
        &[b"\0\0"],
    ] {
        let mut responses = Responses::opened(MysqlFormat::default());
        responses.expect(AwaitedMysql {
            answer: MysqlAnswer::Results,
            format: MysqlFormat::default(),
        });
        assert_eq!(
            told(&mut responses, &stream(payloads), 2).last(),
            Some(&Said::Lost),
            "{payloads:?}"
        );
    }
    let mut responses = Responses::default();
    assert_eq!(
        told(&mut responses, b"HTTP/1.1 200 OK\r\n\r\n", 4),
        [Said::Unasked(19)],
        "it is long"
    );
}
