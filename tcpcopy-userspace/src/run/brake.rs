//! Whether copies come back as requests: a target that calls the online service makes one request of a client into
//! thousands, and where NAT hides its address nothing in the requests says so.
//!
//! Cause and effect do. Who sends what is being copied at the moment is suspected ([`suspicion`]); that proves nothing, for
//! the requests of many clients are all alike. So there is an experiment: all workers hold their departures for a moment,
//! again and again, at random. What real clients send goes on at its rate; what a loop sends stops with the copies
//! ([`experiment`], [`evidence`]).
//!
//! An experiment is a row of watches ([`session::Watch`]) of four spans each, one of which, drawn by lot, is held. Most end
//! within their first hold, as soon as the suspects have sent a fair share of what was to be expected.
//!
//! **Invariant:** nothing but departures is ever held back, never for longer than [`experiment::GUARD_MAX`] and [`experiment::WINDOW_MAX`] together,
//! and a client that does not react to copies is taken for a loop with a probability of at most one in a million per
//! experiment ([`evidence::Evidence`]).

mod evidence;
mod experiment;
mod suspicion;

use std::time::Duration;

use oorandom::Rand64;
use session::Instant;
use session::echo::SPANS;
use telemetry::{Feedback, Figures};
use tracing::{debug, warn};

use super::crew::Crew;
use crate::plan::Plan;
use crate::worker::Command;
use evidence::Evidence;
use experiment::{Experiment, Step};
use suspicion::{Candidate, Suspicion};

/// How often one looks for suspects.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often one looks at an experiment.
const STEP: Duration = Duration::from_millis(2);
/// Time between two connections that a worker opens while requests that go round are told from others.
const THROTTLE: Duration = Duration::from_millis(10);
/// Experiments at once, and then one per [`CREDIT_EVERY`].
const CREDIT_MAX: u32 = 4;
/// How often an experiment may be made.
const CREDIT_EVERY: Duration = Duration::from_secs(30);
/// Looks for loops.
#[derive(Debug)]
pub(super) struct Brake {
    dice: Rand64,
    suspicion: Suspicion,
    looked: Instant,
    experiment: Option<Experiment>,
    watches: u32,
    /// Experiments that may be made now, and when there was one more last.
    credit: (u32, Instant),
    holds: u64,
    experiments: u64,
}

