//! What a user should hear of while the run goes on, each once: what cannot be copied, and why.

use abi::counter::Counter;
use session::Outcome;
use telemetry::{KernelCounters, Ledger};
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
    said_other_host: bool,
}

impl Warnings {
    /// Looks at the ledger and at what the programs counted, and says what is new.
    pub(super) fn look(&mut self, ledger: &Ledger, kernel: &KernelCounters) {
        let other_host = kernel.get(Counter::CaptureOtherHost);
        let recorded = kernel.get(Counter::CaptureRecorded) + kernel.get(Counter::CaptureCloned);
        if other_host > recorded && !std::mem::replace(&mut self.said_other_host, true) {
            warn!(
                "NOT EVERYTHING IS COPIED: {other_host} packet(s) to online services came in frames for another Ethernet \
                 address; those are not this interface's own (it is promiscuous, or a port of a bridge: name the bridge with -i)"
            );
        }
        for ((outcome, words), said) in WORTH.iter().zip(&mut self.said) {
            let turns: u64 = ledger.rules().iter().map(|t| t.turns(*outcome)).sum();
            if turns > 0 && !std::mem::replace(said, true) {
                warn!("NOT EVERYTHING IS COPIED: {turns} turn(s) so far {words}");
            }
        }
    }
}
