//! A client's side: commands. A command is held until it is known what it does; the rest of it passes by.

use crate::asked::Asked;
use crate::module::Module;
use crate::parts::{Head, Part, Why};
use crate::redis::judge::{Replies, asks_for_key, is_copied, leads_to_a_stream};
use crate::redis::login;
use crate::redis::message::Message;
use crate::redis::{HELD_MAX, INLINE_MAX, NUMBER_MAX, WORD_MAX, WORDS_MAX, number};

/// Reads requests.
#[derive(Debug, Default)]
pub struct Requests {
    at: At,
    fate: Fate,
    /// The command so far, while its fate is open; behind a fault, what cannot be read.
    held: Vec<u8>,
    /// How long the command is so far, in bytes.
    len: usize,
    message: Message,
    /// How many of its words are complete.
    words: u64,
    /// The number that is read.
    line: Vec<u8>,
    replies: Replies,
    judges: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Between two commands.
    #[default]
    Start,
    /// In a command in a line of its own.
    Inline,
    InlineLf,
    /// In the number of words.
    Count,
    CountLf,
    /// Before the length of a word.
    Sign,
    Length,
    LengthLf,
    /// In a word with so many bytes to come.
    Word(u64),
    WordCr,
    WordLf,
}

/// What becomes of the command that is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    /// It is not known yet.
    #[default]
    Open,
    /// It is copied with other words; all of it is held.
    Changed,
    Copied,
    Dropped,
}

/// What the latest bytes have led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Goes,
    /// Enough is known of the command.
    Known,
    /// It is complete.
    Ends,
    /// It was none.
    Skips,
}

impl Requests {
    /// A reader, and whether what cannot be judged is not to be copied.
    pub(crate) fn new(judges: bool) -> Self {
        Self {
            judges,
            ..Self::default()
        }
    }

