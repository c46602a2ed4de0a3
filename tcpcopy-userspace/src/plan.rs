//! The plan of a run: command line and host facts in, everything decided, nothing changed yet.
//!
//! | module | decides |
//! |---|---|
//! | [`facts`] | nothing: it asks the host everything that the others need, once |
//! | [`rules`] | whether the rules make sense together and on this host |
//! | [`interfaces`] | where `capture` and `observe` are attached |
//! | [`pool`] | where sessions come from |
//! | [`egress`] | where copies leave, in the programs' words |
//! | [`exclusions`] | which ports of a pool are not leased, because others have them |
//! | [`filter`] | which packets of the targets are replies |
//! | [`recorder`] | what a recorder takes, which has no target |
//! | [`budget`] | how much memory the run may take, and how many sessions that is |
//! | [`frames`] | how long a frame can be |
//! | [`refusal`] | in which words a plan is refused |
//!
//! **Architecture invariant:** building a plan is a pure function of its arguments.

pub(crate) mod budget;
mod comparing;
mod egress;
pub(crate) mod exclusions;
pub(crate) mod facts;
pub(crate) mod filter;
mod frames;
mod interfaces;
mod pool;
mod recorder;
pub(crate) mod refusal;
pub(crate) mod rules;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use abi::maps::Egress;
use host::Firewall;
use host::kernel::Tcx;
use host::netns::Outside;
use protocol::Mask;
use session::{Rule, Source, Tuning};
use telemetry::Mode;
use wire::flow::{Addr, Endpoint, PoolRange};

use crate::args::{Args, Capture, Confirmed, HookChoice, Recording, RuleArg};
use crate::clock;
use crate::dials::Dials;
use budget::{Budget, Fixed};
pub(crate) use comparing::Comparing;
pub(crate) use egress::{egress_of, mtu_in};
use exclusions::Exclusions;
use facts::Facts;
use filter::Filter;
pub(crate) use interfaces::LOOPBACK;
use pool::room::Room;
pub(crate) use refusal::Refusal;

/// Bits per second that are taken of what targets answer where no link knows its speed.
const REPLY_BITS_PER_SECOND_UNKNOWN: u64 = 1_000_000_000;

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// By tcx links.
    Tcx,
    /// As filters of a clsact qdisc.
    Clsact,
}

