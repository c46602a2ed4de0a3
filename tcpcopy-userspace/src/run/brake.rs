//! Whether copies come back as requests: a target that calls the online service makes one request of a client into
//! thousands, and where NAT hides its address nothing in the requests says so.
//!
//! Cause and effect do. Who sends what is being copied at the moment is suspected ([`suspicion`]); that proves nothing, for
//! the requests of many clients are all alike. So there is an experiment: all workers hold their departures for a moment,
//! again and again, at random. What real clients send goes on at its rate; what a loop sends stops with the copies
//! ([`evidence`]).
//!
//! An experiment is a row of watches ([`session::Watch`]) of four spans each, one of which, drawn by lot, is held. Most end
//! within their first hold, as soon as the suspects have sent a fair share of what was to be expected.
//!
//! **Invariant:** nothing but departures is ever held back, never for longer than [`GUARD_MAX`] and [`WINDOW_MAX`] together,
//! and a client that does not react to copies is taken for a loop with a probability of at most one in a million per
//! experiment ([`evidence::Evidence`]).

mod evidence;
mod suspicion;

use std::time::Duration;

use oorandom::Rand64;
use session::echo::SPANS;
use session::{Instant, Tally, Watch};
use telemetry::{Feedback, Figures};
use tracing::debug;
use wire::flow::Addr;

use super::crew::Crew;
use crate::plan::Plan;
use crate::worker::Command;
use evidence::{Evidence, Judgement};
use suspicion::{Candidate, Suspicion};

/// How often one looks for suspects.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often one looks at an experiment.
const STEP: Duration = Duration::from_millis(10);
/// How long before its beginning the workers are told of a watch.
const LEAD: Duration = Duration::from_millis(10);
/// Shortest guard: how long copies that were under way may still come back as requests.
const GUARD_MIN: Duration = Duration::from_millis(30);
/// Longest guard.
const GUARD_MAX: Duration = Duration::from_millis(1500);
/// Where the guard is not known to be too short from the target's response times: how long it may grow by doubling with each
/// experiment that found nothing.
const GUARD_DOUBLED_MAX: Duration = Duration::from_millis(500);
/// Shortest time in which echoes are counted.
const WINDOW_MIN: Duration = Duration::from_millis(60);
/// Longest such time.
const WINDOW_MAX: Duration = Duration::from_secs(1);
/// Echoes that are to be expected in it, if it need not be longer than [`WINDOW_MAX`].
const EXPECTED_PER_WINDOW: f64 = 20.0;
/// Experiments at once, and then one per [`CREDIT_EVERY`].
const CREDIT_MAX: u32 = 4;
/// How often an experiment may be made.
const CREDIT_EVERY: Duration = Duration::from_secs(30);
/// Watches of one experiment that may be void because a worker came too late, or could not keep up.
const VOID_MAX: u32 = 3;
/// How long the workers' counts of a watch are waited for.
const COUNTS_WITHIN: Duration = Duration::from_secs(1);
/// Echoes in a hold from which on it may end early, and from how much of it on.
const EARLY_ECHOES_MIN: u64 = 5;
const EARLY_AFTER: Duration = Duration::from_millis(10);

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

/// One that goes on.
#[derive(Debug)]
struct Experiment {
    suspects: Vec<(Candidate, Evidence)>,
    watch: Watch,
    void: u32,
}

