//! Planted distributions, and what must be said of them.

use core::time::Duration;

use super::{ACCURACY_US, Finding, Interval, Says, Verdict, interval, student};
use crate::latency::{Latency, Series};
use crate::spread::Spread;

/// A small generator (xorshift64*): the tests need noise, not secrets.
struct Dice(u64);

impl Dice {
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A response time: half a millisecond, and a tail of `scale` more in the mean.
    fn micros(&mut self, scale: f64) -> u64 {
        let tail = -scale * (1.0 - self.share()).ln();
        500 + Duration::from_secs_f64(tail / 1e6).as_micros() as u64
    }
}

/// A run of so many seconds with so many turns each; `times` gives the online server's time and the target's.
fn verdict(seconds: u64, turns: u64, mut times: impl FnMut(u64) -> (u64, u64)) -> Verdict {
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
    Verdict::new(&latency, &spread)
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

/// The interval holds the true quantile as often as it promises, by the binomial distribution itself.
#[test]
fn an_interval_covers_what_it_promises() {
    for n in [50u32, 200, 1_000, 5_000] {
        for quantile in [0.5, 0.99] {
            let mut histogram =
                hdrhistogram::Histogram::<u64>::new_with_bounds(1, 10_000_000, 3).unwrap();
            // Rank and value are the same below 2,048, and as near as three digits beyond.
            for rank in 1..=u64::from(n) {
                histogram.record(rank).unwrap();
            }
            // Enough stretches for the normal quantile.
            let interval = interval(&histogram, quantile, Some(1.0), 100_000);
            let mut logs = vec![0.0];
            for k in 1..=n {
                logs.push(logs[k as usize - 1] + f64::from(k).ln());
            }
            let probability = |k: u32| {
                let choose = logs[n as usize] - logs[k as usize] - logs[(n - k) as usize];
                (choose + f64::from(k) * quantile.ln() + f64::from(n - k) * (1.0 - quantile).ln())
                    .exp()
            };
            // The true quantile is above the value of rank r where at least r turns are below it.
            let outside_low: f64 = (0..interval.low as u32).map(probability).sum();
            let outside_high: f64 = match interval.high {
                Some(high) => (high as u32 - 1..=n).map(probability).sum(),
                None => 0.0,
            };
            assert!(outside_low <= 0.003, "n {n}, {quantile}: {outside_low}");
            assert!(outside_high <= 0.003, "n {n}, {quantile}: {outside_high}");
        }
    }
}

#[test]
fn students_table_goes_over_into_the_expansion() {
    assert!(student(0).is_infinite());
    assert!((student(10) - 3.581).abs() < 0.004);
    assert!((student(30) - 3.030).abs() < 0.001);
    assert!((student(1_000_000) - 2.807).abs() < 0.001);
    assert!((1..100).all(|freedom| student(freedom) > student(freedom + 1)));
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