/// Everything that a run needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    pub(crate) rules: Vec<Rule>,
    /// Each rule as it was said: what is copied where.
    pub(crate) rule_names: Vec<String>,
    /// What each rule asks of its protocol module, in the order of the rules; `None` of one that has none.
    pub(crate) modules: Vec<Option<protocol::Module>>,
    /// Passwords and verifiers for the logins that sessions make by themselves.
    pub(crate) credentials: Option<Arc<protocol::Credentials>>,
    /// How responses are compared by their contents, where they are.
    pub(crate) comparing: Option<Comparing>,
    /// Where each rule's sessions come from, in words.
    pub(crate) source_words: Vec<String>,
    pub(crate) source: Source,
    /// Addresses of this host at the start: those that a rule without an address means.
    pub(crate) own_addresses: Vec<IpAddr>,
    /// Which replies are consumed here; empty in assistant mode.
    pub(crate) filter: Filter,
    /// What is to be asked of the pool's ports while the run goes on; empty where none of its addresses is this host's.
    pub(crate) exclusions: Exclusions,
    /// Routes to the private device: address and prefix length.
    pub(crate) reply_routes: Vec<(IpAddr, u8)>,
    /// Distinct target addresses with the way to each.
    pub(crate) egress: Vec<(IpAddr, Egress)>,
    /// Names of the interfaces that client packets and replies are captured on.
    pub(crate) capture_on: Vec<String>,
    /// Those among them that are online interfaces; by the others copies leave.
    pub(crate) online_on: Vec<String>,
    /// Names of the interfaces that online responses are observed on.
    pub(crate) observe_on: Vec<String>,
    /// Names of the host's ends of containers' links (`-i veth0:host`).
    pub(crate) host_sides: Vec<String>,
    /// Names of mirror ports (`-i span0:mirror`).
    pub(crate) mirrors: Vec<String>,
    /// Whether all sessions of a client have one address of the pool.
    pub(crate) is_pool_sticky: bool,
    /// How many sessions the reply pool has room for; `None` with the clients' own addresses.
    pub(crate) room: Option<Room>,
    /// What will go wrong under load.
    pub(crate) warnings: Vec<String>,
    /// Services that no interface of the run hears, in words.
    pub(crate) unheard: Vec<String>,
    /// Services that `lo` was taken for, in words.
    pub(crate) heard_on_loopback: Vec<String>,
    /// Interfaces that were left out, and why.
    pub(crate) notes: Vec<String>,
    /// Whether some target stands on 127.0.0.0/8.
    pub(crate) loopback_target: bool,
    pub(crate) capture: Capture,
    pub(crate) hook: Hook,
    pub(crate) workers: u32,
    /// What may be turned while the run goes on, as it is at the start.
    pub(crate) dials: Dials,
    pub(crate) wait_for_responses: bool,
    pub(crate) seed: u64,
    /// See [`session::Config::hash_seed`].
    pub(crate) hash_seed: u64,
    pub(crate) response_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) sessions_max: u32,
    pub(crate) payload_bytes_max: u64,
    /// Ring and frames of each worker.
    pub(crate) fixed: Fixed,
    /// MTU of the private device, in bytes.
    pub(crate) device_mtu: u32,
    /// Bytes that each frame has in memory.
    pub(crate) frame_len: u32,
    /// What netfilter does to packets of the services.
    pub(crate) firewall: Firewall,
    /// This host's own address, where sessions come from it: whoever trusts it trusts every client's copies.
    pub(crate) own_source: Option<IpAddr>,
    /// Whether bytes wait until the online server has acknowledged them (`--confirmed`).
    pub(crate) confirmed: bool,
    /// Bits per second that may leave as copies (`--max-bandwidth`).
    pub(crate) bits_per_second_max: Option<u64>,
    /// Bits per second that are taken of what targets answer (`--max-reply-bandwidth`).
    pub(crate) reply_bits_per_second_max: u64,
    /// Payload bytes of each response that are kept (`--sample-bytes`).
    pub(crate) sample_bytes: u8,
    /// Values that are never kept of them (`--mask`).
    pub(crate) mask: Mask,
    /// `host:port` of each intercept.
    pub(crate) intercepts: Vec<String>,
    /// Whether they may be on another host although the channel has no key.
    pub(crate) is_insecure: bool,
    /// The file of the channel's keys.
    pub(crate) key_file: Option<PathBuf>,
    /// Where this process came from (`--netns`).
    pub(crate) outside: Outside,
    /// Whether the traffic comes from files, and not from the devices of this host.
    pub(crate) is_replay: bool,
    /// Whether nothing is sent: the target is made up.
    pub(crate) is_dry_run: bool,
    /// What a recorder keeps: it has no target, and sends nothing.
    pub(crate) recorder: Option<Recording>,
    /// Source and target of the probes that prove the path: a run's in assistant mode, the doctor's in both.
    pub(crate) probes: Vec<(Endpoint, Endpoint)>,
    /// The same from the address that this host itself would use towards the target: the doctor asks so where nothing else is
    /// answered.
    pub(crate) controls: Vec<(Endpoint, Endpoint)>,
}

