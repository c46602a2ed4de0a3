//! The names of fields, each once: a bounded tree whose leaves and branches are numbered.
//!
//! A path is written as `jq` writes it: `.items[].id`, `."@context"`, `.` for the whole document. Keys that look like identifiers are
//! `*`, positions in arrays are `[]`. What there is no room for has one path in common, [`PathId::REST`].
//!
//! A key that was once told apart always is, and one that was not never is. So two documents of the same form have the same paths,
//! whenever they were read.

use core::hash::{BuildHasherDefault, Hasher};
use core::ops::Range;
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
    /// None, where one may be known later.
    const NONE: Self = Self(u32::MAX);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// A key behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// One that is told apart, by the hash of its text.
    Key(u64),
    /// Any other one.
    AnyKey,
}

#[derive(Debug)]
struct Node {
    text: Box<str>,
    /// Where in the text its key stands just as it is in documents; nothing where it does not.
    name: Range<u8>,
    /// A key of less than eight bytes and the quote behind it, as one number.
    head: u64,
    children: u32,
    elements: PathId,
    length: PathId,
    /// The key that was the first one of its object, the last time.
    first: PathId,
    /// The key that came behind this one, the last time.
    next: PathId,
}

impl Node {
    /// A path that was reached by this key, if it was a key that is told apart.
    fn new(text: String, key: Option<&[u8]>) -> Self {
        let name = key.and_then(|key| {
            let end = text.len() - usize::from(text.ends_with('"'));
            let name = end.checked_sub(key.len())?..end;
            let is_it = text.as_bytes().get(name.clone()) == Some(key);
            is_it.then_some(u8::try_from(name.start).ok()?..u8::try_from(name.end).ok()?)
        });
        let mut head = [0; 8];
        let quoted = key.unwrap_or_default().iter().chain(b"\"");
        head.iter_mut()
            .zip(quoted)
            .for_each(|(place, byte)| *place = *byte);
        Self {
            text: text.into_boxed_str(),
            name: name.unwrap_or_default(),
            head: u64::from_le_bytes(head),
            children: 0,
            elements: PathId::NONE,
            length: PathId::NONE,
            first: PathId::NONE,
            next: PathId::NONE,
        }
    }

