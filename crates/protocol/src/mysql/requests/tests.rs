//! Clients, whose bytes are cut anywhere.

use crate::expect::{AwaitedMysql, Expect, MysqlAnswer, MysqlFormat};
use crate::module::{Choice, Module, Protocol};
use crate::mysql::handshake;
use crate::mysql::packets::packet;
use crate::opening::{MysqlOpening, Opening};
use crate::parts::{Head, Part, Patch, Why};
use crate::requests::Requests;
use crate::said::{Said, Verdict};

/// What is told, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Opening(String),
    /// Whether it is copied, and what it is answered with.
    Begin(bool, Option<MysqlAnswer>, Option<u32>),
    Bytes(Vec<u8>),
    Pause,
    End,
    Leave(Why),
}

fn note(all: &mut Vec<Told>, part: Part<'_>) {
    let told = match part {
        Part::Opening(opening) => Told::Opening(opening.user().unwrap_or_default()),
        Part::Begin(Head {
            copied,
            expect,
            patch,
        }) => {
            let answer = match expect {
                Expect::Mysql(AwaitedMysql { answer, .. }) => Some(answer),
                _ => None,
            };
            assert!(patch.is_none_or(|patch| patch.at == 5));
            Told::Begin(
                copied,
                answer,
                patch.map(|Patch { statement, .. }| statement),
            )
        }
        Part::Bytes(bytes) => {
            if let Some(Told::Bytes(before)) = all.last_mut() {
                before.extend_from_slice(bytes);
                return;
            }
            Told::Bytes(bytes.to_vec())
        }
        Part::Asks(_) => return,
        Part::Pause => Told::Pause,
        Part::End => Told::End,
        Part::Leave(why) => Told::Leave(why),
    };
    all.push(told);
}

enum Event {
    Client(Vec<u8>),
    Server(Said),
}

use Event::{Client, Server};

fn run(read_only: bool, events: &[Event], step: usize) -> Vec<Told> {
    let module = Module {
        choice: Choice::Is(Protocol::Mysql),
        read_only,
        ..Module::default()
    };
    let (mut requests, mut all) = (Requests::new(&module), Vec::new());
    for event in events {
        match event {
            Client(stream) => {
                for bytes in stream.chunks(step) {
                    requests.push(&module, bytes, false, &mut |part| note(&mut all, part));
                }
            }
            Server(said) => requests.hear(said, &mut |part| note(&mut all, part)),
        }
    }
    all
}

fn answer(capabilities: u64) -> Vec<u8> {
    let opening = MysqlOpening {
        capabilities,
        packet_len_max: 1 << 24,
        character_set: 45,
        user: b"ann".to_vec(),
        database: None,
        attributes: Vec::new(),
        commits: None,
    };
    packet(
        1,
        &handshake::write(&opening, capabilities, b"proof", b"mysql_native_password"),
    )
}

const USUAL: u64 =
    handshake::MYSQL | handshake::PROTOCOL_41 | handshake::SECURE | handshake::PLUGIN;

/// What is told behind the opening, however the client's bytes are cut.
fn check(read_only: bool, events: Vec<Event>, expected: &[Told]) {
    let mut all = vec![
        Client(answer(USUAL)),
        Client(packet(3, b"proof")),
        Server(Said::Opened(None)),
    ];
    all.extend(events);
    for step in (1..30).chain([1000, 100_000]) {
        let told = run(read_only, &all, step);
        assert_eq!(told[0], Told::Opening("ann".to_owned()));
        assert_eq!(&told[1..], expected, "{step} bytes at a time");
    }
}

fn command(payload: &[u8]) -> Vec<u8> {
    packet(0, payload)
}

fn query(text: &str) -> Vec<u8> {
    command(format!("\x03{text}").as_bytes())
}

fn whole(bytes: &[u8], answer: MysqlAnswer) -> [Told; 3] {
    [
        Told::Begin(true, Some(answer), None),
        Told::Bytes(bytes.to_vec()),
        Told::End,
    ]
}

const BLOCKED: fn(MysqlAnswer) -> [Told; 2] =
    |answer| [Told::Begin(false, Some(answer), None), Told::End];

fn ended() -> Event {
    Server(Said::End(Verdict::default()))
}

#[test]
fn commands_are_told() {
    let (one, ping, quit) = (query("select 1"), command(b"\x0e"), command(b"\x01"));
    let events = vec![Client([&one[..], &ping, &quit].concat())];
    let nothing = [
        Told::Begin(true, None, None),
        Told::Bytes(quit.clone()),
        Told::End,
    ];
    let expected = [
        &whole(&one, MysqlAnswer::Results)[..],
        &whole(&ping, MysqlAnswer::Ok),
        &nothing,
    ]
    .concat();
    check(false, events, &expected);
}

#[test]
fn a_long_query_passes_as_it_comes() {
    let long = query(&format!("select '{}'", "x".repeat(70_000)));
    check(
        false,
        vec![Client(long.clone())],
        &whole(&long, MysqlAnswer::Results),
    );
    check(true, vec![Client(long)], &BLOCKED(MysqlAnswer::Results));
}

