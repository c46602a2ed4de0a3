//! What a user should hear of while the run goes on, each once: what cannot be copied, and why.

use std::collections::BTreeSet;

use abi::counter::Counter;
use session::Outcome;
use telemetry::RunTotals;
use tracing::warn;
use wire::flow::Endpoint;

use crate::advice;
use crate::plan::{Plan, network};
use crate::worker::slot::Unproven;

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

/// Most networks of clients that are named; more of them have the same cause.
const NETWORKS_MAX: usize = 5;

/// What has been said already.
#[derive(Debug)]
pub(super) struct Warnings {
    said: [bool; WORTH.len()],
    networks: Vec<(Endpoint, String)>,
    one_sided: Vec<Endpoint>,
    more_networks: bool,
    said_other_host: bool,
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
            networks: Vec::new(),
            one_sided: Vec::new(),
            more_networks: false,
            said_other_host: false,
            said_of_targets: false,
            targets: targets.join(", "),
        }
    }

    /// Looks at what was counted, and says what is new.
    pub(super) fn look(&mut self, totals: &RunTotals) {
        let (ledger, kernel) = (&totals.ledger, &totals.kernel);
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
        let flows = totals.engine.flows_from_target;
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

    /// Says whose copies wait because nothing comes back.
    pub(super) fn look_at_unproven(&mut self, plan: &Plan, unproven: &[Unproven]) {
        for unproven in unproven {
            if let Some(words) = self.of(plan, unproven) {
                warn!("NOT EVERYTHING IS COPIED: {words}");
            }
        }
    }

    fn of(&mut self, plan: &Plan, unproven: &Unproven) -> Option<String> {
        let target = unproven.target;
        if unproven.accepts {
            if self.one_sided.contains(&target) {
                return None;
            }
            self.one_sided.push(target);
            return Some(one_sided(target));
        }
        let prefix_len = if unproven.client.is_v4() { 24 } else { 64 };
        let prefix = network(unproven.client.into(), prefix_len);
        let known = (target, prefix);
        if self.networks.contains(&known) {
            return None;
        }
        if self.networks.len() >= NETWORKS_MAX {
            let is_first = !std::mem::replace(&mut self.more_networks, true);
            return is_first.then(|| {
                "the same holds for clients of more networks, which are not named".to_owned()
            });
        }
        let words = astray(plan, target, &known.1);
        self.networks.push(known);
        Some(words)
    }
}

/// A target that takes connections, and then nothing.
pub(super) fn one_sided(target: Endpoint) -> String {
    format!(
        "{target} accepts connections, and nothing that is sent on them arrives: a firewall before it, which does not see the \
         replies, takes the copies for forgeries. Have the replies pass it too, or let copies pass it untracked, on the target \
         for instance: `{}`. One session at a time is tried meanwhile",
        advice::pass_untracked(target)
    )
}

fn astray(plan: &Plan, target: Endpoint, prefix: &str) -> String {
    let assistant = plan
        .intercepts
        .first()
        .map_or("ASSISTANT", |address| host_of(address));
    format!(
        "clients in {prefix}. No answer of {target} to them came back through intercept, so their copies wait: the target \
         does not route {prefix} to the assistant (ask there: `ip route get {prefix}`). To send all that port {port} answers, and \
         nothing else, to the assistant, run on the target: `{fix}`. Until then a client of theirs is tried ever more rarely, \
         after a while once in 15 min; its own connections are not touched",
        prefix = prefix,
        port = target.port,
        fix = advice::route_service_by(target, assistant),
    )
}

/// The host in `host:port`.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn a_host_is_found_in_its_address() {
        assert_eq!(host_of("10.0.0.7:36524"), "10.0.0.7");
        assert_eq!(host_of("[fd00::7]:36524"), "fd00::7");
    }
}
