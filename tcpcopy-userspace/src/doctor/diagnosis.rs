//! From what was seen of a target to what is wrong and what to do: a pure function.
//!
//! A frame's way is followed hop by hop, and the first hop that has it and does not pass it on is named: the private device,
//! this host's route, the neighbour, the target, the way back. Where two causes look the same from here, both are told, the
//! more likely one first.

mod silence;

use std::net::IpAddr;

use host::Route;
use telemetry::Mode;
use wire::flow::Endpoint;

use super::evidence::{Evidence, Try};
use super::finding::Finding;
use super::handshake::{Answer, Via};
use super::narrow::{Narrow, Width};
use crate::advice;

/// What is looked at here.
pub(crate) const CHECK: &str = "path";

/// What is to be said of one target: whether the path is proven, and what is worth knowing besides.
pub(crate) fn of(evidence: &Evidence) -> Vec<Finding> {
    let via = evidence.via();
    if let Some(probe) = evidence.answered(Answer::Accepted(via)) {
        if !evidence.probes.iter().any(|probe| probe.has_word) {
            return vec![one_sided(evidence, probe)];
        }
        let mut findings = vec![proven(evidence, probe)];
        findings.extend(length(evidence));
        findings.extend(strangers(evidence));
        return findings;
    }
    if !evidence.may_probe {
        return vec![without_intercept(evidence)];
    }
    let refused = [Answer::Refused(via), Answer::Refused(Via::Here)];
    if let Some(probe) = refused.iter().find_map(|answer| evidence.answered(*answer)) {
        return vec![closed(evidence, probe)];
    }
    if let Some(probe) = evidence.answered(Answer::Accepted(Via::Here)) {
        return vec![came_here(evidence, probe)];
    }
    vec![silence::of(evidence)]
}

/// The sentence that begins every finding of silence.
fn tried(evidence: &Evidence, source: Endpoint) -> String {
    let out = match &evidence.route {
        Some(Route::Device { name, .. }) => format!("out by {name}"),
        _ => "up this host's own stack".to_owned(),
    };
    format!("a SYN from {source} to {} went {out}", evidence.target)
}

fn proven(evidence: &Evidence, probe: &Try) -> Finding {
    let taken = match (&evidence.route, evidence.mode) {
        (Some(Route::Local { .. }), _) => "absorb took the SYN-ACK".to_owned(),
        (_, Mode::Direct) => "capture took the SYN-ACK".to_owned(),
        (_, Mode::Assistant) => {
            let assistant = evidence
                .assistant
                .map_or_else(String::new, |address| format!(" at {address}"));
            format!("intercept{assistant} took the SYN-ACK and reported it")
        }
    };
    Finding::ok(
        CHECK,
        format!(
            "{}, {taken} after {:.1} ms, and the connection was closed without a byte",
            tried(evidence, probe.source),
            evidence.took.as_secs_f64() * 1000.0
        ),
    )
}

/// The target takes connections, and nothing that is sent on them arrives.
fn one_sided(evidence: &Evidence, probe: &Try) -> Finding {
    let target = evidence.target;
    Finding::fail(
        CHECK,
        "one-sided",
        format!(
            "{}, the SYN-ACK came back, and nothing that was sent after it was answered, not even FIN: a firewall before {target} \
             or on it, which does not see the replies pass, takes the rest of the connection for forged; let the replies pass \
             it too, or the copies untracked",
            tried(evidence, probe.source)
        ),
    )
    .fix(
        IpAddr::from(target.addr),
        advice::pass_untracked(target),
    )
    .look(
        IpAddr::from(target.addr),
        "conntrack -S; nft list ruleset".to_owned(),
    )
}

/// The command for the target that sends answers to sessions to the assistant. Where they go to clients, by port: a route by
/// prefix, or by default, would take the target's own connections with it.
fn send_back(evidence: &Evidence, prefix: &str, via: &str) -> String {
    if evidence.keeps_addresses {
        advice::route_service_by(evidence.target, via)
    } else {
        let via = advice::seen_from_elsewhere(via);
        format!("ip route replace {prefix} via {via}")
    }
}

