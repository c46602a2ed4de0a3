//! Where the programs are attached.
//!
//! `capture` and `observe` on the online interfaces: those named, or those that own the online addresses, and `lo` where a
//! service is listened to there alone. `observe` besides wherever routes leave, because answers may leave by another device than
//! the requests came in by. In direct mode `capture` also where each target's replies come in, which is where the way to it goes
//! out. Devices that show packets the other way round (`:host`) or both ways (`:mirror`) have programs of their own.

use std::net::IpAddr;

use host::clsact::Direction;
use host::{Interface, PrivateDevice, Route};
use programs::name;
use telemetry::Mode;
use wire::flow::Addr;

use super::facts::Facts;
use super::{Plan, Refusal};
use crate::args::{Args, Capture, InterfaceArg, RuleArg, Vantage};

/// Names of interfaces.
#[derive(Debug)]
pub(super) struct Interfaces {
    /// `capture` goes here.
    pub(super) capture: Vec<String>,
    /// The online interfaces among them.
    pub(super) online: Vec<String>,
    /// `observe` goes here.
    pub(super) observe: Vec<String>,
    /// The host's ends of containers' links.
    pub(super) host_sides: Vec<String>,
    pub(super) mirrors: Vec<String>,
    pub(super) notes: Vec<String>,
    /// What will not be captured by any of them, in words.
    pub(super) unheard: Vec<String>,
    /// Services that are heard because `lo` was taken for them, in words.
    pub(super) heard_on_loopback: Vec<String>,
}

/// The loopback interface.
pub(crate) const LOOPBACK: &str = "lo";

/// Chooses where programs are attached.
pub(super) fn choose(args: &Args, facts: &Facts, mode: Mode) -> Result<Interfaces, Refusal> {
    let mut found = Interfaces {
        capture: Vec::new(),
        online: Vec::new(),
        observe: Vec::new(),
        host_sides: Vec::new(),
        mirrors: Vec::new(),
        notes: Vec::new(),
        unheard: Vec::new(),
        heard_on_loopback: Vec::new(),
    };
    if args.replay.is_some() {
        // Only replies come in.
    } else if args.interfaces.is_empty() {
        owners(args, facts, &mut found)?;
    } else {
        for interface in &args.interfaces {
            named(interface, facts, &mut found)?;
        }
    }
    if args.replay.is_some() {
        ways_out(args, facts, mode, &mut found.capture);
        return Ok(found);
    }
    let hears_loopback = found.online.iter().any(|name| name == LOOPBACK);
    let lonely: Vec<&RuleArg> = args
        .rules
        .iter()
        .filter(|rule| on_loopback(rule, facts))
        .collect();
    if hears_loopback && mode == Mode::Assistant && args.pool.is_empty() {
        return Err(Refusal::LoopbackClients {
            why: lonely
                .first()
                .map_or_else(|| "-i lo".to_owned(), |rule| said_on_loopback(rule)),
        });
    }
    take_note(args, hears_loopback, &mut found);
    // What is mirrored or belongs to a container is listened to elsewhere.
    if !hears_loopback && found.host_sides.is_empty() && found.mirrors.is_empty() {
        let words = |rule: &&RuleArg| {
            format!(
                "nothing of \"{rule}\" will be captured: {}; name lo (-i {LOOPBACK}; with -s that takes a pool, -c)",
                said_on_loopback(rule)
            )
        };
        found.unheard = lonely.iter().map(words).collect();
    }
    found.observe.clone_from(&found.online);
    // Answers to clients on this very host leave by lo, and what others answer is not for this host to route.
    if found.online.iter().any(|name| name != LOOPBACK) {
        let names = facts.exits.names.iter();
        let exits = names.filter(|exit| !found.is_apart(exit));
        for exit in exits.collect::<Vec<_>>() {
            add(&mut found.observe, exit);
        }
    }
    found.capture.clone_from(&found.online);
    ways_out(args, facts, mode, &mut found.capture);
    Ok(found)
}

