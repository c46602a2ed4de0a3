//! What the watches of an experiment say of one suspect.

use std::time::Duration;

use session::echo::SPANS;

/// Evidence from which on a loop is proven: one million to one.
const PROOF: f64 = 1e6;
/// Evidence from which on the suspicion is dropped.
const DOUBT: f64 = 1e-2;
/// Evidence from which on users are told of the suspicion, where connections wait for the experiment: one thousand to one, which is six
/// silent holds. By the same inequality it is reached by chance in one of a thousand experiments.
const STRONG: f64 = 1e3;
/// Evidence up to which next to nothing speaks for a loop: one silent hold makes 3.8, or 1.96 where one other span is silent.
const WEAK: f64 = 1.9;
/// How much a span looks held although there is any number of echoes in it: the machine may stumble.
const NEVER: f64 = 0.02;
/// A span with the mean of all spans' echoes looks held by two to the power of minus this.
const DECAY: f64 = 8.0;
/// At most this share of the echoes that were to be expected in holds may have come in them.
const OBSERVED_SHARE: f64 = 0.25;
/// So many echoes in a hold are no stragglers.
pub(super) const ECHOES_MIN: u64 = 5;
/// Fewest holds of a proof.
const HOLDS_MIN: u32 = 5;
/// Most holds of an experiment.
const HOLDS_MAX: u32 = 40;
/// Fewest echoes that must have been to be expected in the holds of a proof.
const EXPECTED_MIN: f64 = 25.0;
/// Watches without any echo after which there is nothing to judge.
const SILENT_WATCHES_MAX: u32 = 3;
/// Holds of an experiment that may be unclear: he goes on in them, but so do copies that were under way. After these he is taken to
/// go on by himself.
const UNCLEAR_MAX: u32 = 2;

/// The evidence against one suspect.
///
/// **The statistic.** In each watch one of four spans is held, drawn by lot. For each span there is a weight that says how much it
/// looks held: 1 if there is no echo in it, less the more there are,
///
/// ```text
/// w = 0.02 + 0.98 * 2^(-8 * echoes / mean of all four)
/// ```
///
/// and the evidence is multiplied by the weight of the span that *was* held, divided by the mean of all four weights: by 3.8 if
/// it alone is silent, by 2 if one other is silent as well (the machine stumbles), by 1 if all are alike, by 0.08 if another one
/// alone is silent.
///
/// For whoever does not react to holding (H0) the weights are what they are whichever span is held, whatever his rhythm, his
/// pauses and his bursts, and the lot falls on each span with the same probability, independently of all watches before. So under
/// H0 the expectation of the factor is exactly 1, the evidence is a martingale that begins at 1, and by Ville's
/// inequality the probability that it *ever* reaches 10^6 is at most 10^-6, however often one looks. That is the probability
/// of a false alarm per suspect and experiment, without any assumption about how clients behave but one: that they do not
/// know of holds. (Clients who know only that a target, or the machine, has less to do meanwhile are faster in a hold, which
/// speaks against a loop.) To stop earlier, because the suspect goes on in a hold, cannot make a false alarm.
///
/// Of a loop that is silent in all holds, and in nothing else, the evidence reaches 10^6 with the eleventh; so a proof has 11
/// holds or more. A proof must also have had at least 25 echoes to expect in its holds, and have seen at most a quarter of them.
///
/// **Unclear holds.** Where the target is slower than what goes round it still works off old copies when counting begins, and a loop
/// goes on as if it were none. So the echoes that copies may have caused which came back in that time do not speak for the suspect, and
/// where the others alone would not acquit him nothing is decided: few connections are opened from then on, so that the target gets
/// through, and the evidence begins anew. That happens once in an experiment, so that a false alarm has two chances of one in a
/// million. Not to stop, because the suspect goes on, makes none.
///
/// What the test cannot see: a loop that goes on in the hold for longer than the guard although no copy is under way any more (the
/// evidence is then against it; a later experiment is more patient), and one beside clients of the same address and request line that send a quarter as much.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// The logarithm of E.
    log: f64,
    holds: u32,
    /// Watches without any echo, in a row.
    silent: u32,
    /// Holds in which he may have gone on because copies were still under way.
    unclear: u32,
    held: u64,
    free: u64,
    /// How long the spans that were not held were counted.
    time: Duration,
    /// Echoes per second in those of the latest watch.
    latest: f64,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            log: 0.0,
            holds: 0,
            silent: 0,
            unclear: 0,
            held: 0,
            free: 0,
            time: Duration::ZERO,
            latest: 0.0,
        }
    }
}

