//! Where secrets stand in the beginning of a message.

use core::ops::Range;
use std::borrow::Cow;

use memchr::memmem;

use crate::mask::NAME_MAX;

/// Commands of Redis whose words are secrets, or may be.
const REDIS: [&[u8]; 5] = [b"AUTH", b"HELLO", b"ACL", b"CONFIG", b"MIGRATE"];
/// Most bytes before a colon or an equals sign that are looked through for a name: one that is escaped is longer than [`NAME_MAX`].
const BACK_MAX: usize = 6 * NAME_MAX;

type Hides<'a> = &'a dyn Fn(&str) -> bool;
type Tell<'a> = &'a mut dyn FnMut(Range<usize>);

/// Tells where secrets stand, in any order; one may be told several times.
pub(super) fn all(bytes: &[u8], hides: Hides<'_>, tell: Tell<'_>) {
    let body = head(bytes, hides, tell);
    // What is found already is not looked into again, or many openings without an end would take a time that grows with their square.
    let mut until = body;
    for (at, byte) in bytes.iter().enumerate() {
        let found = match byte {
            b'=' => form(bytes, at, hides),
            b':' if at >= until => json(bytes, at, hides),
            b'>' if at >= until => xml(bytes, at, hides),
            _ => None,
        };
        if let Some(secret) = found {
            until = until.max(secret.end);
            tell(secret);
        }
    }
    multipart(bytes, body, hides, tell);
    redis(bytes, tell);
}

/// Fields of a head. Returns where the body begins; 0 where there is no head.
fn head(bytes: &[u8], hides: Hides<'_>, tell: Tell<'_>) -> usize {
    let first = line_end(bytes, 0);
    let line = bytes[..first].trim_ascii_end();
    let is_request = line.len() > 9 && line[..line.len() - 1].ends_with(b" HTTP/1.");
    if !is_request && !line.starts_with(b"HTTP/1.") {
        return 0;
    }
    let mut at = first;
    while at < bytes.len() {
        let mut end = line_end(bytes, at);
        if bytes[at..end].trim_ascii().is_empty() {
            return end;
        }
        while matches!(bytes.get(end), Some(b' ' | b'\t')) {
            end = line_end(bytes, end);
        }
        let field = &bytes[at..end];
        if let Some(colon) = field.iter().position(|byte| *byte == b':')
            && hides(&String::from_utf8_lossy(&field[..colon]))
        {
            tell(trimmed(bytes, at + colon + 1..end));
        }
        at = end;
    }
    bytes.len()
}

/// Where the line that begins here ends, behind its line feed.
fn line_end(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end + 1)
}

fn trimmed(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &bytes[range.clone()];
    let start = range.start + (text.len() - text.trim_ascii_start().len());
    let end = range.start + text.trim_ascii_end().len();
    start..end.max(start)
}

/// The value of a form or a query behind an equals sign, if it is a secret.
fn form(bytes: &[u8], equals: usize, hides: Hides<'_>) -> Option<Range<usize>> {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"&?;=\"'<>{},#".contains(byte);
    let from = equals.saturating_sub(BACK_MAX);
    let back = &bytes[from..equals];
    let name = &back[back.iter().rposition(is_end).map_or(0, |at| at + 1)..];
    if !hides(&percent_decoded(name)) {
        return None;
    }
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"&;\"'<>#".contains(byte);
    let value = &bytes[equals + 1..];
    let len = value.iter().position(is_end).unwrap_or(value.len());
    Some(equals + 1..equals + 1 + len)
}

fn percent_decoded(name: &[u8]) -> Cow<'_, str> {
    if !name.contains(&b'%') {
        return String::from_utf8_lossy(name);
    }
    let (mut decoded, mut rest) = (Vec::with_capacity(name.len()), name);
    while let [first, behind @ ..] = rest {
        let hex = |at: usize| char::from(*behind.get(at)?).to_digit(16);
        rest = behind;
        decoded.push(match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                rest = &behind[2..];
                u8::try_from(high * 16 + low).unwrap_or(b'?')
            }
            _ => *first,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// The value of JSON behind a colon, if it is a secret. Quotes before it are not counted, so that one too many elsewhere does no
/// harm; JSON in a string of JSON, whose quotes have backslashes before them, is found as well.
fn json(bytes: &[u8], colon: usize, hides: Hides<'_>) -> Option<Range<usize>> {
    let from = colon.saturating_sub(BACK_MAX);
    let before = bytes[from..colon].trim_ascii_end();
    let key = before.strip_suffix(b"\"")?;
    let key = &key[..key.len() - backslashes(key)];
    let key = &key[key
        .iter()
        .rposition(|byte| *byte == b'"')
        .map_or(0, |at| at + 1)..];
    if !hides(&unescaped(key)) {
        return None;
    }
    let value = &bytes[colon + 1..];
    let start = colon + 1 + (value.len() - value.trim_ascii_start().len());
    let value = &bytes[start..];
    let slashes = value.iter().take_while(|byte| **byte == b'\\').count();
    Some(match value.get(slashes) {
        Some(b'"') => {
            let start = start + slashes + 1;
            start..string_end(bytes, start, slashes)
        }
        Some(b'{' | b'[') if slashes == 0 => start..nested_end(bytes, start),
        _ => {
            let is_end = |byte: &u8| byte.is_ascii_whitespace() || b",}]\"\\".contains(byte);
            let len = value.iter().position(is_end).unwrap_or(value.len());
            start..start + len
        }
    })
}

/// How many backslashes end a text.
fn backslashes(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| **byte == b'\\').count()
}

