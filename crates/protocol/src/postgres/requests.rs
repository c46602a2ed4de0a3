//! The client's side.
//!
//! Bytes of messages pass as they come. Only with `--read-only` is a message held until it is whole, since what stands last in it
//! may be what writes, and of a connection whose beginning was not seen what may name a prepared statement; one that is longer than
//! [`HELD_LEN_MAX`] cannot be judged and is not copied.

mod copying;
mod judging;
mod opening;

use copying::{Tail, WORD};
use judging::Judge;
use opening::{Heard, Stage};

use super::frames::{Frames, Impossible, Piece};
use crate::expect::{AwaitedPostgres, Expect};
use crate::module::Module;
use crate::parts::{Head, Part, Why};
use crate::protocol::Protocol;
use crate::said::Said;
use crate::word::Word;

/// Longest message that is judged, in bytes.
pub const HELD_LEN_MAX: usize = 64 << 10;
/// Most prepared statements of a connection that are remembered as judged; others are taken for unknown, and what uses them is not
/// copied.
pub const STATEMENTS_MAX: usize = 4096;

/// Reads the bytes of one client.
#[derive(Debug, Default)]
pub struct Requests {
    stage: Stage,
    frames: Frames,
    message: Message,
    /// Whether something is executed in it by the extended protocol.
    executes: bool,
    /// Whether it is copied, once that is known.
    copied: bool,
    tail: Tail,
    /// A statement of the extended protocol has had COPY in it: whatever is executed may ask for data.
    may_copy: bool,
    word: Word,
    judge: Judge,
    /// Whether the connection's beginning was not seen: what was prepared then is unknown.
    is_unseen: bool,
    /// What is held of a message that is judged.
    held: Vec<u8>,
    /// Messages with a response that the online server has not completed.
    outstanding: u32,
}

/// Where the client stands in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Message {
    /// Between two.
    #[default]
    None,
    /// In one that passes.
    Passes,
    /// In one that is held until it can be judged.
    Held,
    /// In one that is not copied.
    Blocked,
}

impl Requests {
    /// A reader that begins between two messages of a connection whose beginning was not seen.
    pub(crate) fn unseen() -> Self {
        Self {
            stage: Stage::Open,
            is_unseen: true,
            ..Self::default()
        }
    }

