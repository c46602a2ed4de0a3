//! What the sessions of a worker share, and what of it is lent to one of them for an input.

use std::collections::VecDeque;

use protocol::login::Seeds;
use wire::hash::{EndpointHash, FlowHash};
use wire::segment::Segment;

use crate::arena::Arena;
use crate::config::{Config, RuleId, Source};
use crate::context::{Clock, Context, RuleState, Shared, TargetState};
use crate::echo::Echoes;
use crate::event::Counters;
use crate::flow::Flow;
use crate::gate::Gate;
use crate::id::SessionId;
use crate::index::Index;
use crate::inflow::Inflow;
use crate::path::Path;
use crate::pool::Pool;
use crate::time::Instant;
use crate::tuning::Tuning;
use crate::turns::Habits;

/// What is known of the rules and of their targets.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) targets: Vec<TargetState>,
    pub(crate) rules: Vec<RuleState>,
}

impl Known {
    /// Nothing yet of every rule.
    pub(crate) fn new(config: &Config, hash: FlowHash, tuning: &Tuning) -> Self {
        let (targets, target_of) = targets(config, hash);
        let rules = target_of.into_iter().zip(&tuning.rules);
        let rules = rules.map(|(target, tuning)| RuleState {
            habits: Habits::new(tuning.copies),
            tuning: *tuning,
            target,
            joins_refused: 0,
            joins_unanswered: 0,
        });
        let rules = rules.collect();
        Self { targets, rules }
    }

    /// The number of a rule's target.
    pub(crate) fn target_of(&self, rule: RuleId) -> usize {
        self.rules[usize::from(rule.0)].target
    }

    /// A rule's target.
    pub(crate) fn target_mut(&mut self, rule: RuleId) -> &mut TargetState {
        let target = self.target_of(rule);
        &mut self.targets[target]
    }

    /// What is lent to a session by `rule` for an input.
    #[inline(always)]
    pub(crate) fn lend<'a>(
        &'a mut self,
        shared: &'a mut Shared,
        rule: RuleId,
        now: Instant,
        flow: &'a mut Flow,
    ) -> Context<'a> {
        let rule = &mut self.rules[usize::from(rule.0)];
        Context {
            now,
            flow,
            shared,
            target: &mut self.targets[rule.target],
            rule,
            source_taken: false,
        }
    }
}

impl Shared {
    /// Nothing yet of every kind.
    pub(crate) fn new(config: Config, hash: FlowHash, now: Instant) -> Self {
        Self {
            seen: now,
            clock: Clock::new(config.unix_nanos, now),
            arena: Arena::new(config.payload_bytes_max),
            counters: Counters::default(),
            events: VecDeque::new(),
            by_local: Index::new(hash),
            unparked: Vec::new(),
            samples: None,
            tells_of_online: false,
            inflow: Inflow::new(config.reply_bytes_per_second_max, now),
            echoes: Echoes::new(),
            credentials: config.credentials.as_deref().cloned().unwrap_or_default(),
            seeds: Seeds::new(config.hash_seed ^ u64::from(config.worker)),
            ticket: 0,
            config,
        }
    }
}

impl Shared {
    /// A packet that was seen at `stamp` is taken at `now`.
    #[inline(always)]
    pub(crate) fn on_packet(&mut self, now: Instant, stamp: Instant) {
        self.seen = self.seen.max(stamp.min(now));
    }

    /// A response's packet is about to be handled: see [`crate::sample::Sampler::hold`].
    #[inline]
    pub(crate) fn hold_sample(&mut self, segment: &Segment, record: &[u8]) {
        if let Some(samples) = &mut self.samples {
            samples.hold(segment, record);
        }
    }

    /// A session is gone, and its number may become another's.
    pub(crate) fn forget_samples(&mut self, id: SessionId) {
        if let Some(samples) = &mut self.samples {
            samples.forget(id);
        }
    }
}

/// The targets of all rules, and which of them is a rule's.
fn targets(config: &Config, hash: FlowHash) -> (Vec<TargetState>, Vec<usize>) {
    let excluded = config.source.excluded();
    let mut targets: Vec<TargetState> = Vec::new();
    let mut target_of = Vec::new();
    for rule in &config.rules {
        let known = targets
            .iter()
            .position(|target| target.endpoint == rule.target);
        target_of.push(known.unwrap_or(targets.len()));
        if known.is_none() {
            let pool = match &config.source {
                Source::Clients => None,
                Source::Pool { ranges, .. } => Some(Pool::new(
                    ranges,
                    excluded.clone(),
                    &rule.target.addr,
                    config.worker,
                    config.workers,
                    EndpointHash::new(config.hash_seed),
                )),
            };
            let gate = Gate::new(rule.target, config.prove_path, hash);
            targets.push(TargetState {
                endpoint: rule.target,
                gate,
                pool,
                path: Path::new(rule.mtu),
            });
        }
    }
    (targets, target_of)
}
