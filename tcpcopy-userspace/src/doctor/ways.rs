//! The way to each target, and what of this host bears on it: route, MTU, pool, listeners, other copiers.

use std::net::{IpAddr, SocketAddr};

use host::Route;
use telemetry::Mode;
use wire::flow::Addr;

use super::finding::Finding;
use crate::args::Args;
use crate::plan::Plan;
use crate::plan::facts::Facts;
use crate::run::announcement;

/// Routes, pool and listeners.
pub(crate) fn examine(args: &Args, plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut findings = routes(plan, facts);
    findings.extend(pool(plan));
    findings.extend(
        plan.warnings
            .iter()
            .map(|warning| Finding::note("pool", "pool-small", warning)),
    );
    if let Some(own) = plan.own_source {
        let words = announcement::trusted(own);
        findings.push(Finding::note("pool", "own-address-trusted", words));
    }
    findings.extend(conflicts(plan));
    findings.extend(loops(args, plan, facts));
    // What is mirrored or belongs to a container is listened to elsewhere.
    if plan.hooks_apart().is_empty() {
        findings.extend(listeners(args, facts));
    }
    let unheard = plan.unheard.iter();
    findings.extend(unheard.map(|words| Finding::fail("online", "online-port-on-loopback", words)));
    let heard = plan.heard_on_loopback.iter();
    findings.extend(heard.map(|words| Finding::ok("online", words)));
    findings
}

fn routes(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (target, _) in &plan.egress {
        let Some(route) = facts.route(*target) else {
            continue;
        };
        findings.push(Finding::ok(
            "route",
            format!("{target} is {}", words(route)),
        ));
    }
    findings
}

/// Where a target is.
fn words(route: &Route) -> String {
    match route {
        Route::Device {
            name,
            next_hop,
            source,
            mtu,
            ..
        } => {
            let hop = next_hop.map_or_else(
                || "on the link".to_owned(),
                |hop| format!("behind the router {hop}"),
            );
            let from = source.map_or_else(String::new, |source| format!(", from {source}"));
            format!("{hop}, out by {name}{from}, MTU {mtu}")
        }
        Route::Local { .. } => "this very host".to_owned(),
        Route::Unreachable { why } => format!("unreachable ({why})"),
    }
}

fn pool(plan: &Plan) -> Option<Finding> {
    let sources = plan.source_words.first()?;
    Some(match (&plan.room, plan.mode) {
        (Some(room), _) => Finding::ok("pool", &*room.words),
        (None, Mode::Assistant) => Finding::ok(
            "pool",
            "sessions keep their clients' own addresses, so none can be short",
        ),
        (None, Mode::Direct) => Finding::ok("pool", format!("sessions come {sources}")),
    })
}

/// Connections of this host from ports of the pool: those are left to it.
fn conflicts(plan: &Plan) -> Option<Finding> {
    let targets: Vec<SocketAddr> = plan.targets().into_iter().map(SocketAddr::from).collect();
    let connections = host::ports::connections_to(&targets).ok()?;
    let taken = connections.iter().find(|(local, remote)| {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        plan.filter.replies.iter().any(|(target, replies)| {
            *target == remote.into() && replies.pool.contains(&local.into())
        })
    });
    let (local, remote) = taken?;
    Some(
        Finding::note(
            "pool",
            "pool-connection",
            format!(
                "this host has a connection of its own from {local} to the target {remote}, and {local} lies in the reply \
                 pool: it goes on undisturbed, and no session uses that port"
            ),
        )
        .look_here(format!("ss -tnp 'sport = :{}'", local.port())),
    )
}

/// Targets that have a connection to an online port: what they are asked they may ask here again.
fn loops(args: &Args, plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let Ok(connections) =
        host::ports::connections_at(|port| args.rules.iter().any(|rule| rule.online.port == port))
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for target in plan.targets() {
        let address = IpAddr::from(target.addr);
        let calls = connections.iter().find(|(local, remote)| {
            let online = args.rules.iter().map(|rule| rule.online);
            let mut online = online.filter(|online| online.port == local.port());
            let at_us = |online: wire::flow::Endpoint| {
                online.addr == Addr::UNSPECIFIED || IpAddr::from(online.addr) == local.ip()
            };
            remote.ip() == address && online.any(at_us)
        });
        let Some((local, remote)) = calls else {
            continue;
        };
        let words = format!(
            "the target {target} has a connection to the online service right now ({remote} to {local}): if it passes on what it \
             is asked (a proxy, a cache, a replica), each copy comes back here as a request; point it elsewhere, or name a \
             target that does not call back"
        );
        // Whoever asks from this host itself has the same address as a target on it.
        let finding = if matches!(facts.route(address), Some(Route::Local { .. })) {
            Finding::note("loop", "target-calls-back", words)
        } else {
            Finding::fail("loop", "target-calls-back", words)
        };
        let port = local.port();
        findings.push(
            finding
                .look_here(format!("ss -tnp 'sport = :{port} and dst {address}'"))
                .look(
                    address,
                    format!("ss -tnp 'dport = :{port} and dst {}'", local.ip()),
                ),
        );
    }
    findings
}

/// Online ports that nobody listens on.
fn listeners(args: &Args, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &args.rules {
        let online = rule.online;
        let is_it = |socket: &SocketAddr| {
            socket.port() == online.port
                && (online.addr == Addr::UNSPECIFIED
                    || socket.ip().is_unspecified()
                    || socket.ip().to_canonical() == IpAddr::from(online.addr))
        };
        findings.push(if facts.listening.iter().any(is_it) {
            Finding::ok("online", format!("somebody listens on the online port {}", online.port))
        } else {
            Finding::note(
                "online",
                "online-port-silent",
                format!(
                    "nobody listens on the online port {} in this network namespace: unless its packets pass through here \
                     (a container, a load balancer), nothing will be captured; is -x right?",
                    online.port
                ),
            )
            .look_here(format!("ss -tln 'sport = :{}'", online.port))
        });
    }
    findings
}
