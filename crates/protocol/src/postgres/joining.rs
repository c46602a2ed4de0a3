//! What an online server's words say of a transaction that a connection is in, where its beginning was not seen.

use super::frames::{Frames, Piece};
use crate::place::{Place, Unreadable};

/// Longest beginning of a body that is looked into, in bytes: the tag of a command.
const BODY_LEN_MAX: usize = 32;
/// Tags of what begins a transaction.
const BEGINS: [&[u8]; 2] = [b"BEGIN", b"START TRANSACTION"];
/// Tags of what ends one.
const ENDS: [&[u8]; 3] = [b"COMMIT", b"ROLLBACK", b"PREPARE TRANSACTION"];

/// Reads one response at a time.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    frames: Frames,
    body: Vec<u8>,
    /// What the first command has done.
    first: Option<First>,
    /// A transaction has ended that was not seen to begin.
    ends: bool,
    /// Something was noted before the first command was done, as of a transaction that is begun within another.
    is_noted: bool,
    status: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Begins,
    Other,
}

impl Watch {
    /// The online server's next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        let mut bytes = bytes;
        while let Some(piece) = self.frames.next(bytes).map_err(|_| Unreadable)? {
            match piece {
                Piece::PartOfHead(len) => bytes = &bytes[len..],
                Piece::Head(len) => {
                    bytes = &bytes[len..];
                    self.body.clear();
                }
                Piece::Body(len) => {
                    let room = BODY_LEN_MAX - self.body.len();
                    self.body.extend_from_slice(&bytes[..len.min(room)]);
                    bytes = &bytes[len..];
                }
                Piece::End => self.message(),
            }
        }
        Ok(())
    }

    fn message(&mut self) {
        match self.frames.kind() {
            b'C' => {
                let tag = self.body.strip_suffix(b"\0").unwrap_or(&self.body);
                let first = if BEGINS.contains(&tag) {
                    First::Begins
                } else {
                    First::Other
                };
                let is_known = *self.first.get_or_insert(first) == First::Begins;
                self.ends |= !is_known && ENDS.contains(&tag);
            }
            b'N' => self.is_noted |= self.first.is_none(),
            b'Z' => self.status = self.body.first().copied(),
            _ => {}
        }
    }

    /// Whether a response has ended since.
    pub(crate) fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// The response is complete: where the connection stood before it, and where it stands now. The next one is another.
    pub(crate) fn take(&mut self) -> (Place, Place) {
        let before = core::mem::take(self);
        let now = match before.status {
            Some(b'I') => Place::Outside,
            Some(_) => Place::Inside,
            None => Place::Unknown,
        };
        let was = match (before.first, now) {
            (Some(First::Begins), _) if !before.is_noted => Place::Outside,
            (_, Place::Outside) if !before.ends => Place::Outside,
            _ => Place::Unknown,
        };
        (was, now)
    }
}
