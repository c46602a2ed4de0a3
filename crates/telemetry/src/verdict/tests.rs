//! Planted distributions, and what must be said of them.

use core::time::Duration;

use super::measured::Measured;
use super::{ACCURACY_US, Finding, Interval, Says, Verdict};
use crate::latency::{Latency, Series};
use crate::spread::Spread;

/// A small generator (xorshift64*): the tests need noise, not secrets.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A response time: half a millisecond, and a tail of `scale` more in the mean.
    pub(super) fn micros(&mut self, scale: f64) -> u64 {
        let tail = -scale * (1.0 - self.share()).ln();
        500 + Duration::from_secs_f64(tail / 1e6).as_micros() as u64
    }
}

/// A run of so many seconds with so many turns each; `times` gives the online server's time and the target's.
pub(super) fn verdict(
    seconds: u64,
    turns: u64,
    mut times: impl FnMut(u64) -> (u64, u64),
) -> Verdict {
    let (mut latency, mut spread) = (Latency::new(), Spread::new());
    for second in 0..seconds {
        for _ in 0..turns {
            let (online, target) = times(second);
            for (series, micros) in Series::COMPARED
                .into_iter()
                .zip([online, online, target, target])
            {
                latency.add_time(series, Duration::from_micros(micros));
            }
        }
        spread.look(&latency);
    }
    Verdict::new(&Measured::new(
        &latency,
        &spread,
        Duration::from_secs(seconds),
    ))
}

fn all(verdict: &Verdict) -> [Finding; 4] {
    [
        verdict.first.p50,
        verdict.first.p99,
        verdict.last.p50,
        verdict.last.p99,
    ]
}

#[test]
fn equal_targets_do_not_differ() {
    for seed in 1..=40 {
        let mut dice = Dice(seed);
        let verdict = verdict(20, 500, |_| (dice.micros(300.0), dice.micros(300.0)));
        for finding in all(&verdict) {
            assert_eq!(finding.says, Says::NoDifference, "seed {seed}: {finding:?}");
        }
    }
}

/// Pauses that hit whole seconds, now of the one, now of the other: with independent turns assumed, most of these runs
/// would show a difference.
#[test]
fn noise_that_comes_in_bursts_is_no_difference() {
    let mut differing = 0;
    for seed in 1..=40 {
        let mut dice = Dice(seed);
        let bursts: Vec<[f64; 2]> = (0..20).map(|_| [dice.share(), dice.share()]).collect();
        let verdict = verdict(20, 500, |second| {
            let of = |share: f64| if share < 0.3 { 900.0 } else { 300.0 };
            let [online, target] = bursts[second as usize];
            (dice.micros(of(online)), dice.micros(of(target)))
        });
        differing += all(&verdict)[..2]
            .iter()
            .filter(|finding| matches!(finding.says, Says::Slower | Says::Faster))
            .count();
    }
    assert!(differing <= 1, "{differing} of 80");
}

#[test]
fn five_milliseconds_are_told_within_five_percent() {
    for seed in 1..=20 {
        let mut dice = Dice(seed);
        let verdict = verdict(10, 500, |_| {
            (dice.micros(300.0), dice.micros(300.0) + 5_000)
        });
        for finding in all(&verdict) {
            assert_eq!(finding.says, Says::Slower, "seed {seed}: {finding:?}");
            assert!(
                finding.low <= Some(5_000) && finding.high >= Some(5_000),
                "{finding:?}"
            );
        }
        let median = verdict.last.p50.difference;
        assert!((4_750..=5_250).contains(&median), "{median}");
    }
}

#[test]
fn faster_is_told_as_well() {
    let mut dice = Dice(7);
    let verdict = verdict(10, 500, |_| {
        (dice.micros(300.0) + 1_000, dice.micros(300.0))
    });
    assert_eq!(verdict.first.p50.says, Says::Faster);
    assert!(verdict.first.p50.high < Some(-900));
}

#[test]
fn with_few_turns_it_cannot_tell() {
    // Nothing, one second, few seconds, few turns for a 99th percentile.
    for (seconds, turns) in [(0, 0), (1, 10_000), (2, 30), (4, 25)] {
        let mut dice = Dice(5);
        let verdict = verdict(seconds, turns, |_| {
            (dice.micros(300.0), dice.micros(300.0) + 400)
        });
        assert_eq!(
            verdict.first.p99.says,
            Says::CannotTell,
            "{seconds} s of {turns}"
        );
        assert_eq!(verdict.last.p99.says, Says::CannotTell);
    }
    let mut dice = Dice(5);
    let one = verdict(1, 10_000, |_| (dice.micros(300.0), dice.micros(300.0)));
    assert_eq!(
        one.first.p50.says,
        Says::CannotTell,
        "one stretch shows no noise"
    );
}

#[test]
fn what_the_hooks_cannot_resolve_is_no_difference() {
    let verdict = verdict(30, 1_000, |_| (2_000, 2_000 + ACCURACY_US - 10));
    for finding in all(&verdict) {
        assert_eq!(finding.says, Says::NoDifference, "{finding:?}");
    }
}

#[test]
fn numbers_of_a_hostile_summary_do_not_overflow() {
    let huge = Interval {
        value: u64::MAX,
        low: u64::MAX,
        high: Some(u64::MAX),
        turns_effective: 0,
    };
    let finding = Finding::new(&Interval::default(), &huge);
    assert_eq!(finding.says, Says::CannotTell);
    let finding = Finding::new(
        &huge,
        &Interval {
            high: Some(0),
            ..huge
        },
    );
    assert_eq!(finding.says, Says::Faster);
}
