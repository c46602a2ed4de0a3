//! The client's side.
//!
//! The first bytes of a command are held, [`HEAD_LEN_MAX`] at most, until it is known what it is; the rest passes as it comes. With `--read-only` a
//! text is held until it is whole, and one that is longer than [`HELD_LEN_MAX`] cannot be judged and is not copied.

mod opening;
mod tail;

use opening::Stage;
use tail::{Tail, WORD};

use super::commands;
use super::fields::Fields;
use super::handshake::QUERY_ATTRIBUTES;
use super::packets::{HEAD_LEN, Packets, Piece};
use crate::expect::{AwaitedMysql, Expect};
use crate::module::Module;
use crate::opening::MysqlOpening;
use crate::parts::{Head, Part, Patch, Why};
use crate::protocol::Protocol;
use crate::said::Said;
use crate::word::Word;

pub use opening::OPENING_LEN_MAX;

/// Most bytes of a query that are held to find its first word.
pub const HEAD_LEN_MAX: usize = 1024;
/// Longest text that is judged, in bytes.
pub const HELD_LEN_MAX: usize = 64 << 10;

/// What MariaDB takes for the statement that was prepared last.
const LATEST: u32 = u32::MAX;

/// Reads the bytes of one client.
#[derive(Debug, Default)]
pub struct Requests {
    stage: Stage,
    packets: Packets,
    at: At,
    /// The first byte of the payload.
    command: u8,
    /// What is held of a message that has not begun yet, with the packet's head.
    held: Vec<u8>,
    /// Whether the message is copied.
    copied: bool,
    /// Whether the statement that was prepared last was copied.
    latest_copied: bool,
    tail: Tail,
    word: Word,
    /// A statement was prepared that asks for a file.
    may_ask: bool,
    outstanding: u32,
}

/// Where the client stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Between,
    /// In a payload that is held until so many bytes of it are there, or all.
    Held(usize),
    /// In one that passes, or does not, as the message does.
    Begun,
    /// In one that belongs to no message: what a user proves.
    Aside,
}

impl Requests {
    /// A reader that begins between two commands of a connection whose beginning was not seen.
    pub(crate) fn unseen(opening: &MysqlOpening) -> Self {
        Self {
            stage: Stage::unseen(opening),
            ..Self::default()
        }
    }

