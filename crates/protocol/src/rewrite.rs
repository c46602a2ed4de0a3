//! What is changed of requests on their way to the target: `--set-header`, `--host`, `--rewrite-path` and `--mark-header`.
//!
//! What decides where a request ends, or whether a connection goes on, is never changed: a rewritten head is followed by the same
//! body. So it is refused where it is read, as is whatever could end a line.

use core::str::FromStr;

/// Longest text of one change, in bytes.
pub const CHANGE_MAX: usize = 4096;
/// The field that marks a copy where no other is asked for.
pub const MARK: (&str, &str) = ("X-Tcpcopy", "1");
/// Fields that belong to the connection or to the framing.
const FIXED: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "host",
];

/// All that is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewriting {
    /// Fields that take the place of those with the same name, or are added, in this order (`--set-header`).
    pub headers: Vec<SetHeader>,
    /// The host that is asked for (`--host`).
    pub host: Option<Host>,
    /// Beginnings of paths: the first that fits is replaced (`--rewrite-path`).
    pub paths: Vec<RewritePath>,
    /// The field that tells the target a copy from a client (`--mark-header`).
    pub mark: Option<Mark>,
}

impl Rewriting {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Fields to be set, the mark last.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &SetHeader> {
        self.headers
            .iter()
            .chain(self.mark.as_ref().map(|mark| &mark.0))
    }

    /// The path with its beginning replaced; `None` where none fits.
    pub(crate) fn path(&self, path: &str) -> Option<String> {
        self.paths.iter().find_map(|rewrite| {
            let rest = path.strip_prefix(&rewrite.from)?;
            Some(format!("{}{rest}", rewrite.to))
        })
    }
}

/// `Name: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetHeader {
    name: String,
    value: String,
}

impl SetHeader {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }
}

/// `NAME` or `NAME:PORT`, of which the name may be an address, one of IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `FROM=TO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewritePath {
    from: String,
    to: String,
}

/// `NAME`, `NAME: VALUE` or nothing, for [`MARK`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(SetHeader);

/// What is wrong with a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is longer than [`CHANGE_MAX`].
    #[error("it is longer than {CHANGE_MAX} bytes")]
    TooLong,
    /// There is no colon.
    #[error("'{0}' has no colon: a header is written 'Name: value'")]
    NoColon(String),
    /// A name that no field can have.
    #[error("'{0}' is no name of a header: letters, digits and -")]
    Name(String),
    /// A field that decides where a request ends, or about the connection.
    #[error(
        "{0} is left as it is: it belongs to the connection, or says where the request ends{hint}",
        hint = if .0.eq_ignore_ascii_case("host") { "; --host sets the host" } else { "" }
    )]
    Fixed(String),
    /// A value with a sign that would end the line.
    #[error("the value of {0} has a sign that may not stand in a header: it is one line")]
    Value(String),
    /// No host.
    #[error("'{0}' is no host: NAME or NAME:PORT, an IPv6 address in brackets")]
    Host(String),
    /// No two paths.
    #[error(
        "'{0}' is not FROM=TO: two beginnings of paths, of which each begins with a slash, as in /v1/=/v2/"
    )]
    Paths(String),
    /// A path with something that may not stand in one.
    #[error("'{0}' is no path: it has a blank, a '?', a '#' or a sign that must be written as %XX")]
    Path(String),
}

impl FromStr for SetHeader {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| Wrong::NoColon(text.to_owned()))?;
        set_header(name, value)
    }
}