/// What is to be thought of a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Nothing yet.
    Open,
    /// Nothing, because copies were under way when none should have been.
    Unclear,
    /// Copies cause what he sends.
    Loop,
    /// They do not, or it cannot be told.
    Innocent,
    /// He sends nothing any more.
    Silent,
}

/// Whether so many echoes in a hold show that it does not stop them: half of what was to be expected.
pub(super) fn is_fair_share(echoes: u64, expected: f64) -> bool {
    echoes as f64 * 2.0 >= expected
}

/// What a watch multiplies the evidence by.
fn factor(spans: [u64; SPANS], held: usize) -> f64 {
    let mean = spans.iter().sum::<u64>() as f64 / SPANS as f64;
    let weights =
        spans.map(|echoes| NEVER + (1.0 - NEVER) * (-DECAY * echoes as f64 / mean).exp2());
    weights[held] / (weights.iter().sum::<f64>() / SPANS as f64)
}

impl Evidence {
    /// Takes the echoes in each span of a watch, counted for `window` each, of which one was held; `came_back` copies were
    /// answered while they were counted in that one.
    pub(super) fn take(
        &mut self,
        spans: [u64; SPANS],
        held: usize,
        window: Duration,
        came_back: u64,
    ) -> Judgement {
        let inside = spans[held];
        let outside = spans.iter().sum::<u64>() - inside;
        if inside + outside == 0 {
            self.silent += 1;
            // Longer windows find more.
            self.latest /= 4.0;
            return if self.silent >= SILENT_WATCHES_MAX {
                Judgement::Silent
            } else {
                Judgement::Open
            };
        }
        self.silent = 0;
        self.holds += 1;
        self.held += inside;
        self.free += outside;
        let time = window * (SPANS as u32 - 1);
        self.time += time;
        self.latest = outside as f64 / time.as_secs_f64();
        self.log += factor(spans, held).ln();
        let usual = outside as f64 / (SPANS - 1) as f64;
        // Against one who was silent before a straggler or two do not speak.
        let goes_on =
            |echoes| is_fair_share(echoes, usual) && (!self.is_grave() || echoes >= ECHOES_MIN);
        if goes_on(inside) || self.log < DOUBT.ln() {
            let is_unclear = came_back > 0
                && came_back * 2 >= inside
                && !goes_on(inside.saturating_sub(came_back));
            if !is_unclear || self.unclear >= UNCLEAR_MAX {
                return Judgement::Innocent;
            }
            self.unclear += 1;
            return Judgement::Unclear;
        }
        let nearly_none = self.held as f64 <= self.expected() * OBSERVED_SHARE;
        let enough = self.holds >= HOLDS_MIN && self.expected() >= EXPECTED_MIN;
        if self.log >= PROOF.ln() && enough && nearly_none {
            return Judgement::Loop;
        }
        if self.holds >= HOLDS_MAX {
            return Judgement::Innocent;
        }
        Judgement::Open
    }

    /// Whether he went on in a hold while copies were under way.
    pub(super) fn is_unclear(&self) -> bool {
        self.unclear > 0
    }

    /// Whether he sent nothing in the latest watch.
    pub(super) fn is_silent(&self) -> bool {
        self.silent > 0
    }

