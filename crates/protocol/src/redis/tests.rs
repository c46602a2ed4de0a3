//! Commands and replies in any pieces.

mod judging;
mod pieces;
mod requests;
mod responses;

use crate::expect::{AwaitedRedis, Expect};
use crate::module::{Choice, Module, Protocol};
use crate::parts::{Part, Why};
use crate::redis::array;
use crate::requests::Requests;
use crate::responses::Responses;
use crate::said::{Said, Verdict};

/// A part as a test holds it; bytes that follow each other are one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Begin { copied: bool, expect: Expect },
    Bytes(Vec<u8>),
    End,
    Leave(Why),
}

const REPLY: Expect = Expect::Redis(AwaitedRedis::Reply);

fn module() -> Module {
    Module {
        choice: Choice::Is(Protocol::Redis),
        ..Module::default()
    }
}

/// A command as clients write it.
fn command(words: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    array(words)
}

fn note(told: &mut Vec<Told>, part: &Part<'_>) {
    let one = match part {
        Part::Begin(head) => Told::Begin {
            copied: head.copied,
            expect: head.expect,
        },
        Part::Bytes(bytes) => {
            if let Some(Told::Bytes(before)) = told.last_mut() {
                before.extend_from_slice(bytes);
                return;
            }
            Told::Bytes(bytes.to_vec())
        }
        Part::Pause | Part::Opening(_) => panic!("nobody waits"),
        Part::Asks(_) => return,
        Part::End => Told::End,
        Part::Leave(why) => Told::Leave(*why),
    };
    told.push(one);
}

/// What is told of a stream that comes in these pieces.
fn parts<'a>(module: &Module, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Told> {
    let (mut requests, mut told) = (Requests::new(module), Vec::new());
    for piece in pieces {
        requests.push(module, piece, false, &mut |part| note(&mut told, &part));
    }
    told
}

/// What of a stream is copied.
fn copied(module: &Module, stream: &[u8]) -> Vec<u8> {
    let bytes = parts(module, stream.chunks(5)).into_iter();
    bytes
        .flat_map(|told| match told {
            Told::Bytes(bytes) => bytes,
            _ => Vec::new(),
        })
        .collect()
}

fn begin(expect: Expect) -> Told {
    Told::Begin {
        copied: true,
        expect,
    }
}

/// What is told of replies that come in these pieces; counts that follow each other are one.
fn said<'a>(expected: &[Expect], pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Said> {
    let (mut responses, mut told) = (Responses::new(Protocol::Redis), Vec::new());
    for one in expected {
        responses.expect(*one);
    }
    let mut tell = |said| match (told.last_mut(), said) {
        (Some(Said::Bytes(before)), Said::Bytes(more))
        | (Some(Said::Unasked(before)), Said::Unasked(more)) => *before += more,
        (_, said) => told.push(said),
    };
    for piece in pieces {
        responses.push(piece, &mut tell);
    }
    responses.close(&mut tell);
    told
}

fn end(is_error: bool) -> Said {
    Said::End(Verdict {
        is_error,
        ..Verdict::default()
    })
}
