//! Responses as the clients of the load read them.

/// Longest response head, in bytes.
const HEAD_LEN_MAX: usize = 16 * 1024;
/// Most headers of a response.
const HEADERS_MAX: usize = 64;

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Length of the body, in bytes.
    pub(super) length: u64,
    /// Whether the server closes the connection.
    pub(super) close: bool,
    /// The id that the server says it answers, if it says one.
    pub(super) id: Option<u64>,
    /// The digest of the request's body that the server says it got, if it says one.
    pub(super) digest: Option<u64>,
}

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A head and its length.
    Head(Head, usize),
    /// More bytes are needed.
    Partial,
    /// No response with a known length.
    Bad,
}

/// Parses the head of a response; "100 Continue" is skipped.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_LEN_MAX => return Parsed::Partial,
        _ => return Parsed::Bad,
    };
    let status = response.code.unwrap_or(0);
    if status == 100 {
        return match parse(&bytes[length..]) {
            Parsed::Head(head, rest) => Parsed::Head(head, length + rest),
            other => other,
        };
    }
    let (mut body, mut close, mut id, mut digest) = (None, false, None, None);
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or("").trim();
        match header.name {
            name if name.eq_ignore_ascii_case("content-length") => {
                body = value.parse().ok();
            }
            name if name.eq_ignore_ascii_case("connection") => {
                close = value.eq_ignore_ascii_case("close");
            }
            name if name.eq_ignore_ascii_case("x-request-id") => {
                id = u64::from_str_radix(value, 16).ok();
            }
            name if name.eq_ignore_ascii_case("x-body-digest") => {
                digest = u64::from_str_radix(value, 16).ok();
            }
            _ => {}
        }
    }
    match body {
        Some(body) => Parsed::Head(
            Head {
                status,
                length: body,
                close,
                id,
                digest,
            },
            length,
        ),
        None => Parsed::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, Parsed, parse};

    #[test]
    fn a_response_is_read() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Request-Id: 1f\r\nConnection: close\r\n\r\nabc";
        let head = Head {
            status: 200,
            length: 3,
            close: true,
            id: Some(0x1f),
            digest: None,
        };
        assert_eq!(parse(text.as_bytes()), Parsed::Head(head, text.len() - 3));
        let continued = format!("HTTP/1.1 100 Continue\r\n\r\n{text}");
        assert_eq!(
            parse(continued.as_bytes()),
            Parsed::Head(head, continued.len() - 3)
        );
        assert_eq!(parse(&text.as_bytes()[..30]), Parsed::Partial);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n"), Parsed::Bad);
        assert_eq!(parse(b"SSH-2.0-x\r\n"), Parsed::Bad);
    }
}