impl Plan {
    /// Decides everything, or says why not.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]; nothing has been changed then.
    pub(crate) fn new(args: &Args, facts: &Facts) -> Result<Self, Refusal> {
        let mode = mode_of(args);
        rules::check(args, facts, mode)?;
        let sources = pool::choose(args, facts, mode)?;
        let interfaces = interfaces::choose(args, facts, mode)?;
        let egress = egress::to_targets(args, facts);
        let default = default_workers(facts.processors);
        let workers = args.workers.unwrap_or(default);
        let device_mtu = frames::device_mtu(args.capture, &egress);
        let frame_len = frames::frame_len(device_mtu);
        let budget = Budget::new(args, facts.memory_available, workers, frame_len)?;
        let dials = Dials::new(args);
        let (room, warning) = pool::room::room(args, &dials, &sources, workers)?;
        let rules = rules::of_engines(args, &egress);
        let notes = [interfaces.notes, sources.notes(facts)].concat();
        let probes = pool::probes::probes(args, facts, &sources, &interfaces.online);
        let controls = probes.iter().filter_map(|(source, target)| {
            let own = facts.route(target.addr.into())?.source()?;
            Some((Endpoint::new(own.into(), source.port), *target))
        });
        let words_of = |rule: &RuleArg| sources.words(rule.target.addr);
        let pools = args.rules.iter().filter_map(|rule| {
            let ranges = sources.ranges(rule.target.addr);
            (!ranges.is_empty()).then_some((rule.target, ranges))
        });

        let (filter, exclusions) = match mode {
            Mode::Direct => (Filter::new(pools)?, sources.exclusions(args)),
            Mode::Assistant => (Filter::default(), Exclusions::default()),
        };
        Ok(Self {
            mode,
            rule_names: args.rules.iter().map(ToString::to_string).collect(),
            modules: args.rules.iter().map(|it| args.module_of(it)).collect(),
            credentials: args.modules.credentials(),
            comparing: args.comparison().map(Comparing::new),
            source_words: args.rules.iter().map(words_of).collect(),
            own_addresses: facts.addresses.iter().map(|own| own.address).collect(),
            filter,
            exclusions,
            reply_routes: sources.local_routes.clone(),
            controls: controls.collect(),
            probes,
            source: sources.source.clone(),
            egress,
            capture_on: interfaces.capture,
            online_on: interfaces.online,
            observe_on: interfaces.observe,
            host_sides: interfaces.host_sides,
            mirrors: interfaces.mirrors,
            notes: notes.into_iter().chain(budget.note()).collect(),
            fixed: budget.fixed,
            device_mtu,
            frame_len,
            loopback_target: rules
                .iter()
                .any(|rule| IpAddr::from(rule.target.addr).is_loopback()),
            rules,
            capture: args.capture,
            hook: hook(args.hook, facts.tcx)?,
            workers,
            wait_for_responses: !args.no_wait,
            seed: args.seed.unwrap_or_else(clock::unix_nanos),
            hash_seed: facts.hash_seed,
            response_timeout: dials.response_timeout_max(),
            dials,
            idle_timeout: args.idle_timeout,
            sessions_max: budget.sessions,
            is_pool_sticky: args.pool_sticky,
            room,
            warnings: warning.into_iter().collect(),
            unheard: interfaces.unheard,
            heard_on_loopback: interfaces.heard_on_loopback,
            payload_bytes_max: budget.payload_bytes,
            firewall: facts.firewall.clone(),
            own_source: own_source(&sources.source, facts),
            confirmed: args.replay.is_none() && is_confirmed(args.confirmed, &facts.firewall),
            bits_per_second_max: args.max_bandwidth,
            reply_bits_per_second_max: reply_bits_per_second(args, facts),
            sample_bytes: args.sample_bytes,
            mask: args.mask(),
            intercepts: args.intercepts.clone(),
            is_insecure: args.insecure,
            key_file: args.key_file.clone(),
            outside: facts.outside.clone(),
            is_replay: args.replay.is_some(),
            is_dry_run: args.tap.is_dry_run(),
            recorder: None,
        })
    }

