//! The module of HTTP/1 against anything. The first byte chooses what the rule asks for, the second how the stream is cut; the stream is taken
//! for a client's and for a server's.

use protocol::expect::AwaitedHttp1;
use protocol::mask::SHOWN;
use protocol::{Choice, Expect, Mask, Module, Protocol};

use crate::modules::{Told, answer, copied, parts};

/// In the first byte: only what is known to be safe is copied.
const READ_ONLY: u8 = 0x01;
/// In the first byte: there is a filter.
const FILTERED: u8 = 0x02;
/// In the first byte: heads are rewritten.
const REWRITTEN: u8 = 0x04;
/// In the first byte: what the flow speaks is found by its first bytes.
const FOUND: u8 = 0x08;

/// Feeds one input to both readers.
///
/// # Panics
///
/// Where a reader panics, tells something else of other pieces, holds too much, or lets pass what may write.
pub fn run(data: &[u8]) {
    let [shape, cut, stream @ ..] = data else {
        return;
    };
    let piece = usize::from(*cut) + 1;
    let module = module(*shape);
    let told = parts(&module, stream, piece);
    if module.read_only {
        assert_safe(&copied(&told));
    }
    if shape & (REWRITTEN | READ_ONLY | FILTERED) == REWRITTEN {
        assert_same_messages(&told);
    }
    let awaited = |number: u8| {
        Expect::Http1(AwaitedHttp1 {
            without_body: shape >> (number % 8) & 1 != 0,
            tunnels: number % 5 == cut % 5 && shape & FOUND != 0,
        })
    };
    let expected: Vec<Expect> = (0..cut % 16).map(awaited).collect();
    answer(Protocol::Http1, &expected, stream, piece);
    // What is behind a value that was masked may be read otherwise than with it: a mask need not be the same twice.
    let shown = Mask::default().apply(stream);
    assert!(shown.len() <= stream.len() * SHOWN.len());
}

fn module(shape: u8) -> Module {
    let mut module = Module {
        read_only: shape & READ_ONLY != 0,
        ..Module::default()
    };
    if shape & FOUND == 0 {
        module.choice = Choice::Is(Protocol::Http1);
    }
    if shape & FILTERED != 0 {
        module.only = ["method=GET,POST path=/*", "header:x-a=*b* host=*.a"]
            .map(|filter| filter.parse().expect("a filter"))
            .to_vec();
        module.except = vec!["path=/no* query=*".parse().expect("a filter")];
    }
    if shape & REWRITTEN != 0 {
        let rewriting = &mut module.rewriting;
        rewriting.headers = vec!["X-A: new".parse().expect("a header")];
        rewriting.host = "b:81".parse().ok();
        rewriting.paths = vec!["/=/new/".parse().expect("two paths")];
        rewriting.mark = "".parse().ok();
    }
    module
}

/// What was rewritten is as many messages as before.
fn assert_same_messages(told: &[Told]) {
    let end = told.iter().position(|one| matches!(one, Told::Leave(_)));
    let told = &told[..end.unwrap_or(told.len())];
    let plain = Module {
        choice: Choice::Is(Protocol::Http1),
        ..Module::default()
    };
    let again = parts(&plain, &copied(told), 7);
    let ends = |told: &[Told]| told.iter().filter(|one| **one == Told::End).count();
    assert_eq!(ends(&again), ends(told), "{told:?}");
}

/// Reads what was copied in another way than the module does: by lines, of a stream that is whole.
fn assert_safe(mut stream: &[u8]) {
    while !stream.is_empty() {
        let Some(end) = find(stream, b"\r\n\r\n") else {
            panic!("a head is copied whole");
        };
        let (head, rest) = (&stream[..end], &stream[end + 4..]);
        let head = String::from_utf8_lossy(head).to_lowercase();
        let (line, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
        let method = line.split(' ').next().unwrap_or_default();
        assert!(
            ["get", "head", "options", "trace"].contains(&method),
            "{line}"
        );
        let mut body = 0;
        let mut is_chunked = false;
        for field in fields.split("\r\n") {
            let (name, value) = field.split_once(':').unwrap_or((field, ""));
            assert!(!matches!(name, "upgrade" | "x-http-method-override"));
            match name {
                "content-length" => {
                    let first = value.split(',').next().unwrap_or_default();
                    body = first.trim().parse().expect("a length");
                }
                "transfer-encoding" => is_chunked = true,
                _ => {}
            }
        }
        let len = if is_chunked {
            chunked(rest)
        } else {
            Some(body)
        };
        match len {
            Some(len) if len < rest.len() => stream = &rest[len..],
            // It is the last, and may be incomplete.
            _ => return,
        }
    }
}

/// How long a chunked body is with its trailers; `None` where it is incomplete.
fn chunked(stream: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = &stream[at..at + find(&stream[at..], b"\r\n")?];
        let digits: String = String::from_utf8_lossy(line)
            .chars()
            .take_while(char::is_ascii_hexdigit)
            .collect();
        let size = usize::from_str_radix(&digits, 16).ok()?;
        at += line.len() + 2;
        if size == 0 {
            break;
        }
        at = at.checked_add(size)?.checked_add(2)?;
        if at > stream.len() {
            return None;
        }
    }
    loop {
        let len = find(&stream[at..], b"\r\n")?;
        at += len + 2;
        if len == 0 {
            return Some(at);
        }
    }
}

fn find(stream: &[u8], what: &[u8]) -> Option<usize> {
    stream.windows(what.len()).position(|some| some == what)
}