    pub(crate) fn push(
        &mut self,
        module: &Module,
        bytes: &[u8],
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Option<Why> {
        let wants_key = asks_for_key(module);
        // Bytes from here on are neither held nor told.
        let (mut from, mut at) = (0, 0);
        while at < bytes.len() {
            let step = match self.next(&bytes[at..], wants_key) {
                Ok((len, step)) => {
                    at += len;
                    step
                }
                Err(why) => return Some(self.fail(&bytes[from..], at - from, why, tell)),
            };
            if step == Step::Goes {
                continue;
            }
            self.settle(&bytes[from..at], tell);
            from = at;
            if step == Step::Skips || self.is_blank(wants_key) {
                self.start();
                continue;
            }
            if self.fate == Fate::Open {
                if leads_to_a_stream(&self.message) {
                    return Some(self.fail(&bytes[at..], 0, Why::Replication, tell));
                }
                self.decide(module, tell);
            }
            if step == Step::Ends {
                self.end(module, tell);
            }
        }
        self.settle(&bytes[from..], tell);
        None
    }

    /// Of `bytes` so many are right.
    fn fail(
        &mut self,
        bytes: &[u8],
        right: usize,
        why: Why,
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Why {
        let (right, wrong) = bytes.split_at(right);
        self.settle(right, tell);
        self.held.extend_from_slice(wrong);
        why
    }

    /// Holds, tells or drops bytes of the command.
    fn settle(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Part<'_>)) {
        match self.fate {
            Fate::Open | Fate::Changed => self.held.extend_from_slice(bytes),
            Fate::Copied if !bytes.is_empty() => tell(Part::Bytes(bytes)),
            Fate::Copied | Fate::Dropped => {}
        }
    }

    fn decide(&mut self, module: &Module, tell: &mut dyn FnMut(Part<'_>)) {
        if module.redis_login.is_some() && login::is_login(self.message.word(0).as_deref()) {
            self.fate = Fate::Changed;
            return;
        }
        let held = core::mem::take(&mut self.held);
        self.begin(module, &held, tell);
    }

    fn begin(&mut self, module: &Module, bytes: &[u8], tell: &mut dyn FnMut(Part<'_>)) {
        let copied = is_copied(module, &self.message);
        let expect = self.replies.to(&self.message);
        tell(Part::Begin(Head {
            copied,
            expect,
            patch: None,
        }));
        if copied && let Some(name) = self.message.name() {
            tell(Part::Asks(Asked::name(&name)));
        }
        self.fate = if copied { Fate::Copied } else { Fate::Dropped };
        self.settle(bytes, tell);
    }

    fn end(&mut self, module: &Module, tell: &mut dyn FnMut(Part<'_>)) {
        if self.fate == Fate::Changed {
            let held = core::mem::take(&mut self.held);
            let changed = module
                .redis_login
                .as_ref()
                .and_then(|account| login::instead_of(&held, account));
            self.begin(module, changed.as_ref().map_or(&held, |one| one), tell);
        }
        tell(Part::End);
        self.start();
    }

    fn start(&mut self) {
        (self.at, self.fate) = (At::Start, Fate::Open);
        (self.len, self.words) = (0, 0);
        self.held.clear();
        self.message = Message::default();
    }

    /// Takes the words of a command in a line of its own; true where there are none.
    fn is_blank(&mut self, wants_key: bool) -> bool {
        if self.at != At::Inline {
            return false;
        }
        let words = login::words_of_line(&self.held);
        let is_blank = words.as_ref().is_some_and(Vec::is_empty);
        // Of words in quotes it is not known what they are.
        self.message = words.map_or_else(
            || Message::new(1),
            |words| Message::of_words(&words, wants_key),
        );
        is_blank
    }

    /// Takes the next bytes, one or several of a word.
    fn next(&mut self, bytes: &[u8], wants_key: bool) -> Result<(usize, Step), Why> {
        if let At::Word(left) = self.at {
            let len = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            if self.fate == Fate::Open {
                self.message.add(self.words, &bytes[..len], wants_key);
            }
            self.len = self.len.saturating_add(len);
            self.at = in_word(left - len as u64);
            return Ok((len, Step::Goes));
        }
        let Some(byte) = bytes.first().copied() else {
            return Ok((0, Step::Goes));
        };
        self.len = self.len.saturating_add(1);
        self.byte(byte, wants_key).map(|step| (1, step))
    }

    fn byte(&mut self, byte: u8, wants_key: bool) -> Result<Step, Why> {
        self.at = match (self.at, byte) {
            (At::Start, b'*') => self.number(At::Count),
            (At::Start | At::Inline, b'\r') => At::InlineLf,
            (At::Start | At::Inline | At::InlineLf, b'\n') => {
                self.at = At::Inline;
                return Ok(Step::Ends);
            }
            // Redis would read anything as a command; what is none is found sooner by its first byte.
            (At::Start, b'a'..=b'z' | b'A'..=b'Z' | b'"' | b'\'' | b' ' | b'\t') => At::Inline,
            (At::Inline, b'\t' | b' '..=b'~' | 0x80..) => {
                if self.len >= INLINE_MAX {
                    return Err(Why::TooLong);
                }
                At::Inline
            }
            (at @ (At::Count | At::Length), b'-' | b'0'..=b'9') => {
                if self.line.len() >= NUMBER_MAX {
                    return Err(Why::Malformed);
                }
                self.line.push(byte);
                at
            }
            (At::Count, b'\r') => At::CountLf,
            (At::CountLf, b'\n') => return self.count(),
            (At::Sign, b'$') => self.number(At::Length),
            (At::Length, b'\r') => At::LengthLf,
            (At::LengthLf, b'\n') => return self.length(),
            (At::WordCr, b'\r') => At::WordLf,
            (At::WordLf, b'\n') => return Ok(self.end_word(wants_key)),
            _ => return Err(Why::Malformed),
        };
        Ok(Step::Goes)
    }

    fn number(&mut self, at: At) -> At {
        self.line.clear();
        at
    }

    fn count(&mut self) -> Result<Step, Why> {
        let count = number(&self.line).ok_or(Why::Malformed)?;
        match u64::try_from(count) {
            // Redis answers nothing to a command without words.
            Err(_) | Ok(0) => Ok(Step::Skips),
            Ok(count) if count > WORDS_MAX => Err(Why::TooLong),
            Ok(count) => {
                self.message = Message::new(count);
                self.at = At::Sign;
                Ok(Step::Goes)
            }
        }
    }

    fn length(&mut self) -> Result<Step, Why> {
        let len = number(&self.line)
            .and_then(|len| u64::try_from(len).ok())
            .ok_or(Why::Malformed)?;
        if len > WORD_MAX {
            return Err(Why::TooLong);
        }
        self.at = in_word(len);
        let is_much = self.len as u64 + len > HELD_MAX as u64;
        match self.fate {
            Fate::Changed if is_much => Err(Why::TooLong),
            // What it does is not known then.
            Fate::Open if is_much => Ok(Step::Known),
            _ => Ok(Step::Goes),
        }
    }

    fn end_word(&mut self, wants_key: bool) -> Step {
        if self.fate == Fate::Open {
            self.message.end_word(self.words, wants_key);
        }
        self.words += 1;
        self.at = At::Sign;
        if self.words == self.message.count {
            Step::Ends
        } else if self.fate == Fate::Open && self.words >= self.message.needed(wants_key) {
            Step::Known
        } else {
            Step::Goes
        }
    }

    pub(crate) fn lets_pass(&self) -> bool {
        !self.judges
    }

    pub(crate) fn into_held(self) -> Vec<u8> {
        self.held
    }

    /// How many bytes of its client it holds.
    #[must_use]
    pub fn held_len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn is_between(&self) -> bool {
        self.at == At::Start
    }
}

fn in_word(left: u64) -> At {
    if left == 0 {
        At::WordCr
    } else {
        At::Word(left)
    }
}
