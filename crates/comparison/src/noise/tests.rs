//! How often the statistic is wrong, and what it finds: seeded simulations of counts. The figures stand in docs/comparison.md.

use core::time::Duration;

use oorandom::Rand64;

use super::{Evidence, FALSE_ALARM_RATE, Judge, Says, tested};
use crate::group::Count;
use crate::place::Kind;

const SPAN: Duration = Duration::from_secs(60);
/// Runs of each simulation.
const RUNS: u64 = 1000;

/// A place with this many differences, spread evenly over the run.
fn evidence(kind: Kind, [k1, n1]: [u64; 2], [k0, n0]: [u64; 2]) -> Evidence {
    let spread = |responses: u64| {
        let mut count = Count {
            responses,
            ..Count::default()
        };
        // More would be in the same moments.
        let points = responses.min(200);
        for index in 0..points {
            let at = SPAN.mul_f64(index as f64 / points as f64);
            count.moments.add(at);
        }
        count
    };
    Evidence {
        kind,
        counts: [spread(k1), spread(k0)],
        of: [n1, n0],
        seen: [spread(n1), spread(n0)].map(|count| count.moments),
        present: n1,
    }
}

fn says(list: &[Evidence], has_baseline: bool) -> Vec<Says> {
    let judge = Judge::new(list.iter(), has_baseline, SPAN);
    list.iter()
        .map(|evidence| judge.judge(evidence).says)
        .collect()
}

#[test]
fn a_place_is_what_its_numbers_say() {
    let of = |target, baseline| says(&[evidence(Kind::Value, target, baseline)], true)[0];
    assert_eq!(of([20, 2000], [0, 2000]), Says::Changed);
    assert_eq!(of([1, 2000], [0, 2000]), Says::CannotTell);
    assert_eq!(of([20, 2000], [18, 2000]), Says::Noise);
    assert_eq!(of([2000, 2000], [2000, 2000]), Says::Noise);
    assert_eq!(of([2000, 2000], [0, 2000]), Says::Changed);
    // A target that differs less often is no alarm.
    assert_eq!(of([0, 2000], [50, 2000]), Says::Noise);
    let alone = |kind, target| says(&[evidence(kind, target, [0, 0])], false)[0];
    assert_eq!(alone(Kind::Value, [1000, 1000]), Says::Always);
    assert_eq!(alone(Kind::Value, [10, 1000]), Says::Differs);
    assert_eq!(alone(Kind::Status, [1000, 1000]), Says::Differs);
    assert_eq!(alone(Kind::Missing, [1000, 1000]), Says::Differs);
}

#[test]
fn what_happened_in_one_moment_is_one() {
    let mut burst = evidence(Kind::Value, [0, 5000], [0, 5000]);
    burst.counts[0].responses = 300;
    for millis in 0..1500 {
        burst.counts[0]
            .moments
            .add(Duration::from_millis(30_000 + millis));
    }
    assert_eq!(says(&[burst], true), [Says::CannotTell]);
    let spread = evidence(Kind::Value, [300, 5000], [0, 5000]);
    assert_eq!(says(&[spread], true), [Says::Changed]);
}

#[test]
fn places_that_cannot_be_called_changed_are_not_tested() {
    assert_eq!(tested(Vec::new()), 0);
    assert_eq!(tested(vec![0.04]), 1);
    // Ten that could reach 0.05 / 3 and no less, three that could reach anything.
    let least = [vec![0.011; 10], vec![1e-9; 3]].concat();
    assert_eq!(tested(least), 5);
    let none = evidence(Kind::Value, [0, 100], [1, 100]);
    let judge = Judge::new([none; 50].iter(), true, SPAN);
    assert_eq!(judge.tested(), 0);
}

/// The places of a run of two equal servers. `share` is how often each differs.
struct Null {
    /// Fields, by how often they differ from the online server's for either server.
    shares: Vec<f64>,
    responses: u64,
    /// All fields of a response differ together, or each by itself.
    is_correlated: bool,
    /// Differences come in bursts of so many milliseconds: both of the kind that one cause makes.
    burst_ms: u64,
    /// Each response asks its baseline too: the online server's own oddities hit both.
    shared: f64,
}

