//! A server's side.
//!
//! A response ends with `ReadyForQuery`. What it holds of a message is its first bytes, for those few kinds that say something of it.

use std::collections::VecDeque;

use super::code_of;
use super::frames::{Frames, Piece};
use super::startup::string;
use crate::expect::AwaitedPostgres;
use crate::opening::CancelKey;
use crate::said::{Said, Verdict};
use crate::scram;

/// Most messages that wait for their responses; a client that asks for more without an answer is not followed.
pub const AWAITED_MAX: usize = 1 << 16;

/// Longest body that is looked into, in bytes: of an error, the fields that stand first.
const BODY_LEN_MAX: usize = scram::SERVER_LEN_MAX + 4;
/// Longest body of messages that hold neither data nor words, in bytes: a list of the types of parameters, say.
const SHORT_LEN_MAX: u32 = 1 << 20;
/// Most refusals of encryption, a byte each: one of TLS and one of GSSAPI.
const REFUSALS_MAX: u8 = 2;

/// Reads the bytes of one server.
#[derive(Debug, Default)]
pub struct Responses {
    stage: Stage,
    frames: Frames,
    body: Vec<u8>,
    awaited: VecDeque<AwaitedPostgres>,
    /// What the response has said so far.
    verdict: Verdict,
    /// Something of the response has come other than what may come at any time.
    has_begun: bool,
    /// Bytes that are not told yet.
    untold: u32,
    /// Bytes of which it is not known yet whose they are: of a head, and of a `ReadyForQuery`.
    open: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has come but refusals of encryption.
    Beginning {
        refusals: u8,
    },
    /// The client is not in yet.
    Opening {
        key: Option<CancelKey>,
    },
    Open,
    /// Nothing more is told, and whether that is because it cannot be read.
    Over,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Beginning { refusals: 0 }
    }
}

/// The server's stream cannot be read any further.
struct Lost;

impl Responses {
    /// A reader that begins behind a login.
    pub(crate) fn opened() -> Self {
        Self {
            stage: Stage::Open,
            ..Self::default()
        }
    }

