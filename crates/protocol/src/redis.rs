//! Redis: RESP2 and RESP3, and commands in a line of their own.
//!
//! | module | holds |
//! |---|---|
//! | `requests` | a client's side |
//! | `message` | what is known of a command while it comes |
//! | `judge` | which commands are copied, and what is answered to them |
//! | [`commands`] | the commands that there are, and which of them only read |
//! | `responses` | a server's side |
//! | `value` | where a value of RESP ends |
//! | [`login`] | AUTH and SELECT at the target |
//!
//! It is as strict as Redis is about numbers, and stricter about line ends. Strings pass by and are not held, but for a command's name and its
//! first key.

pub mod commands;
mod joining;
mod judge;
pub mod login;
mod message;
mod requests;
mod responses;
#[cfg(test)]
mod tests;
mod value;

pub use crate::expect::AwaitedRedis as Awaited;
pub(crate) use joining::Watch;
pub use requests::Requests;
pub use responses::Responses;

/// Longest command in a line of its own, in bytes, as in Redis.
pub const INLINE_MAX: usize = 64 * 1024;
/// Most bytes of a command that are held until it is known what it is.
pub const HELD_MAX: usize = 64 * 1024;
/// Most words of a command.
pub const WORDS_MAX: u64 = 1024 * 1024;
/// Longest word of a command, in bytes: Redis takes 512 MiB, where it is not told otherwise.
pub const WORD_MAX: u64 = 16 << 30;
/// Longest line in a response, in bytes.
pub const LINE_MAX: usize = 64 * 1024;
/// How deep values stand in each other, at most.
pub const NESTING_MAX: usize = 128;
/// How often what is awaited may change among the responses that are awaited at once; with more a reader is lost.
pub const AWAITED_MAX: usize = 64 * 1024;
/// Longest line of a number, in bytes, its end included.
const NUMBER_MAX: usize = 24;

/// Whether a flow that begins with `bytes` speaks Redis; `None` where too little is there to tell.
///
/// It does where it begins with an array of strings the first of which begins with a letter. Commands in lines of their own look like anything.
#[must_use]
pub fn looks_like(bytes: &[u8]) -> Option<bool> {
    let mut rest = bytes;
    for mark in *b"*$" {
        match rest.split_first() {
            None => return None,
            Some((first, _)) if *first != mark => return Some(false),
            Some((_, behind)) => rest = behind,
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 7 || rest.first() == Some(&b'0') {
            return Some(false);
        }
        rest = &rest[digits..];
        match rest {
            [] | [b'\r'] if digits > 0 || rest.is_empty() => return None,
            [b'\r', b'\n', behind @ ..] if digits > 0 => rest = behind,
            _ => return Some(false),
        }
    }
    rest.first().map(u8::is_ascii_alphabetic)
}

/// A command as an array of strings.
pub(crate) fn array<'a>(
    words: impl IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
) -> Vec<u8> {
    let words = words.into_iter();
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A whole number as Redis reads it: without a plus, and without zeros that do not count.
fn number(digits: &[u8]) -> Option<i64> {
    let text = core::str::from_utf8(digits).ok()?;
    let plain = text.strip_prefix('-').unwrap_or(text);
    let is_plain = plain.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = text == "0" || !plain.is_empty() && !plain.starts_with('0');
    (is_plain && is_short).then(|| text.parse().ok())?
}