/// Where a string ends whose opening quote had so many backslashes before it.
fn string_end(bytes: &[u8], start: usize, slashes: usize) -> usize {
    for at in memchr::memchr_iter(b'"', &bytes[start..]) {
        let before = backslashes(&bytes[start..start + at]);
        if before <= slashes {
            return start + at - before;
        }
    }
    bytes.len()
}

/// Where an object or an array ends.
fn nested_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at + 1, 0),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at = bytes.len().min(at + 1);
        if depth == 0 {
            break;
        }
    }
    at
}

fn unescaped(key: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(key);
    if !text.contains('\\') {
        return text;
    }
    let (mut plain, mut rest) = (String::new(), text.as_ref());
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let code = rest.strip_prefix('u').and_then(|hex| hex.get(..4));
        let code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        if let Some(c) = code.and_then(char::from_u32) {
            plain.push(c);
            rest = &rest[5..];
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// What is between the tag that ends here and the next, if it is a secret.
fn xml(bytes: &[u8], end: usize, hides: Hides<'_>) -> Option<Range<usize>> {
    let back = &bytes[end.saturating_sub(BACK_MAX)..end];
    let open = back.iter().rposition(|byte| *byte == b'<')?;
    let tag = &back[open + 1..];
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'/';
    let name = &tag[..tag.iter().position(is_end).unwrap_or(tag.len())];
    if tag.ends_with(b"/") || !hides(&String::from_utf8_lossy(name)) {
        return None;
    }
    let value = &bytes[end + 1..];
    let len = memchr::memchr(b'<', value).unwrap_or(value.len());
    Some(end + 1..end + 1 + len)
}

/// Parts of multipart/form-data.
fn multipart(bytes: &[u8], body: usize, hides: Hides<'_>, tell: Tell<'_>) {
    let mut at = body;
    while let Some(found) = memmem::find(&bytes[at..], b"name=\"") {
        let name = at + found + b"name=\"".len();
        let rest = &bytes[name..];
        at = name;
        let Some(len) = memchr::memchr(b'"', rest) else {
            return;
        };
        if !hides(&String::from_utf8_lossy(&rest[..len])) {
            continue;
        }
        let Some(blank) = memmem::find(rest, b"\r\n\r\n") else {
            return;
        };
        let value = name + blank + 4;
        let len = memmem::find(&bytes[value..], b"\r\n--").unwrap_or(bytes.len() - value);
        tell(value..value + len);
        at = value + len;
    }
}

/// Words of commands of Redis that are secrets.
fn redis(bytes: &[u8], tell: Tell<'_>) {
    let is_secret = |name: &[u8]| REDIS.iter().any(|one| name.eq_ignore_ascii_case(one));
    // A command in a line of its own.
    let name = bytes
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    if is_secret(name) {
        tell(trimmed(bytes, name.len()..line_end(bytes, 0)));
    }
    for at in memchr::memchr_iter(b'*', bytes) {
        // Commands follow each other, and responses are no commands: what looks like one is looked at.
        if at == 0 || bytes[at - 1] == b'\n' {
            redis_array(bytes, at, &is_secret, tell);
        }
    }
}

fn redis_array(bytes: &[u8], star: usize, is_secret: &dyn Fn(&[u8]) -> bool, tell: Tell<'_>) {
    let number = |at: usize| -> Option<(usize, usize)> {
        let end = line_end(bytes, at);
        let digits = core::str::from_utf8(bytes.get(at + 1..end)?.trim_ascii_end()).ok()?;
        Some((digits.parse().ok()?, end))
    };
    let Some((count, mut at)) = number(star) else {
        return;
    };
    let mut hides = false;
    for index in 0..count {
        let Some((len, start)) = number(at).filter(|_| bytes[at] == b'$') else {
            return;
        };
        let end = start.saturating_add(len).min(bytes.len());
        if index == 0 {
            hides = is_secret(&bytes[start..end]);
        } else if hides {
            tell(start..end);
        }
        at = end.saturating_add(2);
        if at >= bytes.len() || !hides {
            return;
        }
    }
}
