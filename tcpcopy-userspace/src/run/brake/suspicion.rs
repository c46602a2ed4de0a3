//! Who is suspected: whose turns are echoes, how many per second, and who was acquitted lately.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use session::limits::ECHO_SAMPLING;
use session::{Instant, RuleId, Tally};
use wire::flow::Addr;

/// Looks that are remembered, one per second.
const LOOKS: usize = 20;
/// Echoes per second that make a suspect at once.
const RATE_MIN: f64 = 30.0;
/// The same of a slow one, who keeps it up for [`LOOKS`] seconds. What he can do is little, and a hold that shows something of
/// him is long: there is time.
const SLOW_RATE_MIN: f64 = 1.2;
/// Most suspects of an experiment.
const SUSPECTS_MAX: usize = 64;
/// Suspects of one experiment are at most so many times as fast as the slowest: a hold must be long enough for him, and is
/// longer than needed for the others.
const SPREAD_MAX: f64 = 4.0;
/// How long one who was acquitted is left alone; each time twice as long.
const TRUST_MIN: Duration = Duration::from_secs(10);
/// At most so long.
const TRUST_MAX: Duration = Duration::from_secs(480);
/// A slow one is left alone for so many times as long ...
const TRUST_SLOW: u32 = 24;
/// ... but for no more than that.
const TRUST_SLOW_MAX: Duration = Duration::from_secs(3840);
/// How often slow ones are looked at, at most.
const SLOW_EVERY: Duration = Duration::from_secs(120);
/// Who has become so many times as fast as he was when he was acquitted is suspected all the same.
const TRUST_GROWTH: f64 = 3.0;
/// Most addresses that are remembered; beyond it those that were acquitted are forgotten, and may be suspected again sooner.
const KNOWN_MAX: usize = 4096;

/// One who is suspected.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) client: Addr,
    /// The rule that what he sends is copied by.
    pub(super) rule: RuleId,
    /// Echoes per second, estimated.
    pub(super) rate: f64,
    /// How often he was acquitted already.
    pub(super) acquittals: u32,
}

/// What is known of everybody.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    known: HashMap<Addr, Known>,
    /// Turns as of the last look, and how many there were per second before it.
    turns: u64,
    turns_per_second: f64,
    /// When slow ones were acquitted last.
    slow: Option<Instant>,
    /// Whether the next look is the first of a row: what was counted before is no rate.
    anew: bool,
}

#[derive(Debug)]
struct Known {
    rule: RuleId,
    /// Echoes as of the last looks, the latest at the back; empty where he has not been heard of.
    echoes: VecDeque<u64>,
    trust: Option<Trust>,
}

#[derive(Clone, Copy, Debug)]
struct Trust {
    until: Instant,
    lasting: Duration,
    rate: f64,
    acquittals: u32,
}

impl Suspicion {
    /// Looks at what the workers have counted, once a second.
    pub(super) fn look(&mut self, tallies: &[Tally]) {
        let turns = tallies.iter().map(|tally| tally.turns).sum();
        if !self.anew {
            let new = f64::from(ECHO_SAMPLING) * turns_since(turns, self.turns);
            self.turns_per_second = new;
        }
        self.turns = turns;
        let mut sums: HashMap<Addr, (u64, RuleId)> = HashMap::new();
        for suspect in tallies.iter().flat_map(|tally| &tally.suspects) {
            let sum = sums.entry(suspect.client).or_insert((0, suspect.rule));
            *sum = (sum.0 + suspect.echoes, suspect.rule);
        }
        self.known.retain(|client, known| {
            if !sums.contains_key(client) {
                known.echoes.clear();
            }
            known.trust.is_some() || !known.echoes.is_empty()
        });
        if self.known.len() + sums.len() > KNOWN_MAX {
            self.known.retain(|client, _| sums.contains_key(client));
        }
        for (client, (sum, rule)) in sums {
            let known = self.known.entry(client).or_insert_with(|| Known {
                rule,
                echoes: VecDeque::new(),
                trust: None,
            });
            known.rule = rule;
            known.add(sum, self.anew);
        }
        self.anew = false;
    }

