//! Silence: no probe came back the way it should. Which hop has the frame?

use std::net::IpAddr;

use host::Route;
use telemetry::Mode;

use super::{CHECK, closed, tried};
use crate::advice::{iptables, seen_from_elsewhere};
use crate::doctor::evidence::{Evidence, Try};
use crate::doctor::finding::Finding;
use crate::doctor::handshake::Answer;
use crate::doctor::icmp::Word;
use crate::plan::refusal::RESERVE;

/// Nothing came back to any probe.
pub(super) fn of(evidence: &Evidence) -> Finding {
    let Some(probe) = evidence.probes.first() else {
        return Finding::fail(
            CHECK,
            "no-probe",
            format!(
                "no port of this host is free for a probe to {}: reserve some (net.ipv4.ip_local_reserved_ports)",
                evidence.target
            ),
        )
        .fix_here(format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={RESERVE}"
        ));
    };
    if let Some(finding) = on_this_host(evidence, probe) {
        return finding;
    }
    if let Some(word) = &evidence.told {
        return rejected(evidence, word);
    }
    if let (Some(1..), Some(assistant)) = (evidence.taken_by_intercept, evidence.assistant) {
        return lost_on_channel(evidence, probe, assistant);
    }
    match evidence.control.as_ref().and_then(|control| control.answer) {
        Some(Answer::Refused(_)) => {
            return closed(evidence, evidence.control.as_ref().unwrap_or(probe));
        }
        Some(Answer::Accepted(_)) => return way_back(evidence, probe),
        None => {}
    }
    if matches!(evidence.route, Some(Route::Local { .. })) {
        return silent_here(evidence, probe);
    }
    if let Some(hop) = &evidence.hop
        && hop.mac.is_none()
    {
        return deaf_neighbour(evidence, probe, hop.address);
    }
    silent_target(evidence, probe)
}

/// Frames that did not leave this host, by the programs' own counters.
fn on_this_host(evidence: &Evidence, probe: &Try) -> Option<Finding> {
    let Evidence {
        sent,
        seen,
        left,
        no_egress,
        too_big,
        ..
    } = evidence;
    let ways = format!("a SYN from {} to {}", probe.source, evidence.target);
    if *seen == 0 {
        return Some(
            Finding::fail(
                CHECK,
                "private-device-eats",
                format!(
                    "{ways}: {sent} frame(s) were given to tcpcopy1 and none came out of tcpcopy0; did somebody change the \
                     two, or attach a program to them?"
                ),
            )
            .look_here("bpftool net show dev tcpcopy0"),
        );
    }
    if *left == 0 && *no_egress > 0 {
        return Some(
            Finding::fail(
                CHECK,
                "no-egress",
                format!(
                    "{ways}: inject dropped {no_egress} of {seen} frame(s) for want of a way out; the route has just gone"
                ),
            )
            .look_here(format!("ip route get {}", IpAddr::from(evidence.target.addr))),
        );
    }
    (*left == 0 && *too_big > 0).then(|| {
        Finding::fail(
            CHECK,
            "too-big",
            format!(
                "{ways}: inject dropped {too_big} of {seen} frame(s), which are longer than the MTU of the route"
            ),
        )
        .look_here(format!("ip route get {}", IpAddr::from(evidence.target.addr)))
    })
}

/// Somebody on the way, or the target, says by ICMP that our SYN does not get through.
fn rejected(evidence: &Evidence, word: &Word) -> Finding {
    let target = IpAddr::from(evidence.target.addr);
    let who = if word.from == target {
        format!("the target {target} itself")
    } else {
        format!("{} on the way", word.from)
    };
    let seen = format!(
        "{}, and {who} answers by ICMP: {}",
        tried(evidence, word.flow.client),
        word.why
    );
    if word.is_filter {
        let chain = if word.from == target {
            "INPUT"
        } else {
            "FORWARD"
        };
        Finding::fail(
            CHECK,
            "rejected",
            format!("{seen}; a firewall there rejects it"),
        )
        .fix(
            word.from,
            format!(
                "{} -I {chain} -p tcp -s {} -d {target} --dport {} -j ACCEPT",
                iptables(target),
                word.flow.client.addr,
                evidence.target.port
            ),
        )
    } else {
        Finding::fail(
            CHECK,
            "unreachable-beyond",
            format!("{seen}; it knows no way on, or its next neighbour does not answer"),
        )
        .look(word.from, format!("ip route get {target}"))
    }
}