#[test]
fn statements_are_told_by_number() {
    let (prepare, execute) = (
        command(b"\x16select ?"),
        command(b"\x17\x07\0\0\0\0\x01\0\0\0"),
    );
    let (close, latest) = (
        command(b"\x19\x07\0\0\0"),
        command(b"\x17\xff\xff\xff\xff\0\x01\0\0\0"),
    );
    let events = vec![Client([&prepare[..], &execute, &close, &latest].concat())];
    let patched = |bytes: &[u8], answer| {
        [
            Told::Begin(true, answer, Some(7)),
            Told::Bytes(bytes.to_vec()),
            Told::End,
        ]
    };
    let expected = [
        &whole(&prepare, MysqlAnswer::Prepared)[..],
        &patched(&execute, Some(MysqlAnswer::Results)),
        &patched(&close, None),
        &whole(&latest, MysqlAnswer::Results),
    ]
    .concat();
    check(false, events, &expected);
    let writes = vec![Client([command(b"\x16delete from t"), latest].concat())];
    check(
        true,
        writes,
        &[
            BLOCKED(MysqlAnswer::Prepared),
            BLOCKED(MysqlAnswer::Results),
        ]
        .concat(),
    );
}

#[test]
fn a_file_waits_for_the_target() {
    let load = query("load data LOCAL infile 'x' into table t");
    let file = [packet(2, b"1\n"), packet(3, b"")].concat();
    let expected = [
        Told::Begin(true, Some(MysqlAnswer::Results), None),
        Told::Bytes(load.clone()),
        Told::Pause,
        Told::Bytes(file.clone()),
        Told::End,
    ];
    check(
        false,
        vec![
            Client(load.clone()),
            Server(Said::Ready),
            Client(file.clone()),
            ended(),
        ],
        &expected,
    );
    check(
        false,
        vec![Client(load.clone()), Client(file), ended()],
        &expected,
    );
    let mut refused = whole(&load, MysqlAnswer::Results).to_vec();
    refused.extend(whole(&query("x"), MysqlAnswer::Results));
    check(false, vec![Client(load), Client(query("x"))], &refused);
}

#[test]
fn what_names_a_connection_is_not_copied() {
    let events = vec![Client(
        [
            command(b"\x0c\x07\0\0\0"),
            query("KILL 7"),
            command(b"\x08"),
        ]
        .concat(),
    )];
    let expected = [
        BLOCKED(MysqlAnswer::Ok),
        BLOCKED(MysqlAnswer::Results),
        BLOCKED(MysqlAnswer::Ok),
    ]
    .concat();
    check(false, events, &expected);
}

#[test]
fn another_user_is_another_opening() {
    let change = command(b"\x11bob\0\x00shop\0\x2d\0plugin\0");
    let events = vec![
        Client(change),
        Client(packet(3, b"proof")),
        Server(Said::Opened(None)),
        ended(),
    ];
    let expected = [
        &BLOCKED(MysqlAnswer::User)[..],
        &[Told::Opening("bob".to_owned())],
    ]
    .concat();
    check(false, events, &expected);
}

#[test]
fn read_only_copies_what_reads() {
    let (reads, resets) = (query("select 1"), command(b"\x1f"));
    let events = vec![Client(
        [&reads[..], &query("delete from t"), &resets].concat(),
    )];
    let expected = [
        &whole(&reads, MysqlAnswer::Results)[..],
        &BLOCKED(MysqlAnswer::Results),
        &BLOCKED(MysqlAnswer::Ok),
    ]
    .concat();
    check(true, events, &expected);
}

#[test]
fn what_cannot_be_copied_leaves() {
    let why = |stream: Vec<u8>| {
        let told = run(false, &[Client(stream)], 7);
        told.into_iter().find_map(|told| match told {
            Told::Leave(why) => Some(why),
            _ => None,
        })
    };
    assert_eq!(why(answer(USUAL | 1 << 11)), Some(Why::Encrypted));
    assert_eq!(why(answer(USUAL | 1 << 5)), Some(Why::Compressed));
    assert_eq!(why(answer(handshake::MYSQL)), Some(Why::Malformed));
    assert_eq!(why(query("select 1")), Some(Why::Malformed));
    assert_eq!(
        why([answer(USUAL), command(b"\x12")].concat()),
        Some(Why::Replication)
    );
    assert_eq!(
        why([answer(USUAL), command(b"\x99")].concat()),
        Some(Why::Malformed)
    );
    assert_eq!(
        why([answer(USUAL), command(b"")].concat()),
        Some(Why::Malformed)
    );
    assert_eq!(why(b"\xff\xff\xff\x01".to_vec()), Some(Why::TooLong));
}

#[test]
fn an_opening_holds_what_both_agreed_upon() {
    let module = Module {
        choice: Choice::Is(Protocol::Mysql),
        ..Module::default()
    };
    let mut requests = Requests::new(&module);
    let (mut formats, mut openings) = (Vec::new(), Vec::new());
    let mut tell = |part: Part<'_>| match part {
        Part::Opening(opening) => openings.push(*opening),
        Part::Begin(Head {
            expect: Expect::Mysql(awaited),
            ..
        }) => formats.push(awaited.format),
        _ => {}
    };
    let stream = [answer(USUAL | 1 << 24), query("select 1")].concat();
    requests.push(&module, &stream, false, &mut tell);
    assert_eq!(
        formats,
        [MysqlFormat {
            deprecates_eof: true,
            ..MysqlFormat::default()
        }]
    );
    assert!(
        matches!(&openings[..], [Opening::Mysql(opening)] if opening.capabilities == USUAL | 1 << 24)
    );
}