fn set_header(name: &str, value: &str) -> Result<SetHeader, Wrong> {
    let value = value.trim_matches([' ', '\t']);
    if name.len() + value.len() > CHANGE_MAX {
        return Err(Wrong::TooLong);
    }
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_of_token) {
        return Err(Wrong::Name(name.to_owned()));
    }
    if FIXED.iter().any(|fixed| name.eq_ignore_ascii_case(fixed)) {
        return Err(Wrong::Fixed(name.to_owned()));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Wrong::Value(name.to_owned()));
    }
    Ok(SetHeader {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

impl FromStr for Host {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let wrong = || Wrong::Host(text.to_owned());
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, behind) = rest.split_once(']').ok_or_else(wrong)?;
                let _: core::net::Ipv6Addr = address.parse().map_err(|_| wrong())?;
                let port = match behind {
                    "" => None,
                    _ => Some(behind.strip_prefix(':').ok_or_else(wrong)?),
                };
                ("", port)
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
        let is_bare = !text.starts_with('[');
        if text.len() > CHANGE_MAX || is_bare && (name.is_empty() || !name.bytes().all(is_of_name))
        {
            return Err(wrong());
        }
        let is_port = |port: &str| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        };
        if port.is_some_and(|port| !is_port(port)) {
            return Err(wrong());
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for RewritePath {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if text.len() > CHANGE_MAX {
            return Err(Wrong::TooLong);
        }
        let wrong = || Wrong::Paths(text.to_owned());
        // An equals sign may stand in a path as well; what is replaced by begins with a slash.
        let at = text.find("=/").ok_or_else(wrong)?;
        let (from, to) = (&text[..at], &text[at + 1..]);
        if !from.starts_with('/') {
            return Err(wrong());
        }
        for path in [from, to] {
            if path
                .bytes()
                .any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#'))
            {
                return Err(Wrong::Path(path.to_owned()));
            }
        }
        Ok(Self {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }
}

impl FromStr for Mark {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text.split_once(':') {
            Some((name, value)) => set_header(name, value),
            None if text.is_empty() => set_header(MARK.0, MARK.1),
            None => set_header(text, MARK.1),
        }
        .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::{CHANGE_MAX, Host, Mark, RewritePath, Rewriting, SetHeader, Wrong};

    #[test]
    fn headers() {
        let header: SetHeader = "X-A:  b c\t".parse().expect("a header");
        assert_eq!((header.name(), header.value()), ("X-A", "b c"));
        let empty: SetHeader = "X-A:".parse().expect("a header");
        assert_eq!(empty.value(), "");
        for (text, words) in [
            ("X-A", "has no colon"),
            (": a", "'' is no name"),
            ("X A: b", "'X A' is no name"),
            ("X\r\nB: c", "is no name"),
            ("X-A: b\r\nContent-Length: 5", "is one line"),
            ("X-A: b\0", "is one line"),
            ("X-A: b\u{85}c", "is one line"),
            ("content-length: 5", "says where the request ends"),
            ("Transfer-Encoding: chunked", "says where the request ends"),
            ("Connection: close", "belongs to the connection"),
            ("Host: a", "--host sets the host"),
        ] {
            let wrong = text.parse::<SetHeader>().expect_err(text);
            assert!(wrong.to_string().contains(words), "{text}: {wrong}");
        }
        let long = format!("X: {}", "a".repeat(CHANGE_MAX));
        assert_eq!(long.parse::<SetHeader>(), Err(Wrong::TooLong));
    }

    #[test]
    fn marks() {
        let mark = |text: &str| {
            let Mark(header) = text.parse().expect("a mark");
            format!("{}: {}", header.name(), header.value())
        };
        assert_eq!(mark(""), "X-Tcpcopy: 1");
        assert_eq!(mark("Shadow"), "Shadow: 1");
        assert_eq!(mark("Shadow: yes"), "Shadow: yes");
        assert!("Upgrade".parse::<Mark>().is_err());
        assert!("a b".parse::<Mark>().is_err());
    }

    #[test]
    fn hosts() {
        for right in [
            "a",
            "a.example.com:8080",
            "192.0.2.1",
            "[2001:db8::1]",
            "[::1]:80",
        ] {
            assert_eq!(right.parse::<Host>().expect(right).as_str(), right);
        }
        for wrong in [
            "",
            "a b",
            "a/b",
            "http://a",
            "a:",
            "a:b",
            "a:99999",
            "a:+80",
            "::1",
            "[::1",
            "[a]",
            "[::1]80",
            "a\r\nX: y",
            "a@b",
        ] {
            assert_eq!(wrong.parse::<Host>(), Err(Wrong::Host(wrong.to_owned())));
        }
    }

    #[test]
    fn paths() {
        let paths = ["/v1/=/v2/", "/a=b=/c", "/=/d/"];
        let rewriting = Rewriting {
            paths: paths.map(|path| path.parse().expect(path)).to_vec(),
            ..Rewriting::default()
        };
        let path = |path| rewriting.path(path);
        assert_eq!(path("/v1/x").as_deref(), Some("/v2/x"));
        assert_eq!(path("/a=b").as_deref(), Some("/c"));
        assert_eq!(path("/x").as_deref(), Some("/d/x"));
        assert_eq!(path("*"), None);
        for (text, words) in [
            ("", "is not FROM=TO"),
            ("/a", "is not FROM=TO"),
            ("a=/b", "is not FROM=TO"),
            ("/a=b", "is not FROM=TO"),
            ("/a?b=/c", "'/a?b' is no path"),
            ("/a=/b c", "'/b c' is no path"),
            ("/a=/b\r\nX: y", "is no path"),
            ("/a=/\u{e9}", "is no path"),
        ] {
            let wrong = text.parse::<RewritePath>().expect_err(text);
            assert!(wrong.to_string().contains(words), "{text}: {wrong}");
        }
    }
}
