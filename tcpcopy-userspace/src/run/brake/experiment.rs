//! One experiment: a row of watches, and what comes of each.

use std::time::Duration;

use session::echo::SPANS;
use session::{Instant, Tally, Watch};
use tracing::debug;
use wire::flow::Addr;

use super::THROTTLE;
use super::evidence::{ECHOES_MIN, Evidence, Judgement, is_fair_share};
use super::suspicion::{Candidate, Suspicion};

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
/// From this guard on, and once the evidence for a loop is strong, flows are opened only at [`THROTTLE`] until the experiment is
/// over: so many requests go round that the target cannot keep up, and each new one adds to them. Flows that are left out are
/// lost for the copy, so a suspicion alone is not enough (measured: a busy machine stumbles into one silent hold, and 701 of 5,000
/// requests of real clients were left out).
const GUARD_CROWDED: Duration = Duration::from_millis(100);
/// How many copies may be under way, per worker, before the experiment goes on then ...
const CALM: u64 = 10;
/// ... and how long that is waited for, at least and at most.
const CALM_AFTER: Duration = Duration::from_millis(300);
const CALM_WITHIN: Duration = Duration::from_secs(5);
/// Shortest time in which echoes are counted.
const WINDOW_MIN: Duration = Duration::from_millis(60);
/// Longest such time.
pub(super) const WINDOW_MAX: Duration = Duration::from_secs(1);
/// Echoes that are to be expected in it, if it need not be longer than [`WINDOW_MAX`].
const EXPECTED_PER_WINDOW: f64 = 8.0;
/// Watches of one experiment that may be void because a worker came too late, or could not keep up.
const VOID_MAX: u32 = 5;
/// How long the workers' counts of a watch are waited for: those of a busy one lag behind.
const COUNTS_WITHIN: Duration = Duration::from_secs(5);
/// From how much of a hold on it may end early.
const EARLY_AFTER: Duration = Duration::from_millis(10);

/// One that goes on.
#[derive(Debug)]
pub(super) struct Experiment {
    pub(super) suspects: Vec<(Candidate, Evidence)>,
    pub(super) watch: Watch,
    pub(super) void: u32,
    /// Since when few flows are opened.
    pub(super) throttled: Option<Instant>,
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
    /// Guard and window of the next watch.
    ///
    /// What is under way takes as long as so many turns take to come (Little's law). A request that goes round alone comes once in
    /// its time. Who was acquitted before is looked at more patiently.
    pub(super) fn shape(&self, workers: usize) -> (Duration, Duration) {
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
    pub(super) fn is_crowded(&self, workers: usize) -> bool {
        let mut suspects = self.suspects.iter();
        self.throttled.is_none()
            && suspects.any(|(_, evidence)| evidence.is_strong())
            && self.shape(workers).0 >= GUARD_CROWDED
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
