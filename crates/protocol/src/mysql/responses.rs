//! A server's side.
//!
//! Of a payload the first bytes are held: they say what it is.

mod answers;

use std::collections::VecDeque;

use answers::{Answers, Progress};

use super::packets::{Packets, Piece};
use crate::expect::{AwaitedMysql, MysqlFormat};
use crate::said::Said;

/// Most messages that wait for their responses; a client that asks for more without an answer is not followed.
pub const AWAITED_MAX: usize = 1 << 16;

/// Most bytes of a payload that are held: a greeting has fewer.
const PAYLOAD_LEN_MAX: usize = 512;

/// Reads the bytes of one server.
#[derive(Debug, Default)]
pub struct Responses {
    stage: Stage,
    packets: Packets,
    /// The first bytes of the payload.
    payload: Vec<u8>,
    awaited: VecDeque<AwaitedMysql>,
    answers: Answers,
    /// How responses are written, where that is not as the client has agreed with the online server.
    format: Option<MysqlFormat>,
    /// Bytes that are not told yet.
    untold: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The client is not in yet.
    #[default]
    Opening,
    Open,
    /// Nothing more is told.
    Over,
}

/// The server's stream cannot be read any further.
pub(super) struct Lost;

impl Responses {
    /// A reader that begins behind a login.
    pub(crate) fn opened(format: MysqlFormat) -> Self {
        Self {
            stage: Stage::Open,
            format: Some(format),
            ..Self::default()
        }
    }

    /// A reader of a connection that is open, whose beginning was not seen.
    pub(crate) fn unseen() -> Self {
        Self {
            stage: Stage::Open,
            ..Self::default()
        }
    }

    pub(crate) fn expect(&mut self, awaited: AwaitedMysql) {
        // One more than there may be is told with the next bytes.
        if self.awaited.len() <= AWAITED_MAX {
            let format = self.format.unwrap_or(awaited.format);
            self.awaited.push_back(AwaitedMysql { format, ..awaited });
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        if self.stage == Stage::Over {
            return;
        }
        if self.awaited.len() > AWAITED_MAX || self.read(bytes, tell).is_err() {
            self.flush(tell);
            *self = Self {
                stage: Stage::Over,
                ..Self::default()
            };
            tell(Said::Lost);
        }
    }

    fn read(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) -> Result<(), Lost> {
        let mut bytes = bytes;
        while let Some(piece) = self.packets.next(bytes) {
            match piece {
                Piece::PartOfHead(len) => bytes = self.count(bytes, len),
                Piece::Head(len, begins) => {
                    bytes = self.count(bytes, len);
                    if begins {
                        self.payload.clear();
                    }
                }
                Piece::Body(len) => {
                    let room = PAYLOAD_LEN_MAX - self.payload.len();
                    self.payload.extend_from_slice(&bytes[..len.min(room)]);
                    bytes = self.count(bytes, len);
                }
                Piece::End => self.payload_ends(bytes, tell)?,
            }
        }
        self.flush(tell);
        Ok(())
    }

    fn count<'a>(&mut self, bytes: &'a [u8], len: usize) -> &'a [u8] {
        self.untold = self
            .untold
            .saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        &bytes[len..]
    }

    /// Tells the bytes that are not told yet.
    fn flush(&mut self, tell: &mut dyn FnMut(Said)) {
        let len = core::mem::take(&mut self.untold);
        if len > 0 {
            tell(if self.awaited.is_empty() || self.stage != Stage::Open {
                Said::Unasked(len)
            } else {
                Said::Bytes(len)
            });
        }
    }

    /// A payload has ended; `behind` are the bytes behind it, as far as they have come.
    fn payload_ends(&mut self, behind: &[u8], tell: &mut dyn FnMut(Said)) -> Result<(), Lost> {
        if self.stage == Stage::Opening {
            match self.payload.first() {
                // The greeting: version 10 of the protocol, and the first packet.
                Some(10) if self.packets.number() == 0 => {
                    self.flush(tell);
                    tell(Said::Asked(self.payload[..].into()));
                }
                Some(0x00) => {
                    self.flush(tell);
                    self.stage = Stage::Open;
                    tell(Said::Opened(None));
                }
                // What else is asked of the client, and the end of it.
                Some(0x01 | 0xfe | 0xff) => {}
                _ => return Err(Lost),
            }
            return Ok(());
        }
        let Some(awaited) = self.awaited.front() else {
            return Ok(());
        };
        match self
            .answers
            .take(*awaited, &self.payload, self.packets.len(), behind)?
        {
            Progress::GoesOn => {}
            Progress::AsksForFile => {
                self.flush(tell);
                tell(Said::Ready);
            }
            Progress::Ends(verdict, is_of_user) => {
                self.flush(tell);
                self.awaited.pop_front();
                self.answers = Answers::default();
                if is_of_user && !verdict.is_error {
                    tell(Said::Opened(None));
                }
                tell(Said::End(verdict));
            }
        }
        Ok(())
    }

    pub(crate) fn close(&mut self, tell: &mut dyn FnMut(Said)) {
        self.flush(tell);
    }
}

#[cfg(test)]
mod tests;
