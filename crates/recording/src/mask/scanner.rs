//! Lines and heads of HTTP/1, byte by byte, so that nothing depends on where packets begin.
//!
//! A head begins with a line that has `HTTP/1.` in it (a request line, a status line) and ends with an empty line. What stands
//! between heads is not looked into: a body may hold anything.

use std::ops::Range;

/// The headers whose values are secrets, in lower case (RFC 9110 section 11, RFC 6265).
const NAMES: [&str; 4] = [
    "authorization",
    "cookie",
    "set-cookie",
    "proxy-authorization",
];
/// Bytes of a line that are kept to compare its name: the longest, a colon, and something more that makes it another one.
const LINE_LEN: usize = 24;
/// What a line that begins a head contains.
const VERSION: &[u8] = b"HTTP/1.";

/// Where in a head, or behind it, the last byte stood.
#[derive(Clone, Debug, Default)]
pub(super) struct Scanner {
    is_in_head: bool,
    is_in_value: bool,
    /// The line before held a value, and a line that begins with white space goes on with it (RFC 9112 section 5.2).
    may_fold: bool,
    line: [u8; LINE_LEN],
    /// Bytes of the line so far, as far as they are counted.
    line_len: usize,
    /// Bytes of [`VERSION`] that the line ended with.
    version_len: usize,
}

impl Scanner {
    /// One that has read nothing and takes what comes for the middle of a head.
    pub(super) fn in_head() -> Self {
        Self {
            is_in_head: true,
            ..Self::default()
        }
    }

    /// Overwrites the secrets in bytes that follow those before; returns where.
    pub(super) fn scan(&mut self, bytes: &mut [u8]) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        for (at, byte) in bytes.iter_mut().enumerate() {
            if !self.take(*byte) {
                continue;
            }
            *byte = b'*';
            match places.last_mut() {
                Some(place) if place.end == at => place.end = at + 1,
                _ => places.push(at..at + 1),
            }
        }
        places
    }

    /// Takes a byte; returns whether it is secret.
    fn take(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' => {
                self.end_line();
                return false;
            }
            b'\r' => return false,
            _ => {}
        }
        let is_space = byte == b' ' || byte == b'\t';
        if self.is_in_value {
            return !is_space;
        }
        if self.line_len == 0 && self.may_fold && is_space {
            self.is_in_value = true;
            return false;
        }
        if self.line_len < LINE_LEN {
            self.line[self.line_len] = byte;
            self.line_len += 1;
        }
        self.version_len = if byte == VERSION[self.version_len] {
            self.version_len + 1
        } else {
            usize::from(byte == VERSION[0])
        };
        if self.version_len == VERSION.len() {
            self.is_in_head = true;
            self.version_len = 0;
        }
        if byte == b':' && self.is_in_head {
            self.is_in_value = self.is_secret();
        }
        false
    }

    /// Whether the line, which ends with a colon, begins with one of the names and nothing more.
    fn is_secret(&self) -> bool {
        let Some(name) = self.line[..self.line_len].strip_suffix(b":") else {
            return false;
        };
        let name = name.trim_ascii_end();
        NAMES
            .iter()
            .any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()))
    }

    fn end_line(&mut self) {
        self.may_fold = self.is_in_value;
        if self.line_len == 0 && !self.is_in_value {
            self.is_in_head = false;
        }
        self.is_in_value = false;
        self.line_len = 0;
        self.version_len = 0;
    }

    /// Bytes are missing before these. Overwrites their first line where it may be the rest of a value, and returns its length; 0
    /// where it is none.
    pub(super) fn resume(&mut self, bytes: &mut [u8]) -> usize {
        let was_in_head = self.is_in_head;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, behind) = bytes.split_at_mut(end.unwrap_or(bytes.len()));
        let begins_head = line.windows(VERSION.len()).any(|part| part == VERSION);
        let is_suspicious = !begins_head && (was_in_head || looks_like_head(behind));
        *self = Self {
            is_in_head: is_suspicious,
            is_in_value: is_suspicious,
            // In the middle of a line, which therefore has no name.
            line_len: LINE_LEN,
            ..Self::default()
        };
        if !is_suspicious {
            return 0;
        }
        overwrite(line);
        line.len()
    }
}

/// Whether what follows a line looks as if that had been a header: another one, or the end of the head.
fn looks_like_head(behind: &[u8]) -> bool {
    let next = behind.strip_prefix(b"\n").unwrap_or_default();
    if next.starts_with(b"\r\n") {
        return true;
    }
    let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let len = next.iter().take_while(in_name).count();
    let behind_name = next.get(len..).unwrap_or_default().trim_ascii_start();
    len > 0 && behind_name.starts_with(b":")
}

/// Stars for everything but white space.
pub(super) fn overwrite(secret: &mut [u8]) {
    let visible = secret
        .iter_mut()
        .filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    visible.for_each(|byte| *byte = b'*');
}
