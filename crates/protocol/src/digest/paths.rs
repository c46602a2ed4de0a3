//! The names of fields, each once: a bounded tree whose leaves and branches are numbered.
//!
//! A path is written as `jq` writes it: `.items[].id`, `."@context"`, `.` for the whole document. Keys that look like identifiers are
//! `*`, positions in arrays are `[]`. What there is no room for has one path in common, [`PathId::REST`].
//!
//! A key that was once told apart always is, and one that was not never is. So two documents of the same form have the same paths,
//! whenever they were read.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;

use super::hash::Key;
use crate::identifier;

/// Most paths that are told apart in a run, by one worker.
pub const PATHS_MAX: usize = 16_384;
/// Most keys of one object that are told apart; further ones are `*`.
const CHILDREN_MAX: u32 = 1024;
/// Longest path, in bytes; what is deeper belongs to [`PathId::REST`].
pub const PATH_LEN_MAX: usize = 200;

/// A path's number in its [`Paths`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(u32);

impl PathId {
    /// The whole document.
    pub const ROOT: Self = Self(0);
    /// What there is no room for.
    pub const REST: Self = Self(1);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// What stands behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// A key, by the hash of its text.
    Key(u64),
    /// Any key that is not told apart.
    AnyKey,
    /// The elements of an array.
    Elements,
    /// How many elements it has.
    Length,
}

#[derive(Debug)]
struct Node {
    text: Box<str>,
    children: u32,
}

/// The hasher of the table: a step has a hash with a key already, so that nobody can choose where it stands.
#[derive(Clone, Copy, Debug, Default)]
struct Keyed(u64);

impl Hasher for Keyed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // An odd factor spreads small numbers over all bits.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word.unsigned_abs() as u64);
    }
}

/// The paths of a run, or of a worker.
#[derive(Debug)]
pub struct Paths {
    key: Key,
    nodes: Vec<Node>,
    steps: HashMap<(PathId, Step), PathId, BuildHasherDefault<Keyed>>,
    refused: u64,
}

impl Paths {
    /// The whole document, and nothing else yet. `key` is the one of the digests.
    #[must_use]
    pub fn new(key: Key) -> Self {
        let node = |text: &str| Node {
            text: text.into(),
            children: 0,
        };
        Self {
            key,
            nodes: vec![node("."), node("(what is deeper, or of further fields)")],
            steps: HashMap::default(),
            refused: 0,
        }
    }

    /// A path as text: printable, and at most some [`PATH_LEN_MAX`] bytes.
    #[must_use]
    pub fn text(&self, path: PathId) -> &str {
        self.nodes.get(path.index()).map_or("?", |node| &node.text)
    }

    /// How often there was no room for a path.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The value of a key. A key that was cut off is given with more bytes than a name can have.
    pub(super) fn key(&mut self, parent: PathId, key: &[u8]) -> PathId {
        if parent == PathId::REST {
            return parent;
        }
        // A plain key that is known is no identifier, and no other text has its hash.
        let plain = Step::Key(self.key.of(0, key));
        if let Some(path) = self.steps.get(&(parent, plain)) {
            return *path;
        }
        if identifier::is_like_one(key) {
            return self.step(parent, Step::AnyKey, |text| format!("{text}.*"));
        }
        let shown = Shown(key);
        let step = if shown.is_plain() {
            plain
        } else {
            Step::Key(self.key.of(1, shown.quoted().as_bytes()))
        };
        if let Some(path) = self.steps.get(&(parent, step)) {
            return *path;
        }
        let is_full = |node: &Node| node.children >= CHILDREN_MAX;
        if self.nodes.get(parent.index()).is_none_or(is_full) {
            return self.step(parent, Step::AnyKey, |text| format!("{text}.*"));
        }
        let before = self.nodes.len();
        let path = self.step(parent, step, |text| {
            let name = if shown.is_plain() {
                String::from_utf8_lossy(key).into_owned()
            } else {
                shown.quoted()
            };
            format!("{text}.{name}")
        });
        if self.nodes.len() > before {
            self.nodes[parent.index()].children += 1;
        }
        path
    }

    /// The elements of an array.
    pub(super) fn elements(&mut self, parent: PathId) -> PathId {
        self.step(parent, Step::Elements, |text| format!("{text}[]"))
    }

