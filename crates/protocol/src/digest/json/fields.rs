//! The hashes of a document's values, by path.

use super::super::hash::{Key, Order};
use super::super::paths::PathId;

/// Most paths of one document that are told apart; the values of further ones belong to [`PathId::REST`].
pub const FIELDS_MAX: usize = 256;

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

/// The fields so far, sorted by path.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    order: Order,
    list: Vec<Field>,
    /// The place of the last value: the next one belongs there or to the place behind it, as a rule.
    last: usize,
}

impl Fields {
    pub(super) fn new(key: Key) -> Self {
        Self {
            order: key.order(),
            list: Vec::new(),
            last: 0,
        }
    }

    /// The next value.
    pub(super) fn add(&mut self, path: PathId, value: u64) {
        let at = self.place(path);
        self.last = at;
        let field = &mut self.list[at];
        field.in_order = self.order.behind(field.in_order, value);
        // A sum is the same in any order. The values are hashes with a key, so no two sums can be made to be equal on purpose.
        field.any_order = field.any_order.wrapping_add(value);
    }

    /// The place of a path, which is made where it has none.
    fn place(&mut self, path: PathId) -> usize {
        let is_at = |at: usize| self.list.get(at).is_some_and(|field| field.path == path);
        if is_at(self.last + 1) {
            return self.last + 1;
        }
        if is_at(self.last) {
            return self.last;
        }
        match self.list.binary_search_by_key(&path, |field| field.path) {
            Ok(at) => at,
            // Room for the rest is kept.
            Err(_) if self.list.len() + 1 >= FIELDS_MAX && path != PathId::REST => {
                self.place(PathId::REST)
            }
            Err(at) => {
                let field = Field {
                    path,
                    in_order: 0,
                    any_order: 0,
                };
                self.list.insert(at, field);
                at
            }
        }
    }

    pub(super) fn end(self) -> Box<[Field]> {
        self.list.into_boxed_slice()
    }
}