/// The target answers this host's own address, but not where sessions come from.
fn way_back(evidence: &Evidence, probe: &Try) -> Finding {
    let target = IpAddr::from(evidence.target.addr);
    let control = evidence.control.as_ref().unwrap_or(probe);
    let seen = format!(
        "the target answers a SYN from {} here, so it lives and listens; {} and its answer was not seen",
        control.source,
        tried(evidence, probe.source)
    );
    let counted = match evidence.taken_by_intercept {
        Some(0) => " (its program counted no reply of any target meanwhile)",
        _ => "",
    };
    let (finding, via) = match (evidence.mode, evidence.assistant) {
        (Mode::Assistant, Some(assistant)) => (
            Finding::fail(
                CHECK,
                "reply-lost",
                format!(
                    "{seen}, neither by intercept{counted} nor here: either the target has no route for {} to the assistant, \
                     or the target or a router before it drops what comes from there (rp_filter, a filter against forged \
                     addresses), or intercept watches another interface",
                    probe.prefix
                ),
            ),
            assistant,
        ),
        _ => (
            Finding::fail(
                CHECK,
                "pool-not-routed",
                format!(
                    "{seen} on this host: the reply pool {} is not routed here, or the target or a router before it drops \
                     what comes from there (rp_filter, a filter against forged addresses); or leave out -c",
                    probe.prefix
                ),
            ),
            IpAddr::from(control.source.addr),
        ),
    };
    let router = match &evidence.route {
        Some(Route::Device {
            next_hop: Some(hop),
            ..
        }) if evidence.mode == Mode::Direct => *hop,
        _ => target,
    };
    let mut finding = finding
        .fix(
            router,
            super::send_back(evidence, &probe.prefix, &via.to_string()),
        )
        .look(target, format!("ip route get {}", probe.source.addr));
    if target.is_ipv4() {
        // Loose: the larger of this and the interface's own setting counts.
        finding = finding.fix(target, "sysctl -w net.ipv4.conf.all.rp_filter=2");
    }
    finding.fix(
        target,
        format!(
            "{} -I INPUT -p tcp -s {} --dport {} -j ACCEPT",
            iptables(target),
            probe.prefix,
            evidence.target.port
        ),
    )
}

/// The assistant's program took replies, and no report of them came.
fn lost_on_channel(evidence: &Evidence, probe: &Try, assistant: IpAddr) -> Finding {
    let taken = evidence.taken_by_intercept.unwrap_or_default();
    let assistant = assistant.to_string();
    let assistant = seen_from_elsewhere(&assistant);
    Finding::fail(
        CHECK,
        "report-lost",
        format!(
            "{}, intercept's program on {assistant} took {taken} repl(ies) meanwhile, and no report came over the channel: \
             the process behind it is stuck or has no processor; look at its log and start it again",
            tried(evidence, probe.source)
        ),
    )
    .look(assistant, "top -b -n 1 -p $(pgrep -d, intercept)")
}

fn silent_here(evidence: &Evidence, probe: &Try) -> Finding {
    let target = IpAddr::from(evidence.target.addr);
    if matches!(target, IpAddr::V6(v6) if v6.is_loopback()) {
        return Finding::fail(
            CHECK,
            "loopback-v6",
            format!(
                "{}, and no answer came: Linux drops what is addressed to ::1 and comes in by any device but lo; name another \
                 address of this host as the target",
                tried(evidence, probe.source)
            ),
        )
        .look_here("ip -6 -brief address");
    }
    Finding::fail(
        CHECK,
        "local-target-silent",
        format!(
            "{}, and no answer came to tcpcopy0 within 2 s: a firewall on this host drops what comes in by tcpcopy0, or the \
             answer to {} takes another route",
            tried(evidence, probe.source),
            probe.source.addr
        ),
    )
    .fix_here(format!(
        "{} -I INPUT -i tcpcopy0 -p tcp --dport {} -j ACCEPT",
        iptables(target),
        evidence.target.port
    ))
    .look_here(format!("ip route get {} from {target}", probe.source.addr))
}

pub(super) fn deaf_neighbour(evidence: &Evidence, probe: &Try, hop: IpAddr) -> Finding {
    let (name, is_router) = match &evidence.route {
        Some(Route::Device { name, next_hop, .. }) => (name.as_str(), next_hop.is_some()),
        _ => ("", false),
    };
    let who = if is_router {
        format!("the router {hop}")
    } else {
        format!("the target {hop}, which the route takes for a neighbour,")
    };
    let asks = if hop.is_ipv4() { "ARP" } else { "NDP" };
    let finding = Finding::fail(
        CHECK,
        "neighbour-silent",
        format!(
            "a SYN from {} to {} got as far as {name}: {who} answers no {asks} there, so no frame leaves; it is down, or the \
             route is wrong, or it is in another VLAN",
            probe.source, evidence.target
        ),
    )
    .look_here(format!("ping -c 3 -I {name} {hop}"));
    if is_router {
        let target = IpAddr::from(evidence.target.addr);
        finding.fix_here(format!("ip route replace {target} via OTHER_ROUTER"))
    } else {
        finding.look_here(format!("ip route get {hop}"))
    }
}

pub(super) fn silent_target(evidence: &Evidence, probe: &Try) -> Finding {
    let target = IpAddr::from(evidence.target.addr);
    let handed = evidence.hop.as_ref().and_then(|hop| {
        let [a, b, c, d, e, f] = hop.mac?;
        Some(format!(
            ", was handed to {} ({a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x})",
            hop.address
        ))
    });
    let suspects = if evidence.suspects.is_empty() {
        String::new()
    } else {
        format!(
            "; on this host it also passed {}, which may have dropped it",
            evidence.suspects.join(", ")
        )
    };
    // The address that certainly has a way back is the one to be let in, where it was tried.
    let source = evidence.control.as_ref().unwrap_or(probe).source;
    Finding::fail(
        CHECK,
        "target-silent",
        format!(
            "{}{}, and nothing came back within 2 s, no RST either: a firewall of the target or on the way drops it (this \
             host's own does not matter: copies do not pass it){suspects}",
            tried(evidence, source),
            handed.unwrap_or_default(),
        ),
    )
    .fix(
        target,
        format!(
            "{} -I INPUT -p tcp -s {} --dport {} -j ACCEPT",
            iptables(target),
            source.addr,
            evidence.target.port
        ),
    )
    .look(target, format!("tcpdump -ni any host {} and port {}", source.addr, evidence.target.port))
}