/// What comes of a look at an experiment.
enum Step {
    Wait,
    /// Another watch is to follow.
    Again,
    /// Nobody is suspected any more.
    Over,
    Proven(Candidate, Evidence),
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
        match experiment.step(&crew.tallies(), now, &mut self.suspicion) {
            Step::Wait => self.experiment = Some(experiment),
            Step::Again => {
                experiment.watch = self.watch(crew, now, &experiment.watch);
                self.experiment = Some(experiment);
            }
            Step::Over => {
                crew.command(&|| Command::EndHold);
                self.suspicion.begin_anew();
                self.looked = now;
            }
            Step::Proven(suspect, evidence) => {
                crew.command(&|| Command::EndHold);
                return Some(feedback(&suspect, &evidence, &experiment.watch, plan));
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
        let Some(slowest) = suspects.last() else {
            return;
        };
        *credit -= 1;
        self.experiments += 1;
        debug!("an experiment: do copies cause what these send? {suspects:?}");
        let window = Duration::from_secs_f64((EXPECTED_PER_WINDOW / slowest.rate).min(60.0));
        let shape = Watch {
            number: 0,
            begin: now,
            guard: guard(crew, &suspects),
            window: window.clamp(WINDOW_MIN, WINDOW_MAX),
            held: 0,
        };
        let watch = self.watch(crew, now, &shape);
        let suspects = suspects.into_iter();
        self.experiment = Some(Experiment {
            suspects: suspects.map(|who| (who, Evidence::default())).collect(),
            watch,
            void: 0,
        });
    }

    /// Begins a watch of this shape.
    fn watch(&mut self, crew: &Crew, now: Instant, shape: &Watch) -> Watch {
        self.watches = self.watches.wrapping_add(1).max(1);
        self.holds += 1;
        let watch = Watch {
            number: self.watches,
            begin: now + LEAD,
            held: self.dice.rand_range(0..SPANS as u64) as u8,
            ..*shape
        };
        crew.command(&|| Command::Watch(watch));
        watch
    }

    /// What it has cost so far.
    pub(super) fn notes(&self, notes: &mut Figures) {
        notes.push("loop_experiments", self.experiments);
        notes.push("holds", self.holds);
    }
}

/// How long copies that were under way may still come back: about as long as the target takes to answer, if it is its
/// answer that waits for what it calls; and a request that goes round alone comes once in that time. Who was acquitted before
/// is looked at more patiently.
fn guard(crew: &Crew, suspects: &[Candidate]) -> Duration {
    let target = crew.totals().latency.summary().target.first;
    let answer = Duration::from_micros(target.p90) * 2 + Duration::from_millis(20);
    let slowest = suspects
        .iter()
        .map(|suspect| suspect.rate)
        .fold(f64::MAX, f64::min);
    let round = Duration::from_secs_f64((1.5 / slowest).min(60.0));
    let acquittals = suspects.iter().map(|suspect| suspect.acquittals).max();
    let doubled = GUARD_MIN * (1 << acquittals.unwrap_or(0).min(8));
    answer
        .max(round)
        .max(doubled.min(GUARD_DOUBLED_MAX))
        .clamp(GUARD_MIN, GUARD_MAX)
}

impl Experiment {
    fn step(&mut self, tallies: &[Tally], now: Instant, suspicion: &mut Suspicion) -> Step {
        let begun = tallies.iter().all(|tally| tally.watch == self.watch.number);
        let seen = tallies.iter().map(|tally| tally.seen).min();
        let seen = seen.filter(|_| begun).unwrap_or_default();
        let late = begun && tallies.iter().any(|tally| tally.late);
        if late || now > self.watch.end() + COUNTS_WITHIN {
            self.void += 1;
            if self.void <= VOID_MAX {
                return Step::Again;
            }
            // The workers do not keep up: later, perhaps.
            for (suspect, _) in self.suspects.drain(..) {
                suspicion.acquit(&suspect, now);
            }
            return Step::Over;
        }
        if seen < self.watch.end() {
            if self.may_end_early(tallies, seen) {
                for (suspect, _) in self.suspects.drain(..) {
                    suspicion.acquit(&suspect, now);
                }
                return Step::Over;
            }
            return Step::Wait;
        }
        let held = usize::from(self.watch.held);
        let mut proven = None;
        self.suspects.retain_mut(|(suspect, evidence)| {
            let judgement = evidence.take(spans(tallies, &suspect.client), held);
            debug!("{suspect:?}: {evidence:?}, {judgement:?}");
            match judgement {
                Judgement::Open => return true,
                Judgement::Loop => proven = Some((suspect.clone(), evidence.clone())),
                Judgement::Innocent => suspicion.acquit(suspect, now),
                Judgement::Silent => {}
            }
            false
        });
        match proven {
            Some((suspect, evidence)) => Step::Proven(suspect, evidence),
            None if self.suspects.is_empty() => Step::Over,
            None => Step::Again,
        }
    }

    /// Whether all suspects have sent a fair share of what was to be expected in the hold so far.
    fn may_end_early(&self, tallies: &[Tally], seen: Instant) -> bool {
        let (from, until) = self.watch.hold();
        let counted = seen.min(until).since(from + self.watch.guard);
        counted >= EARLY_AFTER
            && self.suspects.iter().all(|(suspect, evidence)| {
                let rate = evidence.rate(&self.watch).unwrap_or(suspect.rate);
                let echoes = spans(tallies, &suspect.client)[usize::from(self.watch.held)];
                let expected = rate * counted.as_secs_f64();
                echoes >= EARLY_ECHOES_MIN && evidence::is_fair_share(echoes, expected)
            })
    }
}

/// The echoes of an address in each span, over all workers.
fn spans(tallies: &[Tally], client: &Addr) -> [u64; SPANS] {
    let mut sums = [0; SPANS];
    let suspects = tallies.iter().flat_map(|tally| &tally.suspects);
    for suspect in suspects.filter(|suspect| suspect.client == *client) {
        for (sum, echoes) in sums.iter_mut().zip(suspect.spans) {
            *sum += u64::from(echoes);
        }
    }
    sums
}

fn feedback(suspect: &Candidate, evidence: &Evidence, watch: &Watch, plan: &Plan) -> Feedback {
    let rule = plan.rules.get(usize::from(suspect.rule.0));
    Feedback {
        client: suspect.client.to_string(),
        target: rule.map_or_else(String::new, |rule| rule.target.to_string()),
        requests_per_second: evidence.rate(watch).unwrap_or(suspect.rate),
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