impl Null {
    fn run(&self, random: &mut Rand64) -> Vec<Evidence> {
        let mut list: Vec<Evidence> = self
            .shares
            .iter()
            .map(|_| evidence(Kind::Value, [0, self.responses], [0, self.responses]))
            .collect();
        let mut bursts = vec![[(0_u64, false); 2]; self.shares.len()];
        for response in 0..self.responses {
            let at = SPAN.mul_f64(response as f64 / self.responses as f64);
            let millis = u64::try_from(at.as_millis()).unwrap();
            let odd = random.rand_float() < self.shared;
            let common = [random.rand_float(), random.rand_float()];
            for (index, share) in self.shares.iter().enumerate() {
                for arm in 0..2 {
                    let draw = if self.is_correlated {
                        common[arm]
                    } else {
                        random.rand_float()
                    };
                    let differs = if self.burst_ms > 0 {
                        let (until, differs) = &mut bursts[index][arm];
                        if millis >= *until {
                            *until = millis + self.burst_ms;
                            *differs = random.rand_float() < *share;
                        }
                        *differs
                    } else {
                        draw < *share
                    };
                    if differs || odd {
                        list[index].counts[arm].responses += 1;
                        list[index].counts[arm].moments.add(at);
                    }
                }
            }
        }
        list
    }

    /// In how many runs of [`RUNS`] there is an alarm.
    fn alarms(&self, seed: u64) -> u64 {
        let mut random = Rand64::new(seed.into());
        (0..RUNS)
            .filter(|_| says(&self.run(&mut random), true).contains(&Says::Changed))
            .count() as u64
    }
}

fn null(shares: Vec<f64>) -> Null {
    Null {
        shares,
        responses: 400,
        is_correlated: false,
        burst_ms: 0,
        shared: 0.0,
    }
}

fn many(count: u16) -> Vec<f64> {
    // From fields that hardly ever differ to those that always do.
    (0..count)
        .map(|index| [0.001, 0.01, 0.05, 0.3, 0.5, 0.9, 1.0, 0.0][usize::from(index % 8)])
        .collect()
}

#[test]
fn two_equal_servers_have_an_alarm_in_one_run_of_twenty_at_most() {
    let most = RUNS as f64 * FALSE_ALARM_RATE;
    let small = |responses, shares| Null {
        responses,
        ..null(shares)
    };
    for (name, null) in [
        ("one field that differs half the time", null(vec![0.5])),
        ("one field that differs rarely", null(vec![0.02])),
        ("8 fields, 1,000 responses", small(1000, many(8))),
        ("100 fields", null(many(100))),
        ("100 fields, 50 responses", small(50, many(100))),
        ("100 fields that all differ rarely", null(vec![0.01; 100])),
        (
            "100 fields that differ together",
            Null {
                is_correlated: true,
                ..null(vec![0.1; 100])
            },
        ),
        (
            "20 fields, bursts of 200 ms",
            Null {
                burst_ms: 200,
                ..null(many(20))
            },
        ),
        (
            "20 fields, bursts of 1 s",
            Null {
                burst_ms: 1000,
                ..null(many(20))
            },
        ),
        (
            "20 fields, bursts of 3 s",
            Null {
                burst_ms: 3000,
                ..null(many(20))
            },
        ),
        (
            "20 fields, bursts of 10 s",
            Null {
                burst_ms: 10_000,
                ..null(many(20))
            },
        ),
        (
            "20 fields, the online server is odd in 3 %",
            Null {
                shared: 0.03,
                ..null(many(20))
            },
        ),
    ] {
        let alarms = null.alarms(7);
        println!("{name}: {alarms} of {RUNS} runs");
        assert!(alarms as f64 <= most, "{name}: {alarms} of {RUNS}");
    }
}

#[test]
fn a_change_of_one_response_in_a_hundred_is_found() {
    // Beside 99 fields of two equal servers, one that has changed.
    for (responses, share, least) in [
        (2000, 0.01, 950),
        (1000, 0.02, 950),
        (1000, 0.01, 300),
        (300, 0.1, 950),
        (100, 1.0, 1000),
    ] {
        let mut random = Rand64::new(9);
        let found = (0..RUNS)
            .filter(|_| {
                let mut list: Vec<Evidence> = many(99)
                    .into_iter()
                    .map(|share| {
                        let differ = |random: &mut Rand64| {
                            (0..responses)
                                .filter(|_| random.rand_float() < share)
                                .count() as u64
                        };
                        let counts = [differ(&mut random), differ(&mut random)];
                        evidence(Kind::Value, [counts[0], responses], [counts[1], responses])
                    })
                    .collect();
                let changed = (0..responses)
                    .filter(|_| random.rand_float() < share)
                    .count() as u64;
                list.push(evidence(Kind::Value, [changed, responses], [0, responses]));
                says(&list, true)[99] == Says::Changed
            })
            .count();
        println!("{share} of {responses} responses: found in {found} of {RUNS} runs");
        assert!(found >= least, "{share} of {responses}: {found}");
    }
}
