//! Heads: where one ends, and what it says of the body behind it.
//!
//! `httparse` knows the grammar of lines; what it lets pass and strict readers must not (a bare line feed) is refused before, and
//! which framing a head announces is decided here (RFC 9112, section 6.3).

use core::mem::MaybeUninit;
use std::borrow::Cow;

use httparse::{Error, Header, ParserConfig, Request, Response, Status};
use memchr::memchr2;

use crate::http1::body::{Body, Chunks, is_token};
use crate::http1::fields::{elements, values};
use crate::http1::target::{Target, without_port};
use crate::http1::{FIELDS_MAX, HEAD_MAX};
use crate::parts::Why;

/// Whose heads are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Requests,
    Responses,
}

/// A head while it is incomplete.
#[derive(Debug)]
pub(super) struct Collector {
    of: Of,
    held: Vec<u8>,
    line: Line,
    /// What is held is looked at when it is as long as this: whoever speaks something else does not wait for an end of a head.
    look_at: usize,
}

/// Where in a line the collector stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Inside,
    /// Behind a carriage return.
    Cr,
    /// At the beginning of a line.
    Start,
    /// Behind a carriage return at the beginning of a line.
    LastCr,
}

/// A complete head, and what is behind it.
pub(super) type Whole<'a> = (Cow<'a, [u8]>, &'a [u8]);

impl Collector {
    pub(super) fn new(of: Of) -> Self {
        Self {
            of,
            held: Vec::new(),
            line: Line::Inside,
            look_at: 0,
        }
    }

    /// What of it is here.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    pub(super) fn take_held(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.held)
    }

    /// The next bytes of the connection; `None` while the head is incomplete.
    ///
    /// # Errors
    ///
    /// Where this can be no head. What was collected and all of `bytes` is held then.
    pub(super) fn push<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Whole<'a>>, Why> {
        if self.of == Of::Responses && self.held.is_empty() && bytes.starts_with(b"\r") {
            self.held.extend_from_slice(bytes);
            return Err(Why::Malformed);
        }
        let room = HEAD_MAX - self.held.len();
        let within = &bytes[..bytes.len().min(room)];
        match self.find_end(within) {
            Ok(Some(len)) => Ok(Some(self.whole(bytes, len))),
            Ok(None) if within.len() == room => {
                let before = self.held.len();
                self.held.extend_from_slice(within);
                let why = self.look().err().unwrap_or(Why::TooLong);
                self.held.truncate(before);
                self.held.extend_from_slice(bytes);
                Err(why)
            }
            Ok(None) => {
                self.held.extend_from_slice(bytes);
                if self.held.len() < self.look_at {
                    return Ok(None);
                }
                self.look_at = self.held.len() * 2;
                self.look().map(|()| None)
            }
            Err(why) => {
                self.held.extend_from_slice(bytes);
                Err(why)
            }
        }
    }

    /// Skips empty lines before a request (RFC 9112, section 2.2), and returns what is behind them.
    pub(super) fn skip_empty_lines<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        if self.held == b"\r" && bytes.first() == Some(&b'\n') {
            self.clear();
            bytes = &bytes[1..];
        }
        if self.held.is_empty() {
            while let Some(rest) = bytes.strip_prefix(b"\r\n") {
                bytes = rest;
            }
        }
        bytes
    }

    fn clear(&mut self) {
        *self = Self::new(self.of);
    }

    fn whole<'a>(&mut self, bytes: &'a [u8], len: usize) -> Whole<'a> {
        let (head, rest) = bytes.split_at(len);
        let mut held = self.take_held();
        self.clear();
        if held.is_empty() {
            return (Cow::Borrowed(head), rest);
        }
        held.extend_from_slice(head);
        (Cow::Owned(held), rest)
    }

    /// Looks for the end of the head in bytes behind those that are held.
    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Why> {
        let mut at = 0;
        while at < bytes.len() {
            if self.line == Line::Inside {
                let Some(ahead) = memchr2(b'\r', b'\n', &bytes[at..]) else {
                    return Ok(None);
                };
                at += ahead;
            }
            self.line = match (self.line, bytes[at]) {
                (Line::Inside, b'\r') => Line::Cr,
                (Line::Start, b'\r') => Line::LastCr,
                (Line::Cr, b'\n') => Line::Start,
                (Line::LastCr, b'\n') => return Ok(Some(at + 1)),
                (Line::Cr | Line::LastCr, _) | (_, b'\n') => return Err(Why::Malformed),
                (Line::Inside | Line::Start, _) => Line::Inside,
            };
            at += 1;
        }
        Ok(None)
    }

    /// Whether what is held may become a head.
    fn look(&self) -> Result<(), Why> {
        let (mut space, config) = (space(), ParserConfig::default());
        let parsed = match self.of {
            Of::Requests => config.parse_request_with_uninit_headers(
                &mut Request::new(&mut []),
                &self.held,
                &mut space,
            ),
            Of::Responses => config.parse_response_with_uninit_headers(
                &mut Response::new(&mut []),
                &self.held,
                &mut space,
            ),
        };
        match parsed {
            // Whether it is too long is said of the whole, or what is said would depend on how it came.
            Ok(_) | Err(Error::TooManyHeaders) => Ok(()),
            Err(_) => Err(Why::Malformed),
        }
    }
}