    /// After an experiment, in which all turns were counted and not some: rates begin anew.
    pub(super) fn begin_anew(&mut self) {
        for known in self.known.values_mut() {
            known.echoes.clear();
        }
        self.anew = true;
    }

    /// How many turns all clients begin per second.
    pub(super) fn turns_per_second(&self) -> f64 {
        self.turns_per_second
    }

    /// Those who are to be looked at together, the fastest first.
    pub(super) fn candidates(&self, now: Instant) -> Vec<Candidate> {
        let candidate = |(client, known): (&Addr, &Known)| {
            let rate = known.rate()?;
            if rate < RATE_MIN && self.slow.is_some_and(|at| now < at + SLOW_EVERY) {
                return None;
            }
            let trusted = known.trust.is_some_and(|trust| {
                now < trust.until && (rate < RATE_MIN || rate < trust.rate * TRUST_GROWTH)
            });
            (!trusted).then(|| Candidate {
                client: *client,
                rule: known.rule,
                rate,
                acquittals: known.trust.map_or(0, |trust| trust.acquittals),
            })
        };
        let mut candidates: Vec<Candidate> = self.known.iter().filter_map(candidate).collect();
        candidates.sort_by(|a, b| b.rate.total_cmp(&a.rate).then(a.client.cmp(&b.client)));
        let slowest = candidates
            .first()
            .map_or(0.0, |first| first.rate / SPREAD_MAX);
        candidates.retain(|candidate| candidate.rate >= slowest);
        candidates.truncate(SUSPECTS_MAX);
        candidates
    }

    /// He is left alone for a while.
    pub(super) fn acquit(&mut self, suspect: &Candidate, now: Instant) {
        let Some(known) = self.known.get_mut(&suspect.client) else {
            return;
        };
        let before = known.trust;
        let lasting = before.map_or(TRUST_MIN, |trust| (trust.lasting * 2).min(TRUST_MAX));
        let is_slow = suspect.rate < RATE_MIN;
        if is_slow {
            self.slow = Some(now);
        }
        let alone = match is_slow {
            true => (lasting * TRUST_SLOW).min(TRUST_SLOW_MAX),
            false => lasting,
        };
        let until = now + alone;
        known.trust = Some(Trust {
            until,
            lasting,
            rate: suspect.rate,
            acquittals: suspect.acquittals + 1,
        });
    }
}

fn turns_since(turns: u64, before: u64) -> f64 {
    turns.saturating_sub(before) as f64
}

impl Known {
    fn add(&mut self, sum: u64, anew: bool) {
        if self.echoes.back().is_some_and(|last| sum < *last) {
            // Another had taken his place in the table meanwhile.
            self.echoes.clear();
        }
        if self.echoes.is_empty() && !anew {
            self.echoes.push_back(0);
        }
        self.echoes.push_back(sum);
        while self.echoes.len() > LOOKS + 1 {
            self.echoes.pop_front();
        }
    }

