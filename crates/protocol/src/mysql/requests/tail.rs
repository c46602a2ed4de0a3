//! `LOAD DATA LOCAL`: whether a message goes on with a file behind its command.
//!
//! A query that asks for a file cannot be known by its end: the server asks for it, and only then does the client send it. Nothing but the word
//! LOCAL in a statement's text can lead there, so only such messages are kept open until the online server has answered.

/// What may follow a message that could be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing: it is over.
    #[default]
    None,
    /// A file, if the server asks for it.
    Perhaps,
    /// A file, up to an empty payload.
    File,
}

impl Tail {
    pub(super) fn is_open(self) -> bool {
        self != Self::None
    }

    /// The server asks, or the client goes on with a file as if it had. Whether that is news: what follows then waits until the target
    /// asks as well.
    pub(super) fn asked(&mut self) -> bool {
        let is_news = *self == Self::Perhaps;
        if is_news {
            *self = Self::File;
        }
        is_news
    }

    /// Whether a payload whose first packet has this number belongs to the file. Those of a command are numbered from 0 on, and so is a long file
    /// again and again.
    pub(super) fn takes(self, number: u8) -> bool {
        match self {
            Self::None => false,
            Self::Perhaps => number != 0,
            Self::File => true,
        }
    }
}

/// The word that leads there.
pub(super) const WORD: &[u8] = b"local";