    /// What the engine of one worker is told.
    pub(crate) fn engine_config(&self, worker: u32, unix_nanos: u64) -> session::Config {
        session::Config {
            rules: self.rules.clone(),
            source: self.source.clone(),
            worker,
            workers: self.workers,
            copies: self.dials.copies_max(),
            wait_for_responses: self.wait_for_responses,
            credentials: self.credentials.clone(),
            digests: self.comparing.as_ref().map(|it| Arc::clone(&it.digests)),
            response_timeout: self.response_timeout,
            idle_timeout: self.idle_timeout,
            sessions_max: self.sessions_max.div_ceil(self.workers),
            payload_bytes_max: self.payload_bytes_max / u64::from(self.workers),
            sessions_per_second_max: self.tuning().sessions_per_second_max,
            in_order: self.capture == Capture::Ring,
            gap_grace: gap_grace(self.capture),
            hash_seed: self.hash_seed,
            prove_path: self.source == Source::Clients,
            confirmed: self.confirmed,
            reply_slack: session::limits::REPLY_SLACK,
            reply_bytes_per_second_max: Some(
                (self.reply_bits_per_second_max / 8).div_ceil(self.workers.into()),
            ),
            unix_nanos,
        }
    }

    /// The same without clients: no packet of the live traffic is matched, and of the targets' packets only those to the
    /// addresses and ports that these probes come from. In assistant mode too those that come to this host are taken, on the
    /// way out to the targets as well: they should not come here.
    pub(crate) fn for_probes(&self, ways_out: &[String]) -> Self {
        let mut plan = Self {
            rules: Vec::new(),
            modules: Vec::new(),
            credentials: None,
            comparing: None,
            sample_bytes: 0,
            filter: Filter::of_probes(&[&self.probes[..], &self.controls[..]].concat()),
            ..self.clone()
        };
        for name in ways_out {
            if !plan.capture_on.contains(name) {
                plan.capture_on.push(name.clone());
            }
        }
        plan
    }

    /// The rules whose packets are captured on this host.
    pub(crate) fn live_rules(&self) -> &[Rule] {
        if self.is_replay { &[] } else { &self.rules }
    }

    /// The same, each with whether its responses are wanted whole: it has a protocol module.
    pub(crate) fn live_rules_with_wishes(&self) -> impl Iterator<Item = (&Rule, bool)> {
        let has_module = self.modules.iter().map(Option::is_some);
        self.live_rules()
            .iter()
            .zip(has_module.chain(std::iter::repeat(false)))
    }

    /// Whether responses of some rule are wanted whole.
    pub(crate) fn wants_whole_responses(&self) -> bool {
        self.modules.iter().any(Option::is_some)
    }

    /// Services whose responses are wanted whole; [`Addr::UNSPECIFIED`] for any address.
    pub(crate) fn whole_services(&self) -> BTreeSet<Endpoint> {
        self.rules_with_module().map(|rule| rule.online).collect()
    }

    /// Targets whose responses are wanted whole.
    pub(crate) fn whole_targets(&self) -> BTreeSet<Endpoint> {
        self.rules_with_module().map(|rule| rule.target).collect()
    }

    fn rules_with_module(&self) -> impl Iterator<Item = &Rule> {
        let rules = self.rules.iter().zip(&self.modules);
        rules.filter_map(|(rule, module)| module.is_some().then_some(rule))
    }

    /// What decides which flows are copied (`-r`), besides the share.
    #[expect(clippy::cast_possible_truncation, reason = "the halves are folded")]
    pub(crate) const fn sample_seed(&self) -> u32 {
        (self.seed ^ (self.seed >> 32)) as u32
    }

    /// What each engine is told of the dials at the start.
    pub(crate) fn tuning(&self) -> Tuning {
        self.dials.tuning(self.workers, self.sample_seed())
    }

    /// The network of the reply pool that an address lies in.
    pub(crate) fn pool_prefix(&self, address: IpAddr) -> Option<String> {
        let Source::Pool { ranges, .. } = &self.source else {
            return None;
        };
        let range = ranges
            .iter()
            .find(|range| range.contains(&Endpoint::new(address.into(), range.port_first)))?;
        let bits = u128::from_be_bytes(*range.mask.octets()).count_ones();
        let bits = if address.is_ipv4() {
            bits.saturating_sub(96)
        } else {
            bits
        };
        Some(network(address, u8::try_from(bits).ok()?))
    }

    /// Whether some rule means every address of this host.
    pub(crate) fn follows_addresses(&self) -> bool {
        self.live_rules()
            .iter()
            .any(|rule| rule.online.addr == Addr::UNSPECIFIED)
    }

