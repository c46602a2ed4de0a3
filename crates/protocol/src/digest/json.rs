//! JSON (RFC 8259) as it streams by: where each value stands, and its hash. Nothing of the document is kept but the key that is
//! being read.
//!
//! | module | holds |
//! |---|---|
//! | [`text`] | strings: escapes are resolved, so that `"\u0041"` is `"A"` |
//! | [`number`] | numbers, by their letters: `1.0` is not `1` |
//! | [`scalar`] | the hash of a value |
//! | [`whole`] | keys and scalars that stand in one piece |
//! | [`fields`] | the hashes by path |
//!
//! It is strict in its grammar, and lenient in that strings may hold bytes that are no UTF-8.
//!
//! Keys and values that stand in one piece, without escapes, are taken where they stand: nearly all do. Those that are cut or have
//! escapes are read by a state that goes on with the next piece, and mean the same.

mod fields;
mod number;
mod scalar;
mod text;
mod whole;

use super::hash::Key;
use super::paths::{PathId, Paths};
use crate::identifier::NAME_LEN_MAX;
use fields::Fields;
pub use fields::{FIELDS_MAX, Field};
use number::Number;
use scalar::Scalar;
use text::Text;

/// Deepest nesting that is followed.
pub const DEPTH_MAX: usize = 64;

/// Most bytes that are kept of a key: one more than a name can have says that it is none.
const KEY_LEN_MAX: usize = NAME_LEN_MAX + 1;

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
enum Level {
    Array {
        path: PathId,
        elements: PathId,
        /// Elements so far.
        len: u64,
    },
    Object {
        path: PathId,
        /// Of its last key; its own as long as there is none.
        last: PathId,
    },
}

/// What arrays and objects are hashed from begins with these: scalars begin with other bytes.
const ARRAY: u8 = b'[';
const EMPTY_OBJECT: u8 = b'{';

/// A document that is being read.
#[derive(Clone, Debug)]
pub(super) struct Json {
    state: State,
    stack: Vec<Level>,
    /// Where the value that is being read stands.
    path: PathId,
    value: Scalar,
    /// A key that was cut or has escapes.
    name: Vec<u8>,
    fields: Fields,
}

impl Json {
    pub(super) fn new(key: Key) -> Self {
        Self {
            state: State::Value,
            stack: Vec::new(),
            path: PathId::ROOT,
            value: Scalar::new(key),
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
                    let rest = text.read(bytes, |part| {
                        let room = KEY_LEN_MAX.saturating_sub(name.len());
                        name.extend_from_slice(&part[..part.len().min(room)]);
                    });
                    self.after_text(rest, |json| {
                        let name = core::mem::take(&mut json.name);
                        json.end_key(paths, &name);
                        json.name = name;
                    })
                }
                State::InText(text) => {
                    let value = &mut self.value;
                    let rest = text.read(bytes, |part| value.add(part));
                    self.after_text(rest, Self::end_scalar)
                }
                State::InNumber(number) => {
                    let len = bytes.iter().position(|byte| !number.goes_on(*byte));
                    let number = *number;
                    let (part, rest) = bytes.split_at(len.unwrap_or(bytes.len()));
                    self.value.add(part);
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
                        let is_complete = rest.is_empty();
                        self.value.add(&[first]);
                        if is_complete {
                            self.end_scalar();
                        }
                        &bytes[1..]
                    }
                    _ => return self.fail(Fault::Malformed),
                },
                State::Fault(_) => return,
                _ if whole::is_blank(first) => whole::behind_blanks(bytes),
                _ => self.structure(paths, bytes),
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

