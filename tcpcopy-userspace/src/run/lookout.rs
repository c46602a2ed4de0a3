//! Keeps watch over whether anything comes at all, and from both sides: asks the host where something is missing, and says what it
//! may be and what to do.
//!
//! | module | holds |
//! |---|---|
//! | [`words`] | what is said, as a pure function of what was found |
//!
//! The judgement is [`super::sides`]'. The host is asked once for each warning, never otherwise: to list the sockets of a busy
//! online server takes a moment.

mod words;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use abi::counter::Counter;
use host::{Netlink, Route};
use session::Sight;
use telemetry::warning::Kind;
use telemetry::{KernelCounters, RunTotals, State};
use wire::flow::FlowKey;

use super::sides::{Change, Common, News, Nothing, Sides};
use super::warnings::{Subject, Warnings};
use super::{Run, signs};
use crate::loader::Loaded;
use crate::plan::{LOOPBACK, Plan};
use words::{Connection, Half, Listening, Scene, Sight as Seen};

/// Most rules that are asked about, and named, where nothing comes.
const RULES_MAX: usize = 4;
/// Most connections of a service whose way is asked for.
const CONNECTIONS_MAX: usize = 16;

/// What was seen up to now.
#[derive(Debug)]
pub(super) struct Lookout {
    rules: Vec<Sides>,
    nothing: Nothing,
}

impl Lookout {
    /// Nothing was seen yet.
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            rules: plan.rules.iter().map(|_| Sides::default()).collect(),
            nothing: Nothing::default(),
        }
    }

    /// Looks at what programs and workers have seen; to be called about once a second.
    pub(super) fn look(
        &mut self,
        plan: &Plan,
        loaded: &Loaded,
        ready_for: Option<Duration>,
        kernel: &KernelCounters,
        sights: &[Sight],
        warnings: &mut Warnings,
    ) {
        let common = common(kernel);
        let news = self.rules.iter_mut().zip(sights);
        let now = Instant::now();
        let news: Vec<_> = news
            .map(|(sides, sight)| sides.look(now, sight, &common))
            .collect();
        for ((news, sight), name) in news.iter().zip(sights).zip(&plan.rule_names) {
            one_side(plan, loaded, name, news, sight, warnings);
        }
        let Some(ready_for) = ready_for else { return };
        match self.nothing.look(ready_for, seen(kernel)) {
            Some(Change::Begins) => {
                let words = words::nothing(&scene(plan, kernel));
                warnings.raise(Kind::NothingSeen, Subject::Run, &words);
            }
            Some(Change::Ends) => {
                let words = "packets of a rule are seen now";
                warnings.end(Kind::NothingSeen, Subject::Run, words);
            }
            None => {}
        }
    }
}

impl Run<'_> {
    /// Says which sessions were not let in.
    pub(super) fn look_at_logins(&mut self) {
        for (rule, why) in self.crew.take_logins_failed() {
            signs::login_failed(self.plan, rule, &why, &mut self.warnings);
        }
    }

    /// Says what there is to say of what was counted.
    pub(super) fn look_out(&mut self, totals: &RunTotals) {
        self.signs.look(totals, &mut self.warnings);
        let unproven = self.crew.take_unproven();
        self.signs
            .look_at_unproven(self.plan, &unproven, &mut self.warnings);
        self.look_at_logins();
        // While it drains nothing is captured, and what files have is told by who reads them.
        let is_expected = !self.plan.is_replay && !self.control.copies_nothing();
        if self.state != State::Draining && is_expected {
            let ready_for = self.is_ready.then(|| self.began.elapsed());
            self.lookout.look(
                self.plan,
                &self.loaded,
                ready_for,
                &totals.kernel,
                &self.crew.sights(),
                &mut self.warnings,
            );
            if let Some(ready_for) = ready_for {
                let are_seen = seen(&totals.kernel) > 0;
                self.emptiness
                    .look(ready_for, totals, are_seen, &mut self.warnings);
            }
            self.signs
                .look_at_joins(self.plan, &self.crew.sights(), &mut self.warnings);
        }
    }
}

/// Says where only one side of a rule's traffic is seen, and where that ends.
fn one_side(
    plan: &Plan,
    loaded: &Loaded,
    name: &str,
    news: &News,
    sight: &Sight,
    warnings: &mut Warnings,
) {
    let rule = Subject::Rule(name);
    match news.no_answers {
        Some(Change::Begins) => {
            let flow = if news.in_part {
                sight.unmet_example
            } else {
                sight.unanswered.example()
            };
            let seen = if news.in_part {
                Seen::RequestsAndSomeAnswers
            } else {
                Seen::Requests
            };
            let words = half(plan, loaded, name, seen, sight.unanswered.flows(), flow);
            warnings.raise(Kind::NoAnswers, rule, &words);
        }
        Some(Change::Ends) => {
            let words = format!("answers of the online server are seen again: {name}");
            warnings.end(Kind::NoAnswers, rule, &words);
        }
        None => {}
    }
    match news.no_requests {
        Some(Change::Begins) => {
            let flow = sight.unasked.example();
            let words = half(
                plan,
                loaded,
                name,
                Seen::Answers,
                sight.unasked.flows(),
                flow,
            );
            warnings.raise(Kind::NoRequests, rule, &words);
        }
        Some(Change::Ends) => {
            let words = format!("packets of clients are seen again: {name}");
            warnings.end(Kind::NoRequests, rule, &words);
        }
        None => {}
    }
}