    /// Each worker's share of `--max-bandwidth`.
    pub(crate) fn worker_bits_per_second(&self) -> Option<u64> {
        let share = |all: u64| all.div_ceil(self.workers.into());
        self.bits_per_second_max.map(share)
    }

    /// The ranges of the pool; none with the clients' own addresses.
    pub(crate) fn ranges(&self) -> Vec<PoolRange> {
        match &self.source {
            Source::Clients => Vec::new(),
            Source::Pool { ranges, .. } => ranges.clone(),
        }
    }

    /// Distinct targets.
    pub(crate) fn targets(&self) -> Vec<Endpoint> {
        let mut targets: Vec<_> = self.rules.iter().map(|rule| rule.target).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// The mode of a run: without an intercept it is the direct one.
fn mode_of(args: &Args) -> Mode {
    if args.intercepts.is_empty() {
        Mode::Direct
    } else {
        Mode::Assistant
    }
}

/// The hook that was asked for, or the best that the kernel has.
fn hook(choice: HookChoice, tcx: Tcx) -> Result<Hook, Refusal> {
    match (choice, tcx) {
        (HookChoice::Clsact, _) | (HookChoice::Auto, Tcx::No) => Ok(Hook::Clsact),
        (HookChoice::Tcx, Tcx::No) => Err(Refusal::NoTcx {
            release: host::kernel::release(),
        }),
        // Who may not ask may not attach either, and hears of that.
        (HookChoice::Auto | HookChoice::Tcx, Tcx::Yes | Tcx::Unknown) => Ok(Hook::Tcx),
    }
}

/// The network of an address, as routes name it.
pub(crate) fn network(address: IpAddr, prefix_len: u8) -> String {
    let offset = if address.is_ipv4() { 96 } else { 0 };
    let host_bits = 128u32.saturating_sub(u32::from(prefix_len) + offset);
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or_default();
    let bits = u128::from_be_bytes(*Addr::from(address).octets()) & mask;
    let network = IpAddr::from(Addr::v6(bits.to_be_bytes()));
    format!("{network}/{prefix_len}")
}

/// The address that sessions come from, where that is one of this host's own.
fn own_source(source: &Source, facts: &Facts) -> Option<IpAddr> {
    let Source::Pool { ranges, .. } = source else {
        return None;
    };
    let whole = Addr::v6([255; 16]);
    let mut single = ranges.iter().filter(|range| range.mask == whole);
    let own = single.find(|range| {
        let mut addresses = facts.addresses.iter();
        addresses.any(|own| own.address == IpAddr::from(range.prefix))
    })?;
    Some(own.prefix.into())
}

/// What is taken of the targets' answers unless said otherwise: clients' requests come in by the same link.
fn reply_bits_per_second(args: &Args, facts: &Facts) -> u64 {
    let link = facts.link_bits_per_second;
    let default = link.map_or(REPLY_BITS_PER_SECOND_UNKNOWN, |link| link / 2);
    args.max_reply_bandwidth.unwrap_or(default)
}

/// Whether bytes wait for the online server's acknowledgement. Where nobody can tell, they do not: that is said.
fn is_confirmed(asked: Confirmed, firewall: &Firewall) -> bool {
    match asked {
        Confirmed::Always => true,
        Confirmed::Never => false,
        Confirmed::Auto => matches!(firewall, Firewall::Guards { .. }),
    }
}

/// A quarter of the processors, so that the online server keeps the rest.
pub(crate) fn default_workers(processors: usize) -> u32 {
    u32::try_from(processors / 4)
        .unwrap_or(1)
        .clamp(1, abi::maps::WORKERS_MAX)
}

/// How far the two sides of a flow may overtake each other: the ring has one total order, up to two processors that
/// write into it at once; clones wait for the kernel to have time for the private device.
fn gap_grace(capture: Capture) -> Duration {
    match capture {
        Capture::Ring => Duration::from_millis(20),
        Capture::AfXdp => Duration::from_millis(500),
    }
}

#[cfg(test)]
mod tests;
