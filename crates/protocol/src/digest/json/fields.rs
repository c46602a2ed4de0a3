//! The hashes of a document's values, by path.

use super::super::hash::Key;
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
    key: Key,
    list: Vec<Field>,
}

impl Fields {
    pub(super) fn new(key: Key) -> Self {
        let list = Vec::new();
        Self { key, list }
    }

    /// The next value.
    pub(super) fn add(&mut self, path: PathId, value: u64) {
        let at = self.list.binary_search_by_key(&path, |field| field.path);
        let at = match at {
            Ok(at) => at,
            // Room for the rest is kept.
            Err(_) if self.list.len() + 1 >= FIELDS_MAX && path != PathId::REST => {
                return self.add(PathId::REST, value);
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
        };
        let field = &mut self.list[at];
        field.in_order = self.key.behind(field.in_order, value);
        // A sum is the same in any order. The values are hashes with a key, so no two sums can be made to be equal on purpose.
        field.any_order = field.any_order.wrapping_add(value);
    }

    pub(super) fn end(self) -> Box<[Field]> {
        self.list.into_boxed_slice()
    }
}
