//! Requests of the load as bytes.

use std::io::Write;

use super::{Closer, Options};
use crate::digest::Digest;

/// The first bytes of a body: they differ from request to request, so that mixed-up bodies are found.
fn body_start(id: u64) -> [u8; 16] {
    let mut start = [0; 16];
    for (index, byte) in start.iter_mut().enumerate() {
        let digit = u8::try_from(id >> (60 - 4 * index) & 15).unwrap_or(0);
        *byte = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
    }
    start
}

/// The digest of the body that [`write`] writes for this id.
pub(super) fn body_digest(id: u64, filler: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.update(&body_start(id)[..filler.len().min(16)]);
    digest.update(filler.get(16..).unwrap_or_default());
    digest.value()
}

/// Appends a request; a `filler` that is not empty makes it a POST.
pub(super) fn write(output: &mut Vec<u8>, options: &Options, id: u64, filler: &[u8]) {
    let method = if filler.is_empty() { "GET" } else { "POST" };
    let separator = if options.path.contains('?') { '&' } else { '?' };
    // Writing into a vector cannot fail.
    let _ = write!(
        output,
        "{method} {}{separator}id={id:016x} HTTP/1.1\r\nHost: lab\r\n",
        options.path
    );
    if options.short == Some(Closer::Server) {
        output.extend_from_slice(b"Connection: close\r\n");
    }
    if !filler.is_empty() {
        let _ = write!(output, "Content-Length: {}\r\n", filler.len());
    }
    output.extend_from_slice(b"\r\n");
    let start = output.len();
    output.extend_from_slice(filler);
    let marked = filler.len().min(16);
    output[start..start + marked].copy_from_slice(&body_start(id)[..marked]);
}

/// An id that no other load of this machine has: 24 bits of process and time, 40 bits to count.
pub(super) fn fresh_id() -> u64 {
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_millis());
    let mixed = (u64::from(std::process::id()) << 32 ^ u64::try_from(time).unwrap_or(0))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed >> 40 << 40 | 1
}
