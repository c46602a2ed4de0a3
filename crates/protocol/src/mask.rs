//! What is never shown of a message: values of fields that hold secrets.
//!
//! It is asked before any bytes of a message are shown, and of a field's name before its value is. A beginning of a message is enough, cut
//! anywhere, also inside a value; what kind of body it has is not asked, and each kind is looked for. Where it is not sure, too much is masked.
//! What it does not know, is encoded another way or stands elsewhere, it does not find: it is no reason to show what nobody needs to see.

mod find;

use core::ops::Range;
use core::str::FromStr;
use std::borrow::Cow;

/// Fields of a head whose values are never shown.
pub const HEADERS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
];
/// A field whose name ends with one of these is not shown either, be it of a head, a form, JSON or XML: `new_password`, `X-Auth-Token`.
pub const WORDS: [&str; 4] = ["password", "passwd", "secret", "token"];
/// What stands in the place of a value. It does not say how long that was.
pub const SHOWN: &str = "***";
/// Most names that can be added.
pub const NAMES_MAX: usize = 256;
/// Longest name, in bytes.
pub const NAME_MAX: usize = 128;

/// Which values are never shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// Names besides [`HEADERS`] and [`WORDS`], in small letters.
    names: Vec<String>,
}

/// The name of a field that is not shown (`--mask`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is empty, too long, or has a sign that ends names.
    #[error(
        "'{0}' is no name of a field: 1 to {NAME_MAX} bytes without blanks, quotes, '=', '&', ':' and signs that are not printed"
    )]
    Name(String),
    /// There are too many.
    #[error("more than {NAMES_MAX} names")]
    TooMany,
}

impl FromStr for Name {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let ends_names = |c: char| c.is_whitespace() || c.is_control() || "\"'=&:".contains(c);
        if text.is_empty() || text.len() > NAME_MAX || text.contains(ends_names) {
            return Err(Wrong::Name(text.to_owned()));
        }
        Ok(Self(text.to_lowercase()))
    }
}

impl Mask {
    /// The mask with these names besides.
    ///
    /// # Errors
    ///
    /// There are more than [`NAMES_MAX`].
    pub fn with(names: impl IntoIterator<Item = Name>) -> Result<Self, Wrong> {
        let names: Vec<String> = names
            .into_iter()
            .take(NAMES_MAX + 1)
            .map(|name| name.0)
            .collect();
        if names.len() > NAMES_MAX {
            return Err(Wrong::TooMany);
        }
        Ok(Self { names })
    }

    /// Whether the value of a field of this name is never shown, in any case of letters: a header, or a key of a form, JSON or XML.
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        // user[password]
        let inner = name.strip_suffix(']').unwrap_or(&name);
        HEADERS.contains(&inner)
            || WORDS.iter().any(|word| inner.ends_with(word))
            || self.names.iter().any(|one| *one == name || *one == inner)
    }

    /// The bytes as they may be shown: a message, or its beginning. Borrowed where nothing is masked.
    #[must_use]
    pub fn apply<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let secrets = self.secrets(bytes);
        if secrets.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let (mut shown, mut from) = (Vec::with_capacity(bytes.len()), 0);
        for secret in secrets {
            shown.extend_from_slice(&bytes[from..secret.start]);
            shown.extend_from_slice(SHOWN.as_bytes());
            from = secret.end;
        }
        shown.extend_from_slice(&bytes[from..]);
        Cow::Owned(shown)
    }

    /// Where secrets stand, in order and apart from each other.
    fn secrets(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        find::all(bytes, &|name| self.hides(name), &mut |secret| {
            if !secret.is_empty() {
                found.push(secret);
            }
        });
        found.sort_by_key(|secret| secret.start);
        let mut apart: Vec<Range<usize>> = Vec::new();
        for secret in found {
            match apart.last_mut() {
                Some(last) if secret.start <= last.end => last.end = last.end.max(secret.end),
                _ => apart.push(secret),
            }
        }
        apart
    }
}

