//! JSON (RFC 8259) as it streams by: where each value stands, and its hash. Nothing of the document is kept but the key that is
//! being read.
//!
//! | module | holds |
//! |---|---|
//! | [`text`] | strings: escapes are resolved, so that `"\u0041"` is `"A"` |
//! | [`number`] | numbers, by their letters: `1.0` is not `1` |
//! | [`fields`] | the hashes by path |
//!
//! It is strict in its grammar, and lenient in that strings may hold bytes that are no UTF-8.

mod fields;
mod number;
mod text;

use core::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::hash::Key;
use super::paths::{PathId, Paths};
use crate::identifier::NAME_LEN_MAX;
use fields::Fields;
pub use fields::{FIELDS_MAX, Field};
use number::Number;
use text::Text;

/// Deepest nesting that is followed.
pub const DEPTH_MAX: usize = 64;

/// Why a document has no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no JSON.
    Malformed,
    /// It nests deeper than [`DEPTH_MAX`].
    TooDeep,
}

/// What comes next.
#[derive(Clone, Debug)]
enum State {
    /// A value.
    Value,
    /// A value, or the end of an array that has none yet.
    ValueOrEnd,
    /// A key, or the end of an object that has none yet.
    KeyOrEnd,
    /// A key.
    Key,
    /// The rest of a key.
    InKey(Text),
    Colon,
    /// The rest of a string.
    InText(Text),
    /// The rest of a number.
    InNumber(Number),
    /// The rest of `true`, `false` or `null`.
    InWord(&'static [u8]),
    CommaOrEnd,
    /// The document is complete.
    Done,
    Fault(Fault),
}

/// An array or object that is open.
#[derive(Clone, Copy, Debug)]
struct Level {
    path: PathId,
    is_object: bool,
    /// Values so far.
    len: u64,
}

/// Kinds of values, so that the string `1` is not the number 1.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Text = 1,
    Number = 2,
    Word = 3,
    Array = 4,
    EmptyObject = 5,
}

/// A document that is being read.
#[derive(Clone, Debug)]
pub(super) struct Json {
    key: Key,
    state: State,
    stack: Vec<Level>,
    /// Where the value that is being read stands.
    path: PathId,
    value: SipHasher13,
    name: Vec<u8>,
    fields: Fields,
}

impl Json {
    pub(super) fn new(key: Key) -> Self {
        Self {
            key,
            state: State::Value,
            stack: Vec::new(),
            path: PathId::ROOT,
            value: key.hasher(),
            name: Vec::new(),
            fields: Fields::new(key),
        }
    }

    /// The next bytes.
    pub(super) fn push(&mut self, paths: &mut Paths, mut bytes: &[u8]) {
        while let Some(&first) = bytes.first() {
            bytes = match &mut self.state {
                State::InKey(text) => {
                    let name = &mut self.name;
                    // A byte more than a name can have says that it is none.
                    let rest = text.read(bytes, |part| {
                        let room = (NAME_LEN_MAX + 1).saturating_sub(name.len());
                        name.extend_from_slice(&part[..part.len().min(room)]);
                    });
                    self.after_text(rest, |json| {
                        json.path = paths.key(json.parent(), &json.name);
                        json.state = State::Colon;
                    })
                }
                State::InText(text) => {
                    let value = &mut self.value;
                    let rest = text.read(bytes, |part| value.write(part));
                    self.after_text(rest, Self::end_scalar)
                }
                State::InNumber(number) => {
                    let len = bytes.iter().position(|byte| !number.goes_on(*byte));
                    let (part, rest) = bytes.split_at(len.unwrap_or(bytes.len()));
                    self.value.write(part);
                    // The byte behind a number is read again: what stands around the number judges it.
                    match rest.first() {
                        None => rest,
                        Some(byte) if number.ends_before(*byte) => {
                            self.end_scalar();
                            rest
                        }
                        Some(_) => return self.fail(Fault::Malformed),
                    }
                }
                State::InWord(word) => match word.split_first() {
                    Some((expected, rest)) if *expected == first => {
                        *word = rest;
                        if rest.is_empty() {
                            self.end_scalar();
                        }
                        &bytes[1..]
                    }
                    _ => return self.fail(Fault::Malformed),
                },
                State::Fault(_) => return,
                _ => {
                    if !matches!(first, b' ' | b'\t' | b'\n' | b'\r') {
                        self.structure(paths, first);
                    }
                    &bytes[1..]
                }
            };
        }
    }

