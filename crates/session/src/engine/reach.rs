//! What an engine can reach, and from which ports.

use std::sync::Arc;

use wire::flow::FlowKey;

use super::Engine;
use crate::ports::Ports;
use crate::session::Session;
use crate::time::Instant;

impl Engine {
    /// Whether another flow finds sources for all its sessions: where not, its requests would end as [`crate::Outcome::Collision`]. Who can
    /// wait with it, as a replay can, does.
    #[must_use]
    pub fn has_free_sources(&self) -> bool {
        let copies = self.known.rules.iter().map(|rule| rule.tuning.copies);
        let least = usize::from(copies.max().unwrap_or(1));
        let pools = self.known.targets.iter().filter_map(|it| it.pool.as_ref());
        pools.into_iter().all(|pool| pool.has_free(least))
    }

    /// All sessions of a client address come from one address of the pool, as long as that has a port left. To be called before the
    /// first packet.
    pub fn stick_to_addresses(&mut self) {
        let pools = self.known.targets.iter_mut();
        for pool in pools.filter_map(|target| target.pool.as_mut()) {
            pool.stick();
        }
    }

    /// Sessions that open from now on use no port of these, which others on this host have, and any other of the pool.
    /// Running sessions keep theirs.
    pub fn exclude_ports(&mut self, excluded: &Arc<Ports>) {
        let pools = self.known.targets.iter_mut();
        for pool in pools.filter_map(|target| target.pool.as_mut()) {
            pool.exclude(excluded);
        }
    }

    /// Assistant mode: the session from this source to its target is another tcpcopy's, which had it first and gets the target's
    /// replies. Nothing more is sent as it, for the target would take that for the other's.
    pub fn on_taken(&mut self, now: Instant, flow: &FlowKey) {
        if let Some(id) = self.session_from(flow) {
            self.with(id, now, Session::on_taken);
        }
    }

    /// Whether no target can be reached at all: for each there is no route, or its replies cannot arrive.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        let targets = &self.known.targets;
        !targets.is_empty() && targets.iter().all(|target| target.gate.is_closed())
    }
}
