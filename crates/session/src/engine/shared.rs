//! What the sessions of a worker share, and what of it is lent to one of them for an input.

use std::collections::VecDeque;

use wire::flow::FlowKey;
use wire::hash::{EndpointHash, FlowHash};
use wire::segment::Segment;
use wire::seq::LocalSeq;

use crate::arena::Arena;
use crate::config::{Config, RuleId, Source};
use crate::context::{Clock, Context, TargetState};
use crate::echo::Echoes;
use crate::event::{Counters, Event};
use crate::flow::Flow;
use crate::gate::Gate;
use crate::id::SessionId;
use crate::index::Index;
use crate::inflow::Inflow;
use crate::path::Path;
use crate::pool::Pool;
use crate::sample::Sampler;
use crate::time::Instant;
use crate::turns::Habits;

/// What is lent to sessions.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) arena: Arena,
    pub(crate) counters: Counters,
    pub(crate) events: VecDeque<Event>,
    pub(crate) by_local: Index,
    /// Sources of clients that came free, and what was last sent from them.
    pub(crate) unparked: Vec<(FlowKey, LocalSeq)>,
    pub(crate) habits: Vec<Habits>,
    pub(crate) targets: Vec<TargetState>,
    /// The target of each rule.
    pub(crate) target_of: Vec<usize>,
    pub(crate) samples: Option<Box<Sampler>>,
    pub(crate) inflow: Inflow,
    /// How many joined flows of each rule its target has ended where the online server went on.
    pub(crate) joins_refused: Vec<u32>,
    /// How many connections of joined flows of each rule its target has ended in a row without an answer.
    pub(crate) joins_unanswered: Vec<u32>,
    pub(crate) echoes: Echoes,
}

impl Shared {
    /// Nothing yet of every kind.
    pub(crate) fn new(config: Config, hash: FlowHash, now: Instant) -> Self {
        let (targets, target_of) = targets(&config, hash);
        Self {
            clock: Clock::new(config.unix_nanos, now),
            arena: Arena::new(config.payload_bytes_max),
            counters: Counters::default(),
            events: VecDeque::new(),
            by_local: Index::new(hash),
            unparked: Vec::new(),
            habits: config
                .rules
                .iter()
                .map(|_| Habits::new(config.copies))
                .collect(),
            targets,
            target_of,
            samples: None,
            joins_refused: vec![0; config.rules.len()],
            joins_unanswered: vec![0; config.rules.len()],
            inflow: Inflow::new(config.reply_bytes_per_second_max, now),
            echoes: Echoes::new(),
            config,
        }
    }

    pub(crate) fn lend<'a>(
        &'a mut self,
        rule: RuleId,
        now: Instant,
        flow: &'a mut Flow,
    ) -> Context<'a> {
        let index = usize::from(rule.0);
        Context {
            now,
            flow,
            config: &self.config,
            clock: self.clock,
            arena: &mut self.arena,
            counters: &mut self.counters,
            events: &mut self.events,
            by_local: &mut self.by_local,
            source_taken: false,
            unparked: &mut self.unparked,
            habits: &mut self.habits[index],
            target: &mut self.targets[self.target_of[index]],
            samples: self.samples.as_deref_mut(),
            inflow: &mut self.inflow,
            joins_refused: &mut self.joins_refused[index],
            joins_unanswered: &mut self.joins_unanswered[index],
            echoes: &mut self.echoes,
        }
    }
}

impl Shared {
    /// A response's packet is about to be handled: see [`Sampler::hold`].
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