    /// The fields of the document, or why there are none.
    pub(super) fn end(mut self) -> Result<Box<[Field]>, Fault> {
        if let State::InNumber(number) = &self.state
            && number.is_complete()
        {
            self.end_scalar();
        }
        match self.state {
            State::Done => Ok(self.fields.end()),
            State::Fault(fault) => Err(fault),
            _ => Err(Fault::Malformed),
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.state = State::Fault(fault);
    }

    fn after_text<'a>(&mut self, read: text::Read<'a>, end: impl FnOnce(&mut Self)) -> &'a [u8] {
        match read {
            text::Read::On => &[],
            text::Read::End(rest) => {
                end(self);
                rest
            }
            text::Read::Fault => {
                self.fail(Fault::Malformed);
                &[]
            }
        }
    }

    fn parent(&self) -> PathId {
        self.stack.last().map_or(PathId::ROOT, |level| level.path)
    }

    /// A byte outside of scalars that is no blank.
    fn structure(&mut self, paths: &mut Paths, byte: u8) {
        match (&self.state, byte) {
            (State::ValueOrEnd, b']') | (State::KeyOrEnd, b'}') => self.close(paths),
            (State::Value | State::ValueOrEnd, _) => self.begin(paths, byte),
            (State::KeyOrEnd | State::Key, b'"') => {
                self.name.clear();
                self.state = State::InKey(Text::default());
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::CommaOrEnd, _) => match (self.stack.last(), byte) {
                (Some(level), b',') => {
                    self.state = if level.is_object {
                        State::Key
                    } else {
                        self.path = paths.elements(level.path);
                        State::Value
                    };
                }
                (Some(level), b']') if !level.is_object => self.close(paths),
                (Some(level), b'}') if level.is_object => self.close(paths),
                _ => self.fail(Fault::Malformed),
            },
            _ => self.fail(Fault::Malformed),
        }
    }

    /// A value begins with this byte.
    fn begin(&mut self, paths: &mut Paths, byte: u8) {
        if let Some(level) = self.stack.last_mut() {
            level.len += 1;
        }
        self.value = self.key.hasher();
        let mut scalar = |kind: Kind, state| {
            self.value.write(&[kind as u8]);
            self.state = state;
        };
        match byte {
            b'"' => scalar(Kind::Text, State::InText(Text::default())),
            b't' => scalar(Kind::Word, State::InWord(b"rue")),
            b'f' => scalar(Kind::Word, State::InWord(b"alse")),
            b'n' => scalar(Kind::Word, State::InWord(b"ull")),
            b'[' | b'{' => return self.open(paths, byte == b'{'),
            _ => match Number::new(byte) {
                Some(number) => scalar(Kind::Number, State::InNumber(number)),
                None => return self.fail(Fault::Malformed),
            },
        }
        self.value.write(&[byte]);
    }

    fn open(&mut self, paths: &mut Paths, is_object: bool) {
        if self.stack.len() >= DEPTH_MAX {
            self.fail(Fault::TooDeep);
            return;
        }
        self.stack.push(Level {
            path: self.path,
            is_object,
            len: 0,
        });
        if is_object {
            self.state = State::KeyOrEnd;
        } else {
            self.path = paths.elements(self.path);
            self.state = State::ValueOrEnd;
        }
    }

    fn end_scalar(&mut self) {
        self.fields.add(self.path, self.value.finish());
        self.after_value();
    }

    /// An array is its length, an object its fields, or that it has none.
    fn close(&mut self, paths: &mut Paths) {
        let Some(level) = self.stack.pop() else {
            self.fail(Fault::Malformed);
            return;
        };
        if !level.is_object {
            let hash = self.key.of(Kind::Array as u8, &level.len.to_le_bytes());
            self.fields.add(paths.length(level.path), hash);
        } else if level.len == 0 {
            let hash = self.key.of(Kind::EmptyObject as u8, &[]);
            self.fields.add(level.path, hash);
        }
        self.after_value();
    }

    fn after_value(&mut self) {
        self.state = if self.stack.is_empty() {
            State::Done
        } else {
            State::CommaOrEnd
        };
    }
}

#[cfg(test)]
mod tests;
