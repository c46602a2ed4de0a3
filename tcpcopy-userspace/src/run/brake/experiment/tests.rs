//! A world in steps of a millisecond: real clients, an engine that copies, and a target of a given speed that calls back, or not.

use std::collections::VecDeque;
use std::time::Duration;

use oorandom::Rand64;
use session::echo::SPANS;
use session::limits::ECHO_SAMPLING;
use session::{Instant, RuleId, Suspect, Tally, Watch};
use wire::flow::Addr;

use super::super::evidence::Evidence;
use super::super::suspicion::Suspicion;
use super::super::{LOOK_EVERY, THROTTLE};
use super::{Experiment, Step};

const PROXY: Addr = Addr::v4([10, 0, 0, 9]);
const MILLISECOND: Duration = Duration::from_millis(1);

/// What becomes of a world within its time.
#[derive(Debug, Default)]
struct Outcome {
    /// Seconds until the loop was proven.
    found: Option<f64>,
    holds: u32,
    /// Whether connections waited for the experiment.
    throttled: bool,
    /// Seconds that a request waited for its departure at most.
    waited: f64,
    /// Requests to the online service, those of clients included.
    asked: u64,
}

struct World {
    /// Requests of real clients per second, each of them by a connection of its own.
    clients: u64,
    /// Requests that the target answers per second, one after the other.
    target: u64,
    /// Whether it asks the online service again for each.
    calls_back: bool,
    /// Whether the clients come from the address that is suspected: they repeat themselves.
    repeats: bool,
    dice: Rand64,
    now: Instant,
    /// When those were asked that wait for their departure.
    waiting: Vec<Instant>,
    at_target: VecDeque<Instant>,
    trickle: Option<Instant>,
    watch: Watch,
    tally: Tally,
    echoes: u64,
    outcome: Outcome,
}

impl World {
    fn new(clients: u64, target: u64, seed: u64) -> Self {
        Self {
            clients,
            target,
            calls_back: true,
            repeats: false,
            dice: Rand64::new(u128::from(seed)),
            now: Instant::from_nanos(1_000_000_000),
            waiting: Vec::new(),
            at_target: VecDeque::new(),
            trickle: None,
            watch: Watch::default(),
            tally: Tally::default(),
            echoes: 0,
            outcome: Outcome::default(),
        }
    }

    /// So many of something that happens `rate` times per second, by chance, in a millisecond.
    fn events(&mut self, rate: u64) -> u64 {
        rate / 1000 + u64::from(self.dice.rand_range(0..1000) < rate % 1000)
    }

    fn ask(&mut self, is_echo: bool) {
        self.outcome.asked += 1;
        self.tally.turns += 1;
        self.waiting.push(self.now);
        if !is_echo {
            return;
        }
        self.echoes += 1;
        let (begin, span) = (self.watch.begin, self.watch.span().as_nanos());
        if self.now < begin || self.now >= self.watch.end() {
            return;
        }
        let at = self.now.since(begin).as_nanos();
        let index = (at / span) as usize;
        if at % span >= self.watch.guard.as_nanos() && index < SPANS {
            self.tally.suspects[0].spans[index] += 1;
        }
    }

    /// What departs now: nothing in a hold, the latest of those that wait at a trickle, or all.
    fn depart(&mut self) {
        let (from, until) = self.watch.hold();
        if from <= self.now && self.now < until {
            return;
        }
        let departing = match &mut self.trickle {
            None => std::mem::take(&mut self.waiting),
            Some(next) if *next <= self.now => {
                *next = self.now + THROTTLE;
                self.waiting.pop().into_iter().collect()
            }
            Some(_) => Vec::new(),
        };
        for asked in departing {
            let waited = self.now.since(asked).as_secs_f64();
            self.outcome.waited = self.outcome.waited.max(waited);
            self.at_target.push_back(self.now);
        }
    }

    fn step(&mut self) {
        self.now += MILLISECOND;
        for _ in 0..self.events(self.clients) {
            self.ask(self.repeats);
        }
        for _ in 0..self.events(self.target) {
            if self.at_target.pop_front().is_some() && self.calls_back {
                self.ask(true);
            }
        }
        let under_way = self.at_target.len() as u64;
        if self.now >= self.watch.counts_from() && self.tally.under_way.is_none() {
            self.tally.under_way = Some(under_way);
        }
        if self.now >= self.watch.hold().1 && self.tally.came_back.is_none() {
            let before = self.tally.under_way.unwrap_or_default();
            self.tally.came_back = Some(before.saturating_sub(under_way));
        }
        self.depart();
        self.tally.seen = self.now;
        self.tally.suspects[0].echoes = self.echoes / u64::from(ECHO_SAMPLING);
    }