    /// What was seen while more copies were under way than the target gets through says nothing.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            unclear: self.unclear,
            ..Self::default()
        };
    }

    /// Holds in which something was to be expected.
    pub(super) fn holds(&self) -> u32 {
        self.holds
    }

    /// All echoes that were counted.
    pub(super) fn echoes(&self) -> u64 {
        self.held + self.free
    }

    /// Echoes that were to be expected in holds, by what came outside.
    pub(super) fn expected(&self) -> f64 {
        self.free as f64 / (SPANS - 1) as f64
    }

    /// Echoes that came in holds.
    pub(super) fn observed(&self) -> u64 {
        self.held
    }

    /// Echoes per second outside of holds; `None` before the first watch is over.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.holds > 0).then(|| self.free as f64 / self.time.as_secs_f64())
    }

    /// The same of the latest watch.
    pub(super) fn latest_rate(&self) -> Option<f64> {
        (self.latest > 0.0).then_some(self.latest)
    }

    /// Whether it speaks for a loop rather than against one.
    pub(super) fn is_grave(&self) -> bool {
        self.log > 0.0
    }

    /// Whether it is less than one silent hold: echoes of an innocent vary, too.
    pub(super) fn is_weak(&self) -> bool {
        self.log < WEAK.ln()
    }

    /// Whether it is strong enough to be told.
    pub(super) fn is_strong(&self) -> bool {
        self.log >= STRONG.ln()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oorandom::Rand64;
    use session::echo::SPANS;

    use super::{Evidence, Judgement, PROOF, factor};

    const WINDOW: Duration = Duration::from_millis(60);

    /// Plays experiments until `many` are over; `echoes` says how many there are in a span, given its number since the
    /// beginning, the dice, and whether it is held.
    fn play(many: u32, mut echoes: impl FnMut(u64, &mut Rand64, bool) -> u64) -> (u32, u32, f64) {
        let mut dice = Rand64::new(7);
        let (mut loops, mut innocent, mut holds, mut at) = (0, 0, 0.0, 0);
        for _ in 0..many {
            let mut evidence = Evidence::default();
            loop {
                let held = dice.rand_range(0..SPANS as u64) as usize;
                let mut spans = [0; SPANS];
                for (span, count) in spans.iter_mut().enumerate() {
                    *count = echoes(at, &mut dice, span == held);
                    at += 1;
                }
                match evidence.take(spans, held, WINDOW, 0) {
                    Judgement::Open | Judgement::Unclear => {}
                    Judgement::Loop => {
                        loops += 1;
                        break;
                    }
                    Judgement::Innocent | Judgement::Silent => {
                        innocent += 1;
                        break;
                    }
                }
            }
            holds += f64::from(evidence.holds()) / f64::from(many);
        }
        (loops, innocent, holds)
    }

    #[test]
    fn a_loop_is_found_although_the_machine_stumbles() {
        // In one of twenty holds a straggler or two too many, in one of fifty other spans a standstill.
        let (loops, _, holds) = play(1000, |_, dice, held| {
            match (held, dice.rand_range(0..100)) {
                (true, 0..5) => 9,
                (true, _) => 0,
                (false, 0..2) => 0,
                (false, noise) => 20 + noise / 10,
            }
        });
        assert!(loops >= 950, "{loops} of 1000");
        assert!((11.0..20.0).contains(&holds), "{holds}");
    }

    #[test]
    fn a_slow_loop_is_found_after_more_holds() {
        let (loops, _, holds) = play(
            100,
            |_, dice, held| if held { 0 } else { dice.rand_range(1..3) },
        );
        assert_eq!(loops, 100);
        assert!((13.0..30.0).contains(&holds), "{holds}");
    }

    #[test]
    fn who_goes_on_is_acquitted_after_a_hold_or_two() {
        // At a fixed interval, at random, and faster in holds.
        let (loops, _, holds) = play(1000, |_, _, _| 3);
        assert_eq!((loops, holds.round()), (0, 1.0));
        let (loops, _, holds) = play(1000, |_, dice, _| dice.rand_range(0..20));
        assert!(loops == 0 && holds < 2.5, "{loops} {holds}");
        let (loops, _, holds) = play(1000, |_, _, held| if held { 30 } else { 20 });
        assert!(loops == 0 && holds < 1.1, "{loops} {holds}");
    }

    /// The worst that a client can do by chance: to be silent in exactly one span of four, always. Then each watch speaks for a
    /// loop with a probability of one in four, and no more than one experiment in a million proves one.
    #[test]
    fn who_pauses_by_himself_is_no_loop() {
        let worst = |at: u64, _: &mut Rand64, _| if at % SPANS as u64 == 2 { 0 } else { 50 };
        let (loops, innocent, _) = play(200_000, worst);
        assert_eq!((loops, innocent), (0, 200_000));
        // Long pauses and bursts.
        let bursts = |at: u64, dice: &mut Rand64, _| match (at / 7) % 3 {
            0 => 0,
            _ => dice.rand_range(0..100),
        };
        assert_eq!(play(100_000, bursts).0, 0);
    }

    /// Whatever the echoes, the expectation of a watch's factor over the lot is 1: the bet is fair.
    #[test]
    fn the_evidence_of_chance_does_not_grow() {
        let mut dice = Rand64::new(3);
        for _ in 0..1000 {
            let most = dice.rand_range(1..200);
            let spans = [0; SPANS].map(|_: u64| dice.rand_range(0..most + 1));
            if spans == [0; SPANS] {
                continue;
            }
            let mean = (0..SPANS).map(|held| factor(spans, held)).sum::<f64>() / SPANS as f64;
            assert!((mean - 1.0).abs() < 1e-9, "{spans:?}: {mean}");
        }
        let silent = factor([0, 20, 20, 20], 0);
        assert!(
            silent.powi(10) < PROOF && silent.powi(11) > PROOF,
            "{silent}"
        );
        assert!(factor([0, 20, 0, 20], 0) > 1.9);
        assert!(factor([0, 20, 20, 20], 1) < 0.1);
    }

    /// Requests of real clients are lost where flows are left out, so a chance or two must not be enough for it.
    #[test]
    fn a_few_silent_holds_are_not_strong() {
        let mut evidence = Evidence::default();
        for hold in 1..=6 {
            assert!(!evidence.is_strong(), "{hold}");
            assert_eq!(
                evidence.take([0, 20, 20, 20], 0, WINDOW, 0),
                Judgement::Open
            );
            assert!(evidence.is_grave());
        }
        assert!(evidence.is_strong());

        let mut strong = 0;
        for seed in 0..20_000 {
            let (mut dice, mut evidence) = (Rand64::new(seed), Evidence::default());
            let mut reached = false;
            // Whoever is silent in one span of four by himself.
            while evidence.take(
                [0, 50, 50, 50],
                dice.rand_range(0..SPANS as u64) as usize,
                WINDOW,
                0,
            ) == Judgement::Open
            {
                reached |= evidence.is_strong();
            }
            strong += u32::from(reached);
        }
        assert!(strong <= 20, "{strong} of 20000");
    }

    /// What goes on in a hold because the target still works off old copies says nothing, but not for ever.
    #[test]
    fn copies_that_come_back_in_a_hold_do_not_acquit() {
        let mut evidence = Evidence::default();
        for hold in 1..=2 {
            let judgement = evidence.take([20, 20, 20, 20], 0, WINDOW, 19);
            assert_eq!(judgement, Judgement::Unclear, "{hold}");
        }
        let judgement = evidence.take([20, 20, 20, 20], 0, WINDOW, 19);
        assert_eq!(judgement, Judgement::Innocent);
        // He sends enough beside them.
        let judgement = Evidence::default().take([20, 20, 20, 20], 0, WINDOW, 10);
        assert_eq!(judgement, Judgement::Innocent);
    }

    #[test]
    fn who_sends_nothing_any_more_is_not_judged() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.take([0; 4], 0, WINDOW, 0), Judgement::Open);
        assert_eq!(evidence.take([0; 4], 1, WINDOW, 0), Judgement::Open);
        assert_eq!(evidence.take([0; 4], 2, WINDOW, 0), Judgement::Silent);
    }
}
