//! What a user should hear of while the run goes on, each once: what cannot be copied, and why.

use std::collections::BTreeSet;

use session::{Counters, Outcome};
use telemetry::Ledger;
use tracing::warn;

use crate::plan::Plan;

/// Outcomes that are worth a warning, and what to do about each.
const WORTH: [(Outcome, &str); 2] = [
    (
        Outcome::Unreplayable,
        "begin like TLS or SSH: what is encrypted end to end cannot be copied; copy behind the point where it is decrypted, \
         and leave this port out of -x",
    ),
    (
        Outcome::Collision,
        "found no free port in the reply pool: widen it with -c, or lower -n",
    ),
];

/// What has been said already.
#[derive(Debug)]
pub(super) struct Warnings {
    said: [bool; WORTH.len()],
    said_of_targets: bool,
    /// The targets' addresses, in words.
    targets: String,
}

impl Warnings {
    /// Nothing was said yet.
    pub(super) fn new(plan: &Plan) -> Self {
        let targets: BTreeSet<_> = plan.rules.iter().map(|rule| rule.target.addr).collect();
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        Self {
            said: [false; WORTH.len()],
            said_of_targets: false,
            targets: targets.join(", "),
        }
    }

    /// Looks at what was counted and says what is new.
    pub(super) fn look(&mut self, ledger: &Ledger, counters: &Counters) {
        for ((outcome, words), said) in WORTH.iter().zip(&mut self.said) {
            let turns: u64 = ledger.rules().iter().map(|t| t.turns(*outcome)).sum();
            if turns > 0 && !std::mem::replace(said, true) {
                warn!("NOT EVERYTHING IS COPIED: {turns} turn(s) so far {words}");
            }
        }
        let flows = counters.flows_from_target;
        if flows > 0 && !std::mem::replace(&mut self.said_of_targets, true) {
            warn!(
                "FLOWS OF A TARGET ARE LEFT OUT: {flows} connection(s) to the online service so far come from a target ({}) or from \
                 the reply pool, so that their copies would cause more of them, for ever. Most likely the target is a proxy whose \
                 upstream is the online service, or calls it in another way: point it at something else, for each copy that it \
                 gets now costs the online server a request. Clients that live on a target's host are not copied either",
                self.targets
            );
        }
    }
}
