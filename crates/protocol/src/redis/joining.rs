//! What an online server's words say of a transaction that a connection is in, where its beginning was not seen.

use super::login::words_of_line;
use crate::place::Place;

/// What a command is answered with in a transaction.
const QUEUED: &[u8] = b"+QUEUED";
/// What ends one.
const ENDS: [&str; 2] = ["EXEC", "DISCARD"];

/// Reads one response at a time.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    first: Vec<u8>,
}

impl Watch {
    /// The online server's next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = QUEUED.len() - self.first.len();
        self.first
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The responses to what the client has said are complete: where the connection stood before them. Where it stands now the next
    /// response says.
    pub(crate) fn take(&mut self, said: &[u8]) -> (Place, Place) {
        let first = core::mem::take(&mut self.first);
        let was = if first == QUEUED {
            Place::Inside
        } else if ENDS.iter().any(|name| is_command(said, name)) {
            Place::Unknown
        } else {
            Place::Outside
        };
        (was, Place::Unknown)
    }
}

/// Whether what a client has said begins with this command.
fn is_command(said: &[u8], name: &str) -> bool {
    let word = if said.starts_with(b"*") {
        // The count of words, the length of the first, and the first.
        said.split(|byte| *byte == b'\n').nth(2)
    } else {
        words_of_line(said).and_then(|words| words.first().copied())
    };
    word.is_some_and(|word| word.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}
