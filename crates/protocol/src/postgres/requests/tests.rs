//! Clients, whose bytes are cut anywhere.

use crate::expect::Expect;
use crate::module::{Choice, Module, Protocol};
use crate::opening::Opening;
use crate::parts::{Head, Part, Why};
use crate::requests::Requests;
use crate::said::{Said, Verdict};

/// A message of the protocol.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(4 + body.len()).expect("short");
    [&[kind][..], &len.to_be_bytes(), body].concat()
}

fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0ann\0\0";
    [&18_u32.to_be_bytes()[..], body].concat()
}

/// What is told, in short.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Told {
    Opening(Box<Opening>),
    /// Copied, awaited, bare.
    Begin(bool, bool, bool),
    Bytes(Vec<u8>),
    Pause,
    End,
    Leave(Why),
}

fn note(all: &mut Vec<Told>, part: Part<'_>) {
    let told = match part {
        Part::Opening(opening) => Told::Opening(opening),
        Part::Begin(Head {
            copied,
            expect: Expect::Postgres(awaited),
            patch: None,
        }) => Told::Begin(copied, true, awaited.bare),
        Part::Begin(Head { copied, .. }) => Told::Begin(copied, false, false),
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

/// What happens on a flow.
enum Event {
    Client(Vec<u8>),
    Server(Said),
}

use Event::{Client, Server};

fn ended() -> Event {
    Server(Said::End(Verdict::default()))
}

fn run(read_only: bool, events: &[Event], step: usize) -> Vec<Told> {
    let module = Module {
        choice: Choice::Is(Protocol::Postgres),
        read_only,
        ..Module::default()
    };
    let mut requests = Requests::new(&module);
    let mut all = Vec::new();
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

/// What is told behind the opening, however the client's bytes are cut.
fn check(read_only: bool, events: Vec<Event>, expected: &[Told]) {
    let mut all = vec![Client(startup()), Server(Said::Opened(None))];
    all.extend(events);
    for step in 1..40 {
        let told = run(read_only, &all, step);
        assert!(matches!(told[0], Told::Opening(_)), "{told:?}");
        assert_eq!(&told[1..], expected, "{step} bytes at a time");
    }
}

fn query(text: &str) -> Vec<u8> {
    frame(b'Q', &[text.as_bytes(), b"\0"].concat())
}

#[test]
fn the_opening_is_told_once_the_client_is_in() {
    let mut events = vec![
        Client(vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]),
        Client(startup()),
        Client(frame(b'p', b"secret\0")),
    ];
    for step in 1..40 {
        assert!(run(false, &events, step).is_empty());
    }
    events.push(Server(Said::Opened(None)));
    let told = run(false, &events, 3);
    let [Told::Opening(opening)] = &told[..] else {
        panic!("{told:?}")
    };
    let Opening::Postgres(opening) = &**opening else {
        panic!("{opening:?}")
    };
    assert_eq!(opening.user(), "ann");
    assert!(!format!("{opening:?}").contains("secret"));
}

#[test]
fn simple_queries() {
    let two = [query("select 1"), query("select 2")].concat();
    check(
        false,
        vec![Client(two), Client(frame(b'X', b""))],
        &[
            Told::Begin(true, true, false),
            Told::Bytes(query("select 1")),
            Told::End,
            Told::Begin(true, true, false),
            Told::Bytes(query("select 2")),
            Told::End,
            Told::Begin(true, false, false),
            Told::Bytes(frame(b'X', b"")),
            Told::End,
        ],
    );
}

#[test]
fn a_batch_ends_with_its_sync() {
    let batch = [
        frame(b'P', b"\0select 1\0\0\0"),
        frame(b'H', b""),
        frame(b'B', &[0; 8]),
        frame(b'E', &[0; 5]),
        frame(b'S', b""),
    ]
    .concat();
    let alone = frame(b'S', b"");
    check(
        false,
        vec![Client(batch.clone()), Client(alone.clone())],
        &[
            Told::Begin(true, true, false),
            Told::Bytes(batch),
            Told::End,
            Told::Begin(true, true, true),
            Told::Bytes(alone),
            Told::End,
        ],
    );
}

#[test]
fn copy_waits_for_the_target() {
    let data = [frame(b'd', b"1\n"), frame(b'c', b"")].concat();
    let expected = [
        Told::Begin(true, true, false),
        Told::Bytes(query("COPY t FROM STDIN")),
        Told::Pause,
        Told::Bytes(data.clone()),
        Told::End,
    ];
    let asked = vec![
        Client(query("COPY t FROM STDIN")),
        Server(Said::Ready),
        Client(data.clone()),
        ended(),
    ];
    check(false, asked, &expected);
    let unheard = vec![Client(query("COPY t FROM STDIN")), Client(data), ended()];
    check(false, unheard, &expected);
}

#[test]
fn a_query_that_might_have_copied_ends_with_its_response() {
    let events = vec![Client(query("select copy from t")), ended()];
    let expected = [
        Told::Begin(true, true, false),
        Told::Bytes(query("select copy from t")),
        Told::End,
    ];
    check(false, events, &expected);
    let mut more = expected.to_vec();
    more.extend([
        Told::Begin(true, true, false),
        Told::Bytes(query("x")),
        Told::End,
    ]);
    check(
        false,
        vec![Client(query("select copy from t")), Client(query("x"))],
        &more,
    );
}

#[test]
fn a_copy_in_a_batch_has_two_syncs() {
    let batch = [
        frame(b'P', b"\0copy t from stdin\0\0\0"),
        frame(b'B', &[0; 8]),
        frame(b'E', &[0; 5]),
        frame(b'S', b""),
    ]
    .concat();
    let data = [frame(b'd', b"1\n"), frame(b'c', b""), frame(b'S', b"")].concat();
    let events = vec![
        Client(batch.clone()),
        Server(Said::Ready),
        Client(data.clone()),
        ended(),
        Client(query("x")),
    ];
    let expected = [
        Told::Begin(true, true, false),
        Told::Bytes(batch),
        Told::Pause,
        Told::Bytes(data),
        Told::End,
        Told::Begin(true, true, false),
        Told::Bytes(query("x")),
        Told::End,
    ];
    check(false, events, &expected);
}

#[test]
fn read_only_copies_what_reads() {
    let prepare = |text: &[u8]| frame(b'P', &[b"s\0", text, b"\0\0\0"].concat());
    let bind = frame(b'B', b"\0s\0\0\0\0\0\0\0");
    let sync = frame(b'S', b"");
    let reads = [&prepare(b"select 1")[..], &sync].concat();
    let binds = [&bind[..], &frame(b'E', &[0; 5]), &sync].concat();
    let writes = [&prepare(b"delete from t")[..], &sync].concat();
    let blocked = [Told::Begin(false, true, true), Told::End];
    let copied = |bytes: &[u8]| {
        [
            Told::Begin(true, true, false),
            Told::Bytes(bytes.to_vec()),
            Told::End,
        ]
    };
    let events = vec![
        Client(binds.clone()),
        Client(reads.clone()),
        Client(binds.clone()),
        Client(writes),
        Client(binds.clone()),
        Client(query("delete from t")),
        Client(frame(b'F', &[0; 10])),
        Client(query("select 1")),
    ];
    let expected = [
        &blocked[..],
        &copied(&reads),
        &copied(&binds),
        &blocked,
        &blocked,
        &blocked,
        &blocked,
        &copied(&query("select 1")),
    ]
    .concat();
    check(true, events, &expected);
}

#[test]
fn read_only_blocks_what_is_too_long_and_data() {
    let long = query(&format!("select '{}'", "x".repeat(super::HELD_LEN_MAX)));
    let copy = [
        query("copy t from stdin"),
        frame(b'd', b"1\n"),
        frame(b'c', b""),
    ]
    .concat();
    let blocked = [Told::Begin(false, true, true), Told::End];
    let events = vec![
        Client(long),
        Client(copy),
        ended(),
        Client(query("select 1")),
    ];
    let read = [
        Told::Begin(true, true, false),
        Told::Bytes(query("select 1")),
        Told::End,
    ];
    check(true, events, &[&blocked[..], &blocked, &read].concat());
}

#[test]
fn hostile_bytes_leave() {
    for stream in [
        &b"?\0\0\0\x04"[..],
        b"Q\0\0\0\x01",
        b"S\0\0\0\x05",
        b"p\0\0\0\x04",
    ] {
        check(
            false,
            vec![Client(stream.to_vec())],
            &[Told::Leave(Why::Malformed)],
        );
    }
}

#[test]
fn what_cannot_be_copied_leaves() {
    let why = |stream: &[u8]| {
        let told = run(false, &[Client(stream.to_vec())], 7);
        told.into_iter().find_map(|told| match told {
            Told::Leave(why) => Some(why),
            _ => None,
        })
    };
    assert_eq!(why(&[0x16, 3, 1, 0, 0, 0, 0, 0]), Some(Why::Encrypted));
    assert_eq!(
        why(b"\0\0\0\x08\x04\xd2\x16\x2f\x16\x03\x01"),
        Some(Why::Encrypted)
    );
    assert_eq!(
        why(b"\0\0\0\x21\0\x03\0\0user\0a\0replication\0true\0\0"),
        Some(Why::Replication)
    );
    assert_eq!(why(b"GET / HTTP/1.1\r\n"), Some(Why::Malformed));
    let asked = [
        Client(vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]),
        Server(Said::Left),
    ];
    assert_eq!(run(false, &asked, 8), [Told::Leave(Why::Encrypted)]);
}

#[test]
fn a_cancellation_is_an_opening() {
    let told = run(
        false,
        &[Client(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07abcd".to_vec())],
        3,
    );
    let [Told::Opening(opening)] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(matches!(&**opening, Opening::Cancel(key) if key.process == 7));
}