    pub(crate) fn expect(&mut self, awaited: AwaitedPostgres) {
        // One more than there may be is told with the next bytes.
        if self.awaited.len() <= AWAITED_MAX {
            self.awaited.push_back(awaited);
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        if self.stage == Stage::Over {
            return;
        }
        if self.awaited.len() > AWAITED_MAX || self.read(bytes, tell).is_err() {
            self.flush(tell);
            self.end(tell, Said::Lost);
        }
    }

    /// Nothing more is told.
    fn end(&mut self, tell: &mut dyn FnMut(Said), said: Said) {
        *self = Self {
            stage: Stage::Over,
            ..Self::default()
        };
        tell(said);
    }

    fn read(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) -> Result<(), Lost> {
        let mut bytes = bytes;
        self.begin(&mut bytes, tell);
        while self.stage != Stage::Over {
            match self.frames.next(bytes).map_err(|_| Lost)? {
                None => break,
                Some(Piece::PartOfHead(len)) => bytes = self.count(bytes, len),
                Some(Piece::Head(len)) => {
                    if !is_known(self.frames.kind(), self.frames.left()) {
                        return Err(Lost);
                    }
                    bytes = self.count(bytes, len);
                    if self.frames.kind() != b'Z' {
                        self.settle();
                    }
                    self.body.clear();
                    self.has_begun |= !matches!(self.frames.kind(), b'Z' | b'N' | b'S' | b'A');
                }
                Some(Piece::Body(len)) => {
                    if matches!(self.frames.kind(), b'E' | b'R' | b'K' | b'Z') {
                        let room = BODY_LEN_MAX - self.body.len();
                        self.body.extend_from_slice(&bytes[..len.min(room)]);
                    }
                    bytes = self.count(bytes, len);
                    if self.frames.kind() != b'Z' {
                        self.settle();
                    }
                }
                Some(Piece::End) => self.message(tell)?,
            }
        }
        self.flush(tell);
        Ok(())
    }

    fn count<'a>(&mut self, bytes: &'a [u8], len: usize) -> &'a [u8] {
        let counted = u32::try_from(len).unwrap_or(u32::MAX);
        self.open = self.open.saturating_add(counted);
        &bytes[len..]
    }

    /// It is known whose the bytes are: of the message that is awaited first, if there is one.
    fn settle(&mut self) {
        self.untold = self.untold.saturating_add(core::mem::take(&mut self.open));
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

    /// What a server says to a request for encryption is one byte.
    fn begin(&mut self, bytes: &mut &[u8], tell: &mut dyn FnMut(Said)) {
        while let (Stage::Beginning { refusals }, Some(first)) = (&mut self.stage, bytes.first()) {
            match first {
                b'N' if *refusals < REFUSALS_MAX => {
                    *refusals += 1;
                    self.untold += 1;
                    *bytes = &bytes[1..];
                }
                b'S' | b'G' => {
                    self.untold += 1;
                    self.flush(tell);
                    self.end(tell, Said::Left);
                }
                _ => self.stage = Stage::Opening { key: None },
            }
        }
    }

    /// A message has ended.
    fn message(&mut self, tell: &mut dyn FnMut(Said)) -> Result<(), Lost> {
        let kind = self.frames.kind();
        match &mut self.stage {
            Stage::Opening { key } => match kind {
                b'R' => {
                    // AuthenticationSASLContinue.
                    if let Some(data) = self.body.strip_prefix(&[0, 0, 0, 11]) {
                        let asked = Said::Asked(data.into());
                        self.flush(tell);
                        tell(asked);
                    }
                }
                b'K' => *key = CancelKey::parse(&self.body),
                b'Z' => {
                    let key = key.take();
                    self.settle();
                    self.flush(tell);
                    self.stage = Stage::Open;
                    self.has_begun = false;
                    tell(Said::Opened(key));
                }
                b'E' | b'N' | b'S' | b'v' => {}
                _ => return Err(Lost),
            },
            Stage::Open => return self.response(kind, tell),
            Stage::Beginning { .. } | Stage::Over => {}
        }
        Ok(())
    }

    fn response(&mut self, kind: u8, tell: &mut dyn FnMut(Said)) -> Result<(), Lost> {
        match kind {
            b'E' if !self.verdict.is_error => {
                self.verdict = Verdict {
                    code: code(&self.body).unwrap_or_default(),
                    is_error: true,
                    statement: None,
                };
            }
            b'Z' => self.ready(tell),
            // CopyInResponse.
            b'G' if !self.awaited.is_empty() => {
                self.flush(tell);
                tell(Said::Ready);
            }
            // CopyBothResponse: replication.
            b'W' => {
                self.flush(tell);
                self.end(tell, Said::Left);
            }
            b'R' | b'K' | b'v' => return Err(Lost),
            _ => {}
        }
        Ok(())
    }

    fn ready(&mut self, tell: &mut dyn FnMut(Said)) {
        let is_its = self
            .awaited
            .front()
            .is_some_and(|awaited| awaited.bare || self.has_begun);
        if is_its {
            self.settle();
            self.flush(tell);
            let verdict = core::mem::take(&mut self.verdict);
            self.awaited.pop_front();
            tell(Said::End(verdict));
        } else {
            // It answers a Sync that stood behind data which the server did not want: a response has something before its end.
            self.flush(tell);
            tell(Said::Unasked(core::mem::take(&mut self.open)));
        }
        self.has_begun = false;
        self.verdict = Verdict::default();
    }

    pub(crate) fn close(&mut self, tell: &mut dyn FnMut(Said)) {
        self.settle();
        self.flush(tell);
        // An error that ends the connection (class 57, say) ends the response as well.
        if self.verdict.is_error && self.awaited.pop_front().is_some() {
            tell(Said::End(core::mem::take(&mut self.verdict)));
        }
    }
}

/// Whether there is a message of this kind whose body may be so long.
fn is_known(kind: u8, len: u32) -> bool {
    match kind {
        b'A' | b'D' | b'E' | b'N' | b'S' | b'T' | b'V' | b'd' | b'v' => true,
        b'Z' => len == 1,
        b'C'
        | b'G'
        | b'H'
        | b'I'
        | b'K'
        | b'R'
        | b'W'
        | b'c'
        | b'n'
        | b's'
        | b't'
        | b'1'..=b'3' => len <= SHORT_LEN_MAX,
        _ => false,
    }
}

/// The SQLSTATE of an `ErrorResponse`.
fn code(body: &[u8]) -> Option<u32> {
    let mut left = body;
    loop {
        let field = string(&mut left)?;
        if let (b'C', state) = field.split_first()? {
            return code_of(state);
        }
    }
}

#[cfg(test)]
mod tests;
