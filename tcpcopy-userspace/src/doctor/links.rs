//! The interfaces that a run attaches to: what they are, what they merge, and who else is on their hooks.

use aya::programs::loaded_programs;
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType};
use host::Interface;
use programs::name;

use super::finding::Finding;
use crate::plan::Plan;
use crate::plan::facts::Facts;

/// One finding per interface, and one for each that is worth a word besides.
pub(crate) fn examine(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let devices = plan.host_sides.iter().chain(&plan.mirrors);
    let mut devices: Vec<&String> = devices.chain(&plan.capture_on).collect();
    for name in &plan.observe_on {
        if !devices.contains(&name) {
            devices.push(name);
        }
    }
    devices.dedup();
    for name in devices {
        let Some(interface) = facts.interface(name) else {
            continue;
        };
        let does = does(plan, name);
        findings.push(Finding::ok(
            "interface",
            format!("{name} is up, Ethernet, MTU {}: {does}", interface.mtu),
        ));
        findings.extend(merged(interface));
        findings.extend(others(interface));
    }
    findings.extend(
        plan.notes
            .iter()
            .map(|note| Finding::note("interface", "interface-left-out", note)),
    );
    findings
}

/// What is done on a device, in words.
fn does(plan: &Plan, name: &String) -> &'static str {
    let (captured, observed) = (
        plan.capture_on.contains(name),
        plan.observe_on.contains(name),
    );
    if plan.host_sides.contains(name) {
        "what clients send a container leaves here, and its answers come in"
    } else if plan.mirrors.contains(name) {
        "both sides of mirrored connections come in here"
    } else if captured && observed {
        "clients are captured and answers observed here"
    } else if captured {
        "replies come in here"
    } else {
        "answers that leave here are observed"
    }
}

/// An offload that merges packets into what cannot be taken apart again.
fn merged(interface: &Interface) -> Option<Finding> {
    let active = host::offload::active(&interface.name).ok()?;
    let lossy: Vec<&str> = ["rx-lro"]
        .into_iter()
        .filter(|name| active.iter().any(|active| active == name))
        .collect();
    (!lossy.is_empty()).then(|| {
        Finding::note(
            "interface",
            "lro",
            format!(
                "{} merges segments in hardware by LRO, which loses where they began (GRO does not): bytes are copied \
                 right, boundaries of segments are not kept",
                interface.name
            ),
        )
        .fix_here(format!("ethtool -K {} lro off", interface.name))
    })
}

/// Programs of others on the hooks that ours use.
fn others(interface: &Interface) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = &interface.name;
    if let Some(id) = interface.xdp {
        findings.push(
            Finding::note(
                "hooks",
                "xdp-before-us",
                format!(
                    "the XDP program {} is attached to {name} and sees each packet before us: what it drops or redirects \
                     is not captured, and replies that it takes are lost",
                    program(id)
                ),
            )
            .look_here(format!("bpftool net show dev {name}")),
        );
    }
    for (hook, words) in [
        (TcAttachType::Ingress, "ingress"),
        (TcAttachType::Egress, "egress"),
    ] {
        let names = attached(name, hook);
        if names.is_empty() {
            continue;
        }
        let ours = position_of_ours(&names);
        let finding = match ours {
            Some(0) => continue,
            Some(place) => Finding::fail(
                "hooks",
                "hidden-by-tcx",
                format!(
                    "{} stand(s) before the programs of the tcpcopy that runs here, at tcx {words} of {name}: if it returns \
                     TC_ACT_OK it hides those packets from us; attach it after ours, or start that tcpcopy anew",
                    names[..place].join(", ")
                ),
            ),
            None => Finding::note(
                "hooks",
                "tcx-beside-us",
                format!(
                    "{} is attached to tcx {words} of {name}; a run attaches before it, so it cannot hide packets from us{}",
                    names.join(", "),
                    if words == "egress" {
                        ", but copies that leave here pass it"
                    } else {
                        ""
                    }
                ),
            ),
        };
        findings.push(finding.look_here(format!("bpftool net show dev {name}")));
    }
    findings
}

/// Names of the programs on a tcx hook, in the order in which they run.
pub(crate) fn attached(interface: &str, hook: TcAttachType) -> Vec<String> {
    // A kernel that cannot be asked has said so before.
    let (_, programs) = SchedClassifier::query_tcx(interface, hook).unwrap_or_default();
    programs.iter().map(described).collect()
}

/// Where the first program of ours stands.
pub(crate) fn position_of_ours(names: &[String]) -> Option<usize> {
    names.iter().position(|found| is_ours(found))
}

/// Whether a program has the name of one of ours.
fn is_ours(found: &str) -> bool {
    let ours = [
        name::CAPTURE,
        name::OBSERVE,
        name::CAPTURE_OUT,
        name::OBSERVE_IN,
        name::OVERHEAR,
        name::REPLIES,
    ];
    ours.iter()
        .any(|ours| found.starts_with(&format!("`{ours}`")))
}

/// Programs that are not ours on the way out of an interface, and on its XDP hook.
pub(crate) fn strangers(interface: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (hook, words) in [
        (TcAttachType::Egress, "tcx egress"),
        (TcAttachType::Ingress, "tcx ingress"),
    ] {
        let names = attached(interface, hook);
        let others = names.iter().filter(|name| !is_ours(name));
        found.extend(others.map(|name| format!("{name} at {words} of {interface}")));
    }
    found
}

fn program(id: u32) -> String {
    let found = loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id);
    found.map_or_else(|| format!("of id {id}"), |info| described(&info))
}

fn described(program: &ProgramInfo) -> String {
    let name = program.name_as_str().unwrap_or("?");
    format!("`{name}` (id {})", program.id())
}
