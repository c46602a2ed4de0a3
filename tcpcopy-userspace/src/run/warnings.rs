//! What a user should hear of while the run goes on, each once: what cannot be copied, and why.

use session::Outcome;
use telemetry::Ledger;
use tracing::warn;

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
#[derive(Debug, Default)]
pub(super) struct Warnings {
    said: [bool; WORTH.len()],
}

impl Warnings {
    /// Looks at the ledger and says what is new.
    pub(super) fn look(&mut self, ledger: &Ledger) {
        for ((outcome, words), said) in WORTH.iter().zip(&mut self.said) {
            let turns: u64 = ledger.rules().iter().map(|t| t.turns(*outcome)).sum();
            if turns > 0 && !std::mem::replace(said, true) {
                warn!("NOT EVERYTHING IS COPIED: {turns} turn(s) so far {words}");
            }
        }
    }
}
