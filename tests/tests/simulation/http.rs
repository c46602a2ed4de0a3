//! HTTP/1 as clients and servers speak it where a protocol module reads: requests and responses of a wanted length, and a parser of requests
//! that has nothing in common with the engine's.

use crate::application::HEADER_LEN;
use crate::random::Random;
use crate::server::Tag;

/// Shortest request, and shortest response other than an interim one, in bytes: whatever it is has room.
pub(crate) const REQUEST_LEN_MIN: usize = 90;
pub(crate) const RESPONSE_LEN_MIN: usize = 80;
/// What a server says to a client that waits with its body.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// What the first line of a response has before the tag, which is three digits.
const STATUS: &[u8] = b"HTTP/1.1 200 ";
/// One of so many responses is chunked; the others say how long they are.
const CHUNKED_ONE_IN: usize = 3;

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    /// With a body of a length that is told.
    Post,
    /// With a chunked body.
    Put,
    /// The head of a POST whose client waits for a word before it sends a body of so many bytes ...
    Expecting(usize),
    /// ... which counts as a request of its own.
    Body,
}

impl Method {
    /// Those that stand for themselves.
    pub(crate) const ALL: [Self; 4] = [Self::Get, Self::Head, Self::Post, Self::Put];

    /// Whether it passes with `--read-only`.
    pub(crate) const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Post | Self::Expecting(_) | Self::Body => "POST",
        }
    }
}

/// The bytes of a request.
pub(crate) fn request(method: Method, (connection, index): (usize, usize), len: usize) -> Vec<u8> {
    let mut random = Random::new((connection << 16 | index) as u64);
    let name = method.name();
    let line = format!("{name} /{connection:02}{index:03} HTTP/1.1\r\nHost: a\r\n");
    let mut bytes = match method {
        Method::Body => vec![],
        Method::Expecting(body) => {
            format!("{line}Expect: 100-continue\r\nContent-Length: {body:05}\r\n").into_bytes()
        }
        Method::Get | Method::Head => line.into_bytes(),
        Method::Post => {
            let body = len - line.len() - "Content-Length: 00000\r\n\r\n".len();
            format!("{line}Content-Length: {body:05}\r\n\r\n").into_bytes()
        }
        Method::Put => {
            let head = format!("{line}Transfer-Encoding: chunked\r\n\r\n");
            return in_chunks(head, len, || random.next() as u8);
        }
    };
    match method {
        Method::Post | Method::Body => bytes.resize_with(len, || random.next() as u8),
        // A place in it is to be found again.
        _ => pad(&mut bytes, len, || b'a' + (random.next() % 26) as u8),
    }
    bytes
}

/// The bytes of a response of `len` bytes; none where that is 0.
pub(crate) fn response(method: Method, tag: Tag, len: usize) -> Vec<u8> {
    if len == 0 {
        return vec![];
    }
    if let Method::Expecting(_) = method {
        return INTERIM.to_vec();
    }
    let line = format!("HTTP/1.1 200 {tag:03}\r\n");
    if method == Method::Head {
        let mut bytes = format!("{line}Content-Length: 00777\r\n").into_bytes();
        pad(&mut bytes, len, || b'x');
        return bytes;
    }
    if len.is_multiple_of(CHUNKED_ONE_IN) {
        let head = format!("{line}Transfer-Encoding: chunked\r\n\r\n");
        return in_chunks(head, len, || tag);
    }
    let body = len - line.len() - "Content-Length: 00000\r\n\r\n".len();
    let mut bytes = format!("{line}Content-Length: {body:05}\r\n\r\n").into_bytes();
    bytes.resize(len, tag);
    bytes
}

/// How long an interim response is.
pub(crate) const fn interim_len() -> usize {
    INTERIM.len()
}

/// Which request a response answers, where so much of it is there that this is said.
pub(crate) fn tag_of(response: &[u8]) -> Option<Tag> {
    let tag = response.strip_prefix(STATUS)?.first_chunk::<3>()?;
    str::from_utf8(tag).ok()?.parse().ok()
}

