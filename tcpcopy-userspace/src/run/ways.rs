//! The ways to the targets, as they change while the run goes on: judged as at the start, and applied.
//!
//! **Invariant:** a way that is not fit, or that could not be applied, leaves its target without one: nothing leaves to it. What
//! could not be applied is tried again every second.

use std::net::IpAddr;

use abi::maps::{EGRESS_LOCAL, EGRESS_NONE, Egress};
use host::interface::Framing;
use host::{Netlink, Route, RouteChange};
use telemetry::Mode;
use telemetry::warning::Kind;
use tracing::{error, info};
use wire::flow::Endpoint;

use super::Run;
use super::warnings::Subject;
use crate::plan::{egress_of, mtu_in, rules};
use crate::worker::Command;

/// The way to one target.
#[derive(Clone, Debug)]
struct Way {
    target: IpAddr,
    /// Whether it was on this host at the start.
    was_local: bool,
    /// As the programs know it.
    applied: Egress,
    /// As the kernel last told it.
    wanted: Option<Route>,
    /// What is wrong with that, where it has been said.
    complaint: Option<String>,
    /// Whether it may go better the next time.
    retry: bool,
}

/// The ways to all targets.
#[derive(Clone, Debug)]
pub(super) struct Ways(Vec<Way>);

impl Ways {
    /// As the plan has them.
    pub(super) fn new(egress: &[(IpAddr, Egress)]) -> Self {
        let ways = egress.iter().map(|&(target, applied)| Way {
            target,
            was_local: applied.kind == EGRESS_LOCAL,
            applied,
            wanted: None,
            complaint: None,
            retry: false,
        });
        Self(ways.collect())
    }
}

impl Run<'_> {
    /// The kernel told a way.
    pub(super) fn follow(&mut self, change: &RouteChange) {
        let target = change.target;
        let Some(index) = self.ways.0.iter().position(|way| way.target == target) else {
            return;
        };
        let Some(way) = self.ways.0.get_mut(index) else {
            return;
        };
        way.wanted = Some(change.route.clone());
        // The first message for each target is its way at the start.
        if egress_of(&change.route) != way.applied {
            self.route_changes += 1;
            info!("the way to {target} is now {}", change.route);
        }
        self.apply(index);
    }

    /// Tries again what could not be applied.
    pub(super) fn retry_ways(&mut self) {
        for index in 0..self.ways.0.len() {
            if self.ways.0.get(index).is_some_and(|way| way.retry) {
                self.apply(index);
            }
        }
    }

    fn apply(&mut self, index: usize) {
        let Some(way) = self.ways.0.get(index) else {
            return;
        };
        let Some(route) = way.wanted.clone() else {
            return;
        };
        let (target, egress) = (way.target, egress_of(&route));
        if egress == way.applied && !way.retry {
            return;
        }
        let framing = match &route {
            Route::Device { name, .. } => framing_of(name),
            _ => None,
        };
        let judged = rules::way_of_run(
            self.endpoint(target),
            &route,
            framing.as_ref(),
            self.plan.mode,
            way.was_local,
        );
        if let Err(refusal) = judged {
            self.stop_copying(index, &refusal.to_string(), false);
            return;
        }
        // Replies come in by the new device: be there before the first copy leaves by it.
        if let (Route::Device { name, .. }, Mode::Direct) = (&route, self.plan.mode)
            && let Err(cause) = self.loaded.capture_on(name)
        {
            let words =
                format!("{cause}; replies that come in there would be answered by the local stack");
            self.stop_copying(index, &words, true);
            return;
        }
        if let Err(cause) = self.loaded.set_egress(target, &egress) {
            self.stop_copying(index, &cause.to_string(), true);
            return;
        }
        self.tapping.follow(target, &egress);
        if let Some(way) = self.ways.0.get_mut(index) {
            (way.applied, way.retry) = (egress, false);
            if way.complaint.take().is_some() {
                let words = format!("copying to {target} goes on: its way is {route}");
                let target = target.to_string();
                self.warnings
                    .end(Kind::WayUnfit, Subject::Thing(&target), &words);
            }
        }
        self.crew
            .command(&|| Command::Route(target.into(), mtu_in(&egress)));
    }

    /// Nothing leaves to a target until its way is fit again. That is said once.
    fn stop_copying(&mut self, index: usize, why: &str, retry: bool) {
        let Some(way) = self.ways.0.get_mut(index) else {
            return;
        };
        let target = way.target;
        way.retry = retry;
        if way.complaint.as_deref() != Some(why) {
            way.complaint = Some(why.to_owned());
            let words = format!("copying to {target} stops until its way is fit again: {why}");
            let target = target.to_string();
            let subject = Subject::Thing(&target);
            self.warnings.replace(Kind::WayUnfit, subject, &words);
        }
        if way.applied.kind == EGRESS_NONE {
            return;
        }
        let none = egress_of(&Route::Unreachable { why: String::new() });
        way.applied = none;
        // The engines first: they stop where the map cannot be written, too.
        self.crew
            .command(&|| Command::Route(target.into(), mtu_in(&none)));
        if let Err(cause) = self.loaded.set_egress(target, &none) {
            error!(finding = "way-unfit", "{cause}");
        }
    }

    /// A target at this address, for words.
    fn endpoint(&self, target: IpAddr) -> Endpoint {
        let rules = self.plan.rules.iter().map(|rule| rule.target);
        let mut targets = rules.filter(|endpoint| IpAddr::from(endpoint.addr) == target);
        targets
            .next()
            .unwrap_or_else(|| Endpoint::new(target.into(), 0))
    }
}

/// What the frames of a device begin with; `None` where it cannot be told, because it has just gone.
fn framing_of(name: &str) -> Option<Framing> {
    let netlink = Netlink::open().ok()?;
    let interface = host::interface::by_name(&netlink, name).ok()?;
    Some(interface.framing)
}
