//! What the digests of a worker have in common: the key, the chosen headers, the names of fields, how many bodies are being decoded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::content::DECODERS_MAX;
use super::hash::Key;
use super::paths::Paths;

/// Most headers that are compared.
pub const HEADERS_MAX: usize = 32;
/// Longest name of one, in bytes.
const HEADER_LEN_MAX: usize = 64;

/// The headers that are compared where nobody says.
///
/// Those that tell a client what to do with the response. Not among them is what two equal servers say differently: `date`, `age`,
/// `expires` and `last-modified` tell the time, `etag` is made of file times and inodes by common servers (nginx, Apache) and follows
/// from the body otherwise, `server`, `via` and `x-request-id` name who answered, `set-cookie` has a session, and lengths and codings
/// of the transfer are compared as such. Whoever wants one of them names it.
pub const HEADERS: [&str; 10] = [
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "location",
    "cache-control",
    "vary",
    "allow",
    "www-authenticate",
    "access-control-allow-origin",
];

/// The names of the headers that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers(Vec<String>);

/// Headers that cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadersError {
    /// A name is none.
    #[error("{} is no name of a header; write one like content-type", .0.escape_debug())]
    NoName(String),
    /// There are more than [`HEADERS_MAX`].
    #[error("at most {HEADERS_MAX} headers are compared; name fewer")]
    TooMany,
}

impl Default for Headers {
    fn default() -> Self {
        Self(HEADERS.map(str::to_owned).to_vec())
    }
}

impl Headers {
    /// These, whatever case they are written in; each counts once.
    ///
    /// # Errors
    ///
    /// [`HeadersError`], where a name is none (RFC 9110, section 5.1) or there are too many.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, HeadersError> {
        let mut list: Vec<String> = Vec::new();
        for name in names {
            let is_token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || name.len() > HEADER_LEN_MAX || !name.bytes().all(is_token) {
                return Err(HeadersError::NoName(name.to_owned()));
            }
            let name = name.to_ascii_lowercase();
            if !list.contains(&name) {
                list.push(name);
            }
        }
        if list.len() > HEADERS_MAX {
            return Err(HeadersError::TooMany);
        }
        Ok(Self(list))
    }

    /// The name at a place, in lower case.
    #[must_use]
    pub fn name(&self, place: u8) -> &str {
        self.0.get(usize::from(place)).map_or("?", String::as_str)
    }

    /// The place of a name, if it is compared.
    pub(super) fn place(&self, name: &[u8]) -> Option<u8> {
        let is_it = |known: &String| known.as_bytes().eq_ignore_ascii_case(name);
        let place = self.0.iter().position(is_it)?;
        u8::try_from(place).ok()
    }
}

/// What the digests of a worker have in common. Digests of different workers cannot be compared: their paths have other numbers.
#[derive(Debug)]
pub struct Digests {
    key: Key,
    headers: Headers,
    paths: Mutex<Paths>,
    decoders: AtomicUsize,
}

impl Digests {
    /// Nothing known yet.
    #[must_use]
    pub fn new(key: Key, headers: Headers) -> Self {
        Self {
            key,
            headers,
            paths: Mutex::new(Paths::new(key)),
            decoders: AtomicUsize::new(0),
        }
    }

    /// The headers that are compared.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The names of fields. Nobody holds them for longer than it takes to read one piece of a body.
    pub fn paths(&self) -> MutexGuard<'_, Paths> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn key(&self) -> Key {
        self.key
    }

    /// Whether one more body may be decoded; then [`Digests::decoder_gone`] follows.
    pub(super) fn may_decode(&self) -> bool {
        let before = self.decoders.fetch_add(1, Ordering::Relaxed);
        if before >= DECODERS_MAX {
            self.decoder_gone();
        }
        before < DECODERS_MAX
    }

    pub(super) fn decoder_gone(&self) {
        self.decoders.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADERS, HEADERS_MAX, Headers, HeadersError};

    #[test]
    fn names_of_headers_are_checked() {
        let headers = Headers::new(["ETag", "x-version", "etag"]).unwrap();
        assert_eq!(
            (headers.name(0), headers.name(1), headers.name(2)),
            ("etag", "x-version", "?")
        );
        assert_eq!(headers.place(b"X-VERSION"), Some(1));
        assert_eq!(headers.place(b"x"), None);
        assert_eq!(Headers::new(HEADERS).unwrap(), Headers::default());
        for name in ["", "a b", "a:", "ä", &"x".repeat(65)] {
            assert!(
                matches!(Headers::new([name]), Err(HeadersError::NoName(_))),
                "{name}"
            );
        }
        let many: Vec<String> = (0..=HEADERS_MAX).map(|n| format!("x-{n}")).collect();
        let many = Headers::new(many.iter().map(String::as_str));
        assert_eq!(many, Err(HeadersError::TooMany));
        assert!(HeadersError::TooMany.to_string().contains("at most 32"));
    }
}