/// What became of the longest packet.
fn length(evidence: &Evidence) -> Option<Finding> {
    let narrow = evidence.narrow.as_ref()?;
    let target = evidence.target;
    Some(match narrow.width() {
        Width::Full => Finding::ok(
            "mtu",
            format!("packets of {} bytes arrive at {target}", narrow.longest()),
        ),
        Width::Unknown => Finding::note(
            "mtu",
            "mtu-unknown",
            format!(
                "{target} does not acknowledge repeated bytes (a proxy before it?), so it is not known whether packets of {} \
                 bytes arrive",
                narrow.longest()
            ),
        ),
        Width::Up(passes) => narrowed(evidence, narrow, passes),
    })
}

fn narrowed(evidence: &Evidence, narrow: &Narrow, passes: u16) -> Finding {
    let told = narrow.router_mtu().map_or_else(
        || "no router says so".to_owned(),
        |mtu| format!("a router says that its MTU is {mtu}"),
    );
    let finding = Finding::note(
        "mtu",
        "mtu-narrow",
        format!(
            "packets of {} bytes to {} are lost and those of {passes} bytes arrive; {told}. A run finds that out by losing \
             some, session by session, which costs time: tell this host the MTU",
            narrow.longest(),
            evidence.target
        ),
    );
    match &evidence.route {
        Some(Route::Device { name, next_hop, .. }) if passes > 0 => {
            let via = next_hop.map_or_else(String::new, |hop| format!(" via {hop}"));
            let target = IpAddr::from(evidence.target.addr);
            finding.fix_here(format!(
                "ip route replace {target}{via} dev {name} mtu {passes}"
            ))
        }
        _ => finding,
    }
}

/// With the clients' own addresses, sources whose answers did not come through intercept although others' did.
fn strangers(evidence: &Evidence) -> Option<Finding> {
    let via = evidence.via();
    let lost = evidence
        .probes
        .iter()
        .find(|probe| probe.answer != Some(Answer::Accepted(via)))?;
    let assistant = evidence.assistant?;
    let whither = match lost.answer {
        Some(Answer::Accepted(Via::Here)) => "its answer came to this host",
        _ => "its answer did not come through intercept",
    };
    let is_network = lost.prefix.contains('/');
    let stands = if is_network {
        ""
    } else {
        " (which stands for strangers from anywhere)"
    };
    let target = IpAddr::from(evidence.target.addr);
    Some(
        Finding::note(
            CHECK,
            "some-clients-astray",
            format!(
                "a SYN from {}{stands} to {} was tried as well and {whither}: what the target routes like that address cannot \
                 be copied; where clients come from there, send what the service answers to the assistant by its port",
                lost.source.addr, evidence.target
            ),
        )
        .fix(target, send_back(evidence, &lost.prefix, &assistant.to_string())),
    )
}

fn closed(evidence: &Evidence, probe: &Try) -> Finding {
    let target = evidence.target;
    Finding::fail(
        CHECK,
        "target-port-closed",
        format!(
            "{} and was answered by RST: nobody listens on port {} of {}, or a firewall rejects in its name; start the \
             server there, or correct -x",
            tried(evidence, probe.source),
            target.port,
            target.addr
        ),
    )
    .look(
        IpAddr::from(target.addr),
        format!("ss -tln 'sport = :{}'", target.port),
    )
}

/// Assistant mode, and the answer came to this host.
fn came_here(evidence: &Evidence, probe: &Try) -> Finding {
    let assistant = evidence
        .assistant
        .map_or_else(|| "ASSISTANT".to_owned(), |address| address.to_string());
    Finding::fail(
        CHECK,
        "reply-came-here",
        format!(
            "{}, and the SYN-ACK came back to this host instead of the assistant {}: the target's route for {} \
             leads here, or there is none of its own",
            tried(evidence, probe.source),
            advice::seen_from_elsewhere(&assistant),
            probe.prefix
        ),
    )
    .fix(
        IpAddr::from(evidence.target.addr),
        send_back(evidence, &probe.prefix, &assistant),
    )
}