fn common(kernel: &KernelCounters) -> Common {
    Common {
        pure_acks: kernel.get(Counter::CapturePureAck),
        clients_lost: kernel.clients_lost(),
        online_lost: kernel.get(Counter::ObserveRingFull) + kernel.get(Counter::ObserveBigTcp),
    }
}

/// How many packets of any rule the programs have seen, whatever came of them.
fn seen(kernel: &KernelCounters) -> u64 {
    [
        Counter::CaptureMatched,
        Counter::CapturePureAck,
        Counter::CaptureMarked,
        Counter::ObserveMatched,
    ]
    .iter()
    .map(|&counter| kernel.get(counter))
    .sum()
}

/// What is to be said where one side of a rule is missing.
fn half(
    plan: &Plan,
    loaded: &Loaded,
    rule: &str,
    seen: Seen,
    flows: u32,
    flow: Option<FlowKey>,
) -> String {
    let netlink = Netlink::open().ok();
    let flow = flow.map(|flow| {
        let (client, server) = (flow.client.addr.into(), flow.server.addr.into());
        let route = netlink.as_ref().and_then(|it| way_back(it, server, client));
        (client, server, route)
    });
    let own = netlink.as_ref().map(own_addresses).unwrap_or_default();
    let is_own = flow.as_ref().is_none_or(|(_, server, _)| {
        own.is_empty() || own.contains(server) || server.is_loopback()
    });
    let named = plan.named_devices();
    let way = flow.as_ref().and_then(|(.., route)| match route.as_ref()? {
        Route::Device { name, .. } => Some(name.as_str()),
        Route::Local { .. } => Some(LOOPBACK),
        Route::Unreachable { .. } => None,
    });
    let is_looked_at = way.is_some_and(|name| match seen {
        Seen::Requests | Seen::RequestsAndSomeAnswers => loaded.is_observed(name),
        Seen::Answers => named.iter().any(|named| words::is_named(named, name)),
    });
    words::half(&Half {
        rule,
        seen,
        flows,
        flow,
        is_own,
        is_looked_at,
        named: &named,
    })
}

/// The way by which this host answers a client: from the service's address where that is its own, as rules of routing may tell
/// addresses apart.
fn way_back(netlink: &Netlink, server: IpAddr, client: IpAddr) -> Option<Route> {
    let from = host::route::get_from(netlink, client, server).ok();
    let from = from.filter(|route| !matches!(route, Route::Unreachable { .. }));
    from.or_else(|| host::route::get(netlink, client).ok())
}

fn own_addresses(netlink: &Netlink) -> Vec<IpAddr> {
    let own = host::address::list(netlink).unwrap_or_default();
    own.iter().map(|own| own.address).collect()
}

/// Everything that may tell why nothing comes.
fn scene(plan: &Plan, kernel: &KernelCounters) -> Scene {
    let netlink = Netlink::open().ok();
    let interfaces = netlink.as_ref();
    let interfaces = interfaces.and_then(|netlink| host::interface::list(netlink).ok());
    let apart = plan.host_sides.iter().chain(&plan.mirrors);
    let captured = plan.capture_on.iter().chain(apart).map(|name| {
        let all = interfaces.iter().flatten();
        let kind = all
            .filter(|interface| interface.name == *name)
            .find_map(|interface| interface.kind.clone());
        (name.clone(), kind)
    });
    let rules = plan.rules.iter().take(RULES_MAX);
    let ports: Vec<u16> = rules.clone().map(|rule| rule.online.port).collect();
    let mut connections = Vec::new();
    for &port in &ports {
        let all = host::ports::connections_of(port).unwrap_or_default();
        let ways = all.into_iter().take(CONNECTIONS_MAX);
        connections.extend(ways.map(|(here, there): (SocketAddr, SocketAddr)| {
            let netlink = netlink.as_ref();
            let route = netlink.and_then(|it| way_back(it, here.ip(), there.ip()));
            Connection { here, there, route }
        }));
    }
    Scene {
        rules: rules
            .zip(&plan.rule_names)
            .map(|(rule, name)| (name.clone(), rule.online))
            .collect(),
        rules_unnamed: plan.rules.len().saturating_sub(RULES_MAX),
        captured: captured.collect(),
        named: plan.named_devices(),
        listening: match host::ports::listening() {
            Ok(all) => Listening::Known(all),
            Err(_) => Listening::Unknown,
        },
        own: netlink.as_ref().map(own_addresses).unwrap_or_default(),
        connections,
        tagged: kernel.get(Counter::CaptureVlan) + kernel.get(Counter::ObserveVlan),
        other_host: kernel.get(Counter::CaptureOtherHost),
    }
}
