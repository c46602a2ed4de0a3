//! What must hold of each protocol module: how a stream was cut into pieces changes nothing, and what a reader holds is bounded.

use protocol::{Expect, Module, Part, Protocol, Requests, Responses, Said, Verdict, Why};

/// Most that a reader of requests may hold, in bytes.
const HELD_MAX: usize = 65 * 1024;

/// A part as it is compared; bytes that follow each other are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Opening,
    Begin(bool, Expect),
    Bytes(Vec<u8>),
    Pause,
    End,
    Leave(Left),
}

/// Why a flow has left; where its client has closed before it was found to be wrong, that is not told apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left(Why);

impl PartialEq for Left {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.0 == Why::Cut || other.0 == Why::Cut
    }
}

impl Eq for Left {}

fn note(told: &mut Vec<Told>, part: &Part<'_>) {
    let one = match part {
        Part::Begin(head) => Told::Begin(head.copied, head.expect),
        Part::Opening(_) => Told::Opening,
        Part::Asks(_) => return,
        Part::Bytes(bytes) => {
            if let Some(Told::Bytes(before)) = told.last_mut() {
                before.extend_from_slice(bytes);
                return;
            }
            Told::Bytes(bytes.to_vec())
        }
        Part::Pause => Told::Pause,
        Part::End => Told::End,
        Part::Leave(why) => Told::Leave(Left(*why)),
    };
    told.push(one);
}

/// What is told of a client that sends this in pieces of so many bytes, and closes.
fn parts_in(module: &Module, stream: &[u8], piece: usize) -> Vec<Told> {
    let (mut requests, mut told) = (Requests::new(module), Vec::new());
    for bytes in stream.chunks(piece) {
        requests.push(module, bytes, false, &mut |part| note(&mut told, &part));
        assert!(held_len(&requests) <= HELD_MAX);
    }
    requests.close(&mut |part| note(&mut told, &part));
    told
}

fn held_len(requests: &Requests) -> usize {
    match requests {
        Requests::Unknown(unknown) => unknown.held_len(),
        Requests::Http1(requests) => requests.held_len(),
        Requests::Redis(requests) => requests.held_len(),
        _ => 0,
    }
}

/// What is told of a client that sends this and closes.
pub(crate) fn parts(module: &Module, stream: &[u8], piece: usize) -> Vec<Told> {
    let whole = parts_in(module, stream, stream.len().max(1));
    for piece in [piece, 1] {
        assert_eq!(
            parts_in(module, stream, piece),
            whole,
            "in pieces of {piece}"
        );
    }
    assert_order(&whole);
    whole
}

fn assert_order(told: &[Told]) {
    let (mut within, mut copied) = (false, false);
    for one in told {
        match one {
            Told::Begin(is_copied, _) => {
                assert!(!within, "one after the other");
                (within, copied) = (true, *is_copied);
            }
            Told::Bytes(_) | Told::Pause => assert!(within && copied, "bytes of what is copied"),
            Told::End => assert!(core::mem::take(&mut within)),
            Told::Opening => {}
            Told::Leave(_) => return,
        }
    }
}

/// What is copied.
pub(crate) fn copied(told: &[Told]) -> Vec<u8> {
    let bytes = told.iter().map(|one| match one {
        Told::Bytes(bytes) => bytes.as_slice(),
        _ => &[],
    });
    bytes.collect::<Vec<_>>().concat()
}

/// What is told of a server that is asked this, says this in pieces of so many bytes, and closes; counts that follow each other are one.
fn said_in(protocol: Protocol, expected: &[Expect], stream: &[u8], piece: usize) -> Vec<Said> {
    let (mut responses, mut told) = (Responses::new(protocol), Vec::new());
    for one in expected {
        responses.expect(*one);
    }
    let mut tell = |said| match (told.last_mut(), said) {
        (Some(Said::Bytes(before)), Said::Bytes(more))
        | (Some(Said::Unasked(before)), Said::Unasked(more)) => *before += more,
        (_, said) => told.push(said),
    };
    for bytes in stream.chunks(piece) {
        responses.push(bytes, &mut tell);
    }
    responses.close(&mut tell);
    told
}

/// A server that is asked this says this, and closes.
pub(crate) fn answer(protocol: Protocol, expected: &[Expect], stream: &[u8], piece: usize) {
    let whole = said_in(protocol, expected, stream, stream.len().max(1));
    for piece in [piece, 1] {
        let said = said_in(protocol, expected, stream, piece);
        assert_eq!(said, whole, "in pieces of {piece}");
    }
    let (mut len, mut ends) = (0, 0);
    for said in &whole {
        match said {
            Said::Bytes(more) | Said::Unasked(more) => len += *more as usize,
            Said::End(Verdict { .. }) => ends += 1,
            Said::Ready
            | Said::Closes
            | Said::Digested(_)
            | Said::Asked(_)
            | Said::Opened(_)
            | Said::Left
            | Said::Lost => {}
        }
    }
    assert!(len <= stream.len() && ends <= expected.len());
}
