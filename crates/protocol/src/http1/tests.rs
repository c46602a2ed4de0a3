//! Streams in any pieces: what is told of them, and that it depends on nothing else.

mod judging;
mod pieces;
mod requests;
mod responses;
mod rewriting;

use crate::http1::Awaited;
use crate::module::{Choice, Module, Protocol};
use crate::requests::{Expect, Part, Requests, Why};
use crate::responses::{Responses, Said, Verdict};

/// A part as a test holds it; bytes that follow each other are one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Begin { copied: bool, awaited: Awaited },
    Bytes(Vec<u8>),
    Pause,
    End,
    Leave(Why),
}

fn module() -> Module {
    Module {
        choice: Choice::Is(Protocol::Http1),
        ..Module::default()
    }
}

fn note(told: &mut Vec<Told>, part: &Part<'_>) {
    let one = match part {
        Part::Begin(head) => {
            let Expect::Http1(awaited) = head.expect else {
                panic!("{head:?}");
            };
            Told::Begin {
                copied: head.copied,
                awaited,
            }
        }
        Part::Bytes(bytes) => {
            if let Some(Told::Bytes(before)) = told.last_mut() {
                before.extend_from_slice(bytes);
                return;
            }
            Told::Bytes(bytes.to_vec())
        }
        Part::Pause => Told::Pause,
        Part::Asks(_) => return,
        Part::End => Told::End,
        Part::Leave(why) => Told::Leave(*why),
        Part::Opening(_) => panic!("HTTP has none"),
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

fn begin() -> Told {
    Told::Begin {
        copied: true,
        awaited: Awaited::default(),
    }
}

fn bytes(text: &str) -> Told {
    Told::Bytes(text.as_bytes().to_vec())
}

/// What is told of responses to these requests that come in these pieces, up to the end of the connection; counts that follow each
/// other are one.
fn said<'a>(awaited: &[Awaited], pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Said> {
    let (mut responses, mut told) = (Responses::new(Protocol::Http1), Vec::new());
    for one in awaited {
        responses.expect(Expect::Http1(*one));
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

fn end(code: u32) -> Said {
    Said::End(Verdict {
        code,
        is_error: code >= 400,
        statement: None,
    })
}