/// In direct mode replies come in where the ways to the targets go out.
fn ways_out(args: &Args, facts: &Facts, mode: Mode, capture: &mut Vec<String>) {
    if mode != Mode::Direct {
        return;
    }
    for rule in &args.rules {
        if let Some(Route::Device { name, .. }) = facts.route(rule.target.addr.into()) {
            add(capture, name);
        }
    }
}

/// Notes what the user should know of the interfaces that were chosen.
fn take_note(args: &Args, hears_loopback: bool, found: &mut Interfaces) {
    let any = |rule: &RuleArg| rule.online.addr == Addr::UNSPECIFIED;
    if !found.online.is_empty() && !found.host_sides.is_empty() && args.rules.iter().any(any) {
        found.notes.push(format!(
            "-i names {} beside a container's link, and a rule names no ONLINE_IP: where this host publishes the container's port \
             (NAT), each request is seen with both addresses and would be copied twice; name one of the devices, or ONLINE_IP",
            found.online.join(", ")
        ));
    }
    if hears_loopback && args.capture == Capture::AfXdp {
        found.notes.push(
            "lo carries packets of up to 64 KiB, and --capture af-xdp takes none that is longer than the private device carries: \
             such requests end as `gap` (clone_too_big says how many packets); use --capture ring there"
                .to_owned(),
        );
    }
}

impl Interfaces {
    /// Whether packets pass a device another way than those of this host.
    fn is_apart(&self, name: &str) -> bool {
        let mut apart = self.host_sides.iter().chain(&self.mirrors);
        apart.any(|apart| apart == name)
    }
}

impl Plan {
    /// Whether answers may leave by other devices too, as routes come and go: those to clients on this very host never do, and
    /// what others answer is not for this host to route.
    pub(crate) fn follows_exits(&self) -> bool {
        let mut online = self.online_on.iter();
        online.any(|name| name != LOOPBACK)
    }

    /// Devices where packets pass another way than those of this host, each with a program that knows and its hook.
    pub(crate) fn hooks_apart(&self) -> Vec<(&str, &'static str, Direction)> {
        let mut hooks = Vec::new();
        for device in &self.host_sides {
            hooks.push((device.as_str(), name::CAPTURE_OUT, Direction::Egress));
            hooks.push((device.as_str(), name::OBSERVE_IN, Direction::Ingress));
        }
        for device in &self.mirrors {
            hooks.push((device.as_str(), name::OVERHEAR, Direction::Ingress));
        }
        hooks
    }

    /// The devices that clients come in by, as `-i` takes them.
    pub(crate) fn named_devices(&self) -> Vec<String> {
        let host_sides = self.host_sides.iter().map(|name| format!("{name}:host"));
        let mirrors = self.mirrors.iter().map(|name| format!("{name}:mirror"));
        let online = self.online_on.iter().cloned();
        online.chain(host_sides).chain(mirrors).collect()
    }
}

/// Whether a rule's service can be reached from this host alone: what is said to it passes `lo` and no other device.
fn on_loopback(rule: &RuleArg, facts: &Facts) -> bool {
    let online = rule.online;
    if online.addr != Addr::UNSPECIFIED {
        return online.addr.is_loopback();
    }
    let mut listening = facts
        .listening
        .iter()
        .filter(|socket| socket.port() == online.port)
        .peekable();
    listening.peek().is_some() && listening.all(|socket| socket.ip().to_canonical().is_loopback())
}

fn said_on_loopback(rule: &RuleArg) -> String {
    let online = rule.online;
    if online.addr == Addr::UNSPECIFIED {
        format!(
            "port {} is listened to on loopback alone, and what is said there passes lo and no other interface",
            online.port
        )
    } else {
        format!("what is said to {online} passes lo and no other interface")
    }
}