    /// What is behind its key and a quote, where these bytes begin with them. No key that is known has quotes, backslashes or control
    /// characters in it, so no other one begins like this.
    #[inline]
    fn behind<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let len = usize::from(self.name.end.saturating_sub(self.name.start));
        match bytes.first_chunk::<8>() {
            Some(eight) if (1..8).contains(&len) => {
                let mask = u64::MAX >> (8 * (7 - len));
                let is_it = u64::from_le_bytes(*eight) & mask == self.head;
                is_it.then(|| &bytes[len + 1..])
            }
            _ if len > 0 => {
                let name = usize::from(self.name.start)..usize::from(self.name.end);
                let name = self.text.as_bytes().get(name)?;
                bytes.strip_prefix(name)?.strip_prefix(b"\"")
            }
            _ => None,
        }
    }
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
        let rest = "(what is deeper, or of further fields)";
        let node = |text: &str| Node::new(text.to_owned(), None);
        Self {
            key,
            nodes: vec![node("."), node(rest)],
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

    /// Whether the key that begins `bytes` is the one that came behind another one the last time: its path, and what is behind its
    /// quote. Objects of one form have their keys in one order, so it is likely. `parent` is where the object stands, `before` the path
    /// of its key before this one, and `parent` once more where there is none.
    #[inline]
    pub(super) fn likely<'a>(
        &self,
        parent: PathId,
        before: PathId,
        bytes: &'a [u8],
    ) -> Option<(PathId, &'a [u8])> {
        let node = self.nodes.get(before.index())?;
        let is_first = before == parent;
        let path = if is_first { node.first } else { node.next };
        let rest = self.nodes.get(path.index())?.behind(bytes)?;
        Some((path, rest))
    }

    /// The value of a key, where it was not the likely one; it will be. A key that was cut off is given with more bytes than a name
    /// can have.
    pub(super) fn key(&mut self, parent: PathId, before: PathId, key: &[u8]) -> PathId {
        let path = self.find(parent, key);
        // Keys that there is no room for stand in any object, so none comes behind them as a rule.
        if before != PathId::REST {
            self.learn(before, path, |node| {
                if before == parent {
                    &mut node.first
                } else {
                    &mut node.next
                }
            });
        }
        path
    }

    fn find(&mut self, parent: PathId, key: &[u8]) -> PathId {
        if parent == PathId::REST {
            return parent;
        }
        // A plain key that is known is no identifier, and no other text has its hash.
        let plain = Step::Key(self.key.of(0, key));
        if let Some(path) = self.steps.get(&(parent, plain)) {
            return *path;
        }
        if identifier::is_like_one(key) {
            return self.step(parent, Step::AnyKey, "*", None);
        }
        let quoted;
        let (step, shown) = if is_plain(key) {
            (plain, core::str::from_utf8(key).unwrap_or("?"))
        } else {
            quoted = quote(key);
            (Step::Key(self.key.of(1, quoted.as_bytes())), &*quoted)
        };
        if let Some(path) = self.steps.get(&(parent, step)) {
            return *path;
        }
        let is_full = |node: &Node| node.children >= CHILDREN_MAX;
        if self.nodes.get(parent.index()).is_none_or(is_full) {
            return self.step(parent, Step::AnyKey, "*", None);
        }
        let before = self.nodes.len();
        let path = self.step(parent, step, shown, Some(key));
        if self.nodes.len() > before {
            self.nodes[parent.index()].children += 1;
        }
        path
    }

    /// The elements of an array.
    pub(super) fn elements(&mut self, parent: PathId) -> PathId {
        let known = self.known(parent, |node| node.elements);
        if known != PathId::NONE {
            return known;
        }
        let path = self.add(parent, "[]", None);
        self.learn(parent, path, |node| &mut node.elements);
        path
    }

    /// How many elements an array has.
    pub(super) fn length(&mut self, parent: PathId) -> PathId {
        let known = self.known(parent, |node| node.length);
        if known != PathId::NONE {
            return known;
        }
        let path = self.add(parent, "|length", None);
        self.learn(parent, path, |node| &mut node.length);
        path
    }

    /// A path that a node knows, or [`PathId::NONE`].
    fn known(&self, at: PathId, path: impl FnOnce(&Node) -> PathId) -> PathId {
        self.nodes.get(at.index()).map_or(PathId::NONE, path)
    }

    /// What a node is to know. What there is no room for is refused each time, and counted.
    fn learn(&mut self, at: PathId, path: PathId, place: impl FnOnce(&mut Node) -> &mut PathId) {
        if path != PathId::REST
            && let Some(node) = self.nodes.get_mut(at.index())
        {
            *place(node) = path;
        }
    }

    /// A key that is shown like this; of one that is told apart, how it stands in documents.
    fn step(&mut self, parent: PathId, step: Step, shown: &str, key: Option<&[u8]>) -> PathId {
        if let Some(path) = self.steps.get(&(parent, step)) {
            return *path;
        }
        let path = self.add(parent, &format!(".{shown}"), key);
        if path != PathId::REST {
            self.steps.insert((parent, step), path);
        }
        path
    }

    /// One more path: what `tail` is behind `parent`. Where `tail` ends with a key, or has it in quotes, that key.
    fn add(&mut self, parent: PathId, tail: &str, key: Option<&[u8]>) -> PathId {
        if parent == PathId::REST {
            return parent;
        }
        // The document itself is written as a dot, which stands before each key as well.
        let before = match self.text(parent) {
            "." if tail.starts_with('.') => "",
            text => text,
        };
        let text = format!("{before}{tail}");
        if self.nodes.len() >= PATHS_MAX || text.len() > PATH_LEN_MAX {
            self.refused += 1;
            return PathId::REST;
        }
        let path = PathId(u32::try_from(self.nodes.len()).unwrap_or(PathId::REST.0));
        self.nodes.push(Node::new(text, key));
        path
    }
}

/// Whether a key can be shown as it is.
fn is_plain(key: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !key.is_empty() && key.iter().all(is_plain)
}

