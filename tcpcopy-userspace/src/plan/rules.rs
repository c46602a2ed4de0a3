//! Whether the rules make sense together and on this host.

use std::net::IpAddr;
use std::sync::Arc;

use abi::maps::{Egress, RULES_MAX};
use host::Route;
use host::interface::Framing;
use session::Rule;
use telemetry::Mode;
use wire::flow::{Addr, Endpoint};

use super::facts::Facts;
use super::{Refusal, egress};
use crate::args::{Args, RuleArg};

pub(super) fn check(args: &Args, facts: &Facts, mode: Mode) -> Result<(), Refusal> {
    if args.rules.len() > RULES_MAX as usize {
        return Err(Refusal::TooManyRules {
            rules: args.rules.len(),
            max: RULES_MAX,
        });
    }
    for (index, rule) in args.rules.iter().enumerate() {
        if let Some(first) = args.rules[..index]
            .iter()
            .find(|other| overlap(&other.online, &rule.online) && !may_share(other, rule))
        {
            return Err(Refusal::DuplicateRule {
                first: Box::new(*first),
                second: Box::new(*rule),
            });
        }
        // What a file has is not captured again.
        let captured = args.rules.iter().filter(|_| args.replay.is_none());
        if let Some(online) = { captured }.find(|online| is_captured(&rule.target, online, facts)) {
            return Err(Refusal::Loop {
                rule: Box::new(*rule),
                online: Box::new(*online),
            });
        }
        target(rule, facts, mode)?;
    }
    channel(args, facts)
}

/// The rules as the engines know them.
pub(super) fn of_engines(args: &Args, ways: &[(IpAddr, Egress)]) -> Vec<Rule> {
    let rules = args.rules.iter().map(|rule| Rule {
        online: rule.online,
        target: rule.target,
        mtu: egress::mtu_of(ways, rule.target.addr),
        join: args.join_of(rule),
        resume_anywhere: false,
        module: args.module_of(rule).map(Arc::new),
    });
    rules.collect()
}

/// Whether a packet can belong to both.
fn overlap(a: &Endpoint, b: &Endpoint) -> bool {
    a.port == b.port
        && (a.addr == b.addr || a.addr == Addr::UNSPECIFIED || b.addr == Addr::UNSPECIFIED)
}

/// Whether two rules may name one service: they split its connections between two targets, or one of them copies all of them to a
/// baseline as well.
fn may_share(one: &RuleArg, other: &RuleArg) -> bool {
    let have_weights = one.options.weight.is_some() && other.options.weight.is_some();
    let has_baseline = one.is_baseline() || other.is_baseline();
    (have_weights || has_baseline) && one.online == other.online && one.target != other.target
}

/// Whether what is sent to `target` arrives where `online` captures.
fn is_captured(target: &Endpoint, online: &RuleArg, facts: &Facts) -> bool {
    let any = online.online.addr == Addr::UNSPECIFIED && facts.is_own(target.addr.into());
    target.port == online.online.port && (target.addr == online.online.addr || any)
}

fn target(rule: &RuleArg, facts: &Facts, mode: Mode) -> Result<(), Refusal> {
    let target = IpAddr::from(rule.target.addr);
    if matches!(target, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return Err(Refusal::LinkLocalTarget {
            target: rule.target,
        });
    }
    match facts.route(target) {
        None => Err(Refusal::NoRoute {
            target,
            why: "the kernel was not asked".to_owned(),
        }),
        Some(route) => {
            let framing = match route {
                Route::Device { name, .. } => facts.interface(name).map(|it| &it.framing),
                _ => None,
            };
            way(rule.target, route, framing, mode)
        }
    }
}

/// Whether copies to `target` may go this way; `framing` is what is known of the device. The run asks again whenever the way
/// changes.
pub(crate) fn way(
    target: Endpoint,
    route: &Route,
    framing: Option<&Framing>,
    mode: Mode,
) -> Result<(), Refusal> {
    match (route, framing) {
        (Route::Unreachable { why }, _) => Err(Refusal::NoRoute {
            target: target.addr.into(),
            why: why.clone(),
        }),
        (Route::Local { .. }, _) if mode == Mode::Assistant => {
            Err(Refusal::LocalTargetWithAssistant { target })
        }
        (Route::Device { name, .. }, Some(Framing::Other(kind))) => {
            Err(Refusal::EgressNotEthernet {
                target: target.addr.into(),
                interface: name.clone(),
                kind: kind.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// The same while a run goes on, which began with the target on this host or elsewhere (`was_local`): where sessions come from
/// was chosen for that.
pub(crate) fn way_of_run(
    target: Endpoint,
    route: &Route,
    framing: Option<&Framing>,
    mode: Mode,
    was_local: bool,
) -> Result<(), Refusal> {
    way(target, route, framing, mode)?;
    let is_local = matches!(route, Route::Local { .. });
    if is_local == was_local {
        return Ok(());
    }
    Err(Refusal::TargetMoved { target, is_local })
}

/// Without a key only this very host is talked to, unless told otherwise.
fn channel(args: &Args, facts: &Facts) -> Result<(), Refusal> {
    if args.insecure || args.key_file.is_some() {
        return Ok(());
    }
    for (address, ips) in &facts.intercepts {
        if let Some(ip) = ips.iter().find(|ip| !ip.is_loopback()) {
            return Err(Refusal::Insecure {
                address: address.clone(),
                ip: *ip,
            });
        }
    }
    Ok(())
}
