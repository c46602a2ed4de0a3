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
use tracing::{debug, warn};
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
const LEAD: Duration = Duration::from_millis(20);
/// Shortest guard: how long copies that were under way may still come back as requests.
const GUARD_MIN: Duration = Duration::from_millis(30);
/// Longest guard.
const GUARD_MAX: Duration = Duration::from_secs(5);
/// How far the guard may grow by doubling with each experiment that acquitted a suspect, whatever is under way.
const GUARD_DOUBLED_MAX: Duration = Duration::from_millis(500);
/// The guard as a multiple of the time in which what is under way comes back.
const GUARD_ROUNDS: f64 = 3.0;
/// The same of what one takes that goes round alone, which is known better.
const ALONE_ROUNDS: f64 = 1.5;
/// From this guard on, and once the evidence for a loop is strong, flows are opened only at [`THROTTLE`] until the experiment is
/// over: so many requests go round that the target cannot keep up, and each new one adds to them. Flows that are left out are
/// lost for the copy, so a suspicion alone is not enough (measured: a busy machine stumbles into one silent hold, and 701 of 5,000
/// requests of real clients were left out).
const GUARD_CROWDED: Duration = Duration::from_millis(100);
/// Time between two flows of a worker then.
const THROTTLE: Duration = Duration::from_millis(10);
/// How many copies may be under way, per worker, before the experiment goes on then ...
const CALM: u64 = 10;
/// ... and how long that is waited for, at least and at most.
const CALM_AFTER: Duration = Duration::from_millis(300);
const CALM_WITHIN: Duration = Duration::from_secs(5);
/// Shortest time in which echoes are counted.
const WINDOW_MIN: Duration = Duration::from_millis(60);
/// Longest such time.
const WINDOW_MAX: Duration = Duration::from_secs(1);
/// Echoes that are to be expected in it, if it need not be longer than [`WINDOW_MAX`].
const EXPECTED_PER_WINDOW: f64 = 8.0;
/// Experiments at once, and then one per [`CREDIT_EVERY`].
const CREDIT_MAX: u32 = 4;
/// How often an experiment may be made.
const CREDIT_EVERY: Duration = Duration::from_secs(30);
/// Watches of one experiment that may be void because a worker came too late, or could not keep up.
const VOID_MAX: u32 = 5;
/// How long the workers' counts of a watch are waited for: those of a busy one lag behind.
const COUNTS_WITHIN: Duration = Duration::from_secs(5);
/// From how much of a hold on it may end early.
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
    /// Since when few flows are opened.
    throttled: Option<Instant>,
    /// Whether what is under way is waited for.
    calming: bool,
    /// Most copies that were under way at a time since the watch began.
    in_flight: u64,
    /// Turns of all clients, as of the beginning of the watch, and then per second.
    turns: (u64, Instant),
    turns_per_second: f64,
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
                    experiment.throttled = Some(now);
                    experiment.calming = true;
                    crew.command(&|| Command::Throttle(Some(THROTTLE)));
                    warn!(
                        "it looks as if copies came back as requests, so many that they cannot be told from others: until that is \
                         clear each worker takes only one flow per {} ms, and the others are left out (sessions `shed`)",
                        THROTTLE.as_millis()
                    );
                } else {
                    self.watch(&mut experiment, crew, now);
                }
                self.experiment = Some(experiment);
            }
            Step::Over => {
                Self::let_go(&experiment, crew);
                self.suspicion.begin_anew();
                self.looked = now;
            }
            Step::Proven(suspect, evidence) => {
                Self::let_go(&experiment, crew);
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
        let mut experiment = Experiment {
            suspects: suspects.collect(),
            watch: Watch::default(),
            void: 0,
            throttled: None,
            calming: false,
            in_flight: crew.in_flight(),
            turns: (0, now),
            turns_per_second: self.suspicion.turns_per_second(),
        };
        self.watch(&mut experiment, crew, now);
        self.experiment = Some(experiment);
    }

    /// Begins another watch.
    fn watch(&mut self, experiment: &mut Experiment, crew: &Crew, now: Instant) {
        self.watches = self.watches.wrapping_add(1).max(1);
        self.holds += 1;
        let (guard, window) = experiment.shape(crew.handles().len());
        experiment.in_flight = 0;
        experiment.turns = (crew.tallies().iter().map(|tally| tally.turns).sum(), now);
        let watch = Watch {
            number: self.watches,
            begin: now + LEAD * (1 + experiment.void),
            guard,
            window,
            held: self.dice.rand_range(0..SPANS as u64) as u8,
        };
        experiment.watch = watch;
        crew.command(&|| Command::Watch(watch));
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

impl Experiment {
    /// Guard and window of the next watch.
    ///
    /// What is under way takes as long as so many turns take to come (Little's law). A request that goes round alone comes once in
    /// its time. Who was acquitted before is looked at more patiently.
    fn shape(&self, workers: usize) -> (Duration, Duration) {
        let in_flight = self.in_flight;
        // What was measured before flows were throttled is no measure any more.
        let most = match self.throttled {
            Some(_) => workers as f64 / THROTTLE.as_secs_f64(),
            None => f64::MAX,
        };
        let rates = self
            .suspects
            .iter()
            .map(|(suspect, evidence)| evidence.latest_rate().unwrap_or(suspect.rate));
        let slowest = rates.fold(most, f64::min);
        let time = |events: f64, rate: f64| {
            Duration::from_secs_f64((events / rate.max(f64::MIN_POSITIVE)).clamp(0.0, 60.0))
        };
        let acquittals = self.suspects.iter().map(|(suspect, _)| suspect.acquittals);
        let doubled = GUARD_MIN * (1 << acquittals.max().unwrap_or(0).min(8));
        let all = self.turns_per_second.max(slowest).min(most.max(slowest));
        let guard = time(in_flight as f64 * GUARD_ROUNDS, all)
            .max(time(ALONE_ROUNDS, slowest))
            .max(doubled.min(GUARD_DOUBLED_MAX));
        let window = time(EXPECTED_PER_WINDOW, slowest);
        (
            guard.clamp(GUARD_MIN, GUARD_MAX),
            window.clamp(WINDOW_MIN, WINDOW_MAX),
        )
    }

    /// Whether so many requests go round that they would have to be waited for for long, and more with each one that is copied.
    fn is_crowded(&self, workers: usize) -> bool {
        let mut suspects = self.suspects.iter();
        self.throttled.is_none()
            && suspects.any(|(_, evidence)| evidence.is_strong())
            && self.shape(workers).0 >= GUARD_CROWDED
    }

    /// Whether what is under way has come down to what is opened now.
    fn is_calm(&self, in_flight: u64, workers: usize, now: Instant) -> bool {
        let waited = self
            .throttled
            .map_or(Duration::MAX, |since| now.since(since));
        let calm = in_flight <= CALM * workers as u64;
        waited >= CALM_WITHIN || calm && waited >= CALM_AFTER
    }

    fn step(&mut self, tallies: &[Tally], now: Instant, suspicion: &mut Suspicion) -> Step {
        let begun = tallies.iter().all(|tally| tally.watch == self.watch.number);
        let seen = tallies.iter().map(|tally| tally.seen).min();
        let seen = seen.filter(|_| begun).unwrap_or_default();
        let late = begun && tallies.iter().any(|tally| tally.late);
        if late || now > self.watch.end() + COUNTS_WITHIN {
            self.void += 1;
            debug!(
                "a watch is void: late {late}, seen {seen:?} of {:?}",
                self.watch.end()
            );
            // Where the workers do not keep up at all, the next suspicion tries again.
            return if self.void <= VOID_MAX {
                Step::Again
            } else {
                Step::Over
            };
        }
        if seen >= self.watch.end() {
            let turns: u64 = tallies.iter().map(|tally| tally.turns).sum();
            let time = now.since(self.turns.1).as_secs_f64();
            self.turns_per_second = turns.saturating_sub(self.turns.0) as f64 / time;
        } else {
            if self.may_end_early(tallies, seen) {
                debug!("all suspects go on while departures are held");
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
            let judgement = evidence.take(spans(tallies, &suspect.client), held, self.watch.window);
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
                let rate = evidence.rate().unwrap_or(suspect.rate);
                let echoes = spans(tallies, &suspect.client)[usize::from(self.watch.held)];
                let expected = rate * counted.as_secs_f64();
                // Against one who was silent before it may be a straggler that speaks.
                !evidence.is_grave()
                    && echoes >= evidence::ECHOES_MIN
                    && evidence::is_fair_share(echoes, expected)
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
