//! Which messages are copied: the language of `--only` and `--except`.
//!
//! ```text
//! filter = term *( blank term )        all terms must hold
//! term   = key "=" value *( "," value )  one of the values must be like it
//! ```
//!
//! | key | of | is compared |
//! |---|---|---|
//! | `method` | HTTP | the method, exactly |
//! | `path` | HTTP | the target's path as the client has sent it: nothing is decoded, and there is no query in it |
//! | `query` | HTTP | what stands behind the question mark; empty where there is none |
//! | `host` | HTTP | the host without its port, in any case of letters |
//! | `header:NAME` | HTTP | each value of the fields of this name; a request without such a field is not like any |
//! | `command` | Redis | the command, in any case of letters; `CONFIG\|GET` is a command with its subcommand |
//! | `key` | Redis | the first key of the command |
//!
//! Values but those of `method` and `command` are patterns ([`Glob`]). A backslash takes from what follows it what it means: `\*`,
//! `\,`, `\\`, and a blank.

use core::fmt;
use core::str::FromStr;

use crate::glob::Glob;
use crate::protocol::Protocol;

/// Longest filter, in bytes.
pub const FILTER_MAX: usize = 4096;
/// Most terms of a filter.
pub const TERMS_MAX: usize = 32;
/// Most values of a term.
pub const VALUES_MAX: usize = 128;

/// What a message must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    key: Property,
    values: Vec<Glob>,
}

/// What of a message is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    Method,
    Path,
    Query,
    Host,
    /// A field by its name, in small letters.
    Header(String),
    Command,
    /// A key of Redis.
    Key,
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It has no term.
    #[error("it is empty: write for example 'method=GET,HEAD path=/api/*'")]
    Empty,
    /// It is longer than [`FILTER_MAX`], or has more than [`TERMS_MAX`] terms or [`VALUES_MAX`] values.
    #[error(
        "it is too long: at most {FILTER_MAX} bytes, {TERMS_MAX} terms and {VALUES_MAX} values for a term"
    )]
    TooLong,
    /// A term without an equals sign.
    #[error(
        "'{0}' has no '=': a term is KEY=VALUE[,VALUE...], and a blank inside a value is written '\\ '"
    )]
    NoValue(String),
    /// A key that there is not.
    #[error(
        "there is no key '{0}': HTTP has method, path, query, host and header:NAME, Redis has command and key"
    )]
    Key(String),
    /// A name that no field can have.
    #[error("'{0}' is no name of a header")]
    Name(String),
    /// A value that its key cannot have.
    #[error("'{value}' is no value for {key}: {why}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Keys of two protocols.
    #[error("'{0}' is of {1}, and what stands before it is of {2}: no message is of both")]
    TwoProtocols(String, &'static str, &'static str),
}

impl Filter {
    /// The protocol whose messages it is about.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.terms
            .first()
            .map_or(Protocol::Http1, |term| term.key.protocol())
    }

    /// Whether it is about this.
    pub(crate) fn has(&self, key: &Property) -> bool {
        self.terms.iter().any(|term| term.key == *key)
    }

    /// Whether all of its terms hold; `is_like_one` says of one whether what its key stands for is like one of the patterns.
    pub(crate) fn matches(&self, is_like_one: impl Fn(&Property, &[Glob]) -> bool) -> bool {
        self.terms
            .iter()
            .all(|term| is_like_one(&term.key, &term.values))
    }
}

impl Property {
    fn protocol(&self) -> Protocol {
        match self {
            Self::Method | Self::Path | Self::Query | Self::Host | Self::Header(_) => {
                Protocol::Http1
            }
            Self::Command | Self::Key => Protocol::Redis,
        }
    }
}

impl FromStr for Filter {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if text.len() > FILTER_MAX {
            return Err(Wrong::TooLong);
        }
        let mut terms: Vec<Term> = Vec::new();
        for word in split(text, char::is_whitespace) {
            if word.is_empty() {
                continue;
            }
            let term: Term = word.parse()?;
            if let Some(first) = terms.first()
                && first.key.protocol() != term.key.protocol()
            {
                let (this, other) = (term.key.protocol(), first.key.protocol());
                return Err(Wrong::TwoProtocols(
                    word.to_owned(),
                    this.name(),
                    other.name(),
                ));
            }
            terms.push(term);
        }
        match terms.len() {
            0 => Err(Wrong::Empty),
            1..=TERMS_MAX => Ok(Self { terms }),
            _ => Err(Wrong::TooLong),
        }
    }
}

impl FromStr for Term {
    type Err = Wrong;

    fn from_str(word: &str) -> Result<Self, Wrong> {
        let (name, values) = word
            .split_once('=')
            .ok_or_else(|| Wrong::NoValue(word.to_owned()))?;
        let key: Property = name.parse()?;
        let values = split(values, |c| c == ',')
            .map(|value| key.value(value))
            .collect::<Result<Vec<Glob>, Wrong>>()?;
        if values.len() > VALUES_MAX {
            return Err(Wrong::TooLong);
        }
        Ok(Self { key, values })
    }
}

impl FromStr for Property {
    type Err = Wrong;

    fn from_str(name: &str) -> Result<Self, Wrong> {
        Ok(match name {
            "method" => Self::Method,
            "path" => Self::Path,
            "query" => Self::Query,
            "host" => Self::Host,
            "command" => Self::Command,
            "key" => Self::Key,
            _ => {
                let header = name
                    .strip_prefix("header:")
                    .ok_or_else(|| Wrong::Key(name.to_owned()))?;
                if !is_token(header) {
                    return Err(Wrong::Name(header.to_owned()));
                }
                Self::Header(header.to_ascii_lowercase())
            }
        })
    }
}

