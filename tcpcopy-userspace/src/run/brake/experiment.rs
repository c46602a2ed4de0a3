//! One experiment: a row of watches, and what comes of each.

use std::time::Duration;

use session::echo::SPANS;
use session::{Instant, Tally, Watch};
use tracing::debug;
use wire::flow::Addr;

use super::THROTTLE;
use super::evidence::{ECHOES_MIN, Evidence, Judgement, is_fair_share};
use super::suspicion::{Candidate, Suspicion};

/// How long before its beginning the workers are told of a watch; twice as long for each that was void.
const LEAD: Duration = Duration::from_millis(20);
/// Shortest guard: how long copies that were under way may still come back as requests.
const GUARD_MIN: Duration = Duration::from_millis(30);
/// Longest guard.
pub(super) const GUARD_MAX: Duration = Duration::from_secs(5);
/// How far the guard may grow by doubling with each experiment that acquitted a suspect, whatever is under way.
const GUARD_DOUBLED_MAX: Duration = Duration::from_millis(500);
/// The guard as a multiple of the time in which what is under way comes back.
const GUARD_ROUNDS: f64 = 3.0;
/// The same of what one takes that goes round alone, which is known better.
const ALONE_ROUNDS: f64 = 1.5;
/// From this guard on, and once anything speaks for a loop, connections are opened only at [`THROTTLE`] until the experiment is over: so
/// many requests go round that the target cannot keep up, and each new one adds to them, so that each watch takes longer than the one
/// before (measured: 200 new ones per second at a target that does 2,500 double the guard with each watch). The others wait and are
/// not lost, so that little evidence is enough.
const GUARD_CROWDED: Duration = Duration::from_millis(100);
/// How many copies may be under way, per worker, before the experiment goes on then ...
const CALM: u64 = 10;
/// ... and how long that is waited for, at least and at most.
const CALM_AFTER: Duration = Duration::from_millis(300);
const CALM_WITHIN: Duration = Duration::from_secs(10);
/// How long connections wait for an experiment in which little speaks for a loop: a target that does not keep up with what is copied has
/// enough to do.
const THROTTLED_MAX: Duration = Duration::from_secs(20);
/// Shortest time in which echoes are counted.
const WINDOW_MIN: Duration = Duration::from_millis(60);
/// Longest such time.
pub(super) const WINDOW_MAX: Duration = Duration::from_secs(1);
/// Echoes that are to be expected in it, if it need not be longer than [`WINDOW_MAX`].
const EXPECTED_PER_WINDOW: f64 = 8.0;
/// Watches of one experiment that may be void because a worker came too late, or could not keep up.
const VOID_MAX: u32 = 6;
/// So many of them say that a worker is too busy: few connections are opened from then on.
const VOID_CROWDED: u32 = 2;
/// How long the workers' counts of a watch are waited for: those of a busy one lag behind.
const COUNTS_WITHIN: Duration = Duration::from_secs(10);
/// From how much of a hold on it may end early.
const EARLY_AFTER: Duration = Duration::from_millis(10);

/// One that goes on.
#[derive(Debug)]
pub(super) struct Experiment {
    pub(super) suspects: Vec<(Candidate, Evidence)>,
    pub(super) watch: Watch,
    pub(super) void: u32,
    /// Since when few connections are opened.
    pub(super) throttled: Option<Instant>,
    /// Whether rates were measured since then.
    is_measured: bool,
    /// Whether users were told that this is so.
    pub(super) told: bool,
    /// Whether what is under way is waited for.
    pub(super) calming: bool,
    /// Most copies that were under way at a time since the watch began.
    pub(super) in_flight: u64,
    /// Turns of all clients, as of the beginning of the watch, and then per second.
    pub(super) turns: (u64, Instant),
    pub(super) turns_per_second: f64,
}

/// What comes of a look at an experiment.
pub(super) enum Step {
    Wait,
    /// Another watch is to follow.
    Again,
    /// Nobody is suspected any more.
    Over,
    Proven(Candidate, Evidence),
}

impl Experiment {
    pub(super) fn new(
        suspects: Vec<(Candidate, Evidence)>,
        in_flight: u64,
        turns_per_second: f64,
        now: Instant,
    ) -> Self {
        Self {
            suspects,
            watch: Watch::default(),
            void: 0,
            throttled: None,
            is_measured: false,
            told: false,
            calming: false,
            in_flight,
            turns: (0, now),
            turns_per_second,
        }
    }

    /// The next watch, in which the span `held` is held.
    pub(super) fn begin(
        &mut self,
        number: u32,
        held: u8,
        tallies: &[Tally],
        now: Instant,
    ) -> Watch {
        let (guard, window) = self.shape(tallies.len());
        self.in_flight = 0;
        self.turns = (tallies.iter().map(|tally| tally.turns).sum(), now);
        self.watch = Watch {
            number,
            begin: now + LEAD * (1 << self.void),
            guard,
            window,
            held,
        };
        self.watch
    }

