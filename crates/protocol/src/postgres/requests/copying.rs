//! COPY from the client: whether a message goes on with data behind what looks like its end.
//!
//! A query that copies in cannot be known by its end: the server asks for the data, and only then does the client send it. Nothing but
//! the word COPY in a statement's text can lead there, so only such messages are kept open until the online server has answered.

/// What may follow a message that could be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing: it is over.
    #[default]
    None,
    /// Data, if the server asks for it.
    Perhaps { extended: bool },
    /// Data: the server has asked, or the client sends it already.
    Data { extended: bool },
    /// The Sync that the server answers. The one before the data was ignored (`PostgreSQL`'s `copyfromparse.c`: for clients that send a
    /// Sync without noticing that they have executed a COPY).
    Sync,
}

impl Tail {
    /// Behind a message that may copy; whether by the extended protocol.
    pub(super) fn perhaps(extended: bool) -> Self {
        Self::Perhaps { extended }
    }

    pub(super) fn is_open(self) -> bool {
        self != Self::None
    }

    /// Whether the server may still ask.
    pub(super) fn is_unasked(self) -> bool {
        matches!(self, Self::Perhaps { .. })
    }

    /// The server asks, or the client goes on with data as if it had. Whether that is news: what follows then waits until the target asks
    /// as well.
    pub(super) fn asked(&mut self) -> bool {
        let Self::Perhaps { extended } = *self else {
            return false;
        };
        *self = Self::Data { extended };
        true
    }

    /// Whether what begins with this kind belongs to the message.
    pub(super) fn goes_on(self, kind: u8) -> bool {
        match self {
            Self::None | Self::Perhaps { .. } => false,
            // Both are ignored among data.
            Self::Data { .. } => matches!(kind, b'S' | b'H'),
            Self::Sync => !matches!(kind, b'Q' | b'X'),
        }
    }

    /// Something of this kind has ended. Whether the message has ended with it.
    pub(super) fn ends_with(&mut self, kind: u8) -> bool {
        match (*self, kind) {
            (Self::Data { extended: false }, b'c' | b'f') => *self = Self::perhaps(false),
            (Self::Data { extended: true }, b'c' | b'f') => *self = Self::Sync,
            (Self::Sync, b'S') => return true,
            _ => {}
        }
        false
    }
}

/// The word that leads there.
pub(super) const WORD: &[u8] = b"copy";
