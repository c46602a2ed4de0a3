//! What a message asks for, by which its response is grouped with others of its kind.

use std::borrow::Cow;

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A request of HTTP.
    Path {
        /// Its method.
        method: Cow<'a, [u8]>,
        /// Its target as it was sent.
        target: Cow<'a, [u8]>,
    },
    /// A request of a protocol without paths, by what groups are made of: the name of a command.
    Name(Cow<'a, str>),
}

impl<'a> Asked<'a> {
    /// A request of HTTP.
    #[must_use]
    pub const fn path(method: &'a [u8], target: &'a [u8]) -> Self {
        Self::Path {
            method: Cow::Borrowed(method),
            target: Cow::Borrowed(target),
        }
    }

    /// A request of a protocol without paths.
    #[must_use]
    pub const fn name(name: &'a str) -> Self {
        Self::Name(Cow::Borrowed(name))
    }

    /// The same for longer than the message is there. Of a path that is longer than `len_max` bytes the rest is left out.
    #[must_use]
    pub fn kept(&self, len_max: usize) -> Asked<'static> {
        match self {
            Self::Path { method, target } => Asked::Path {
                method: cut(method, len_max),
                target: cut(target, len_max),
            },
            Self::Name(name) => Asked::Name(Cow::Owned(name.chars().take(len_max).collect())),
        }
    }
}

fn cut(bytes: &[u8], len_max: usize) -> Cow<'static, [u8]> {
    Cow::Owned(bytes[..bytes.len().min(len_max)].to_vec())
}