impl Brake {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        Self {
            dice: Rand64::new(u128::from(seed)),
            suspicion: Suspicion::default(),
            looked: now,
            experiment: None,
            watches: 0,
            credit: (CREDIT_MAX, now),
            holds: 0,
            experiments: 0,
        }
    }

    /// How long until the next look, where `otherwise` would do for all the rest.
    pub(super) fn patience(&self, otherwise: Duration) -> Duration {
        self.experiment.as_ref().map_or(otherwise, |_| STEP)
    }

    /// Does what is due, and says what loop was found.
    pub(super) fn look(&mut self, crew: &Crew, plan: &Plan, now: Instant) -> Option<Feedback> {
        let Some(mut experiment) = self.experiment.take() else {
            if now.since(self.looked) >= LOOK_EVERY {
                self.looked = now;
                self.suspicion.look(&crew.tallies());
                self.begin(crew, now);
            }
            return None;
        };
        let in_flight = crew.in_flight();
        if experiment.calming {
            if experiment.is_calm(in_flight, crew.handles().len(), now) {
                experiment.calming = false;
                experiment.in_flight = in_flight;
                self.watch(&mut experiment, crew, now);
            }
            self.experiment = Some(experiment);
            return None;
        }
        experiment.in_flight = experiment.in_flight.max(in_flight);
        match experiment.step(&crew.tallies(), now, &mut self.suspicion) {
            Step::Wait => self.experiment = Some(experiment),
            Step::Again => {
                if experiment.is_crowded(crew.handles().len()) {
                    debug!(
                        "requests that go round cannot be told from others: few connections are opened"
                    );
                    experiment.throttle(now);
                    crew.command(&|| Command::Throttle(Some(THROTTLE)));
                } else {
                    self.watch(&mut experiment, crew, now);
                }
                if experiment.has_to_be_told() {
                    warn!(
                        finding = "loop-suspected",
                        "it looks as if copies came back as requests, so many that they cannot be told from others: until that is \
                         clear each worker opens only one connection per {} ms, and the others wait",
                        THROTTLE.as_millis()
                    );
                }
                self.experiment = Some(experiment);
            }
            Step::Over => {
                Self::let_go(&experiment, crew);
                self.suspicion.begin_anew();
                self.looked = now;
            }
            Step::Proven(suspect, evidence) => {
                // Each connection that waits is one more request to the online service if it departs yet.
                crew.command(&|| Command::Throttle(Some(THROTTLE)));
                crew.command(&|| Command::EndHold);
                return Some(feedback(&suspect, &evidence, plan));
            }
        }
        None
    }

    /// Begins an experiment where somebody is suspected.
    fn begin(&mut self, crew: &Crew, now: Instant) {
        let (credit, since) = &mut self.credit;
        if now.since(*since) >= CREDIT_EVERY {
            (*credit, *since) = ((*credit + 1).min(CREDIT_MAX), now);
        }
        if *credit == 0 {
            return;
        }
        let suspects = self.suspicion.candidates(now);
        if suspects.is_empty() {
            return;
        }
        *credit -= 1;
        self.experiments += 1;
        debug!("an experiment: do copies cause what these send? {suspects:?}");
        let suspects = suspects.into_iter();
        let suspects = suspects.map(|suspect| (suspect, Evidence::default()));
        let mut experiment = Experiment::new(
            suspects.collect(),
            crew.in_flight(),
            self.suspicion.turns_per_second(),
            now,
        );
        self.watch(&mut experiment, crew, now);
        self.experiment = Some(experiment);
    }

    /// Begins another watch.
    fn watch(&mut self, experiment: &mut Experiment, crew: &Crew, now: Instant) {
        self.watches = self.watches.wrapping_add(1).max(1);
        self.holds += 1;
        let held = self.dice.rand_range(0..SPANS as u64) as u8;
        let tallies = crew.tallies();
        let watch = experiment.begin(self.watches, held, &tallies, now);
        crew.command(&|| Command::Watch(watch));
    }

    /// The run ends while an experiment goes on: what waits for it departs, but where a loop is likely.
    pub(super) fn end(&mut self, crew: &Crew) {
        let Some(experiment) = self.experiment.take() else {
            return;
        };
        if experiment.is_strong() {
            crew.command(&|| Command::EndHold);
        } else {
            Self::let_go(&experiment, crew);
        }
    }

    /// Nothing is held or throttled any more.
    fn let_go(experiment: &Experiment, crew: &Crew) {
        crew.command(&|| Command::EndHold);
        if experiment.throttled.is_some() {
            crew.command(&|| Command::Throttle(None));
        }
    }

    /// What it has cost so far.
    pub(super) fn notes(&self, notes: &mut Figures) {
        notes.push("loop_experiments", self.experiments);
        notes.push("holds", self.holds);
    }
}

fn feedback(suspect: &Candidate, evidence: &Evidence, plan: &Plan) -> Feedback {
    let rule = plan.rules.get(usize::from(suspect.rule.0));
    Feedback {
        client: suspect.client.to_string(),
        target: rule.map_or_else(String::new, |rule| rule.target.to_string()),
        requests_per_second: evidence.rate().unwrap_or(suspect.rate),
        requests: evidence.echoes(),
        holds: evidence.holds().into(),
        expected: evidence.expected(),
        observed: evidence.observed(),
    }
}

/// What is said of a loop.
pub(super) fn words(feedback: &Feedback) -> String {
    format!(
        "LOOP: {feedback}. So copies come back as requests to the online service, which are copied again; no more flows are taken, \
         and the run ends. Have the target call something else: look for the upstream of a proxy, a webhook or an address in its \
         configuration that leads to the online service, perhaps through NAT or a load balancer, and point it at a test instance, \
         or at an address and port of the online service that no -x names"
    )
}
