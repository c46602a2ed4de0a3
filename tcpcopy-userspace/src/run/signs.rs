//! What the figures of a run tell that a user should hear of, each once: what cannot be copied, and why.

use std::collections::BTreeSet;

use abi::counter::Counter;
use session::{Outcome, RuleId, Sight};
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
        look_at_losses(totals, warnings);
        look_at_modules(totals, warnings);
        self.look_outside(totals, warnings);
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

    /// What was seen and belongs to no session.
    fn look_outside(&self, totals: &RunTotals, warnings: &mut Warnings) {
        let (ledger, engine) = (&totals.ledger, &totals.engine);
        let flows = engine.left_out_open_before_flows;
        if flows > 0 {
            let encrypted = if engine.left_out_unreplayable_bytes > 0 {
                "; some of them are encrypted (TLS), which cannot be copied in any way but behind the point where it is decrypted"
            } else {
                ""
            };
            let words = format!(
                "NOT EVERYTHING IS COPIED: {flows} connection(s) so far were open before the start and are left out. \
                 Their next request does not stand alone, as one of HTTP/1 or memcached does: the connection may have \
                 state that a new one has not (a login, a chosen database, tables of HTTP/2, a line of the PROXY \
                 protocol), so what follows would mean something else to the target{encrypted}. Have the clients \
                 connect anew, for instance by starting them or the proxy before the service again; where each \
                 request does stand alone, say --join always; where --join never or -O is said, this is what it does"
            );
            warnings.raise(Kind::OpenBefore, Subject::Run, &words);
        }
        let missed: u64 = ledger
            .rules()
            .iter()
            .map(|tally| tally.turns(Outcome::Missed))
            .sum();
        if missed > 0 {
            let words = format!(
                "NOT EVERYTHING IS COPIED: {missed} turn(s) so far were missed. Their connections were copied until \
                 packets of them were lost on the way to tcpcopy (gap), or until --idle-timeout, and could not go on \
                 in the middle; or one side of their handshake was not seen. They count in the fidelity. A longer \
                 --idle-timeout keeps sessions that are silent for long; `tcpcopy doctor` says which side is not seen"
            );
            warnings.raise(Kind::Missed, Subject::Run, &words);
        }
    }

    /// Says which rules have stopped joining.
    pub(super) fn look_at_joins(&self, plan: &Plan, sights: &[Sight], warnings: &mut Warnings) {
        for (sight, name) in sights.iter().zip(&plan.rule_names) {
            if sight.joining_stopped > 0 {
                let words = format!(
                    "NOT EVERYTHING IS COPIED: the target closed or reset {} connection(s) that were joined in their \
                 middle, where the online server went on. They have state that a new connection has not, so no more \
                 of them are joined, --join always or not, but those whose next request stands alone; where the \
                     target has answered none of their requests, not even those: {name}",
                    sight.joins_refused
                );
                warnings.raise(Kind::JoiningStopped, Subject::Rule(name), &words);
            }
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

/// A target that has not let a session in.
pub(super) fn login_failed(plan: &Plan, rule: RuleId, why: &str, warnings: &mut Warnings) {
    let name = plan.rule_names.get(usize::from(rule.0));
    let name = name.map_or("a rule", String::as_str);
    let words = format!(
        "NOT EVERYTHING IS COPIED: the target has not let a session in, and what its client says is not copied: {why}. Sessions log \
         in by themselves, with the client's name and what --login FILE knows of its password: {name}"
    );
    warnings.raise(Kind::LoginFailed, Subject::Rule(name), &words);
}

/// What a protocol module could not read.
fn look_at_modules(totals: &RunTotals, warnings: &mut Warnings) {
    let engine = &totals.engine;
    let lost = engine.module_online_lost + engine.module_target_lost;
    let unread = engine.module_left_unread;
    if lost + unread > 0 {
        let words = format!(
            "A PROTOCOL MODULE COULD NOT READ EVERYTHING: {unread} connection(s) so far do not follow their protocol, and on {lost} \
             responses were missing or made no sense. They are copied as bytes from there on, and compared with nothing; where \
             --only, --except or --read-only judges what is copied, nothing more of those whose requests cannot be read is"
        );
        warnings.raise(Kind::ModuleLost, Subject::Run, &words);
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

/// Packets of clients that were lost between the programs and the workers.
fn look_at_losses(totals: &RunTotals, warnings: &mut Warnings) {
    let left_out = totals.left_out();
    if left_out.lost_packets == 0 {
        return;
    }
    let words = format!(
        "NOT EVERYTHING IS COPIED: {} packet(s) of clients so far were lost on the way to a worker, whose ring was full: it gets \
         too little of its processor. What they held counts in the fidelity as so many requests as other packets held, and is in \
         no outcome. Processors that others leave free help (--workers, as many as there are of those), or copying less (-r)",
        left_out.lost_packets
    );
    warnings.raise(Kind::RecordsLost, Subject::Run, &words);
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
