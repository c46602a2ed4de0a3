//! What a server's stream consists of.

use crate::digest::Digest;
use crate::opening::CancelKey;

/// What stands next in a server's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// So many bytes of the response to the first message that is awaited.
    Bytes(u32),
    /// So many bytes that answer nothing.
    Unasked(u32),
    /// What the server asks for while the connection opens, as far as the client's side has to know of it ([`crate::Requests::hear`]).
    Asked(Box<[u8]>),
    /// The connection is open: the client is let in, and messages may follow. With the key by which the connection's statements
    /// are cancelled, where the server has told one.
    Opened(Option<CancelKey>),
    /// The server asks for what follows of the message ([`crate::Part::Pause`]).
    Ready,
    /// The server closes the connection behind the response that ends next: it takes nothing more (RFC 9112, section 9.6).
    Closes,
    /// What the response is compared by that ends next, where that is asked for ([`crate::Responses::digesting`]).
    Digested(Box<Digest>),
    /// The response to the first message that is awaited is complete. The next one awaited is the first now.
    End(Verdict),
    /// Both sides speak another protocol from here on; nothing more is told.
    Left,
    /// What the server sends cannot be read, and nothing more is told.
    Lost,
}

/// What a complete response says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The status or error number, as the protocol has it; 0 where it has none.
    pub code: u32,
    /// Whether it is an error by the protocol's own word.
    pub is_error: bool,
    /// The number that the server has given to the statement which it was asked to prepare; the client's later messages carry it
    /// ([`crate::Patch`]).
    pub statement: Option<u32>,
}
