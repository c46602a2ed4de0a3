//! What a response says of itself, told by its first bytes alone: the status code of HTTP/1, the type of a Redis reply.
//!
//! The bytes are a server's, cut off anywhere, and may be anything. What is not clearly one of these is [`Status::Other`].

use std::fmt::{self, Display, Formatter};

/// What a response says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A status line of HTTP/1 with this code, 100 to 599.
    Http(u16),
    /// A reply of Redis (RESP 2 and 3), or the first of several.
    Redis(Redis),
    /// Another protocol, or too little to tell.
    Other,
    /// There is no response.
    Silent,
}

/// The type of a Redis reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redis {
    /// A simple string: `+OK`, `+PONG`.
    Ok,
    /// An error: `-ERR`, `-WRONGTYPE`, `-MOVED`.
    Error,
    /// There is no value.
    Nil,
    /// A value: a number, a string, an array.
    Value,
}

impl Status {
    /// Of a response that begins with these bytes.
    #[must_use]
    pub fn of(prefix: &[u8]) -> Self {
        http(prefix)
            .map(Self::Http)
            .or_else(|| redis(prefix).map(Self::Redis))
            .unwrap_or(Self::Other)
    }

    /// Its class, an index into [`CLASSES`].
    #[must_use]
    pub fn class(self) -> usize {
        match self {
            Self::Http(code) => usize::from(code / 100).clamp(1, 5) - 1,
            Self::Redis(Redis::Ok) => 5,
            Self::Redis(Redis::Error) => 6,
            Self::Redis(Redis::Nil) => 7,
            Self::Redis(Redis::Value) => 8,
            Self::Other => 9,
            Self::Silent => 10,
        }
    }
}

/// The names of all classes.
pub const CLASSES: [&str; 11] = [
    "http 1xx",
    "http 2xx",
    "http 3xx",
    "http 4xx",
    "http 5xx",
    "redis ok",
    "redis error",
    "redis nil",
    "redis value",
    "other",
    "silent",
];

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(code) => write!(f, "http {code}"),
            _ => f.write_str(CLASSES.get(self.class()).unwrap_or(&"other")),
        }
    }
}

/// The code of a status line (RFC 9112 section 4); the reason may be missing, and need not be there yet.
fn http(prefix: &[u8]) -> Option<u16> {
    let line = prefix.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', code @ ..] = line else {
        return None;
    };
    let (code, rest) = code.split_at_checked(3)?;
    if !matches!(rest, [] | [b' ' | b'\r' | b'\n', ..]) {
        return None;
    }
    number(code).filter(|code| (100..600).contains(code))
}

fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit as u16)
    })
}

/// The first line of a reply: its type, then what the type says, then CR LF, unless it is cut off before.
fn redis(prefix: &[u8]) -> Option<Redis> {
    let (kind, rest) = prefix.split_first()?;
    let end = rest.windows(2).position(|two| two == b"\r\n");
    let is_ended = end.is_some();
    let line = rest.get(..end.unwrap_or(rest.len()))?;
    // A line that is cut off may have lost the LF alone.
    let line = if is_ended {
        line
    } else {
        line.strip_suffix(b"\r").unwrap_or(line)
    };
    let is_number = || {
        let digits = line.strip_prefix(b"-").unwrap_or(line);
        !digits.is_empty() && digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit)
    };
    let is_length = || !line.starts_with(b"-") && is_number();
    let is_text = || {
        line.first().is_some_and(u8::is_ascii_alphabetic) && !line.iter().any(u8::is_ascii_control)
    };
    match kind {
        b'+' if is_text() => Some(Redis::Ok),
        b'-' if is_text() => Some(Redis::Error),
        b'!' if is_length() => Some(Redis::Error),
        b'$' | b'*' if is_ended && line == b"-1" => Some(Redis::Nil),
        b'_' if is_ended && line.is_empty() => Some(Redis::Nil),
        b'$' | b'*' | b'=' | b'%' | b'~' | b'>' if is_length() => Some(Redis::Value),
        b':' | b'(' if is_number() => Some(Redis::Value),
        b'#' if is_ended && matches!(line, b"t" | b"f") => Some(Redis::Value),
        b',' if is_ended && is_float(line) => Some(Redis::Value),
        _ => None,
    }
}

