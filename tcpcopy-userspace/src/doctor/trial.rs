//! One target under examination: its probe connections, and what was seen of it in the end.

use std::net::IpAddr;
use std::time::Duration;

use abi::counter::Counter;
use host::Route;
use host::neighbour::Neighbour;
use telemetry::KernelCounters;
use wire::flow::Endpoint;

use super::evidence::{Evidence, Hop, Try};
use super::handshake::{Answer, Handshake, Via};
use super::icmp::Word;
use super::links;
use super::narrow::Narrow;
use crate::clock;
use crate::plan::facts::Facts;
use crate::plan::{Plan, network};

/// One target under examination.
pub(super) struct Trial {
    pub(super) target: Endpoint,
    pub(super) route: Option<Route>,
    /// From where sessions come; the answer must come the run's way.
    pub(super) probes: Vec<Handshake>,
    /// From this host's own address towards the target: its answer must come here.
    pub(super) control: Option<Handshake>,
    pub(super) took: Option<Duration>,
    pub(super) narrow: Option<Narrow>,
    /// What somebody said by ICMP of its probes.
    pub(super) told: Option<Word>,
}

impl Trial {
    /// A target that nothing was sent to yet; `packet_len_max` is in bytes from the IP header on.
    pub(super) fn new(plan: &Plan, facts: &Facts, target: Endpoint, packet_len_max: usize) -> Self {
        let route = facts.route(target.addr.into()).cloned();
        let unix_nanos = clock::unix_nanos();
        let mtu = plan
            .rules
            .iter()
            .find(|rule| rule.target == target)
            .map_or(1280, |rule| rule.mtu)
            .min(u16::try_from(packet_len_max).unwrap_or(u16::MAX));
        let probe = |source| Handshake::new(source, target, mtu, unix_nanos);
        let sources: Vec<Endpoint> = plan
            .probes
            .iter()
            .filter(|(_, to)| *to == target)
            .map(|(source, _)| *source)
            .collect();
        let own = match &route {
            Some(Route::Device {
                source: Some(own), ..
            }) => Some(*own),
            _ => None,
        };
        let control = own.and_then(|own| {
            let port = sources.first()?.port;
            let source = Endpoint::new(own.into(), port);
            (!sources.contains(&source)).then(|| probe(source))
        });
        Self {
            target,
            route,
            probes: sources.into_iter().map(probe).collect(),
            control,
            took: None,
            narrow: None,
            told: None,
        }
    }

    /// All its probe connections.
    pub(super) fn shakes(&mut self) -> impl Iterator<Item = &mut Handshake> {
        self.probes.iter_mut().chain(&mut self.control)
    }

    /// Whether a probe was answered that way.
    pub(super) fn is_answered(&self, via: Via) -> bool {
        let expected = [Answer::Accepted(via), Answer::Refused(via)];
        self.probes.iter().any(|probe| {
            probe
                .answer
                .is_some_and(|answer| expected.contains(&answer))
        })
    }

    /// What was seen of it.
    pub(super) fn evidence(&self, seen: &Seen<'_>) -> Evidence {
        let hop = match &self.route {
            Some(Route::Device {
                index, next_hop, ..
            }) => Some(seen.hop(*index, next_hop.unwrap_or(self.target.addr.into()))),
            _ => None,
        };
        let tries = |shakes: &[Handshake]| -> Vec<Try> {
            let tried = shakes.iter().map(|shake| Try {
                source: shake.source(),
                prefix: seen.prefix_of(shake.source().addr.into()),
                answer: shake.answer,
                has_word: shake.has_word,
            });
            tried.collect()
        };
        let counted = |counter| {
            let before = seen.before.get(counter);
            seen.after.get(counter).saturating_sub(before)
        };
        Evidence {
            target: self.target,
            mode: seen.plan.mode,
            assistant: seen.assistant(),
            route: self.route.clone(),
            hop,
            keeps_addresses: seen.plan.source == session::Source::Clients,
            probes: tries(&self.probes),
            control: tries(self.control.as_slice()).pop(),
            may_probe: seen.may_probe,
            took: self.took.unwrap_or_default(),
            narrow: self.narrow.clone(),
            sent: seen.sent,
            left: counted(Counter::InjectInjected) + counted(Counter::InjectLocal),
            seen: counted(Counter::InjectFrames),
            no_egress: counted(Counter::InjectNoEgress),
            too_big: counted(Counter::InjectTooBig),
            taken_by_intercept: None,
            told: self.told.clone(),
            suspects: match &self.route {
                Some(Route::Device { name, .. }) => links::strangers(name),
                _ => Vec::new(),
            },
        }
    }
}

/// What was seen of all targets together.
pub(super) struct Seen<'a> {
    pub(super) plan: &'a Plan,
    pub(super) facts: &'a Facts,
    /// Whether probes were sent at all.
    pub(super) may_probe: bool,
    pub(super) neighbours: Vec<Neighbour>,
    /// Counters of the programs before and after the proof.
    pub(super) before: &'a KernelCounters,
    pub(super) after: &'a KernelCounters,
    /// Frames that were given to the kernel.
    pub(super) sent: u64,
}

impl Seen<'_> {
    fn hop(&self, interface_index: u32, address: IpAddr) -> Hop {
        let mut neighbours = self.neighbours.iter();
        let known = neighbours.find(|neighbour| {
            neighbour.address == address && neighbour.interface_index == interface_index
        });
        Hop {
            address,
            mac: known
                .filter(|known| !known.is_silent)
                .and_then(|known| known.mac),
        }
    }

    /// The address of the first intercept.
    fn assistant(&self) -> Option<IpAddr> {
        let (_, addresses) = self.facts.intercepts.first()?;
        addresses.first().copied()
    }

    /// The network whose route is at stake where a reply to `address` does not come back.
    fn prefix_of(&self, address: IpAddr) -> String {
        if let Some(prefix) = self.plan.pool_prefix(address) {
            return prefix;
        }
        let mut own = self.facts.addresses.iter();
        own.find(|own| own.address == address).map_or_else(
            || "CLIENT_PREFIX".to_owned(),
            |own| network(own.address, own.prefix_len),
        )
    }
}
