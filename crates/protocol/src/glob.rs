//! Patterns with a star for any run of bytes, an empty one included. There is no other sign.

use core::fmt;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// What stands between its stars: one more than there are stars.
    between: Vec<Vec<u8>>,
}

impl Glob {
    /// Reads a pattern in which a backslash takes its meaning from what follows it; `None` where nothing follows.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (mut between, mut bytes) = (vec![Vec::new()], text.bytes());
        while let Some(byte) = bytes.next() {
            match byte {
                b'*' => between.push(Vec::new()),
                b'\\' => between.last_mut()?.push(bytes.next()?),
                _ => between.last_mut()?.push(byte),
            }
        }
        Some(Self { between })
    }

    /// The same pattern in small letters.
    pub(crate) fn in_small(mut self) -> Self {
        self.between
            .iter_mut()
            .for_each(|part| part.make_ascii_lowercase());
        self
    }

    /// Whether all of `text` is like it.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let Some((first, others)) = self.between.split_first() else {
            return false;
        };
        let Some(mut rest) = text.strip_prefix(first.as_slice()) else {
            return false;
        };
        let Some((last, middle)) = others.split_last() else {
            return rest.is_empty();
        };
        for part in middle {
            let Some(at) = memchr::memmem::find(rest, part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.between.iter().enumerate() {
            if number > 0 {
                f.write_str("*")?;
            }
            for character in String::from_utf8_lossy(part).chars() {
                if matches!(character, '*' | '\\' | ',') || character.is_whitespace() {
                    f.write_str("\\")?;
                }
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;
    use proptest::prelude::{prop_assert_eq, proptest};

    fn glob(text: &str) -> Glob {
        Glob::parse(text).expect("a pattern")
    }

    #[test]
    fn a_star_is_any_run() {
        for (pattern, text, is_like) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/a", "/", false),
            ("/a*", "/a", true),
            ("/a*", "/a/b/c", true),
            ("*", "", true),
            ("*a", "aaa", true),
            ("*a", "aab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxax", false),
            ("a**b", "ab", true),
            ("ab*bc", "abc", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\,b\\ c", "a,b c", true),
            ("", "", true),
            ("", "a", false),
            ("\u{e9}*", "\u{e9}a", true),
        ] {
            assert_eq!(
                glob(pattern).matches(text.as_bytes()),
                is_like,
                "{pattern} {text}"
            );
        }
        assert_eq!(Glob::parse("a\\"), None);
    }

    /// The plainest way to match, for an oracle.
    fn is_like(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| is_like(rest, &text[skip..])),
            Some((byte, rest)) => text.first() == Some(byte) && is_like(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn as_the_plainest_way(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(
                glob(&pattern).matches(text.as_bytes()),
                is_like(pattern.as_bytes(), text.as_bytes())
            );
        }

        #[test]
        fn what_is_shown_is_read_again(text in "[^\\\\]{0,20}") {
            let one = glob(&text);
            prop_assert_eq!(Glob::parse(&one.to_string()), Some(one.clone()));
        }
    }
}
