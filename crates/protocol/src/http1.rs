//! HTTP/1.0 and HTTP/1.1 (RFC 9112): requests and responses by their framing.
//!
//! | module | holds |
//! |---|---|
//! | `requests` | a client's side |
//! | `responses` | a server's side |
//! | `head` | where a head ends, and what it says of the body |
//! | `fields` | its fields by name, and lists in them |
//! | `target` | what is asked for |
//! | `body` | where a body ends |
//! | `judge` | which requests are copied |
//! | `rewritten` | a head as the target is to get it |
//!
//! It is strict, where servers are not all: lines end in CR LF, and a head that two readers could understand differently (a length and
//! a coding, two lengths, two hosts, a folded line) is malformed, so that nothing is smuggled past what judges it.

mod body;
mod fields;
mod head;
mod judge;
mod requests;
mod responses;
mod rewritten;
mod target;
#[cfg(test)]
mod tests;

pub use crate::expect::AwaitedHttp1 as Awaited;
pub use requests::Requests;
pub use responses::Responses;

/// Longest head of a request or a response, in bytes.
pub const HEAD_MAX: usize = 64 * 1024;
/// Most fields of a head.
pub const FIELDS_MAX: usize = 128;
/// Longest line of a chunk's size and its extensions, in bytes.
pub const CHUNK_LINE_MAX: usize = 4 * 1024;
/// Longest trailers behind the last chunk, in bytes.
pub const TRAILERS_MAX: usize = 16 * 1024;
/// Most responses that one reader awaits at once; with more it is lost.
pub const AWAITED_MAX: usize = 64 * 1024;
/// Longest method, in bytes, that a flow is taken for HTTP/1 with.
const METHOD_MAX: usize = 32;
/// Longest beginning of a first line, in bytes, that is waited for to tell what a flow speaks.
const LINE_MAX: usize = 8 * 1024;

/// Whether a flow that begins with `bytes` speaks HTTP/1; `None` where too little is there to tell.
///
/// It does where the first line that is not empty is a method, a target and `HTTP/1.0` or `HTTP/1.1`: RTSP, SIP, memcached
/// and the preface of HTTP/2 begin alike.
#[must_use]
pub fn looks_like(bytes: &[u8]) -> Option<bool> {
    let mut line = bytes;
    while let Some(rest) = line.strip_prefix(b"\r\n") {
        line = rest;
    }
    if line.is_empty() || line == b"\r" {
        return if bytes.len() > METHOD_MAX {
            Some(false)
        } else {
            None
        };
    }
    let within = &line[..line.len().min(METHOD_MAX + 1)];
    let method = match within.iter().position(|byte| !is_of_method(*byte)) {
        Some(0) => return Some(false),
        Some(at) if line[at] == b' ' => at,
        Some(_) => return Some(false),
        None if within.len() > METHOD_MAX => return Some(false),
        None => return None,
    };
    let rest = &line[method + 1..];
    match rest.iter().position(u8::is_ascii_control) {
        Some(end) if rest[end] == b'\r' => {
            let is_it = rest[..end].ends_with(b" HTTP/1.1") || rest[..end].ends_with(b" HTTP/1.0");
            Some(is_it)
        }
        Some(_) => Some(false),
        // So long a line is a target's; if it is none, the reader will say so.
        None if rest.len() > LINE_MAX => Some(true),
        None => None,
    }
}

/// Methods are words in capitals; what is registered has no more than a hyphen besides.
fn is_of_method(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_' | b'0'..=b'9')
}
