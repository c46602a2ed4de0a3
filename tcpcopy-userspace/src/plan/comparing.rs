//! How responses are compared by their contents.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use comparison::{Arm, Comparison, Template};
use protocol::Digests;
use protocol::digest::Key;

use crate::args::Wanted;

/// The comparison of a run.
#[derive(Clone, Debug)]
pub(crate) struct Comparing {
    /// By what responses are compared. All workers have the same, with a key that stands nowhere: from a hash of a short value with a key
    /// that is known, the value could be found.
    pub(crate) digests: Arc<Digests>,
    routes: Vec<Template>,
    /// Whose responses those to each rule's requests are.
    pub(crate) arms: Vec<Arm>,
}

impl Comparing {
    pub(super) fn new(wanted: Wanted) -> Self {
        let draw = |half: &str| RandomState::new().hash_one(half);
        let key = Key {
            k0: draw("first"),
            k1: draw("second"),
        };
        Self {
            digests: Arc::new(Digests::new(key, wanted.headers)),
            routes: wanted.routes,
            arms: wanted.arms,
        }
    }

    /// What a worker counts with.
    pub(crate) fn comparison(&self) -> Comparison {
        Comparison::new(Arc::clone(&self.digests), self.routes.clone())
    }
}