    /// Guard and window of the next watch.
    ///
    /// What is under way takes as long as so many turns take to come (Little's law). A request that goes round alone comes once in
    /// its time. Who was acquitted before is looked at more patiently.
    pub(super) fn shape(&self, workers: usize) -> (Duration, Duration) {
        let in_flight = self.in_flight;
        // What was measured before connections were throttled is no measure any more.
        let most = match self.throttled {
            Some(_) if !self.is_measured => workers as f64 / THROTTLE.as_secs_f64(),
            _ => f64::MAX,
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

    /// Whether so many requests go round that they would have to be waited for for long, and more with each one that is copied; or
    /// whether they were not waited for long enough.
    pub(super) fn is_crowded(&self, workers: usize) -> bool {
        let takes_long = self.shape(workers).0 >= GUARD_CROWDED;
        let speaks = |(_, evidence): &(Candidate, Evidence)| {
            let is_open = !evidence.is_weak() || evidence.is_silent();
            evidence.is_unclear() || takes_long && is_open
        };
        let is_late = self.void >= VOID_CROWDED;
        self.throttled.is_none() && (is_late || self.suspects.iter().any(speaks))
    }

    /// From now on few connections are opened.
    pub(super) fn throttle(&mut self, now: Instant) {
        (self.throttled, self.calming) = (Some(now), true);
        for (_, evidence) in &mut self.suspects {
            evidence.begin_anew();
        }
    }

    /// Whether a loop is likely.
    pub(super) fn is_strong(&self) -> bool {
        self.suspects
            .iter()
            .any(|(_, evidence)| evidence.is_strong())
    }

    /// Whether users should be told that connections wait, for the first time.
    pub(super) fn has_to_be_told(&mut self) -> bool {
        let news = self.is_strong() && self.throttled.is_some() && !self.told;
        self.told |= news;
        news
    }

    /// Whether what is under way has come down to what is opened now.
    pub(super) fn is_calm(&self, in_flight: u64, workers: usize, now: Instant) -> bool {
        let waited = self
            .throttled
            .map_or(Duration::MAX, |since| now.since(since));
        let calm = in_flight <= CALM * workers as u64;
        waited >= CALM_WITHIN || calm && waited >= CALM_AFTER
    }

    pub(super) fn step(
        &mut self,
        tallies: &[Tally],
        now: Instant,
        suspicion: &mut Suspicion,
    ) -> Step {
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
            self.is_measured = self.throttled.is_some();
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
        let came_back = tallies.iter().filter_map(|tally| tally.came_back).sum();
        let under_way: u64 = tallies.iter().filter_map(|tally| tally.under_way).sum();
        let since = self.throttled.map(|since| now.since(since));
        let tires = since.is_some_and(|since| since >= THROTTLED_MAX);
        let mut proven = None;
        self.suspects.retain_mut(|(suspect, evidence)| {
            let spans = spans(tallies, &suspect.client);
            let judgement = evidence.take(spans, held, self.watch.window, came_back);
            debug!(
                "{suspect:?}: {spans:?}, held {held}, {came_back} of {under_way} came back, {:?} each: {evidence:?}, {judgement:?}",
                self.watch.guard + self.watch.window
            );
            match judgement {
                Judgement::Open | Judgement::Unclear if tires && evidence.is_weak() => {
                    suspicion.acquit(suspect, now);
                }
                Judgement::Open | Judgement::Unclear => return true,
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

    /// Whether all suspects have sent a fair share of what was to be expected in the hold so far, without what copies may have caused
    /// that were under way.
    fn may_end_early(&self, tallies: &[Tally], seen: Instant) -> bool {
        let (from, until) = self.watch.hold();
        let counted = seen.min(until).since(from + self.watch.guard);
        let under_way: u64 = tallies.iter().filter_map(|tally| tally.under_way).sum();
        counted >= EARLY_AFTER
            && tallies.iter().all(|tally| tally.under_way.is_some())
            && self.suspects.iter().all(|(suspect, evidence)| {
                let rate = evidence.rate().unwrap_or(suspect.rate);
                let echoes = spans(tallies, &suspect.client)[usize::from(self.watch.held)];
                let echoes = echoes.saturating_sub(under_way);
                let expected = rate * counted.as_secs_f64();
                // Against one who was silent before it may be a straggler that speaks.
                !evidence.is_grave() && echoes >= ECHOES_MIN && is_fair_share(echoes, expected)
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

#[cfg(test)]
mod tests;