    pub(crate) fn push(
        &mut self,
        module: &Module,
        bytes: &[u8],
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Option<Why> {
        let mut bytes = bytes;
        if !self.stage.is_open() {
            match self.stage.push(&mut bytes, &mut self.frames, tell) {
                Err(why) => return Some(why),
                Ok(false) => return None,
                Ok(true) => {}
            }
        }
        let mut from = 0;
        let mut at = 0;
        loop {
            match self.frames.next(&bytes[at..]) {
                Err(Impossible) => return Some(Why::Malformed),
                Ok(None) => break,
                // The whole head is told at once: it is not known before whose it is.
                Ok(Some(Piece::PartOfHead(len))) => {
                    self.pass(&bytes[from..at], tell);
                    at += len;
                    from = at;
                }
                Ok(Some(Piece::Head(len))) => {
                    self.pass(&bytes[from..at], tell);
                    at += len;
                    from = at;
                    if !self.begin(module, tell) {
                        return Some(Why::Malformed);
                    }
                }
                Ok(Some(Piece::Body(len))) => {
                    self.read(&bytes[at..at + len]);
                    at += len;
                }
                Ok(Some(Piece::End)) => {
                    self.pass(&bytes[from..at], tell);
                    from = at;
                    self.end(module, tell);
                }
            }
        }
        self.pass(&bytes[from..at], tell);
        None
    }

    /// Bytes of the current message.
    fn pass(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Part<'_>)) {
        if bytes.is_empty() {
            return;
        }
        match self.message {
            Message::Passes => tell(Part::Bytes(bytes)),
            Message::Held if self.held.len() + bytes.len() > HELD_LEN_MAX => self.block(tell),
            Message::Held => self.held.extend_from_slice(bytes),
            Message::None | Message::Blocked => {}
        }
    }

    /// The message is not copied.
    fn block(&mut self, tell: &mut dyn FnMut(Part<'_>)) {
        self.held.clear();
        self.judge.forget();
        self.message = Message::Blocked;
        self.tell_begin(false, AwaitedPostgres { bare: true }, tell);
    }

    fn tell_begin(
        &mut self,
        copied: bool,
        awaited: AwaitedPostgres,
        tell: &mut dyn FnMut(Part<'_>),
    ) {
        self.outstanding = self.outstanding.saturating_add(1);
        self.copied = copied;
        tell(Part::Begin(Head {
            copied,
            expect: Expect::Postgres(awaited),
            patch: None,
        }));
    }

    /// A message of the protocol begins, whose head is whole.
    fn begin(&mut self, module: &Module, tell: &mut dyn FnMut(Part<'_>)) -> bool {
        let (kind, empty) = (self.frames.kind(), self.frames.left() == 0);
        match kind {
            b'S' | b'H' | b'X' | b'c' if !empty => return false,
            b'S' | b'H' | b'X' | b'c' | b'Q' | b'P' | b'B' | b'E' | b'D' | b'C' | b'F' | b'd'
            | b'f' => {}
            _ => return false,
        }
        if self.message == Message::None {
            if matches!(kind, b'd' | b'c' | b'f') || self.tail.goes_on(kind) {
                self.go_on(tell);
                return true;
            }
            self.finish(tell);
            self.executes = false;
            if kind == b'X' {
                tell(Part::Begin(Head {
                    copied: true,
                    expect: Expect::Nothing(Protocol::Postgres),
                    patch: None,
                }));
                self.message = Message::Passes;
            } else if !module.is_wanted(|_| false) {
                // There are no filters of this protocol: what asks for a message like one has none of these.
                self.block(tell);
            } else if module.read_only || self.is_unseen && matches!(kind, b'P' | b'B' | b'D') {
                self.message = Message::Held;
            } else {
                let bare = matches!(kind, b'S' | b'H');
                self.tell_begin(true, AwaitedPostgres { bare }, tell);
                self.message = Message::Passes;
            }
        }
        self.executes |= kind == b'E';
        self.word = Word::default();
        let head = self.head();
        self.pass(&head, tell);
        true
    }

    /// COPY data, and what stands behind it, belongs to the message that asked for it.
    fn go_on(&mut self, tell: &mut dyn FnMut(Part<'_>)) {
        if !self.tail.is_open() {
            // Servers ignore data that nobody has asked for, as it comes behind an error.
            self.message = Message::Blocked;
            return;
        }
        if self.tail.asked() && self.copied {
            tell(Part::Pause);
        }
        self.message = if self.copied {
            Message::Passes
        } else {
            Message::Blocked
        };
        let head = self.head();
        self.pass(&head, tell);
    }

    fn head(&self) -> [u8; super::frames::HEAD_LEN] {
        let [a, b, c, d] = (self.frames.left() + 4).to_be_bytes();
        [self.frames.kind(), a, b, c, d]
    }

    /// Bytes of a body, before they are passed.
    fn read(&mut self, body: &[u8]) {
        if matches!(self.frames.kind(), b'Q' | b'P') {
            self.word.read(WORD, body);
        }
    }

    /// A message of the protocol has ended.
    fn end(&mut self, module: &Module, tell: &mut dyn FnMut(Part<'_>)) {
        let kind = self.frames.kind();
        if kind == b'P' && self.word.is_found(WORD) {
            self.may_copy = true;
        }
        if self.tail.is_open() {
            self.message = Message::None;
            if self.tail.ends_with(kind) {
                self.finish(tell);
            }
            return;
        }
        match (self.message, kind) {
            (Message::Blocked, b'd' | b'c' | b'f') => self.message = Message::None,
            (Message::None, _) => {}
            (_, b'Q' | b'S' | b'F' | b'X') => {
                if self.message == Message::Held {
                    self.give(module, tell);
                }
                self.message = Message::None;
                self.tail = match kind {
                    b'Q' if self.word.is_found(WORD) => Tail::perhaps(false),
                    b'S' if self.may_copy && self.executes => Tail::perhaps(true),
                    _ => Tail::None,
                };
                if !self.tail.is_open() {
                    tell(Part::End);
                }
            }
            _ => {}
        }
    }

    /// The message that is held is whole.
    fn give(&mut self, module: &Module, tell: &mut dyn FnMut(Part<'_>)) {
        let held = core::mem::take(&mut self.held);
        let copied = self.judge.may_be_copied(&held, module.read_only);
        let bare = !copied || matches!(held.first(), Some(b'S' | b'H'));
        self.tell_begin(copied, AwaitedPostgres { bare }, tell);
        if copied {
            tell(Part::Bytes(&held));
        }
    }

    /// The message that may have gone on does not.
    fn finish(&mut self, tell: &mut dyn FnMut(Part<'_>)) {
        if self.tail.is_open() {
            self.tail = Tail::None;
            tell(Part::End);
        }
    }

    pub(crate) fn hear(&mut self, said: &Said, tell: &mut dyn FnMut(Part<'_>)) {
        match said {
            Said::Asked(asked) => self.stage.hear(Heard::Asked(asked), tell),
            Said::Opened(_) => self.stage.hear(Heard::Opened, tell),
            Said::Ready if self.tail.asked() && self.copied => tell(Part::Pause),
            Said::End(_) => {
                self.outstanding = self.outstanding.saturating_sub(1);
                if self.outstanding == 0 && self.message == Message::None && self.tail.is_unasked()
                {
                    self.finish(tell);
                }
            }
            _ => {}
        }
    }

    /// Why the flow leaves where the online server's reader says so.
    pub(crate) fn why_left(&self) -> Why {
        if self.stage.is_open() {
            Why::Replication
        } else {
            Why::Encrypted
        }
    }

    pub(crate) fn is_between(&self) -> bool {
        self.stage.is_between()
            && self.message == Message::None
            && !self.tail.is_open()
            && !self.frames.is_inside()
    }
}

#[cfg(test)]
mod tests;