#[cfg(test)]
mod tests {
    use super::{Mask, NAME_MAX, Name, SHOWN, Wrong};
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, proptest};

    fn shown(text: &str) -> String {
        let mask = Mask::with(["X-Api-Key".parse().expect("a name")]).expect("few names");
        String::from_utf8_lossy(&mask.apply(text.as_bytes())).into_owned()
    }

    #[test]
    fn what_is_masked() {
        for (text, expected) in [
            (
                "GET /a?b=c&token=s3 HTTP/1.1\r\nAUTHORIZATION: Basic s3\r\nX-A: b\r\nCookie:s3; a=s3\r\n\r\n",
                "GET /a?b=c&token=*** HTTP/1.1\r\nAUTHORIZATION: ***\r\nX-A: b\r\nCookie:***\r\n\r\n",
            ),
            (
                "HTTP/1.1 200 OK\r\nSet-Cookie: s3\r\n s3\r\nx-api-key: s3\r\nX-Auth-Token: s3\r\nETag: \"a\"\r\n\r\n",
                "HTTP/1.1 200 OK\r\nSet-Cookie: ***\r\nx-api-key: ***\r\nX-Auth-Token: ***\r\nETag: \"a\"\r\n\r\n",
            ),
            (
                "POST / HTTP/1.1\r\n\r\nuser=a&password=s3&user[passwd]=s3&new%5Fsecret=s3&x=token",
                "POST / HTTP/1.1\r\n\r\nuser=a&password=***&user[passwd]=***&new%5Fsecret=***&x=token",
            ),
            (
                r#"{"user": "a", "password": "s3\"s3", "accessToken" :s3,"secret":{"a":["s3"]},"b":1}"#,
                r#"{"user": "a", "password": "***", "accessToken" :***,"secret":***,"b":1}"#,
            ),
            (
                r#"5" tall {"pass\u0077ord": "s3", "log": "{\"token\":\"s3\",\"a\":1}"}"#,
                r#"5" tall {"pass\u0077ord": "***", "log": "{\"token\":\"***\",\"a\":1}"}"#,
            ),
            (
                "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\ns3\r\ns3\r\n--b\r\n",
                "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n***\r\n--b\r\n",
            ),
            (
                "<a><ns:Password type=\"x\">s3</ns:Password><b>c</b></a>",
                "<a><ns:Password type=\"x\">***</ns:Password><b>c</b></a>",
            ),
            (
                "*2\r\n$4\r\nAUTH\r\n$2\r\ns3\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
                "*2\r\n$4\r\nAUTH\r\n$2\r\n***\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
            ),
            ("AUTH u s3\r\n", "AUTH ***\r\n"),
            ("nothing of it", "nothing of it"),
        ] {
            assert_eq!(shown(text), expected);
            // Cut anywhere.
            for (at, _) in text.char_indices() {
                let cut = shown(&text[..at]);
                assert!(!cut.contains("s3"), "{cut:?} of {:?}", &text[..at]);
            }
        }
    }

    #[test]
    fn a_value_that_is_cut_is_masked() {
        assert_eq!(shown("{\"password\": \"s3"), "{\"password\": \"***");
        assert_eq!(
            shown("{\"secret\": {\"a\": \"s3\", \"b"),
            "{\"secret\": ***"
        );
        assert_eq!(
            shown("GET / HTTP/1.1\r\nCookie: s"),
            "GET / HTTP/1.1\r\nCookie: ***"
        );
        assert_eq!(shown("GET /?token=s"), "GET /?token=***");
    }

    #[test]
    fn names() {
        let mask = Mask::default();
        for (name, hides) in [
            ("Password", true),
            ("newPassword", true),
            ("Set-Cookie", true),
            ("user[token]", true),
            ("password_hint", false),
            ("X-Api-Key", false),
            ("", false),
        ] {
            assert_eq!(mask.hides(name), hides, "{name}");
        }
        for wrong in ["", "a b", "a:", "a\"", &"a".repeat(NAME_MAX + 1)] {
            assert_eq!(wrong.parse::<Name>(), Err(Wrong::Name(wrong.to_owned())));
        }
        let many = (0..300).map(|number| Name(number.to_string()));
        assert_eq!(Mask::with(many), Err(Wrong::TooMany));
    }

    proptest! {
        #[test]
        fn anything_at_all(bytes in vec(any::<u8>(), 0..300)) {
            let shown = Mask::default().apply(&bytes).into_owned();
            prop_assert!(shown.len() <= bytes.len() * SHOWN.len());
        }

        #[test]
        fn a_secret_is_found_in_any_company(
            before in "[a-z&={}\\[\\]:,\"\\\\ \r\n<>?*$0-9]{0,60}",
            secret in "[A-Z]{4,20}",
            behind in "[a-z&={}\\[\\]:,\"\\\\ \r\n<>?*$0-9]{0,60}",
        ) {
            for text in [
                format!("{before}\"password\": \"{secret}\"{behind}"),
                format!("{before}\"token\":{secret}{behind}"),
                format!("{before}&secret={secret}&{behind}"),
                format!("{before}\"passwd\" : [\"{secret}\"]{behind}"),
            ] {
                let shown = Mask::default().apply(text.as_bytes()).into_owned();
                prop_assert!(!String::from_utf8_lossy(&shown).contains(&secret), "{text:?}");
            }
        }
    }
}
