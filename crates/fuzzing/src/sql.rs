//! Protocols that log in, against anything: a client and its online server, whose bytes are read by both sides' readers, and a target that a login
//! talks to. However the bytes are cut, the same is told.
//!
//! The first byte chooses how they are cut, whether only what reads is copied, and whether a login of a well-behaved client stands before them. Then
//! come pieces: a byte that says whose it is and how long, and its bytes.

use protocol::{
    Choice, Credentials, Login, Module, Opening, Part, Protocol, Requests, Responses, Said, Step,
};

/// In the first byte: only what reads is copied.
const READ_ONLY: u8 = 0x80;
/// In the first byte: behind a login.
const LOGGED_IN: u8 = 0x40;
/// In a piece's first byte: it is the server's.
const SERVER: u8 = 0x80;

/// Feeds one input to `PostgreSQL`'s readers and login.
///
/// # Panics
///
/// Where it matters how the bytes are cut, or a reader panics.
pub fn postgres(data: &[u8]) {
    let client = b"\0\0\0\x12\0\x03\0\0user\0ann\0\0";
    let server = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07keyyZ\0\0\0\x05I";
    run(Protocol::Postgres, &[(false, client), (true, server)], data);
}

/// The same of `MySQL`.
///
/// # Panics
///
/// As [`postgres`].
pub fn mysql(data: &[u8]) {
    let greeting = b"\x4a\0\0\0\x0a8.0.36\0\x07\0\0\x0012345678\0\x01\x82\x2d\x02\0\x08\x01\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0caching_sha2_password\0";
    let mut answer = b"\x3b\0\0\x01\x01\x82\x08\x01\0\0\0\x01\x2d".to_vec();
    answer.extend_from_slice(&[0; 23]);
    answer.extend_from_slice(b"ann\0\0caching_sha2_password\0");
    let ok = b"\x07\0\0\x02\0\0\0\x02\0\0\0";
    let before: [(bool, &[u8]); 3] = [(true, greeting), (false, &answer), (true, ok)];
    run(Protocol::Mysql, &before, data);
}

/// Pieces of both sides; whether it is the server's, and its bytes.
type Pieces<'a> = [(bool, &'a [u8])];

fn run(protocol: Protocol, before: &Pieces<'_>, data: &[u8]) {
    let Some((shape, mut left)) = data.split_first() else {
        return;
    };
    let mut pieces = Vec::new();
    if shape & LOGGED_IN != 0 {
        pieces.extend_from_slice(before);
    }
    while let Some((head, rest)) = left.split_first() {
        let (piece, rest) = rest.split_at(rest.len().min(usize::from(head & !SERVER)));
        pieces.push((head & SERVER != 0, piece));
        left = rest;
    }
    let module = Module {
        choice: Choice::Is(protocol),
        read_only: shape & READ_ONLY != 0,
        ..Module::default()
    };
    let step = usize::from(shape & !(READ_ONLY | LOGGED_IN)) + 1;
    let (told, opening) = read(protocol, &module, &pieces, usize::MAX);
    assert_eq!(
        told,
        read(protocol, &module, &pieces, step).0,
        "cut by {step}"
    );
    if let Some(opening) = opening {
        let target: Vec<u8> = pieces
            .iter()
            .filter(|(is_server, _)| *is_server)
            .flat_map(|(_, bytes)| *bytes)
            .copied()
            .collect();
        let whole = log_in(&opening, &module, &target, usize::MAX);
        assert_eq!(
            whole,
            log_in(&opening, &module, &target, step),
            "cut by {step}"
        );
    }
}

/// What both readers tell, in words; what is told of bytes in a row is summed up.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Part(String),
    Bytes(Vec<u8>),
    Said(Said),
}

fn read(
    protocol: Protocol,
    module: &Module,
    pieces: &Pieces<'_>,
    step: usize,
) -> (Vec<Told>, Option<Opening>) {
    let (mut requests, mut responses) = (Requests::new(module), Responses::new(protocol));
    let (mut told, mut opening) = (Vec::new(), None);
    for (is_server, bytes) in pieces {
        for bytes in bytes.chunks(step) {
            if !is_server {
                requests.push(module, bytes, false, &mut |part| {
                    note(&part, &mut responses, &mut told, &mut opening);
                });
                continue;
            }
            let mut all = Vec::new();
            responses.push(bytes, &mut |said| all.push(said));
            for said in all {
                requests.hear(&said, &mut |part| {
                    note(&part, &mut responses, &mut told, &mut opening);
                });
                note_said(said, &mut told);
            }
        }
    }
    requests.close(&mut |part| note(&part, &mut responses, &mut told, &mut opening));
    responses.close(&mut |said| note_said(said, &mut told));
    (told, opening)
}

fn note(
    part: &Part<'_>,
    responses: &mut Responses,
    told: &mut Vec<Told>,
    opening: &mut Option<Opening>,
) {
    match part {
        Part::Bytes(bytes) => {
            if let Some(Told::Bytes(before)) = told.last_mut() {
                before.extend_from_slice(bytes);
            } else {
                told.push(Told::Bytes(bytes.to_vec()));
            }
            return;
        }
        Part::Begin(head) => responses.expect(head.expect),
        Part::Opening(opened) => *opening = Some((**opened).clone()),
        Part::Asks(_) | Part::Pause | Part::End | Part::Leave(_) => {}
    }
    told.push(Told::Part(format!("{part:?}")));
}

fn note_said(said: Said, told: &mut Vec<Told>) {
    match (told.last_mut(), said) {
        (Some(Told::Said(Said::Bytes(sum))), Said::Bytes(len))
        | (Some(Told::Said(Said::Unasked(sum))), Said::Unasked(len)) => *sum += len,
        (_, said) => told.push(Told::Said(said)),
    }
}

/// What a login says to a target that says this, and how it ends.
fn log_in(opening: &Opening, module: &Module, target: &[u8], step: usize) -> Vec<String> {
    let credentials = Credentials::parse("* secret").unwrap_or_default();
    let Some(mut login) = Login::new(opening, &credentials, &[7; 32], module.read_only) else {
        return Vec::new();
    };
    let mut said = vec![format!("{:?}", login.start())];
    for bytes in target.chunks(step) {
        let mut next = login.push(bytes);
        loop {
            match next {
                Step::Wait => break,
                Step::Send(bytes) => said.push(format!("{bytes:?}")),
                Step::Done(_) => {
                    said.push("in".to_owned());
                    return said;
                }
                Step::Failed(why) => {
                    assert!(!why.contains("secret"), "{why}");
                    said.push(why);
                    return said;
                }
            }
            next = login.push(b"");
        }
    }
    said
}