/// What can be said of a target while an intercept is missing.
fn without_intercept(evidence: &Evidence) -> Finding {
    let target = evidence.target;
    match &evidence.control {
        Some(control) => match control.answer {
            Some(Answer::Accepted(_)) => Finding::note(
                CHECK,
                "not-proven",
                format!(
                    "{target} answers a SYN from {}; whether answers to copies reach intercept can be tried once it is there",
                    control.source
                ),
            ),
            Some(Answer::Refused(_)) => closed(evidence, control),
            None => match &evidence.hop {
                Some(hop) if hop.mac.is_none() => {
                    silence::deaf_neighbour(evidence, control, hop.address)
                }
                _ => silence::silent_target(evidence, control),
            },
        },
        None => Finding::note(
            CHECK,
            "not-proven",
            format!(
                "nothing was sent to {target}: its answers would go astray while intercept is missing"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use host::Route;
    use telemetry::Mode;
    use wire::flow::{Addr, Endpoint, FlowKey};

    use super::of;
    use crate::doctor::evidence::{Evidence, Hop, Try};
    use crate::doctor::finding::{Finding, Verdict};
    use crate::doctor::handshake::{Answer, Via};
    use crate::doctor::icmp::Word;

    const TARGET: Endpoint = Endpoint::new(Addr::v4([10, 0, 0, 9]), 80);
    const OWN: Endpoint = Endpoint::new(Addr::v4([10, 0, 0, 1]), 32_767);
    const POOL: Endpoint = Endpoint::new(Addr::v4([10, 7, 0, 255]), 32_767);

    fn tried(source: Endpoint, answer: Option<Answer>) -> Try {
        Try {
            source,
            prefix: "10.7.0.0/24".to_owned(),
            answer,
            has_word: answer.is_some(),
        }
    }

    /// A SYN from the pool that left and was never answered; neither was one from this host's own address.
    fn silent(mode: Mode) -> Evidence {
        Evidence {
            target: TARGET,
            mode,
            assistant: (mode == Mode::Assistant).then(|| IpAddr::from([10, 0, 0, 7])),
            route: Some(Route::Device {
                index: 2,
                name: "eth0".to_owned(),
                next_hop: None,
                source: Some(IpAddr::from([10, 0, 0, 1])),
                mtu: 1500,
            }),
            hop: Some(Hop {
                address: TARGET.addr.into(),
                mac: Some([2; 6]),
            }),
            keeps_addresses: false,
            probes: vec![tried(POOL, None)],
            control: Some(tried(OWN, None)),
            may_probe: true,
            took: Duration::ZERO,
            narrow: None,
            sent: 6,
            seen: 6,
            left: 6,
            no_egress: 0,
            too_big: 0,
            taken_by_intercept: (mode == Mode::Assistant).then_some(0),
            told: None,
            suspects: Vec::new(),
        }
    }

    fn check(what: &str, evidence: &Evidence, expected: &str) -> Finding {
        let found = of(evidence);
        let first = found.into_iter().next().expect("something is said");
        assert_eq!(first.finding, expected, "{what}: {first:?}");
        first
    }

    #[test]
    fn the_first_hop_that_does_not_pass_it_on_is_named() {
        let accepted = |via| Some(Answer::Accepted(via));
        for mode in [Mode::Direct, Mode::Assistant] {
            check("nothing else is known", &silent(mode), "target-silent");
            let mut evidence = silent(mode);
            evidence.hop = evidence.hop.map(|hop| Hop { mac: None, ..hop });
            check("no Ethernet address", &evidence, "neighbour-silent");
            evidence.seen = 0;
            check("nothing came out", &evidence, "private-device-eats");
            let mut evidence = silent(mode);
            (evidence.left, evidence.no_egress) = (0, 6);
            check("no way out", &evidence, "no-egress");
            (evidence.no_egress, evidence.too_big) = (0, 6);
            check("too long", &evidence, "too-big");
            let mut evidence = silent(mode);
            evidence.control = Some(tried(OWN, Some(Answer::Refused(Via::Here))));
            check("RST to our own", &evidence, "target-port-closed");
            let mut evidence = silent(mode);
            let via = evidence.via();
            evidence.probes = vec![tried(POOL, accepted(via))];
            assert_eq!(check("answered", &evidence, "ok").verdict, Verdict::Ok);
            evidence.probes = vec![tried(POOL, Some(Answer::Refused(via)))];
            check("refused", &evidence, "target-port-closed");
        }
    }

    #[test]
    fn who_answers_our_own_address_has_lost_the_way_back() {
        let own = Some(tried(OWN, Some(Answer::Accepted(Via::Here))));
        let mut evidence = silent(Mode::Direct);
        evidence.control = own.clone();
        let finding = check("direct", &evidence, "pool-not-routed");
        assert_eq!(
            finding.fixes[0].command,
            "ip route replace 10.7.0.0/24 via 10.0.0.1"
        );
        let mut evidence = silent(Mode::Assistant);
        evidence.control = own;
        let finding = check("assistant", &evidence, "reply-lost");
        assert_eq!(
            finding.fixes[0].command,
            "ip route replace 10.7.0.0/24 via 10.0.0.7"
        );
        assert_eq!(finding.fixes[0].place, "10.0.0.9");
        evidence.assistant = Some(IpAddr::from([127, 0, 0, 1]));
        let finding = check("through a tunnel", &evidence, "reply-lost");
        assert_eq!(
            finding.fixes[0].command,
            "ip route replace 10.7.0.0/24 via ADDRESS-OF-THE-ASSISTANT"
        );
        evidence.taken_by_intercept = Some(3);
        let finding = check("it was taken there", &evidence, "report-lost");
        assert!(finding.fixes.iter().all(|fix| fix.place != "127.0.0.1"));
        evidence.probes = vec![tried(POOL, Some(Answer::Accepted(Via::Here)))];
        check("it came here", &evidence, "reply-came-here");
    }

    #[test]
    fn clients_own_addresses_are_sent_back_by_port_and_not_by_prefix() {
        let mut evidence = silent(Mode::Assistant);
        evidence.keeps_addresses = true;
        evidence.control = Some(tried(OWN, Some(Answer::Accepted(Via::Here))));
        let finding = check("no route", &evidence, "reply-lost");
        let command = &finding.fixes[0].command;
        assert!(
            command.contains("ip rule add ipproto tcp sport 80 lookup"),
            "{command}"
        );
        evidence.probes = vec![tried(POOL, Some(Answer::Accepted(Via::Here)))];
        let finding = check("it came here", &evidence, "reply-came-here");
        assert_eq!(&finding.fixes[0].command, command);
    }

    #[test]
    fn a_syn_ack_alone_proves_nothing() {
        for mode in [Mode::Direct, Mode::Assistant] {
            let mut evidence = silent(mode);
            let mut probe = tried(POOL, Some(Answer::Accepted(evidence.via())));
            probe.has_word = false;
            evidence.probes = vec![probe];
            let finding = check("no word", &evidence, "one-sided");
            assert!(
                finding.fixes[0].command.contains("--notrack"),
                "{finding:?}"
            );
        }
    }

    #[test]
    fn without_intercept_only_what_comes_here_is_judged() {
        let mut evidence = silent(Mode::Assistant);
        evidence.may_probe = false;
        check("silent", &evidence, "target-silent");
        evidence.control = Some(tried(OWN, Some(Answer::Accepted(Via::Here))));
        let finding = check("it lives", &evidence, "not-proven");
        assert_eq!(finding.verdict, Verdict::Note);
        evidence.control = None;
        check("nothing was sent", &evidence, "not-proven");
    }

    #[test]
    fn what_somebody_says_by_icmp_is_told_with_his_name() {
        let mut evidence = silent(Mode::Direct);
        let flow = FlowKey {
            client: POOL,
            server: TARGET,
        };
        let mut word = Word {
            from: IpAddr::from([10, 0, 0, 254]),
            flow,
            why: "administratively prohibited",
            is_filter: true,
        };
        evidence.told = Some(word.clone());
        let finding = check("a firewall on the way", &evidence, "rejected");
        assert_eq!(finding.fixes[0].place, "10.0.0.254");
        assert!(
            finding.fixes[0].command.contains("-I FORWARD"),
            "{finding:?}"
        );
        word.is_filter = false;
        evidence.told = Some(word);
        check("a router", &evidence, "unreachable-beyond");
    }

    #[test]
    fn a_target_on_this_host_is_behind_its_own_firewall() {
        let mut evidence = silent(Mode::Direct);
        (evidence.hop, evidence.control) = (None, None);
        evidence.route = Some(Route::Local { source: None });
        let finding = check("silent", &evidence, "local-target-silent");
        assert!(
            finding.fixes[0].command.contains("-i tcpcopy0"),
            "{finding:?}"
        );
        let loopback = std::net::Ipv6Addr::LOCALHOST.octets();
        evidence.target = Endpoint::new(Addr::v6(loopback), 80);
        check("::1", &evidence, "loopback-v6");
    }

    #[test]
    fn an_ipv6_target_gets_commands_of_its_family() {
        let mut evidence = silent(Mode::Direct);
        evidence.target = Endpoint::new(Addr::v6([0xfd; 16]), 80);
        let finding = check("silent", &evidence, "target-silent");
        assert!(
            finding.fixes[0].command.starts_with("ip6tables"),
            "{finding:?}"
        );
    }
}