/// Where the fields of a head are noted.
pub(super) type Space<'b> = [MaybeUninit<Header<'b>>; FIELDS_MAX];

pub(super) fn space<'b>() -> Space<'b> {
    [const { MaybeUninit::uninit() }; FIELDS_MAX]
}

/// The head of a request.
#[derive(Debug)]
pub(super) struct RequestHead<'h, 'b> {
    pub(super) method: &'b str,
    target: Target<'b>,
    pub(super) fields: &'h [Header<'b>],
    /// Whether it is of HTTP/1.0.
    pub(super) is_old: bool,
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Reads a complete head.
    ///
    /// # Errors
    ///
    /// Where it follows no grammar, has more than [`FIELDS_MAX`] fields, its target has not the form that its method asks for, or
    /// it names several hosts.
    pub(super) fn read(bytes: &'b [u8], space: &'h mut Space<'b>) -> Result<Self, Why> {
        let mut head = Request::new(&mut []);
        let parsed = ParserConfig::default()
            .parse_request_with_uninit_headers(&mut head, bytes, space)
            .map_err(why)?;
        let (Status::Complete(_), Some(method), Some(target), Some(minor)) =
            (parsed, head.method, head.path, head.version)
        else {
            return Err(Why::Malformed);
        };
        let head = Self {
            method,
            target: Target::read(method, target).ok_or(Why::Malformed)?,
            fields: head.headers,
            is_old: minor == 0,
        };
        if head.values("host").count() > 1 {
            return Err(Why::Malformed);
        }
        Ok(head)
    }

    pub(super) fn target(&self) -> &Target<'b> {
        &self.target
    }

    /// The host that is asked, without its port; one that the target names goes before the field (RFC 9112, section 3.2.2).
    pub(super) fn host(&self) -> Option<&'b [u8]> {
        let authority = self.target.authority.map(str::as_bytes);
        authority
            .or_else(|| self.values("host").next())
            .map(without_port)
    }

    /// The values of all fields of this name, in order.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'b [u8]> + 'a {
        values(self.fields, name)
    }

    /// The body that follows (RFC 9112, section 6.3).
    ///
    /// # Errors
    ///
    /// Where two readers may be of two minds.
    pub(super) fn body(&self) -> Result<Body, Why> {
        Ok(match framing(self.fields, self.is_old)? {
            Framing::Chunked => Body::Chunked(Chunks::default()),
            // The length of such a request cannot be told.
            Framing::OtherCoding => return Err(Why::Malformed),
            Framing::Length(len) => Body::Length(len),
            Framing::None => Body::Length(0),
        })
    }

    /// Whether the client may wait for the server before it sends the body (RFC 9110, section 10.1.1).
    pub(super) fn expects_continue(&self) -> bool {
        !self.is_old
            && self
                .values("expect")
                .any(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }

    pub(super) fn is_connect(&self) -> bool {
        self.method == "CONNECT"
    }

    /// Whether it may lead to another protocol on this connection.
    pub(super) fn may_upgrade(&self) -> bool {
        self.is_connect() || self.values("upgrade").next().is_some()
    }
}

