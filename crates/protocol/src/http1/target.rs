//! What is asked for, by the forms of RFC 9112, section 3.2.

/// A request's target in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'b> {
    /// `http://` and the like, where a proxy is asked.
    pub(super) scheme: &'b str,
    /// The authority of such a target, or of CONNECT.
    pub(super) authority: Option<&'b str>,
    /// The path, as it is written; empty where there is none, and `*` where all of the server is meant.
    pub(super) path: &'b str,
    /// What is behind the question mark.
    pub(super) query: Option<&'b str>,
}

impl<'b> Target<'b> {
    /// Reads the target of a request of this method; `None` where it has none of the forms.
    pub(super) fn read(method: &str, text: &'b str) -> Option<Self> {
        if method == "CONNECT" {
            let is_authority = !text.contains(['/', '?', '#', '@']) && text.contains(':');
            return is_authority.then_some(Self {
                scheme: "",
                authority: Some(text),
                path: "",
                query: None,
            });
        }
        if text.starts_with('/') || method == "OPTIONS" && text == "*" {
            return Some(Self::behind("", None, text));
        }
        let scheme = text.find("://").map(|at| &text[..at + 3])?;
        let word = scheme.trim_end_matches("://");
        let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !word.starts_with(|c: char| c.is_ascii_alphabetic()) || !word.bytes().all(goes_on) {
            return None;
        }
        let rest = &text[scheme.len()..];
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        (!authority.is_empty()).then(|| Self::behind(scheme, Some(authority), rest))
    }

    fn behind(scheme: &'b str, authority: Option<&'b str>, text: &'b str) -> Self {
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        Self {
            scheme,
            authority,
            path,
            query,
        }
    }
}

/// A host without its port, and without who asks.
pub(super) fn without_port(authority: &[u8]) -> &[u8] {
    let at = authority.iter().rposition(|byte| *byte == b'@');
    let host = at.map_or(authority, |at| &authority[at + 1..]);
    let colon = host.iter().rposition(|byte| *byte == b':');
    match colon {
        Some(colon) if !host[colon..].contains(&b']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, without_port};

    #[test]
    fn targets() {
        let read = |method, text| {
            Target::read(method, text)
                .map(|target| (target.scheme, target.authority, target.path, target.query))
        };
        assert_eq!(read("GET", "/a?b?c"), Some(("", None, "/a", Some("b?c"))));
        assert_eq!(read("GET", "//a"), Some(("", None, "//a", None)));
        assert_eq!(
            read("GET", "http://u@a:1/b?c"),
            Some(("http://", Some("u@a:1"), "/b", Some("c")))
        );
        assert_eq!(
            read("GET", "https://a?c"),
            Some(("https://", Some("a"), "", Some("c")))
        );
        assert_eq!(read("OPTIONS", "*"), Some(("", None, "*", None)));
        assert_eq!(read("CONNECT", "a:1"), Some(("", Some("a:1"), "", None)));
        for (method, wrong) in [
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "a:1"),
            ("GET", "http:///a"),
            ("GET", "1http://a"),
            ("GET", "://a"),
            ("CONNECT", "/a"),
            ("CONNECT", "a"),
            ("CONNECT", "http://a:1"),
        ] {
            assert_eq!(read(method, wrong), None, "{method} {wrong}");
        }
    }

    #[test]
    fn hosts() {
        for (authority, host) in [
            ("a", "a"),
            ("a:80", "a"),
            ("u:p@a:80", "a"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(without_port(authority.as_bytes()), host.as_bytes());
        }
    }
}
