//! The hashes of a document's values, by path.

use super::super::hash::{Key, Order};
use super::super::paths::PathId;

/// Most paths of one document that are told apart; the values of further ones belong to [`PathId::REST`].
pub const FIELDS_MAX: usize = 256;

/// Paths that there is room for when a document has its first.
const FEW: usize = 16;

/// The values at one path of a document: one, or several where an array is on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where.
    pub path: PathId,
    /// Of the values in their order.
    pub in_order: u64,
    /// Of the same in any order.
    pub any_order: u64,
}

impl Field {
    /// One more value.
    fn add(&mut self, order: Order, value: u64) {
        self.in_order = order.behind(self.in_order, value);
        // A sum is the same in any order. The values are hashes with a key, so no two sums can be made to be equal on purpose.
        self.any_order = self.any_order.wrapping_add(value);
    }
}

/// The fields so far, sorted by path.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    order: Order,
    list: Vec<Field>,
    /// The place of the last value: the next one belongs to the place behind it, as a rule, ...
    last: usize,
    /// ... or where it was that the last one did not, which in a list of objects is each one's first field.
    again: usize,
}

impl Fields {
    pub(super) fn new(key: Key) -> Self {
        Self {
            order: key.order(),
            list: Vec::new(),
            last: 0,
            again: 0,
        }
    }

    /// The next value.
    #[inline(always)]
    pub(super) fn add(&mut self, path: PathId, value: u64) {
        let behind = self.last + 1;
        match self.list.get_mut(behind) {
            Some(field) if field.path == path => {
                self.last = behind;
                field.add(self.order, value);
            }
            _ => {
                let at = self.place(path);
                self.last = at;
                self.list[at].add(self.order, value);
            }
        }
    }

    /// The place of a path, which is made where it has none.
    fn place(&mut self, path: PathId) -> usize {
        let is_it = |field: &Field| field.path == path;
        if self.list.get(self.again).is_some_and(is_it) {
            return self.again;
        }
        let at = self.search(path);
        self.again = at;
        at
    }

    fn search(&mut self, path: PathId) -> usize {
        let is_behind = |field: &Field| field.path < path;
        let at = if self.list.last().is_none_or(is_behind) {
            // Paths have their numbers in the order in which they came, so a document's first values come in order.
            Err(self.list.len())
        } else {
            self.list.binary_search_by_key(&path, |field| field.path)
        };
        match at {
            Ok(at) => at,
            // Room for the rest is kept.
            Err(_) if self.list.len() + 1 >= FIELDS_MAX && path != PathId::REST => {
                self.search(PathId::REST)
            }
            Err(at) => {
                let field = Field {
                    path,
                    in_order: 0,
                    any_order: 0,
                };
                if self.list.is_empty() {
                    self.list.reserve(FEW);
                }
                self.list.insert(at, field);
                at
            }
        }
    }

    pub(super) fn end(self) -> Box<[Field]> {
        self.list.into_boxed_slice()
    }
}
