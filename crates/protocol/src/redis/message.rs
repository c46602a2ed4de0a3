//! What is known of a command while it comes: its first words, as far as they say what it does.

use crate::redis::commands::{self, Command, Key, NAME_MAX};

/// Longest key, in bytes, that filters are asked for.
pub(super) const KEY_MAX: usize = 4096;
/// How many words may be needed to tell what a command does: CLIENT REPLY OFF.
const WORDS: usize = 3;

/// A command.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// How many words it has.
    pub(super) count: u64,
    words: [Word; WORDS],
    key: Word,
}

/// A word, as far as it is noted.
#[derive(Debug, Default)]
struct Word {
    text: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Missing,
    Incomplete,
    Whole,
    /// It is longer than what is noted of such a word.
    TooLong,
}

impl Word {
    fn add(&mut self, bytes: &[u8], limit: usize) {
        if self.state == State::TooLong {
            return;
        }
        if self.text.len() + bytes.len() > limit {
            self.state = State::TooLong;
            return;
        }
        self.state = State::Incomplete;
        self.text.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        if self.state != State::TooLong {
            self.state = State::Whole;
        }
    }

    fn whole(&self) -> Option<&[u8]> {
        (self.state == State::Whole).then_some(&self.text)
    }
}

impl Message {
    pub(super) fn new(count: u64) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }

    /// A command of these words.
    pub(super) fn of_words(words: &[&[u8]], wants_key: bool) -> Self {
        let mut message = Self::new(words.len() as u64);
        for (index, word) in words.iter().enumerate() {
            message.add(index as u64, word, wants_key);
            message.end_word(index as u64, wants_key);
        }
        message
    }

    /// More bytes of a word.
    pub(super) fn add(&mut self, index: u64, bytes: &[u8], wants_key: bool) {
        if let Some(word) = self.words.get_mut(at(index)) {
            word.add(bytes, NAME_MAX);
        }
        if wants_key && self.is_key(index) {
            self.key.add(bytes, KEY_MAX);
        }
    }

    /// A word is complete.
    pub(super) fn end_word(&mut self, index: u64, wants_key: bool) {
        if let Some(word) = self.words.get_mut(at(index)) {
            word.end();
        }
        if wants_key && self.is_key(index) {
            self.key.end();
        }
    }

    fn is_key(&self, index: u64) -> bool {
        index > 0 && self.command().key == Key::At(u8::try_from(index).unwrap_or(u8::MAX))
    }

    /// How many of its words say what it does, as far as is known by now.
    pub(super) fn needed(&self, wants_key: bool) -> u64 {
        let Some(name) = self.word(0) else {
            return 1;
        };
        let of_name = match name.as_str() {
            "client" => 3,
            _ if commands::is_container(&name) => 2,
            _ => 1,
        };
        let of_key = match self.command().key {
            Key::At(key) if wants_key => u64::from(key) + 1,
            _ => 1,
        };
        of_name.max(of_key).min(self.count)
    }

    /// A word in small letters; `None` where it is missing or too long to mean anything.
    pub(super) fn word(&self, index: usize) -> Option<String> {
        let text = self.words.get(index)?.whole()?;
        let text = core::str::from_utf8(text).ok()?;
        Some(text.to_ascii_lowercase())
    }

    /// Its name in small letters, with its subcommand where it has some.
    pub(super) fn name(&self) -> Option<String> {
        let name = self.word(0)?;
        if self.count == 1 || !commands::is_container(&name) {
            return Some(name);
        }
        Some(format!("{name}|{}", self.word(1)?))
    }

    pub(super) fn command(&self) -> Command {
        self.name()
            .map(|name| commands::find(&name))
            .unwrap_or_default()
    }

    /// Its first key; `None` where it has none, or it is not known.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.key.whole()
    }
}

fn at(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}
