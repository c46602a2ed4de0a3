//! Requests of the service: parsed from bytes, answered as bytes.

use std::io::Write;
use std::time::Duration;

use crate::digest::Digest;

/// Longest request head, in bytes.
const HEAD_LEN_MAX: usize = 16 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// Largest response body that a path may ask for, in bytes.
const SIZE_MAX: usize = 64 << 20;

/// A request whose head is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// From `?id=` or `X-Request-Id`, hexadecimal; 0 where there is none.
    pub(super) id: u64,
    /// Length of the response body that the path asks for (`/1000`), in bytes.
    pub(super) size: Option<usize>,
    /// From `?delay=`, in milliseconds.
    pub(super) delay: Option<Duration>,
    /// Whether the connection ends with the response.
    pub(super) close: bool,
    /// Length of the request's body, in bytes.
    pub(super) body_len: u64,
    /// Whether the client waits for "100 Continue".
    pub(super) expects: bool,
}

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A request, and the length of its head.
    Request(Request, usize),
    /// More bytes are needed.
    Partial,
    /// Nothing that this service understands.
    Bad,
}

/// Parses the head of a request.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_LEN_MAX => return Parsed::Partial,
        _ => return Parsed::Bad,
    };
    let (path, query) = head
        .path
        .and_then(|path| path.split_once('?'))
        .unwrap_or((head.path.unwrap_or("/"), ""));
    let argument = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let mut request = Request {
        id: argument("id").map_or(0, hexadecimal),
        size: path
            .trim_start_matches('/')
            .parse()
            .ok()
            .map(|size: usize| size.min(SIZE_MAX)),
        delay: argument("delay")
            .and_then(|text| text.parse().ok())
            .map(Duration::from_millis),
        close: head.version == Some(0),
        body_len: 0,
        expects: false,
    };
    for header in head.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or("").trim();
        match header.name {
            name if name.eq_ignore_ascii_case("content-length") => match value.parse() {
                Ok(length) => request.body_len = length,
                Err(_) => return Parsed::Bad,
            },
            name if name.eq_ignore_ascii_case("transfer-encoding") => return Parsed::Bad,
            name if name.eq_ignore_ascii_case("connection") => {
                request.close = value.eq_ignore_ascii_case("close")
                    || (request.close && !value.eq_ignore_ascii_case("keep-alive"));
            }
            name if name.eq_ignore_ascii_case("x-request-id") => request.id = hexadecimal(value),
            name if name.eq_ignore_ascii_case("expect") => request.expects = true,
            _ => {}
        }
    }
    Parsed::Request(request, length)
}

/// The status of a response.
pub(super) const OK: &str = "200 OK";
/// The status of one that was planted to fail.
pub(super) const FAILED: &str = "500 Internal Server Error";

/// Appends the response to a request, whose body had this digest.
pub(super) fn respond(
    output: &mut Vec<u8>,
    status: &str,
    request: &Request,
    size: usize,
    digest: Digest,
) {
    let connection = if request.close { "close" } else { "keep-alive" };
    output.extend_from_slice(b"HTTP/1.1 ");
    output.extend_from_slice(status.as_bytes());
    output.extend_from_slice(b"\r\nServer: lab\r\nContent-Type: text/plain\r\n");
    // Writing into a vector cannot fail.
    let _ = write!(output, "X-Request-Id: {:016x}\r\n", request.id);
    if request.body_len > 0 {
        let _ = write!(output, "X-Body-Digest: {:016x}\r\n", digest.value());
    }
    let _ = write!(
        output,
        "Content-Length: {size}\r\nConnection: {connection}\r\n\r\n"
    );
    output.resize(output.len() + size, b'x');
}

/// Up to 16 hexadecimal digits; 0 for anything else.
fn hexadecimal(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{OK, Parsed, Request, parse, respond};
    use crate::digest::Digest;
    use std::time::Duration;

    const PLAIN: Request = Request {
        id: 0,
        size: None,
        delay: None,
        close: false,
        body_len: 0,
        expects: false,
    };

    #[test]
    fn what_a_request_asks_for_is_read() {
        let cases: [(&str, Parsed); 7] = [
            ("GET / HTTP/1.1\r\n\r\n", Parsed::Request(PLAIN, 18)),
            ("GET /7?id=1f&delay=30 HTTP/1.1\r\n\r\n", {
                Parsed::Request(
                    Request {
                        id: 0x1f,
                        size: Some(7),
                        delay: Some(Duration::from_millis(30)),
                        ..PLAIN
                    },
                    34,
                )
            }),
            (
                "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
                Parsed::Request(
                    Request {
                        close: true,
                        ..PLAIN
                    },
                    37,
                ),
            ),
            (
                "GET / HTTP/1.0\r\n\r\n",
                Parsed::Request(
                    Request {
                        close: true,
                        ..PLAIN
                    },
                    18,
                ),
            ),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", {
                Parsed::Request(
                    Request {
                        body_len: 5,
                        ..PLAIN
                    },
                    38,
                )
            }),
            ("GET / HTTP/1.1\r\nHo", Parsed::Partial),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Parsed::Bad,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(parse(b"\x16\x03\x01\x02\x00"), Parsed::Bad);
        assert_eq!(parse(&[b'A'; 20_000]), Parsed::Bad);
    }

    #[test]
    fn a_response_has_the_length_that_it_says() {
        let mut output = Vec::new();
        respond(
            &mut output,
            OK,
            &Request { id: 5, ..PLAIN },
            3,
            Digest::new(),
        );
        let text = String::from_utf8(output).unwrap();
        assert!(text.contains("X-Request-Id: 0000000000000005\r\n"));
        assert!(text.contains("Content-Length: 3\r\n"));
        assert!(text.ends_with("\r\n\r\nxxx"));
    }
}
