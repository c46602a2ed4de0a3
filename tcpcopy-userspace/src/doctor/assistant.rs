//! The assistants: whether their intercepts serve us, and what would become of replies without them.

use std::net::IpAddr;

use channel::inspection::{Fate, Inspected};
use wire::flow::Addr;

use super::evidence::Evidence;
use super::finding::Finding;
use super::handshake::{Answer, Via};
use super::line::Intercepts;
use crate::assistant::connection::Failure;
use crate::plan::Plan;

const CHECK: &str = "intercept";

/// What the intercepts said before the proof and after it.
pub(crate) struct Assistants<'a> {
    intercepts: &'a Intercepts,
    addresses: Vec<Addr>,
    before: Vec<Option<Inspected>>,
}

impl<'a> Assistants<'a> {
    /// Asks all of them, if all are there.
    pub(crate) fn ask(intercepts: &'a Intercepts, plan: &Plan) -> Option<Self> {
        if !intercepts.are_all_there() {
            return None;
        }
        let mut addresses: Vec<Addr> = plan.probes.iter().map(|(source, _)| source.addr).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(channel::inspection::ADDRESSES_MAX);
        let before = intercepts.inspect(&addresses);
        Some(Self {
            intercepts,
            addresses,
            before,
        })
    }

    /// Asks again: notes in the evidence what was taken meanwhile, and gives what is wrong with the assistants.
    pub(crate) fn ask_again(&self, plan: &Plan, evidence: &mut [Evidence]) -> Vec<Finding> {
        let after = self.intercepts.inspect(&self.addresses);
        let taken = self.taken(&after);
        for evidence in evidence.iter_mut() {
            evidence.taken_by_intercept = taken;
        }
        let mut findings = Vec::new();
        for (address, answer) in plan.intercepts.iter().zip(&after) {
            match answer {
                Some(answer) => findings.push(self.of_host(address, answer, plan, evidence)),
                None => findings.push(Finding::note(
                    CHECK,
                    "not-inspected",
                    format!(
                        "intercept at {address} did not tell within 1 s whether its host forwards packets: make sure that \
                         it does not, or real clients get the target's replies whenever intercept does not run"
                    ),
                )
                .look(host_of(address), "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding")),
            }
        }
        findings
    }

    /// How many replies were taken since the first answer, where they can only be ours.
    fn taken(&self, after: &[Option<Inspected>]) -> Option<u64> {
        let mut taken = 0;
        for (before, after) in self.before.iter().zip(after) {
            let (before, after) = (before.as_ref()?, after.as_ref()?);
            let grown = after.matched.saturating_sub(before.matched);
            if grown > 0 && after.subscribers > 1 {
                return None;
            }
            taken += grown;
        }
        Some(taken)
    }

    /// Whether a host would do harm without its intercept, or keeps replies for itself.
    fn of_host(
        &self,
        address: &str,
        answer: &Inspected,
        plan: &Plan,
        evidence: &[Evidence],
    ) -> Finding {
        let host = host_of(address);
        for (source, fate) in self.addresses.iter().zip(&answer.fates) {
            let ip = IpAddr::from(*source);
            let prefix = prefix_of(*source, evidence);
            match fate {
                Fate::Own => {
                    return Finding::fail(
                        CHECK,
                        "address-is-assistants",
                        format!(
                            "{ip}, which sessions come from, is an address of the assistant {host} itself: intercept lets \
                             through what is addressed to its own host, so those replies are lost; choose another pool (-c)"
                        ),
                    )
                    .look(host, format!("ip address show to {ip}"));
                }
                Fate::SentOn if answer.forwards && matters(*source, plan, evidence) => {
                    let setting = if ip.is_ipv4() {
                        "net.ipv4.ip_forward"
                    } else {
                        "net.ipv6.conf.all.forwarding"
                    };
                    return Finding::fail(
                        CHECK,
                        "assistant-forwards",
                        format!(
                            "DANGER: the assistant {host} forwards packets and has a route for {prefix}: whenever intercept \
                             does not run, the target's replies go on to the real clients and break their connections"
                        ),
                    )
                    .fix(host, format!("sysctl -w {setting}=0"))
                    .fix(host, format!("ip route replace blackhole {prefix}"));
                }
                Fate::SentOn | Fate::Dropped => {}
            }
        }
        let others = answer.subscribers.saturating_sub(1);
        Finding::ok(
            CHECK,
            format!(
                "the assistant {host} would send on no reply if intercept did not run; {others} other tcpcopy use it"
            ),
        )
    }
}

/// Whether replies to this address come to the assistant, or would if all was well.
fn matters(source: Addr, plan: &Plan, evidence: &[Evidence]) -> bool {
    let proven = Some(Answer::Accepted(Via::Channel));
    let is_proven = |wanted: Option<Addr>| {
        evidence
            .iter()
            .flat_map(|evidence| &evidence.probes)
            .any(|probe| {
                wanted.is_none_or(|addr| probe.source.addr == addr) && probe.answer == proven
            })
    };
    plan.source != session::Source::Clients || is_proven(Some(source)) || !is_proven(None)
}

/// The network that a source stands for.
fn prefix_of(source: Addr, evidence: &[Evidence]) -> String {
    let mut probes = evidence.iter().flat_map(|evidence| &evidence.probes);
    let found = probes.find(|probe| probe.source.addr == source);
    found.map_or_else(|| source.to_string(), |probe| probe.prefix.clone())
}

/// The host of `HOST:PORT`, without brackets.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// What the first attempt to connect to an intercept came to.
pub(crate) fn of_intercept(
    address: &str,
    first: Option<&Result<(), Failure>>,
    plan: &Plan,
) -> Finding {
    let host = host_of(address);
    let port = address.rsplit_once(':').map_or("", |(_, port)| port);
    let targets: Vec<String> = plan.targets().iter().map(ToString::to_string).collect();
    let trust = match &plan.key_file {
        Some(file) => format!("--key-file {}", file.display()),
        None => "--insecure".to_owned(),
    };
    let start = format!(
        "intercept -i IFACE -x {} -b {host} -p {port} {trust}",
        targets.join(",")
    );
    match first {
        Some(Ok(())) => Finding::ok(
            CHECK,
            format!("intercept at {address} took the subscription to {}", targets.join(", ")),
        ),
        Some(Err(failure @ Failure::Connect { .. })) => {
            Finding::fail(CHECK, "intercept-absent", failure.to_string()).fix(host, start)
        }
        Some(Err(failure)) => {
            let name = failure.finding();
            let finding = Finding::fail(CHECK, name, failure.to_string());
            match name {
                "intercept-other-version" => {
                    finding.look(host, "intercept --version").look_here("tcpcopy --version")
                }
                // Its words say which end needs which file.
                "intercept-other-key" => finding,
                _ => finding.fix(host, start),
            }
        }
        None => Finding::fail(
            CHECK,
            "intercept-mute",
            format!(
                "something at {address} takes the connection and says nothing for 3 s: intercept hangs or is stopped, or \
                 another program has its port"
            ),
        )
        .look(host, format!("ss -tlnp 'sport = :{port}'")),
    }
}
