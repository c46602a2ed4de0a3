//! What an online server's words say of a transaction that a connection is in, where its beginning was not seen.

use super::commands;
use super::fields::Fields;
use super::handshake::QUERY_ATTRIBUTES;
use super::packets::{HEAD_LEN, Packets, Piece};
use crate::opening::MysqlOpening;
use crate::place::{Place, Unreadable};
use crate::sql::{Dialect, begins_with};

/// A transaction is open (`SERVER_STATUS_IN_TRANS`).
const IN_TRANSACTION: u16 = 1;
/// Statements outside of one are committed by themselves (`SERVER_STATUS_AUTOCOMMIT`).
const COMMITS: u16 = 2;
/// Most bytes of a payload that are looked into: those up to a status, behind two numbers.
const PAYLOAD_LEN_MAX: usize = 24;
/// What a word that all is well is shorter than, where a row may begin like it.
const WORD_LEN_MAX: u64 = 0xff_ffff;

/// Reads one response at a time.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    packets: Packets,
    payload: Vec<u8>,
    has_begun: bool,
    /// What the latest payload that has one says of the connection.
    status: Option<u16>,
}

impl Watch {
    /// The online server's next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        let mut bytes = bytes;
        while let Some(piece) = self.packets.next(bytes) {
            match piece {
                Piece::PartOfHead(len) => bytes = &bytes[len..],
                Piece::Head(len, begins) => {
                    bytes = &bytes[len..];
                    if !self.has_begun && self.packets.number() != 1 {
                        return Err(Unreadable);
                    }
                    self.has_begun = true;
                    if begins {
                        self.payload.clear();
                    }
                }
                Piece::Body(len) => {
                    let room = PAYLOAD_LEN_MAX - self.payload.len();
                    self.payload.extend_from_slice(&bytes[..len.min(room)]);
                    bytes = &bytes[len..];
                }
                Piece::End => self.status = status(&self.payload, self.packets.len()),
            }
        }
        Ok(())
    }

    /// The response to what the client has said is complete: where the connection stood before it, and where it stands now. What the
    /// client has agreed upon is put into `opening`, as far as it shows.
    pub(crate) fn take(&mut self, said: &[u8], opening: &mut MysqlOpening) -> (Place, Place) {
        let status = core::mem::take(self).status;
        let Some(text) = text(said, opening) else {
            // Of other commands it is not known whether there was a status at all.
            return (Place::Unknown, Place::Unknown);
        };
        let Some(status) = status else {
            return (Place::Unknown, Place::Unknown);
        };
        opening.commits = Some(status & COMMITS != 0);
        let is = |words: &[&str]| begins_with(text, Dialect::Mysql, words);
        if status & IN_TRANSACTION != 0 {
            // What begins a transaction has ended the one before.
            let begins = is(&["BEGIN", "START"]);
            let was = if begins {
                Place::Outside
            } else {
                Place::Unknown
            };
            return (was, Place::Inside);
        }
        let was = if is(&["COMMIT", "ROLLBACK"]) {
            Place::Unknown
        } else {
            Place::Outside
        };
        (was, Place::Outside)
    }
}

/// The text of a query. Whether attributes stand before it shows: no text begins with a zero.
fn text<'a>(said: &'a [u8], opening: &mut MysqlOpening) -> Option<&'a [u8]> {
    let (command, text) = said.get(HEAD_LEN..)?.split_first()?;
    if *command != commands::QUERY {
        return None;
    }
    if let [0, 1, text @ ..] = text {
        opening.capabilities |= QUERY_ATTRIBUTES;
        return Some(text);
    }
    Some(text)
}

/// The status in a payload that ends something.
fn status(payload: &[u8], len: u64) -> Option<u16> {
    let (first, rest) = payload.split_first()?;
    let mut fields = Fields(rest);
    match first {
        0xfe if len == 5 => {
            fields.u16()?;
        }
        0x00 | 0xfe if len < WORD_LEN_MAX => {
            fields.number()?;
            fields.number()?;
        }
        _ => return None,
    }
    fields.u16()
}