    fn watch(&mut self, experiment: &mut Experiment) {
        let held = self.dice.rand_range(0..SPANS as u64) as u8;
        self.outcome.holds += 1;
        let number = self.outcome.holds;
        self.watch = experiment.begin(number, held, std::slice::from_ref(&self.tally), self.now);
        self.tally.watch = number;
        (self.tally.under_way, self.tally.came_back) = (None, None);
        self.tally.suspects[0].spans = [0; SPANS];
    }

    /// Looks for a loop for so long, as the brake does.
    fn run(mut self, seconds: u64) -> Outcome {
        self.tally.suspects = vec![Suspect {
            client: PROXY,
            rule: RuleId(0),
            echoes: 0,
            spans: [0; SPANS],
        }];
        let (began, mut looked) = (self.now, self.now);
        let mut suspicion = Suspicion::default();
        let mut experiment: Option<Experiment> = None;
        while self.now < began + Duration::from_secs(seconds) {
            self.step();
            let under_way = self.at_target.len() as u64;
            let Some(current) = &mut experiment else {
                if self.now.since(looked) >= LOOK_EVERY {
                    looked = self.now;
                    suspicion.look(std::slice::from_ref(&self.tally));
                    let suspects = suspicion.candidates(self.now).into_iter();
                    let suspects: Vec<_> = suspects.map(|it| (it, Evidence::default())).collect();
                    if !suspects.is_empty() {
                        let all = suspicion.turns_per_second();
                        let mut new = Experiment::new(suspects, under_way, all, self.now);
                        self.watch(&mut new);
                        experiment = Some(new);
                    }
                }
                continue;
            };
            if current.calming {
                if current.is_calm(under_way, 1, self.now) {
                    (current.calming, current.in_flight) = (false, under_way);
                    self.watch(current);
                }
                continue;
            }
            current.in_flight = current.in_flight.max(under_way);
            let step = current.step(std::slice::from_ref(&self.tally), self.now, &mut suspicion);
            match step {
                Step::Wait => {}
                Step::Again if current.is_crowded(1) => {
                    current.throttle(self.now);
                    self.outcome.throttled = true;
                    self.trickle = Some(self.now);
                    self.watch = Watch::default();
                }
                Step::Again => self.watch(current),
                Step::Over => {
                    (experiment, self.trickle, self.watch) = (None, None, Watch::default());
                    suspicion.begin_anew();
                    looked = self.now;
                }
                Step::Proven(..) => {
                    self.outcome.found = Some(self.now.since(began).as_secs_f64());
                    break;
                }
            }
        }
        self.outcome
    }
}

/// A loop is found in a bounded time however slow the target is beside the clients' own requests, each of which begins to go round.
#[test]
fn a_loop_that_the_target_does_not_keep_up_with_is_found() {
    for (target, within) in [
        (10_000, 15.0),
        (2_500, 15.0),
        (1_000, 20.0),
        (600, 25.0),
        (300, 30.0),
    ] {
        for seed in 0..15 {
            let outcome = World::new(200, target, seed).run(120);
            let found = outcome.found.unwrap_or(f64::INFINITY);
            assert!(
                found <= within,
                "target {target}/s, seed {seed}: {outcome:?}"
            );
        }
    }
}

/// Who repeats himself is no loop, also where the target hardly keeps up with what is copied, or does not. Only in that case a copy may wait for
/// longer than a hold, where it would wait for the target otherwise.
#[test]
fn who_repeats_himself_beside_a_slow_target_is_no_loop() {
    for (target, waited) in [(10_000, 1.0), (1_000, 1.0), (250, 1.0), (150, 40.0)] {
        for seed in 0..15 {
            let mut world = World::new(200, target, seed);
            (world.calls_back, world.repeats) = (false, true);
            let outcome = world.run(120);
            assert_eq!(outcome.found, None, "target {target}/s, seed {seed}");
            assert!(
                outcome.holds <= 12 && outcome.waited <= waited,
                "target {target}/s, seed {seed}: {outcome:?}"
            );
        }
    }
}