    /// Echoes per second, where they are so many that he is a suspect.
    fn rate(&self) -> Option<f64> {
        let looks = self
            .echoes
            .len()
            .checked_sub(1)
            .filter(|looks| *looks > 0)?;
        let (first, last) = (self.echoes.front()?, self.echoes.back()?);
        let before = self.echoes.get(looks - 1)?;
        let per_second =
            |echoes: u64, seconds: usize| echoes as f64 * f64::from(ECHO_SAMPLING) / seconds as f64;
        let now = per_second(last - before, 1);
        if now >= RATE_MIN {
            return Some(now);
        }
        let slow = per_second(last - first, looks);
        (looks >= LOOKS && slow >= SLOW_RATE_MIN).then_some(slow)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::echo::SPANS;
    use session::{Instant, RuleId, Suspect, Tally};
    use wire::flow::Addr;

    use super::{LOOKS, Suspicion};

    const PROXY: Addr = Addr::v4([10, 0, 0, 9]);

    fn tally(counts: &[(Addr, u64)]) -> Tally {
        let suspect = |(client, echoes): &(Addr, u64)| Suspect {
            client: *client,
            rule: RuleId(0),
            echoes: *echoes,
            spans: [0; SPANS],
        };
        Tally {
            suspects: counts.iter().map(suspect).collect(),
            ..Tally::default()
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn the_echoes_of_all_workers_make_a_suspect() {
        let mut suspicion = Suspicion::default();
        suspicion.look(&[tally(&[(PROXY, 4)]), tally(&[(PROXY, 3)])]);
        assert!(suspicion.candidates(at(1)).is_empty());
        suspicion.look(&[tally(&[(PROXY, 10)]), tally(&[(PROXY, 9)])]);
        let candidates = suspicion.candidates(at(2));
        assert_eq!(candidates.len(), 1);
        assert!((candidates[0].rate - 48.0).abs() < 1e-9, "{candidates:?}");
    }

    #[test]
    fn a_slow_one_must_keep_it_up() {
        let mut suspicion = Suspicion::default();
        for second in 1..=LOOKS as u64 {
            assert!(suspicion.candidates(at(second)).is_empty());
            suspicion.look(&[tally(&[(PROXY, second)])]);
        }
        let suspect = suspicion.candidates(at(20)).pop().expect("a suspect");
        suspicion.acquit(&suspect, at(20));
        assert!(suspicion.candidates(at(20 + 239)).is_empty());
        assert_eq!(suspicion.candidates(at(20 + 240)).len(), 1);
    }

    #[test]
    fn who_was_acquitted_is_left_alone_for_longer_each_time() {
        let mut suspicion = Suspicion::default();
        let (mut now, mut echoes) = (0, 0);
        let mut waited = Vec::new();
        for _ in 0..7 {
            let began = now;
            let suspect = loop {
                echoes += 100;
                now += 1;
                suspicion.look(&[tally(&[(PROXY, echoes)])]);
                if let Some(suspect) = suspicion.candidates(at(now)).pop() {
                    break suspect;
                }
            };
            waited.push(now - began);
            suspicion.acquit(&suspect, at(now));
        }
        assert_eq!(waited, [1, 10, 20, 40, 80, 160, 320]);
        // Unless he becomes several times as fast.
        suspicion.look(&[tally(&[(PROXY, echoes + 400)])]);
        assert_eq!(suspicion.candidates(at(now + 1)).len(), 1);
    }

    #[test]
    fn after_an_experiment_rates_begin_anew_and_trust_stays() {
        let mut suspicion = Suspicion::default();
        suspicion.look(&[tally(&[(PROXY, 100)])]);
        let suspect = suspicion.candidates(at(1)).pop().expect("a suspect");
        suspicion.acquit(&suspect, at(1));
        suspicion.begin_anew();
        suspicion.look(&[tally(&[(PROXY, 1_000_000)])]);
        assert!(
            suspicion
                .candidates(at(2) + Duration::from_secs(60))
                .is_empty()
        );
        suspicion.look(&[tally(&[(PROXY, 1_000_100)])]);
        assert_eq!(suspicion.candidates(at(62)).len(), 1);
        assert!(suspicion.candidates(at(3)).is_empty());
    }

    #[test]
    fn the_slow_ones_wait_for_an_experiment_of_their_own() {
        let mut suspicion = Suspicion::default();
        let slow = Addr::v4([10, 0, 0, 1]);
        suspicion.look(&[tally(&[(PROXY, 1000), (slow, 20)])]);
        let suspects = suspicion.candidates(at(1));
        assert_eq!(suspects.len(), 1);
        suspicion.acquit(&suspects[0], at(1));
        assert_eq!(suspicion.candidates(at(2))[0].client, slow);
    }
}
