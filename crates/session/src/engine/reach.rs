//! What an engine can reach, and from which ports.

use std::sync::Arc;

use super::Engine;
use crate::ports::Ports;

impl Engine {
    /// Sessions that open from now on use no port of these, which others on this host have, and any other of the pool.
    /// Running sessions keep theirs.
    pub fn exclude_ports(&mut self, excluded: &Arc<Ports>) {
        let pools = self.known.targets.iter_mut();
        for pool in pools.filter_map(|target| target.pool.as_mut()) {
            pool.exclude(excluded);
        }
    }

    /// Whether no target can be reached at all: for each there is no route, or its replies cannot arrive.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        let targets = &self.known.targets;
        !targets.is_empty() && targets.iter().all(|target| target.gate.is_closed())
    }
}
