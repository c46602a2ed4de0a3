//! What comes next of a login, and what it has led to.

use crate::expect::MysqlFormat;
use crate::opening::CancelKey;
use crate::scram::Keys;

/// Most bytes of a target that a login holds; one that says more at a time is not let go on.
pub const HELD_LEN_MAX: usize = 64 << 10;
/// Longest word of a target that is told, in characters.
const TOLD_LEN_MAX: usize = 300;

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
    /// How a MySQL writes its responses on this connection.
    pub format: MysqlFormat,
    /// What the target has said behind the login: bytes for [`crate::Responses::opened`].
    pub rest: Vec<u8>,
}

/// Words of a target, as they may stand in a line of ours.
pub(crate) fn told(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let plain = text.chars().filter(|character| !character.is_control());
    plain.take(TOLD_LEN_MAX).collect()
}
