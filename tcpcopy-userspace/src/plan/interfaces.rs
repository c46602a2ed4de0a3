//! Where `capture` and `observe` are attached.
//!
//! Both on the online interfaces: those named, or those that own the online addresses. In direct mode `capture` also
//! where each target's replies come in, which is where the way to it goes out.

use std::net::IpAddr;

use host::{Interface, PrivateDevice, Route};
use telemetry::Mode;
use wire::flow::Addr;

use super::Refusal;
use super::facts::Facts;
use crate::args::{Args, RuleArg};

/// Names of interfaces.
#[derive(Debug)]
pub(super) struct Interfaces {
    pub(super) capture: Vec<String>,
    pub(super) observe: Vec<String>,
    pub(super) notes: Vec<String>,
    /// What will not be captured by any of them, in words.
    pub(super) unheard: Vec<String>,
}

/// The loopback interface.
pub(crate) const LOOPBACK: &str = "lo";

pub(super) fn choose(args: &Args, facts: &Facts, mode: Mode) -> Result<Interfaces, Refusal> {
    let mut notes = Vec::new();
    let online = if args.interfaces.is_empty() {
        owners(args, facts, &mut notes)?
    } else {
        named(args, facts)?
    };
    let mut capture = online.clone();
    if mode == Mode::Direct {
        for rule in &args.rules {
            if let Some(Route::Device { name, .. }) = facts.route(rule.target.addr.into()) {
                add(&mut capture, name);
            }
        }
    }
    if mode == Mode::Assistant && args.pool.is_empty() && online.iter().any(|name| name == LOOPBACK)
    {
        return Err(Refusal::LoopbackClients);
    }
    Ok(Interfaces {
        unheard: args
            .rules
            .iter()
            .filter_map(|rule| unheard(rule, facts, &online))
            .collect(),
        capture,
        observe: online,
        notes,
    })
}

/// A service that this host alone can reach passes `lo` and no other device, so that nothing of it would be captured and
/// nobody would know: in words, where that is so.
fn unheard(rule: &RuleArg, facts: &Facts, online: &[String]) -> Option<String> {
    let port = rule.online.port;
    let mut listening = facts
        .listening
        .iter()
        .filter(|socket| socket.port() == port);
    let first = listening.next()?;
    let all = first.ip().is_loopback() && listening.all(|socket| socket.ip().is_loopback());
    (all && online.iter().all(|name| name != LOOPBACK)).then(|| {
        format!(
            "nothing of \"{rule}\" will be captured: port {port} is listened to on {first} alone, and what is said there passes \
             lo and no other interface; name it (-i {LOOPBACK}; with -s that takes a pool, -c)"
        )
    })
}

fn named(args: &Args, facts: &Facts) -> Result<Vec<String>, Refusal> {
    let mut online = Vec::new();
    for name in &args.interfaces {
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
        add(&mut online, name);
    }
    Ok(online)
}

/// The interfaces that own the online addresses; for "any address" all that have one.
fn owners(args: &Args, facts: &Facts, notes: &mut Vec<String>) -> Result<Vec<String>, Refusal> {
    let mut online = Vec::new();
    for rule in &args.rules {
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
                !interface.is_virtual_home() && interface.name != PrivateDevice::OUTER
            })
            .collect();
        if !any
            && facts
                .addresses
                .iter()
                .all(|own| own.address != IpAddr::from(wanted))
        {
            notes.push(format!("{wanted} is no address of this host: nothing is captured unless its packets pass here"));
        }
        let mut found = false;
        for interface in owned {
            match interface.require_usable() {
                Ok(()) => {
                    add(&mut online, &interface.name);
                    found = true;
                }
                // One address, one interface: there is nothing else that could be meant.
                Err(error) if !any => return Err(error.into()),
                Err(error) => {
                    let note = error.to_string();
                    if !notes.contains(&note) {
                        notes.push(note);
                    }
                }
            }
        }
        if !found {
            let wanted = if any {
                "an address".to_owned()
            } else {
                wanted.to_string()
            };
            add(&mut online, default_device(facts, wanted)?);
        }
    }
    Ok(online)
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
