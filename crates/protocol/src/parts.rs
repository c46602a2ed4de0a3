//! What a client's stream consists of.

use crate::expect::Expect;

/// What stands next in a client's stream.
#[derive(Debug)]
pub enum Part<'a> {
    /// A message begins. What follows up to [`Part::End`] is its.
    Begin(Head),
    /// Bytes of it as the target is to get them; there are none of a message that is not copied.
    Bytes(&'a [u8]),
    /// What follows of the message is sent once the target has asked for it ([`crate::Said::Ready`]), or has answered.
    Pause,
    /// The message ends.
    End,
    /// From here on the client's bytes pass as they are, as [`Part::Bytes`] that belong to no message.
    Leave(Why),
}

/// What is known of a message at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whether it is copied; otherwise it was filtered out.
    pub copied: bool,
    /// What its response looks like, for [`crate::Responses::expect`].
    pub expect: Expect,
}

/// Why a flow has left its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Both sides agreed upon another protocol (101, CONNECT), which is as it should be.
    Upgraded,
    /// Its first bytes look like no protocol that there is a module for.
    Unknown,
    /// It does not follow the protocol.
    Malformed,
    /// Its client has closed in the middle of a message.
    Cut,
    /// A head, or what has to be held of a message, is longer than the module's limit.
    TooLong,
}