/// Whether it is a response of HTTP/1, or the beginning of one.
pub(crate) fn is_response(bytes: &[u8]) -> bool {
    let len = bytes.len().min(STATUS.len() - 5);
    bytes[..len] == STATUS[..len]
}

/// Ends a head with a line that makes it as long as wanted.
fn pad(head: &mut Vec<u8>, len: usize, fill: impl FnMut() -> u8) {
    head.extend_from_slice(b"X: ");
    head.resize_with(len - 4, fill);
    head.extend_from_slice(b"\r\n\r\n");
}

/// A head and its body in two chunks, so that all of it is `len` bytes.
fn in_chunks(head: String, len: usize, mut fill: impl FnMut() -> u8) -> Vec<u8> {
    let frame = "00000\r\n\r\n".len();
    let end = b"0\r\n\r\n";
    let body = len - head.len() - 2 * frame - end.len();
    let first = body / 2;
    let mut bytes = head.into_bytes();
    for chunk in [first, body - first] {
        bytes.extend_from_slice(format!("{chunk:05x}\r\n").as_bytes());
        bytes.extend((0..chunk).map(|_| fill()));
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(end);
    bytes
}

/// What stands next in what a server has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Its end is still to come.
    Open,
    /// It makes no sense.
    Nonsense,
    /// A request, by its connection, its index and its length; where its client waits with the body, that is the length of the head, and
    /// `body` that of what will come.
    Request {
        connection: usize,
        index: usize,
        len: usize,
        body: usize,
    },
}

/// Whether a request begins like one of HTTP/1 as it is spoken here.
pub(crate) fn is_request(first: &[u8; HEADER_LEN]) -> bool {
    let place = first.iter().position(|byte| *byte == b'/');
    let number = place.and_then(|at| first.get(at + 1));
    number.is_some_and(u8::is_ascii_digit)
}

/// Reads a request.
pub(crate) fn parse(bytes: &[u8]) -> Next {
    let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else {
        return Next::Open;
    };
    read(bytes, end).unwrap_or(Next::Nonsense)
}

/// Reads a request whose head ends with the empty line behind `end`; `None` where it makes no sense.
fn read(bytes: &[u8], end: usize) -> Option<Next> {
    let head = str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    let known = Method::ALL.iter().any(|it| it.name() == method);
    let number: usize = path.strip_prefix('/')?.parse().ok()?;
    if !known || version != "HTTP/1.1" || path.len() != 6 || words.next().is_some() {
        return None;
    }
    let (mut body, mut chunked, mut waits) = (0, false, false);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        match name {
            "Content-Length" => body = value.parse().ok()?,
            "Transfer-Encoding" => chunked = value == "chunked",
            "Expect" => waits = true,
            "Host" | "X" => {}
            _ => return None,
        }
    }
    let head = end + 4;
    let len = match (chunked, waits) {
        (true, _) => match chunks(&bytes[head..])? {
            0 => return Some(Next::Open),
            len => head + len,
        },
        (false, true) => head,
        (false, false) => head + body,
    };
    if bytes.len() < len {
        return Some(Next::Open);
    }
    Some(Next::Request {
        connection: number / 1000,
        index: number % 1000,
        len,
        body: if waits { body } else { 0 },
    })
}

/// How long a chunked body is; 0 where its end is still to come, and `None` where it makes no sense.
fn chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &bytes[at.min(bytes.len())..];
        let Some(line) = rest.windows(2).position(|it| it == b"\r\n") else {
            return Some(0);
        };
        let size = usize::from_str_radix(str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        at += line + 2 + size + 2;
        if size == 0 {
            return Some(if at <= bytes.len() { at } else { 0 });
        }
        if bytes.get(at - 2..at).is_some_and(|it| it != b"\r\n") {
            return None;
        }
    }
}
