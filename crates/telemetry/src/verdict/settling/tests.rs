//! Planted noise, and what is said would settle it.

use core::time::Duration;

use super::{Because, WouldTell, duration, rounded, smallest};
use crate::latency::{Latency, Series};
use crate::spread::Spread;
use crate::verdict::measured::Measured;
use crate::verdict::tests::{Dice, verdict};
use crate::verdict::{Says, Verdict};

fn p99(verdict: &Verdict) -> WouldTell {
    assert_eq!(verdict.last.p99.says, Says::CannotTell);
    verdict.last.p99.would_tell.unwrap()
}

/// A run of so many turns a second with long tails.
fn run(seed: u64, seconds: u64, turns: u64) -> Verdict {
    let mut dice = Dice(seed);
    verdict(seconds, turns, |_| {
        (dice.micros(1_500.0), dice.micros(1_500.0))
    })
}

/// What is promised is kept: runs as long as was said can tell, and a quarter of that is too little.
#[test]
fn a_run_that_has_so_many_as_was_said_can_tell() {
    let (mut told, mut told_early, mut asked) = (0, 0, 0);
    for seed in 1..=30 {
        let short = run(seed, 12, 40);
        if short.last.p99.says != Says::CannotTell {
            continue;
        }
        let wanted = p99(&short);
        assert_eq!(wanted.because, Because::TooFewRequests, "seed {seed}");
        let (turns, seconds) = (wanted.turns.unwrap(), wanted.seconds.unwrap());
        assert!(turns > 480, "{turns}");
        assert!(seconds.abs_diff(turns / 40) <= 1, "{seconds} s for {turns}");
        asked += 1;
        let tells = |seconds| run(seed + 1_000, seconds, 40).last.p99.says != Says::CannotTell;
        told += u32::from(tells(seconds));
        told_early += u32::from(tells(seconds / 4));
    }
    assert!(asked >= 20, "{asked} runs could not tell");
    assert!(told * 10 >= asked * 9, "{told} of {asked} told");
    assert!(
        told_early * 2 <= asked,
        "{told_early} of {asked} told too early"
    );
}

/// Whole seconds that are slow, now of the one, now of the other: it is not the number of requests.
#[test]
fn noise_is_called_noise() {
    let mut dice = Dice(3);
    let bursts: Vec<[f64; 2]> = (0..10).map(|_| [dice.share(), dice.share()]).collect();
    let noisy = verdict(10, 2_000, |second| {
        let of = |share: f64| if share < 0.4 { 30_000.0 } else { 300.0 };
        let [online, target] = bursts[second as usize];
        (dice.micros(of(online)), dice.micros(of(target)))
    });
    let wanted = p99(&noisy);
    assert_eq!(wanted.because, Because::Noise, "{wanted}");
    assert!(wanted.to_string().starts_with("times vary "), "{wanted}");
}

#[test]
fn times_that_rise_are_not_waited_for() {
    let mut dice = Dice(4);
    let rising = verdict(20, 200, |second| {
        let more = second * second * 200;
        (dice.micros(100.0) + more, dice.micros(100.0) + more)
    });
    let finding = rising.last.p50;
    assert_eq!(finding.says, Says::CannotTell);
    let wanted = finding.would_tell.unwrap();
    assert_eq!((wanted.because, wanted.turns), (Because::Drift, None));
    assert!(wanted.to_string().contains("a longer one would not tell"));
}

#[test]
fn what_takes_more_than_a_day_has_no_figure() {
    let mut dice = Dice(5);
    let few = verdict(3, 20, |_| (dice.micros(300.0), dice.micros(300.0)));
    let soon = p99(&few);
    assert!(soon.turns.is_some(), "{soon}");
    // The same in eight hours.
    let (mut latency, mut spread) = (Latency::new(), Spread::new());
    let mut dice = Dice(5);
    for _ in 0..60 {
        let times = [dice.micros(300.0), dice.micros(300.0)];
        for (series, micros) in Series::COMPARED
            .into_iter()
            .zip([0, 1, 0, 1].map(|side| times[side]))
        {
            latency.add_time(series, Duration::from_micros(micros));
        }
        spread.look(&latency);
    }
    let eight_hours = Duration::from_secs(8 * 3600);
    let rare = p99(&Verdict::new(&Measured::new(
        &latency,
        &spread,
        eight_hours,
    )));
    assert_eq!((rare.turns, rare.seconds), (None, None));
    assert!(rare.to_string().ends_with("more than a day"), "{rare}");
    assert_eq!(smallest(1_000.0, |scale| scale > 5_000.0), None);
    let found = smallest(1_000.0, |scale| scale >= 700.0).unwrap();
    assert!((700.0..701.0).contains(&found), "{found}");
}

#[test]
fn nothing_is_waited_for_where_nothing_came() {
    let wanted = p99(&verdict(0, 0, |_| (0, 0)));
    assert_eq!(
        (wanted.because, wanted.turns),
        (Because::NothingMeasured, None)
    );
}

#[test]
fn what_is_settled_wants_nothing() {
    let mut dice = Dice(6);
    let told = verdict(20, 500, |_| (dice.micros(300.0), dice.micros(300.0)));
    assert_eq!(told.last.p99.says, Says::NoDifference);
    assert!(told.last.p99.would_tell.is_none());
}

#[test]
fn words_are_short() {
    let wanted = WouldTell {
        because: Because::TooFewRequests,
        turns: Some(60_000),
        seconds: Some(150),
        turns_so_far: 6_000,
        captured_for: Duration::from_secs(15),
    };
    assert_eq!(
        serde_json::to_value(wanted).unwrap(),
        serde_json::json!({
            "because": "too_few_requests",
            "turns": 60_000,
            "seconds": 150,
            "words": "6,000 requests in 15 s; some 60,000 would tell (3 min at this rate)",
        })
    );
    let written = [0.4, 15.0, 119.0, 600.0, 9_000.0].map(duration);
    assert_eq!(written, ["0.4 s", "15 s", "119 s", "10 min", "2.5 h"]);
    let numbers = [7.0, 99.2, 480.1, 61_234.0].map(rounded);
    assert_eq!(numbers.map(super::whole_turns), [7, 100, 490, 62_000]);
}
