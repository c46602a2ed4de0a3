//! What the figures of a run tell that a user should hear of, each once: what cannot be copied, and why.

use std::collections::BTreeSet;

use abi::counter::Counter;
use session::Outcome;
use telemetry::RunTotals;
use telemetry::warning::Kind;
use wire::flow::Endpoint;

use super::warnings::{Subject, Warnings};
use crate::advice;
use crate::plan::{Plan, network};
use crate::worker::slot::Unproven;

/// Outcomes that are worth a warning, and what to do about each.
const WORTH: [(Outcome, Kind, &str); 2] = [
    (
        Outcome::Unreplayable,
        Kind::Unreplayable,
        "begin like TLS or SSH: what is encrypted end to end cannot be copied; copy behind the point where it is decrypted, \
         and leave this port out of -x",
    ),
    (
        Outcome::Collision,
        Kind::Collision,
        "found no free port in the reply pool: widen it with -c, or lower -n",
    ),
];

/// Most networks of clients that are named; more of them have the same cause.
const NETWORKS_MAX: usize = 5;

/// What has been said already, where the list of warnings does not know it.
#[derive(Debug)]
pub(super) struct Signs {
    networks: Vec<(Endpoint, String)>,
    /// The targets' addresses, in words.
    targets: String,
}

impl Signs {
    /// Nothing was said yet.
    pub(super) fn new(plan: &Plan) -> Self {
        let targets: BTreeSet<_> = plan.rules.iter().map(|rule| rule.target.addr).collect();
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        Self {
            networks: Vec::new(),
            targets: targets.join(", "),
        }
    }

    /// Looks at what was counted, and says what is new.
    pub(super) fn look(&self, totals: &RunTotals, warnings: &mut Warnings) {
        let (ledger, kernel) = (&totals.ledger, &totals.kernel);
        let other_host = kernel.get(Counter::CaptureOtherHost);
        let recorded = kernel.get(Counter::CaptureRecorded) + kernel.get(Counter::CaptureCloned);
        if other_host > recorded {
            let words = format!(
                "NOT EVERYTHING IS COPIED: {other_host} packet(s) to online services came in frames for another Ethernet \
                 address; those are not this interface's own: it is a port of a bridge (name the bridge with -i), or a port that \
                 traffic is mirrored to (say so: -i DEVICE:mirror)"
            );
            warnings.raise(Kind::OtherHost, Subject::Run, &words);
        }
        for (outcome, kind, words) in &WORTH {
            let turns: u64 = ledger.rules().iter().map(|t| t.turns(*outcome)).sum();
            if turns > 0 {
                let words = format!("NOT EVERYTHING IS COPIED: {turns} turn(s) so far {words}");
                warnings.raise(*kind, Subject::Run, &words);
            }
        }
        let flows = totals.engine.flows_from_target;
        if flows > 0 {
            let words = format!(
                "FLOWS OF A TARGET ARE LEFT OUT: {flows} connection(s) to the online service so far come from a target ({}) or from \
                 the reply pool, so that their copies would cause more of them, for ever. Most likely the target is a proxy whose \
                 upstream is the online service, or calls it in another way: point it at something else, for each copy that it \
                 gets now costs the online server a request. Clients that live on a target's host are not copied either",
                self.targets
            );
            warnings.raise(Kind::FlowsFromTarget, Subject::Run, &words);
        }
    }

    /// Says whose copies wait because nothing comes back.
    pub(super) fn look_at_unproven(
        &mut self,
        plan: &Plan,
        unproven: &[Unproven],
        warnings: &mut Warnings,
    ) {
        for unproven in unproven {
            self.unproven(plan, unproven, warnings);
        }
    }

    fn unproven(&mut self, plan: &Plan, unproven: &Unproven, warnings: &mut Warnings) {
        let target = unproven.target;
        if unproven.accepts {
            let words = format!("NOT EVERYTHING IS COPIED: {}", one_sided(target));
            let target = target.to_string();
            warnings.raise(Kind::PathOneSided, Subject::Thing(&target), &words);
            return;
        }
        let prefix_len = if unproven.client.is_v4() { 24 } else { 64 };
        let prefix = network(unproven.client.into(), prefix_len);
        let known = (target, prefix);
        if self.networks.contains(&known) {
            return;
        }
        if self.networks.len() >= NETWORKS_MAX {
            let words = "NOT EVERYTHING IS COPIED: the same holds for clients of more networks, which are not named";
            warnings.raise(Kind::PathUnproven, Subject::Thing("more networks"), words);
            return;
        }
        let words = format!(
            "NOT EVERYTHING IS COPIED: {}",
            astray(plan, target, &known.1)
        );
        warnings.raise(Kind::PathUnproven, Subject::Thing(&known.1), &words);
        self.networks.push(known);
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