fn named(wanted: &InterfaceArg, facts: &Facts, found: &mut Interfaces) -> Result<(), Refusal> {
    let name = &wanted.name;
    let interface = facts
        .interface(name)
        .ok_or_else(|| host::Error::NoInterface {
            name: name.clone(),
            names: facts
                .interfaces
                .iter()
                .map(|interface| interface.name.clone())
                .collect(),
        })?;
    interface.require_usable()?;
    if wanted.place != Vantage::Own && name == LOOPBACK {
        return Err(Refusal::LoopbackVantage {
            given: wanted.to_string(),
        });
    }
    let places = [
        (Vantage::Own, &mut found.online),
        (Vantage::Host, &mut found.host_sides),
        (Vantage::Mirror, &mut found.mirrors),
    ];
    for (place, names) in places {
        if place == wanted.place {
            add(names, name);
        } else if names.contains(name) {
            return Err(Refusal::TwoVantages { name: name.clone() });
        }
    }
    if wanted.place == Vantage::Mirror && interface.is_hardware() && !interface.promiscuous {
        found.notes.push(format!(
            "{name} takes frames for its own address alone, and those of a mirror are for others: nothing of them is seen until \
             it is promiscuous (`ip link set {name} promisc on`)"
        ));
    }
    Ok(())
}

/// The interfaces that own the online addresses; for "any address" all that have one.
fn owners(args: &Args, facts: &Facts, found: &mut Interfaces) -> Result<(), Refusal> {
    for rule in &args.rules {
        if on_loopback(rule, facts) {
            add(&mut found.online, LOOPBACK);
            found.heard_on_loopback.push(format!(
                "{}: lo is captured for \"{rule}\"",
                said_on_loopback(rule)
            ));
            if rule.online.addr != Addr::UNSPECIFIED {
                continue;
            }
            // The rule means every address, and somebody may listen elsewhere later.
        }
        owner(rule, facts, found)?;
    }
    Ok(())
}

fn owner(rule: &RuleArg, facts: &Facts, found: &mut Interfaces) -> Result<(), Refusal> {
    let wanted = rule.online.addr;
    let any = wanted == Addr::UNSPECIFIED;
    let owned: Vec<&Interface> = facts
        .addresses
        .iter()
        .filter(|own| any || own.address == IpAddr::from(wanted))
        .filter_map(|own| {
            facts
                .interfaces
                .iter()
                .find(|interface| interface.index == own.interface_index)
        })
        .filter(|interface| {
            let ours = [PrivateDevice::OUTER, PrivateDevice::INNER];
            !interface.is_virtual_home() && !ours.contains(&interface.name.as_str())
        })
        .collect();
    if !any
        && facts
            .addresses
            .iter()
            .all(|own| own.address != IpAddr::from(wanted))
    {
        found.notes.push(format!(
            "{wanted} is no address of this host: nothing is captured unless its packets pass here"
        ));
    }
    let mut usable = false;
    for interface in owned {
        match interface.require_usable() {
            Ok(()) => {
                add(&mut found.online, &interface.name);
                usable = true;
            }
            // One address, one interface: there is nothing else that could be meant.
            Err(error) if !any => return Err(error.into()),
            Err(error) => {
                let note = error.to_string();
                if !found.notes.contains(&note) {
                    found.notes.push(note);
                }
            }
        }
    }
    if !usable {
        let wanted = if any {
            "an address".to_owned()
        } else {
            wanted.to_string()
        };
        match default_device(facts, wanted) {
            Ok(name) => add(&mut found.online, name),
            // What this host alone can reach needs no other interface.
            Err(_) if any && found.online.iter().any(|name| name == LOOPBACK) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(())
}

fn default_device(facts: &Facts, wanted: String) -> Result<&str, Refusal> {
    let names = || {
        facts
            .interfaces
            .iter()
            .map(|i| i.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let device = facts
        .default_device
        .as_deref()
        .and_then(|name| facts.interface(name));
    let device = device.ok_or_else(|| Refusal::NoOnlineInterface {
        wanted,
        names: names(),
    })?;
    device.require_usable()?;
    Ok(&device.name)
}

fn add(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}