    pub(crate) fn push(
        &mut self,
        module: &Module,
        bytes: &[u8],
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Option<Why> {
        let (mut from, mut at) = (0, 0);
        while let Some(piece) = self.packets.next(&bytes[at..]) {
            let done = match piece {
                // Whose the head is, is not known before it is whole.
                Piece::PartOfHead(len) => {
                    self.pass(&bytes[from..at], tell);
                    at += len;
                    from = at;
                    Ok(())
                }
                Piece::Head(len, begins) => {
                    self.pass(&bytes[from..at], tell);
                    at += len;
                    from = at;
                    if begins { self.begin(tell) } else { Ok(()) }.map(|()| {
                        let head = self.packets.head();
                        self.pass(&head, tell);
                    })
                }
                Piece::Body(len) => {
                    at += len;
                    self.body(module, &bytes[at - len..at], &mut from, at, tell)
                }
                Piece::End => {
                    self.pass(&bytes[from..at], tell);
                    from = at;
                    self.end(module, tell)
                }
            };
            if let Err(why) = done {
                return Some(why);
            }
        }
        self.pass(&bytes[from..at], tell);
        None
    }

    /// Bytes of the current payload.
    fn pass(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Part<'_>)) {
        match self.at {
            At::Held(_) => self.held.extend_from_slice(bytes),
            At::Begun if self.copied && !bytes.is_empty() => tell(Part::Bytes(bytes)),
            At::Begun | At::Between | At::Aside => {}
        }
    }

    /// A payload begins, whose first packet's head is whole.
    fn begin(&mut self, tell: &mut dyn FnMut(Part<'_>)) -> Result<(), Why> {
        let number = self.packets.number();
        if !self.stage.is_open() {
            if number != 0 {
                self.at = At::Aside;
                return self.stage.begin(self.packets.len());
            }
            // It is a command: the client takes itself for being let in.
            self.stage.open(tell)?;
        }
        if self.tail.takes(number) {
            if self.tail.asked() && self.copied {
                tell(Part::Pause);
            }
            self.at = At::Begun;
            return Ok(());
        }
        if number != 0 {
            // A file that nobody has asked for, or what another user has to prove.
            self.at = At::Aside;
            return Ok(());
        }
        self.finish(tell);
        self.word = Word::default();
        self.at = At::Held(1);
        Ok(())
    }

    fn body(
        &mut self,
        module: &Module,
        body: &[u8],
        from: &mut usize,
        at: usize,
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Result<(), Why> {
        match self.at {
            At::Aside => {
                self.stage.body(body);
                *from = at;
            }
            At::Held(_) => {
                self.word.read(WORD, body);
                self.held.extend_from_slice(body);
                *from = at;
                self.look(module, false, tell)?;
            }
            At::Begun if !self.tail.is_open() => self.word.read(WORD, body),
            At::Begun | At::Between => {}
        }
        Ok(())
    }

    /// Looks whether enough is held to know what the message is.
    fn look(
        &mut self,
        module: &Module,
        is_whole: bool,
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Result<(), Why> {
        let At::Held(needed) = self.at else {
            return Ok(());
        };
        let payload_len = self.held.len() - HEAD_LEN.min(self.held.len());
        if !is_whole && payload_len < needed {
            return Ok(());
        }
        let Some(command) = self.held.get(HEAD_LEN) else {
            return Err(Why::Malformed);
        };
        self.command = *command;
        let more = needed_of(self.command, module.read_only);
        if !is_whole && payload_len < more {
            self.at = At::Held(more);
            return Ok(());
        }
        self.give(module, is_whole, tell)
    }

    /// The message begins: enough of it is held.
    fn give(
        &mut self,
        module: &Module,
        is_whole: bool,
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Result<(), Why> {
        let held = core::mem::take(&mut self.held);
        let payload = &held[HEAD_LEN..];
        let answer = commands::answer(self.command)?;
        let mut patch = None;
        if commands::names_statement(self.command) {
            let Some(statement) = Fields(&payload[1..]).u32() else {
                return Err(Why::Malformed);
            };
            patch = (statement != LATEST).then_some(Patch { at: 5, statement });
        }
        // There are no filters of this protocol: what asks for a message like one has none of these.
        self.copied = module.is_wanted(|_| false)
            && commands::may_be_copied(self.command)
            && self.text_may_be_copied(&payload[..payload.len().min(HEAD_LEN_MAX)])
            && (!module.read_only || self.reads(payload, is_whole, patch.is_some()));
        if self.command == commands::PREPARE {
            self.latest_copied = self.copied;
        }
        if self.command == commands::CHANGE_USER {
            self.stage.change(&payload[1..], is_whole)?;
        }
        let format = self.stage.format();
        let expect = answer.map_or(Expect::Nothing(Protocol::Mysql), |answer| {
            Expect::Mysql(AwaitedMysql { answer, format })
        });
        self.outstanding = self.outstanding.saturating_add(u32::from(answer.is_some()));
        self.at = At::Begun;
        tell(Part::Begin(Head {
            copied: self.copied,
            expect,
            patch,
        }));
        self.pass(&held, tell);
        Ok(())
    }

    /// The text of a query or of what is to be prepared, as far as it is held; nothing where attributes stand before it.
    fn text<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        let mut fields = Fields(&payload[1..]);
        if self.command == commands::QUERY && self.stage.capabilities() & QUERY_ATTRIBUTES != 0 {
            // So many attributes, of one set.
            if fields.number()? != 0 || fields.number()? != 1 {
                return None;
            }
        }
        Some(fields.0)
    }

    fn text_may_be_copied(&self, payload: &[u8]) -> bool {
        self.command != commands::QUERY
            || self.text(payload).is_none_or(commands::query_may_be_copied)
    }

    /// Whether it is known to read; with `--read-only` alone.
    fn reads(&self, payload: &[u8], is_whole: bool, is_patched: bool) -> bool {
        match self.command {
            commands::QUERY | commands::PREPARE => {
                is_whole && self.text(payload).is_some_and(commands::text_reads)
            }
            // Of a statement with a number the number says it: what was not copied has none at the target.
            command if commands::names_statement(command) => is_patched || self.latest_copied,
            command => commands::reads(command),
        }
    }

    /// A payload has ended.
    fn end(&mut self, module: &Module, tell: &mut dyn FnMut(Part<'_>)) -> Result<(), Why> {
        if matches!(self.at, At::Held(_)) {
            self.look(module, true, tell)?;
        }
        match core::mem::take(&mut self.at) {
            At::Begun if self.tail.is_open() => {
                if self.packets.len() == 0 {
                    self.tail = Tail::Perhaps;
                }
            }
            At::Begun => {
                self.may_ask |= self.command == commands::PREPARE && self.word.is_found(WORD);
                let may_ask = match self.command {
                    commands::QUERY => self.word.is_found(WORD),
                    commands::EXECUTE | commands::BULK_EXECUTE => self.may_ask,
                    _ => false,
                };
                if may_ask {
                    self.tail = Tail::Perhaps;
                } else {
                    tell(Part::End);
                }
            }
            At::Aside => self.stage.end()?,
            At::Held(_) | At::Between => {}
        }
        Ok(())
    }

    /// The message that may have gone on does not.
    fn finish(&mut self, tell: &mut dyn FnMut(Part<'_>)) {
        if core::mem::take(&mut self.tail).is_open() {
            tell(Part::End);
        }
    }

    pub(crate) fn hear(&mut self, said: &Said, tell: &mut dyn FnMut(Part<'_>)) {
        match said {
            Said::Asked(greeting) => self.stage.greeted(greeting),
            Said::Opened(_) => self.stage.opened(tell),
            Said::Ready if self.tail.asked() && self.copied => tell(Part::Pause),
            Said::End(_) => {
                self.outstanding = self.outstanding.saturating_sub(1);
                if self.outstanding == 0 && self.at == At::Between && self.tail == Tail::Perhaps {
                    self.finish(tell);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn is_between(&self) -> bool {
        self.stage.is_between() && !self.packets.is_inside() && !self.tail.is_open()
    }
}

/// How many bytes of a command have to be held before it is told.
fn needed_of(command: u8, read_only: bool) -> usize {
    match command {
        commands::QUERY | commands::PREPARE if read_only => HELD_LEN_MAX,
        commands::QUERY => HEAD_LEN_MAX,
        commands::CHANGE_USER => OPENING_LEN_MAX,
        command if commands::names_statement(command) => 5,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