    /// How many elements an array has.
    pub(super) fn length(&mut self, parent: PathId) -> PathId {
        self.step(parent, Step::Length, |text| format!("{text}|length"))
    }

    fn step(&mut self, parent: PathId, step: Step, name: impl FnOnce(&str) -> String) -> PathId {
        if parent == PathId::REST {
            return parent;
        }
        if let Some(path) = self.steps.get(&(parent, step)) {
            return *path;
        }
        // The document itself is written as a dot, which stands before each key as well.
        let text = match self.text(parent) {
            "." => "",
            text => text,
        };
        let text = name(text);
        let text = if text.starts_with('.') {
            text
        } else {
            format!(".{text}")
        };
        if self.nodes.len() >= PATHS_MAX || text.len() > PATH_LEN_MAX {
            self.refused += 1;
            return PathId::REST;
        }
        let path = PathId(u32::try_from(self.nodes.len()).unwrap_or(PathId::REST.0));
        self.nodes.push(Node {
            text: text.into_boxed_str(),
            children: 0,
        });
        self.steps.insert((parent, step), path);
        path
    }
}

/// A key as it is shown.
struct Shown<'a>(&'a [u8]);

impl Shown<'_> {
    /// Whether it can stand as it is.
    fn is_plain(&self) -> bool {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !self.0.is_empty() && self.0.iter().all(is_plain)
    }

    /// In quotes; what a terminal or a page might take for something else is `?`.
    fn quoted(&self) -> String {
        let text = String::from_utf8_lossy(self.0);
        let shown = text.chars().map(|character| match character {
            '"' | '\\' => '?',
            _ if character.is_ascii_graphic() || character == ' ' => character,
            _ if character.is_alphanumeric() => character,
            _ => '?',
        });
        let mut quoted = String::from('"');
        quoted.extend(shown);
        quoted.push('"');
        quoted
    }
}

#[cfg(test)]
mod tests {
    use super::{CHILDREN_MAX, PATH_LEN_MAX, PATHS_MAX, PathId, Paths};
    use crate::digest::Key;

    fn paths() -> Paths {
        Paths::new(Key { k0: 1, k1: 2 })
    }

    #[test]
    fn paths_read_as_jq_writes_them() {
        let mut paths = paths();
        let items = paths.key(PathId::ROOT, b"items");
        let elements = paths.elements(items);
        let id = paths.key(elements, b"id");
        assert_eq!(paths.text(id), ".items[].id");
        assert_eq!(paths.key(elements, b"id"), id);
        let length = paths.length(items);
        assert_eq!(paths.text(length), ".items|length");
        let top = paths.elements(PathId::ROOT);
        assert_eq!(paths.text(top), ".[]");
        let one = paths.key(PathId::ROOT, b"1234");
        assert_eq!(paths.key(PathId::ROOT, b"98"), one);
        assert_eq!(paths.text(one), ".*");
        let odd = paths.key(PathId::ROOT, "a.\u{202e}\u{1b}[1mé".as_bytes());
        assert_eq!(paths.text(odd), ".\"a.??[1mé\"");
        let star = paths.key(PathId::ROOT, b"*");
        assert_eq!(paths.text(star), ".\"*\"");
    }

    #[test]
    fn what_there_is_no_room_for_is_the_rest() {
        let mut paths = paths();
        let mut deep = PathId::ROOT;
        for _ in 0..PATH_LEN_MAX {
            deep = paths.key(deep, b"a");
        }
        assert_eq!(deep, PathId::REST);
        assert_eq!(paths.refused(), 1);
        let word = |number: u32| {
            let letter = |n: u32| char::from(b'g' + u8::try_from(n % 17).unwrap());
            let letters = (0..6).map(|digit| letter(number / 17_u32.pow(digit)));
            letters.collect::<String>()
        };
        for number in 0..CHILDREN_MAX {
            paths.key(PathId::ROOT, word(number).as_bytes());
        }
        let more = paths.key(PathId::ROOT, b"further");
        assert_eq!(paths.text(more), ".*");
        for parent in 0..40 {
            let parent = paths.key(PathId::ROOT, word(parent).as_bytes());
            for number in 0..CHILDREN_MAX {
                paths.key(parent, word(number).as_bytes());
            }
        }
        assert_eq!(paths.nodes.len(), PATHS_MAX);
        let first = paths.key(PathId::ROOT, word(3).as_bytes());
        assert_ne!(first, PathId::REST, "what was told apart still is");
    }
}