fn is_float(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| line.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

    use super::{CLASSES, Redis, Status};

    #[test]
    fn what_is_clear_is_told() {
        for (prefix, status) in [
            (&b"HTTP/1.1 200 OK\r\nServer"[..], "http 200"),
            (b"HTTP/1.0 404", "http 404"),
            (b"HTTP/1.1 500\r\n", "http 500"),
            (b"HTTP/1.1 100 Continue", "http 100"),
            (b"HTTP/1.1 20", "other"),
            (b"HTTP/1.1 2000", "other"),
            (b"HTTP/1.1 099 x", "other"),
            (b"HTTP/1.1 600 x", "other"),
            (b"HTTP/2 200 OK", "other"),
            (b"http/1.1 200 OK", "other"),
            (b"+OK\r\n", "redis ok"),
            (b"+PONG\r", "redis ok"),
            (b"-ERR unknown comm", "redis error"),
            (b"-WRONGTYPE Operation\r\n", "redis error"),
            (b"!21\r\nSYNTAX invalid", "redis error"),
            (b"$-1\r\n", "redis nil"),
            (b"*-1\r\n", "redis nil"),
            (b"_\r\n", "redis nil"),
            (b"$-1", "other"),
            (b"$5\r\nhello\r\n", "redis value"),
            (b"$0\r\n\r\n", "redis value"),
            (b":-17\r\n", "redis value"),
            (b"*2\r\n$3\r\nfoo\r\n", "redis value"),
            (b"%1\r\n+a\r\n", "redis value"),
            (b"#t\r\n", "redis value"),
            (b",3.14\r\n", "redis value"),
            (b"+\r\n", "other"),
            (b"+", "other"),
            (b"-\xff\xfe", "other"),
            (b"+A\x01\r\n", "other"),
            (b"$abc\r\n", "other"),
            (b"---\r\n", "other"),
            (b"", "other"),
            (b"\x1f\x8b\x08\x00", "other"),
        ] {
            assert_eq!(Status::of(prefix).to_string(), status, "{prefix:?}");
        }
    }

    #[test]
    fn each_class_has_a_name_of_its_own() {
        let all = (100..600)
            .map(Status::Http)
            .chain([Redis::Ok, Redis::Error, Redis::Nil, Redis::Value].map(Status::Redis));
        let mut seen = [false; CLASSES.len()];
        for status in all.chain([Status::Other, Status::Silent]) {
            seen[status.class()] = true;
        }
        assert_eq!(seen, [true; CLASSES.len()]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against another house's parser, on what looks like HTTP: what we call a status, it calls that as well.
        #[test]
        fn http_is_what_httparse_takes_it_for(version in "HTTP/1\\.[01]", code in 100u16..600, reason in "[ -~]{0,20}", cut in 0usize..60) {
            let line = format!("{version} {code} {reason}\r\nDate: now\r\n\r\n");
            let prefix = &line.as_bytes()[..cut.min(line.len())];
            let mut headers = [httparse::EMPTY_HEADER; 4];
            let mut response = httparse::Response::new(&mut headers);
            let parsed = response.parse(prefix);
            prop_assert!(parsed.is_ok());
            let ours = Status::of(prefix);
            match response.code {
                Some(theirs) => prop_assert_eq!(ours, Status::Http(theirs)),
                // It waits for what follows the code.
                None => prop_assert!(matches!(ours, Status::Other | Status::Http(_)) && prefix.len() <= 12),
            }
        }

        /// Whatever a server says, there is one answer, in the classes, and more bytes of a status do not change it.
        #[test]
        fn anything_has_a_class(bytes in vec(any::<u8>(), 0..130), start in 0usize..12) {
            let starts: [&[u8]; 12] = [b"", b"HTTP/1.1 ", b"HTTP/1.1 200", b"+", b"-", b"$", b"*", b":", b"_", b"!", b",", b"#"];
            let prefix = [starts[start], &bytes].concat();
            prop_assert!(Status::of(&prefix).class() < CLASSES.len());
        }

        /// Redis' own replies are told, wherever behind their first line they are cut.
        #[test]
        fn replies_of_redis_are_told(text in "[A-Z]{1,8}( [a-z' ]{0,20})?", number in any::<i64>(), body in vec(any::<u8>(), 0..100), extra in 0usize..100) {
            let len = body.len();
            let bulk = [format!("${len}\r\n").as_bytes(), &body, b"\r\n"].concat();
            for (reply, kind) in [
                (format!("+{text}\r\n").into_bytes(), Redis::Ok),
                (format!("-{text}\r\n").into_bytes(), Redis::Error),
                (format!(":{number}\r\n").into_bytes(), Redis::Value),
                (b"$-1\r\n".to_vec(), Redis::Nil),
                (bulk, Redis::Value),
            ] {
                let line = reply.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
                let cut = (line + extra).min(reply.len());
                prop_assert_eq!(Status::of(&reply[..cut]), Status::Redis(kind), "{:?}", &reply[..cut]);
            }
        }
    }
}