impl Property {
    fn value(&self, text: &str) -> Result<Glob, Wrong> {
        let wrong = |why| Wrong::Value {
            key: self.to_string(),
            value: text.to_owned(),
            why,
        };
        let glob = Glob::parse(text).ok_or_else(|| wrong("nothing follows the backslash"))?;
        let may_be_empty = matches!(self, Self::Query | Self::Header(_) | Self::Key);
        if text.is_empty() && !may_be_empty {
            return Err(wrong("it is empty"));
        }
        match self {
            Self::Method if !is_token(text) || text.contains('*') => {
                Err(wrong("a method is one word, without a star"))
            }
            Self::Method if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                Err(wrong("methods are written in capitals, as in GET"))
            }
            Self::Path if !text.starts_with(['/', '*']) => Err(wrong(
                "a path begins with a slash, or with a star for any beginning",
            )),
            Self::Path if text.contains(['?', '#']) => Err(wrong(
                "a path ends before its question mark: see the key query",
            )),
            Self::Host if text.contains('/') || has_port(text) => Err(wrong(
                "a host is compared without its port, and without a scheme",
            )),
            Self::Command if text.contains('*') => {
                Err(wrong("a command is one word, without a star"))
            }
            Self::Host | Self::Command => Ok(glob.in_small()),
            _ => Ok(glob),
        }
    }
}

/// Whether a host is followed by a port; colons in brackets are of an IPv6 address.
fn has_port(host: &str) -> bool {
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    behind.contains(':')
}

fn is_token(text: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_token)
}

/// The pieces between separators that no backslash precedes.
fn split(text: &str, is_separator: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut is_plain = true;
    text.split(move |c: char| {
        let is_end = is_plain && is_separator(c);
        is_plain = !is_plain || c != '\\';
        is_end
    })
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
            Self::Query => f.write_str("query"),
            Self::Host => f.write_str("host"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Command => f.write_str("command"),
            Self::Key => f.write_str("key"),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, term) in self.terms.iter().enumerate() {
            let blank = if number == 0 { "" } else { " " };
            write!(f, "{blank}{}=", term.key)?;
            for (number, value) in term.values.iter().enumerate() {
                let comma = if number == 0 { "" } else { "," };
                write!(f, "{comma}{value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FILTER_MAX, Filter, TERMS_MAX, VALUES_MAX, Wrong};
    use crate::protocol::Protocol;
    use proptest::prelude::{prop_assert_eq, proptest};

    fn filter(text: &str) -> Filter {
        text.parse().expect("a filter")
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for (text, shown) in [
            ("method=GET,HEAD path=/api/*", "method=GET,HEAD path=/api/*"),
            (
                "  host=*.Example.com\theader:X-A=b\\ c,\\* ",
                "host=*.example.com header:x-a=b\\ c,\\*",
            ),
            ("query= path=/a\\,b", "query= path=/a\\,b"),
            ("host=[::1]", "host=[::1]"),
            (
                "command=GET,config|get key=user:*",
                "command=get,config|get key=user:*",
            ),
        ] {
            assert_eq!(filter(text).to_string(), shown);
            assert_eq!(filter(shown), filter(text));
        }
    }

    #[test]
    fn whose_messages_it_is_about() {
        assert_eq!(filter("path=/a").protocol(), Protocol::Http1);
        assert_eq!(filter("key=a").protocol(), Protocol::Redis);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("", "it is empty"),
            ("  ", "it is empty"),
            ("method", "'method' has no '='"),
            ("pth=/a", "there is no key 'pth': HTTP has method, path"),
            ("header:=a", "'' is no name of a header"),
            ("header:a(b=c", "'a(b' is no name of a header"),
            ("method=", "'' is no value for method: it is empty"),
            ("method=GET,", "it is empty"),
            ("method=get", "in capitals"),
            ("method=G*", "without a star"),
            ("path=api", "begins with a slash"),
            ("path=/a?b", "see the key query"),
            ("path=/a\\", "nothing follows the backslash"),
            ("host=a:80", "without its port"),
            ("host=[::1]:80", "without its port"),
            ("host=http://a", "without its port, and without a scheme"),
            ("command=G*", "without a star"),
            (
                "path=/a key=b",
                "'key=b' is of redis, and what stands before it is of http1",
            ),
        ] {
            let wrong = text.parse::<Filter>().expect_err(text);
            assert!(wrong.to_string().contains(words), "{text}: {wrong}");
        }
    }

    #[test]
    fn it_has_limits() {
        for long in [
            format!("path=/{}", "a".repeat(FILTER_MAX)),
            "path=/ ".repeat(TERMS_MAX + 1),
            format!("path={}/", "/,".repeat(VALUES_MAX)),
        ] {
            assert_eq!(long.parse::<Filter>(), Err(Wrong::TooLong));
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in "\\PC{0,40}") {
            if let Ok(read) = text.parse::<Filter>() {
                prop_assert_eq!(read.to_string().parse::<Filter>(), Ok(read));
            }
        }

        #[test]
        fn nearly_filters(text in "((method|path|host|header:x|key)=[/*A,\\\\. b]{0,6} ?){1,3}") {
            if let Ok(read) = text.parse::<Filter>() {
                prop_assert_eq!(read.to_string().parse::<Filter>(), Ok(read));
            }
        }
    }
}
