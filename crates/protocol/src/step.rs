//! What comes next of a login, and what it has led to.

use crate::opening::CancelKey;
use crate::scram::Keys;

/// Most bytes of a target that a login holds; one that says more at a time is not let go on.
pub const HELD_LEN_MAX: usize = 64 << 10;

/// What comes next of a login.
#[derive(Debug)]
pub enum Step {
    /// More bytes of the target are needed.
    Wait,
    /// These bytes go to the target; then what the login holds is looked at again ([`crate::Login::push`] with no bytes).
    Send(Vec<u8>),
    /// It is over: messages may follow.
    Done(Box<Opened>),
    /// It has failed, and why, without secrets. The connection is of no use.
    Failed(String),
}

/// What a login has led to.
#[derive(Debug, Default)]
pub struct Opened {
    /// What cancels statements of this connection.
    pub cancel_key: Option<CancelKey>,
    /// What makes the next login of the user cheap ([`crate::Credentials::learn`]).
    pub keys: Option<Keys>,
    /// What the target has said behind the login: bytes for [`crate::Responses::opened`].
    pub rest: Vec<u8>,
}