/// A key in quotes; what a terminal or a page might take for something else is `?`.
fn quote(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
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

#[cfg(test)]
mod tests {
    use super::{CHILDREN_MAX, PATH_LEN_MAX, PATHS_MAX, PathId, Paths};
    use crate::digest::Key;

    fn paths() -> Paths {
        Paths::new(Key { k0: 1, k1: 2 })
    }

    fn key(paths: &mut Paths, parent: PathId, key: &[u8]) -> PathId {
        paths.key(parent, parent, key)
    }

    #[test]
    fn paths_read_as_jq_writes_them() {
        let mut paths = paths();
        let items = key(&mut paths, PathId::ROOT, b"items");
        let elements = paths.elements(items);
        let id = key(&mut paths, elements, b"id");
        assert_eq!(paths.text(id), ".items[].id");
        assert_eq!(key(&mut paths, elements, b"id"), id);
        let length = paths.length(items);
        assert_eq!(paths.text(length), ".items|length");
        let top = paths.elements(PathId::ROOT);
        assert_eq!(paths.text(top), ".[]");
        let one = key(&mut paths, PathId::ROOT, b"1234");
        assert_eq!(key(&mut paths, PathId::ROOT, b"98"), one);
        assert_eq!(paths.text(one), ".*");
        let odd = key(&mut paths, PathId::ROOT, "a.\u{202e}\u{1b}[1mé".as_bytes());
        assert_eq!(paths.text(odd), ".\"a.??[1mé\"");
        let star = key(&mut paths, PathId::ROOT, b"*");
        assert_eq!(paths.text(star), ".\"*\"");
    }

    #[test]
    fn the_key_that_is_likely_is_the_one_that_came_before() {
        let mut paths = paths();
        let is_known = |paths: &mut Paths, name: &str| {
            let found = key(paths, PathId::ROOT, name.as_bytes());
            let likely = |paths: &Paths, document: &str| {
                let likely = paths.likely(PathId::ROOT, PathId::ROOT, document.as_bytes());
                likely.map(|(path, rest)| (path, String::from_utf8_lossy(rest).into_owned()))
            };
            let longer = likely(paths, &format!("{name}s\":1,\"b\":2"));
            assert_eq!(longer, None, "{name}");
            let short = likely(paths, &format!("{name}\""));
            let long = likely(paths, &format!("{name}\":1,\"b\":2"));
            assert_eq!(short.is_some(), long.is_some());
            long == Some((found, ":1,\"b\":2".to_owned()))
        };
        for name in [
            "a",
            "price",
            "seven77",
            "created",
            "created_at",
            "@id",
            "a b",
            "größe",
        ] {
            assert!(is_known(&mut paths, name), "{name}");
        }
        for name in ["", "1234", "???\"", "a\u{1b}"] {
            assert!(!is_known(&mut paths, name), "{name:?}");
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_the_rest() {
        let mut paths = paths();
        let mut deep = PathId::ROOT;
        for _ in 0..PATH_LEN_MAX {
            deep = key(&mut paths, deep, b"a");
        }
        assert_eq!(deep, PathId::REST);
        assert_eq!(paths.refused(), 1);
        let word = |number: u32| {
            let letter = |n: u32| char::from(b'g' + u8::try_from(n % 17).unwrap());
            let letters = (0..6).map(|digit| letter(number / 17_u32.pow(digit)));
            letters.collect::<String>()
        };
        for number in 0..CHILDREN_MAX {
            key(&mut paths, PathId::ROOT, word(number).as_bytes());
        }
        let more = key(&mut paths, PathId::ROOT, b"further");
        assert_eq!(paths.text(more), ".*");
        for parent in 0..40 {
            let parent = key(&mut paths, PathId::ROOT, word(parent).as_bytes());
            for number in 0..CHILDREN_MAX {
                key(&mut paths, parent, word(number).as_bytes());
            }
        }
        assert_eq!(paths.nodes.len(), PATHS_MAX);
        let first = key(&mut paths, PathId::ROOT, word(3).as_bytes());
        assert_ne!(first, PathId::REST, "what was told apart still is");
    }
}
