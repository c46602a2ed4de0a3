//! The interfaces that a run attaches to: what they are, what they merge, and who else is on their hooks.

use aya::programs::loaded_programs;
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType};
use host::Interface;
use host::clsact::{Clsact, Direction};
use nix::net::if_::if_nametoindex;
use programs::name;

use super::finding::Finding;
use crate::plan::facts::Facts;
use crate::plan::{Hook, Plan};

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
        findings.extend(others(interface, plan.hook));
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
fn others(interface: &Interface, hook: Hook) -> Vec<Finding> {
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
    for direction in Direction::ALL {
        findings.extend(beside(name, hook, direction));
        findings.extend(in_the_way(interface, hook, direction));
    }
    findings
}

/// Programs of others at a hook that ours use, and where they stand.
fn beside(name: &str, hook: Hook, direction: Direction) -> Option<Finding> {
    let places = attached(name, direction);
    let names = |places: &[Attached]| {
        let names: Vec<&str> = places.iter().map(|place| &*place.name).collect();
        names.join(", ")
    };
    let first = places.first()?;
    let finding = match (position_of_ours(&places), hook) {
        (Some(0), _) => return None,
        (Some(place), _) => Finding::fail(
            "hooks",
            "hidden-by-tcx",
            format!(
                "{} stand(s) before the programs of the tcpcopy that runs here, at {direction} of {name}: if it returns TC_ACT_OK it \
                 hides those packets from us; attach it after ours, or start that tcpcopy anew",
                names(&places[..place])
            ),
        ),
        (None, Hook::Clsact) if first.is_tcx => {
            let before: Vec<Attached> = places
                .iter()
                .filter(|place| place.is_tcx)
                .cloned()
                .collect();
            Finding::note(
                "hooks",
                "tcx-before-filters",
                format!(
                    "{} is attached to tcx {direction} of {name}, and the kernel asks tcx programs before clsact filters: it can hide packets \
                     from a run with --hook clsact; --hook tcx stands before it",
                    names(&before)
                ),
            )
        }
        (None, _) => Finding::note(
            "hooks",
            "tcx-beside-us",
            format!(
                "{} is attached to {direction} of {name}; a run attaches before it, so it cannot hide packets from us{}",
                names(&places),
                if direction == Direction::Egress {
                    ", but copies that leave here pass it"
                } else {
                    ""
                }
            ),
        ),
    };
    Some(finding.look_here(look(name, direction)))
}

/// What shows the programs at a hook, by whichever of both they are attached.
fn look(name: &str, direction: Direction) -> String {
    format!("bpftool net show dev {name}; tc filter show dev {name} {direction}")
}

/// A filter that ours could not be asked before.
fn in_the_way(interface: &Interface, hook: Hook, direction: Direction) -> Option<Finding> {
    if hook != Hook::Clsact {
        return None;
    }
    let filters = Clsact::open()
        .ok()?
        .filters(interface.index, direction)
        .ok()?;
    let first = filters.iter().find(|filter| !filter.gives_way())?;
    let error = host::Error::FilterFirst {
        interface: interface.name.clone(),
        direction,
        filter: first.to_string(),
    };
    let finding = Finding::fail("hooks", "filter-first", error.to_string());
    Some(finding.look_here(format!("tc filter show dev {} {direction}", interface.name)))
}

/// Filters of a tcpcopy that was killed, where none runs.
pub(crate) fn left_behind(interfaces: &[Interface]) -> Option<Finding> {
    let filters = host::device::filters_of_ours(interfaces).ok()?;
    let index = filters.first()?.interface_index;
    let name = interfaces
        .iter()
        .find(|interface| interface.index == index)?
        .name
        .clone();
    Some(
        Finding::note(
            "hooks",
            "filters-left",
            format!(
                "{} clsact filters of a tcpcopy that is gone are left on this host, on {name} among others: it was killed, and its janitor too. \
                 They let every packet pass; this examination and each run remove them",
                filters.len()
            ),
        )
        .look_here(format!("tc filter show dev {name} ingress")),
    )
}

/// A program at a hook.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    /// What it is called, and its number.
    pub(crate) name: String,
    is_tcx: bool,
    is_ours: bool,
}

/// What is at a hook, in the order in which the kernel asks: tcx programs, then clsact filters.
pub(crate) fn attached(interface: &str, direction: Direction) -> Vec<Attached> {
    let hook = match direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    };
    // A kernel that cannot be asked has said so before.
    let (_, programs) = SchedClassifier::query_tcx(interface, hook).unwrap_or_default();
    let tcx = programs.iter().map(|program| {
        let name = described(program);
        let ours = [
            name::CAPTURE,
            name::OBSERVE,
            name::CAPTURE_OUT,
            name::OBSERVE_IN,
            name::OVERHEAR,
            name::REPLIES,
        ];
        Attached {
            is_tcx: true,
            is_ours: ours
                .iter()
                .any(|ours| name.starts_with(&format!("`{ours}`"))),
            name,
        }
    });
    let filters = if_nametoindex(interface).ok().and_then(|index| {
        let clsact = Clsact::open().ok()?;
        clsact.filters(index, direction).ok()
    });
    let filters = filters
        .unwrap_or_default()
        .into_iter()
        .map(|filter| Attached {
            is_tcx: false,
            is_ours: filter.is_ours(),
            name: filter.to_string(),
        });
    tcx.chain(filters).collect()
}

/// Where the first program of ours stands.
pub(crate) fn position_of_ours(places: &[Attached]) -> Option<usize> {
    places.iter().position(|place| place.is_ours)
}

/// Programs that are not ours at both hooks of an interface.
pub(crate) fn strangers(interface: &str) -> Vec<String> {
    let mut found = Vec::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let others = attached(interface, direction)
            .into_iter()
            .filter(|place| !place.is_ours);
        found.extend(others.map(|place| {
            let hook = if place.is_tcx { "tcx" } else { "clsact" };
            format!("{} at {hook} {direction} of {interface}", place.name)
        }));
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