/// The head of a response.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) status: u16,
    /// Whether the server closes the connection behind it.
    pub(super) closes: bool,
    framing: Framing,
}

impl ResponseHead {
    /// Reads a complete head, and tells its fields.
    ///
    /// # Errors
    ///
    /// Where it follows no grammar, has more than [`FIELDS_MAX`] fields, or two readers may be of two minds about its body.
    pub(super) fn read(
        bytes: &[u8],
        on_fields: impl FnOnce(u16, &[Header<'_>]),
    ) -> Result<Self, Why> {
        let (mut space, mut head) = (space(), Response::new(&mut []));
        let parsed = ParserConfig::default()
            .parse_response_with_uninit_headers(&mut head, bytes, &mut space)
            .map_err(why)?;
        let (Status::Complete(_), Some(status @ 100..), Some(minor)) =
            (parsed, head.code, head.version)
        else {
            return Err(Why::Malformed);
        };
        let framing = framing(head.headers, minor == 0)?;
        on_fields(status, head.headers);
        let options = || values(head.headers, "connection").flat_map(elements);
        let has = |name: &str| options().any(|it| it.eq_ignore_ascii_case(name.as_bytes()));
        Ok(Self {
            status,
            closes: has("close") || minor == 0 && !has("keep-alive"),
            framing,
        })
    }

    /// The body that follows, unless the request or the status says that there is none.
    pub(super) fn body(&self) -> Body {
        match self.framing {
            Framing::Chunked => Body::Chunked(Chunks::default()),
            Framing::Length(len) => Body::Length(len),
            Framing::OtherCoding | Framing::None => Body::UntilClose,
        }
    }
}

/// What a head says of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Chunked,
    /// Codings of which chunked is not the last.
    OtherCoding,
    Length(u64),
    None,
}

/// Both a length and codings, several lengths that differ, or codings before HTTP/1.1 are how requests are smuggled past a reader.
fn framing(fields: &[Header<'_>], is_old: bool) -> Result<Framing, Why> {
    let codings = codings(fields)?;
    let mut lengths = values(fields, "content-length").flat_map(elements);
    let Some(length) = lengths.next() else {
        return match codings {
            Some(_) if is_old => Err(Why::Malformed),
            Some(framing) => Ok(framing),
            None => Ok(Framing::None),
        };
    };
    if codings.is_some() || lengths.any(|other| other != length) {
        return Err(Why::Malformed);
    }
    number(length).map(Framing::Length).ok_or(Why::Malformed)
}

/// What the transfer codings end with; `None` where there are none.
fn codings(fields: &[Header<'_>]) -> Result<Option<Framing>, Why> {
    let mut found = None;
    for coding in values(fields, "transfer-encoding").flat_map(elements) {
        // Chunked ends a list (RFC 9112, section 6.1).
        if found == Some(Framing::Chunked) || !coding.first().copied().is_some_and(is_token) {
            return Err(Why::Malformed);
        }
        found = Some(if coding.eq_ignore_ascii_case(b"chunked") {
            Framing::Chunked
        } else {
            Framing::OtherCoding
        });
    }
    Ok(found)
}

/// Digits and nothing else: what `str::parse` takes besides, a sign, others may not.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        let digit = char::from(*digit).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, add)
}

fn why(error: Error) -> Why {
    match error {
        Error::TooManyHeaders => Why::TooLong,
        _ => Why::Malformed,
    }
}
