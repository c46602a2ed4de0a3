//! The plan of a recorder: which interfaces, services and hook, as of a run; of targets and sessions it has nothing.

use std::net::IpAddr;

use protocol::Mask;
use session::{Join, Rule, Source};
use telemetry::Mode;

use super::budget::Budget;
use super::exclusions::Exclusions;
use super::facts::Facts;
use super::filter::Filter;
use super::{Plan, Refusal, frames, hook, interfaces, reply_bits_per_second};
use crate::args::{Args, Recording};
use crate::dials::Dials;

impl Plan {
    /// Decides what is recorded where. The rules of the arguments have no targets.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]; nothing has been changed then.
    pub(crate) fn of_recorder(
        args: &Args,
        recording: Recording,
        facts: &Facts,
    ) -> Result<Self, Refusal> {
        let mode = Mode::Direct;
        let interfaces = interfaces::choose(args, facts, mode)?;
        let workers = 1;
        let device_mtu = frames::device_mtu(args.capture, &[]);
        let frame_len = frames::frame_len(device_mtu);
        let budget = Budget::new(args, facts.memory_available, workers, frame_len)?;
        Ok(Self {
            mode,
            rules: rules(args),
            rule_names: args.rules.iter().map(ToString::to_string).collect(),
            modules: Vec::new(),
            credentials: None,
            comparing: None,
            source_words: Vec::new(),
            source: Source::Clients,
            own_addresses: own_addresses(facts),
            filter: Filter::default(),
            exclusions: Exclusions::default(),
            reply_routes: Vec::new(),
            egress: Vec::new(),
            capture_on: interfaces.capture,
            online_on: interfaces.online,
            observe_on: interfaces.observe,
            host_sides: interfaces.host_sides,
            mirrors: interfaces.mirrors,
            is_pool_sticky: false,
            room: None,
            warnings: Vec::new(),
            unheard: interfaces.unheard,
            heard_on_loopback: interfaces.heard_on_loopback,
            notes: interfaces.notes,
            loopback_target: false,
            capture: args.capture,
            hook: hook(args.hook, facts.tcx)?,
            workers,
            dials: Dials::new(args),
            wait_for_responses: true,
            seed: 0,
            hash_seed: facts.hash_seed,
            response_timeout: args.response_timeout,
            idle_timeout: args.idle_timeout,
            sessions_max: budget.sessions,
            payload_bytes_max: budget.payload_bytes,
            fixed: budget.fixed,
            device_mtu,
            frame_len,
            firewall: facts.firewall.clone(),
            own_source: None,
            confirmed: false,
            bits_per_second_max: None,
            reply_bits_per_second_max: reply_bits_per_second(args, facts),
            sample_bytes: 0,
            mask: Mask::default(),
            intercepts: Vec::new(),
            is_insecure: false,
            key_file: None,
            outside: facts.outside.clone(),
            is_replay: false,
            is_dry_run: false,
            recorder: Some(recording),
            probes: Vec::new(),
            controls: Vec::new(),
        })
    }
}

fn own_addresses(facts: &Facts) -> Vec<IpAddr> {
    facts.addresses.iter().map(|own| own.address).collect()
}

/// What the programs take; nothing else reads a recorder's rules.
fn rules(args: &Args) -> Vec<Rule> {
    let rule = |rule: &crate::args::RuleArg| Rule {
        online: rule.online,
        target: rule.target,
        mtu: 1500,
        join: Join::Never,
        resume_anywhere: false,
        module: None,
    };
    args.rules.iter().map(rule).collect()
}
