//! What a client's stream consists of.

use crate::asked::Asked;
use crate::expect::Expect;
use crate::opening::Opening;

/// What stands next in a client's stream.
#[derive(Debug)]
pub enum Part<'a> {
    /// How the client has opened its connection: its login, which is not copied as bytes. Each session logs in by itself with
    /// [`crate::Login`], on a new connection, and what follows is sent once it is in. It comes once the online server has let the client in;
    /// again where the client changes its user, for which a session opens a new connection.
    Opening(Box<Opening>),
    /// A message begins. What follows up to [`Part::End`] is its.
    Begin(Head),
    /// What the message asks for that has begun, and is copied.
    Asks(Asked<'a>),
    /// Bytes of it as the target is to get them; there are none of a message that is not copied.
    Bytes(&'a [u8]),
    /// What follows of the message is sent once the target has asked for it ([`crate::Said::Ready`]), or has answered; of some protocols only once it has asked
    /// ([`Expect::drops_unasked_rest`]).
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
    /// What of its bytes has another value at each server.
    pub patch: Option<Patch>,
}

/// Four bytes of a message that name something by a number which the online server has given out; the target may have given out another. A
/// message whose number has no counterpart at the target ([`crate::Verdict::statement`]) is not to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Where it stands: so many bytes behind the message's first. The number is four bytes, little-endian.
    pub at: u32,
    /// The online server's number.
    pub statement: u32,
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
    /// Both sides agreed upon encryption; nothing of it can be read, nor mean anything on another connection.
    Encrypted,
    /// Both sides agreed upon compression, which is not read.
    Compressed,
    /// It asks for a stream without messages: replication, or MONITOR of Redis.
    Replication,
    /// Its client has closed in the middle of a message.
    Cut,
    /// A head, or what has to be held of a message, is longer than the module's limit.
    TooLong,
}