    /// What begins with a byte outside of scalars that is no blank. Returns what is behind it.
    fn structure<'a>(&mut self, paths: &mut Paths, bytes: &'a [u8]) -> &'a [u8] {
        let [byte, behind @ ..] = bytes else {
            return bytes;
        };
        match (&self.state, byte) {
            (State::ValueOrEnd, b']') => self.close(paths),
            (State::KeyOrEnd, b'}') => {
                if let Some(Level::Object { path, .. }) = self.stack.last() {
                    self.fields.add(*path, self.value.of(&[EMPTY_OBJECT]));
                }
                self.close(paths);
            }
            (State::Value | State::ValueOrEnd, _) => return self.begin(paths, bytes),
            (State::KeyOrEnd | State::Key, b'"') => return self.members(paths, behind),
            (State::Colon, b':') => self.state = State::Value,
            (State::CommaOrEnd, _) => match (self.stack.last(), byte) {
                (Some(Level::Object { .. }), b',') => self.state = State::Key,
                (Some(Level::Array { elements, .. }), b',') => {
                    self.path = *elements;
                    self.state = State::Value;
                    let value = whole::behind_blanks(behind);
                    if !value.is_empty() {
                        return self.begin(paths, value);
                    }
                }
                (Some(Level::Array { .. }), b']') | (Some(Level::Object { .. }), b'}') => {
                    self.close(paths);
                }
                _ => self.fail(Fault::Malformed),
            },
            _ => self.fail(Fault::Malformed),
        }
        behind
    }

    /// A key begins behind its quote, and so may further ones of the same object, and of those behind it in the same array, as long as
    /// they and their values stand in one piece and have only blanks between them.
    #[inline(never)]
    fn members<'a>(&mut self, paths: &mut Paths, mut behind: &'a [u8]) -> &'a [u8] {
        let Some(Level::Object { path: parent, last }) = self.stack.last_mut() else {
            return behind;
        };
        let (parent, mut path) = (*parent, *last);
        let (state, rest) = loop {
            let Some((next, rest)) = whole::key(paths, parent, path, behind) else {
                self.name.clear();
                break (State::InKey(Text::default()), behind);
            };
            path = next;
            let [b':', rest @ ..] = rest else {
                break (State::Colon, rest);
            };
            let value = whole::behind_blanks(rest);
            let Some((value, rest)) = whole::scalar(value) else {
                break (State::Value, value);
            };
            self.fields.add(path, self.value.of(value));
            let rest = match rest {
                [b',', rest @ ..] => whole::behind_blanks(rest),
                [b'}', rest @ ..] => match (self.stack.as_mut_slice(), whole::next_object(rest)) {
                    ([.., Level::Array { len, .. }, _], Some(next)) => {
                        *len += 1;
                        path = parent;
                        behind = next;
                        continue;
                    }
                    _ => {
                        self.stack.pop();
                        self.after_value();
                        return rest;
                    }
                },
                _ => break (State::CommaOrEnd, rest),
            };
            let [b'"', rest @ ..] = rest else {
                break (State::Key, rest);
            };
            behind = rest;
        };
        if let Some(Level::Object { last, .. }) = self.stack.last_mut() {
            *last = path;
        }
        self.path = path;
        self.state = state;
        rest
    }

    fn end_key(&mut self, paths: &mut Paths, name: &[u8]) {
        // Keys stand in objects.
        if let Some(Level::Object { path, last }) = self.stack.last_mut() {
            self.path = paths.key(*path, *last, name);
            *last = self.path;
        }
        self.state = State::Colon;
    }

    /// A value begins.
    fn begin<'a>(&mut self, paths: &mut Paths, bytes: &'a [u8]) -> &'a [u8] {
        if let Some(Level::Array { len, .. }) = self.stack.last_mut() {
            *len += 1;
        }
        if let Some((value, rest)) = whole::scalar(bytes) {
            self.end_value(self.value.of(value));
            return rest;
        }
        let [byte, behind @ ..] = bytes else {
            return bytes;
        };
        self.state = match byte {
            b'[' => {
                self.open_array(paths);
                return behind;
            }
            b'{' => {
                self.open_object();
                return match (&self.state, behind) {
                    (State::KeyOrEnd, [b'"', behind @ ..]) => self.members(paths, behind),
                    _ => behind,
                };
            }
            b'"' => State::InText(Text::default()),
            b't' => State::InWord(b"rue"),
            b'f' => State::InWord(b"alse"),
            b'n' => State::InWord(b"ull"),
            _ => match Number::new(*byte) {
                Some(number) => State::InNumber(number),
                None => State::Fault(Fault::Malformed),
            },
        };
        self.value.begin(&[*byte]);
        behind
    }

    fn open_array(&mut self, paths: &mut Paths) {
        let path = self.path;
        let elements = paths.elements(path);
        let len = 0;
        self.path = elements;
        self.state = State::ValueOrEnd;
        self.open(Level::Array {
            path,
            elements,
            len,
        });
    }

    fn open_object(&mut self) {
        let path = self.path;
        self.state = State::KeyOrEnd;
        self.open(Level::Object { path, last: path });
    }

    fn open(&mut self, level: Level) {
        if self.stack.len() < DEPTH_MAX {
            self.stack.push(level);
        } else {
            self.fail(Fault::TooDeep);
        }
    }

    fn end_scalar(&mut self) {
        self.end_value(self.value.end());
    }

    fn end_value(&mut self, hash: u64) {
        self.fields.add(self.path, hash);
        self.after_value();
    }

    /// An array is its length, an object its fields.
    #[inline]
    fn close(&mut self, paths: &mut Paths) {
        if let Some(Level::Array { path, len, .. }) = self.stack.pop() {
            let mut length = [ARRAY; 9];
            length[1..].copy_from_slice(&len.to_le_bytes());
            self.fields.add(paths.length(path), self.value.of(&length));
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
