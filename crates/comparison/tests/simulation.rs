//! Made-up servers, whose responses go through digests and comparison: what is found, and what is not.

#[path = "simulation/servers.rs"]
mod servers;

use core::time::Duration;
use std::sync::Arc;

use comparison::report::PlaceReport;
use comparison::{Answers, Arm, Comparison, Kind, Report, Says, Tally};
use oorandom::Rand64;
use proptest::prelude::{any, prop_assert_eq, proptest};
use protocol::digest::{Digest, Digests, Headers, Key};
use servers::{Asked, Build, Server};

/// How long each run is.
const SPAN: Duration = Duration::from_secs(60);

/// A run of so many requests.
struct Run {
    seed: u64,
    requests: u64,
    target: Build,
    has_baseline: bool,
}

/// What happened to one request.
struct Happened {
    asked: Asked,
    at: Duration,
    online: Digest,
    target: Digest,
    baseline: Option<Digest>,
}

impl Run {
    fn digests(&self) -> Arc<Digests> {
        let key = Key {
            k0: self.seed,
            k1: 17,
        };
        Arc::new(Digests::new(key, Headers::default()))
    }

    fn happen(&self, digests: &Arc<Digests>, mut each: impl FnMut(&Happened)) {
        let mut random = Rand64::new(self.seed.into());
        let mut online = Server::new(Build::Old, random.rand_u64());
        let mut target = Server::new(self.target, random.rand_u64());
        let mut baseline = Server::new(Build::Old, random.rand_u64());
        for number in 0..self.requests {
            let at = SPAN.mul_f64(number as f64 / self.requests as f64);
            let asked = Asked::new(&mut random);
            let happened = Happened {
                online: online.answer(digests, &asked, at),
                target: target.answer(digests, &asked, at + Duration::from_millis(3)),
                baseline: self
                    .has_baseline
                    .then(|| baseline.answer(digests, &asked, at + Duration::from_millis(2))),
                asked,
                at,
            };
            each(&happened);
        }
    }

    fn report(&self) -> Report {
        let digests = self.digests();
        let mut comparison = Comparison::new(Arc::clone(&digests), Vec::new());
        self.happen(&digests, |happened| record(&mut comparison, happened));
        comparison.drain().report()
    }
}

fn record(comparison: &mut Comparison, happened: &Happened) {
    let (method, target) = (&happened.asked.method, &happened.asked.target);
    let asked = protocol::Asked::path(method.as_bytes(), target.as_bytes());
    let answers = |other| Answers {
        online: &happened.online,
        online_time: Some(Duration::from_millis(4)),
        other: Some(other),
        other_time: Some(Duration::from_millis(5)),
    };
    comparison.record(Arm::Target, &asked, &answers(&happened.target), happened.at);
    if let Some(baseline) = &happened.baseline {
        comparison.record(Arm::Baseline, &asked, &answers(baseline), happened.at);
    }
}

/// The places that are called changed, with their routes.
fn changed(report: &Report) -> Vec<(String, Kind, String)> {
    let groups = report.groups.iter();
    let places = groups.flat_map(|group| group.places.iter().map(move |place| (group, place)));
    let changed = places.filter(|(_, place)| place.says == Says::Changed);
    changed
        .map(|(group, place)| {
            let route = format!("{} {}", group.method, group.route);
            (route, place.kind, place.name.clone())
        })
        .collect()
}

fn place<'a>(report: &'a Report, route: &str, name: &str) -> Option<&'a PlaceReport> {
    let group = report.groups.iter().find(|group| group.route == route)?;
    group.places.iter().find(|place| place.name == name)
}

#[test]
fn one_field_of_one_response_in_a_hundred_is_found_and_nothing_else() {
    let (mut found, mut more) = (0, 0);
    for seed in 0..100 {
        let run = Run {
            seed,
            requests: 6000,
            target: Build::PriceOfOneInAHundred,
            has_baseline: true,
        };
        let report = run.report();
        let changed = changed(&report);
        let wanted = (
            "GET /users/*".to_owned(),
            Kind::Value,
            ".account.price".to_owned(),
        );
        found += u64::from(changed.contains(&wanted));
        more += u64::from(changed.len() as u64 > u64::from(changed.contains(&wanted)));
        if changed.contains(&wanted) {
            let first = &report.groups[0];
            assert_eq!(
                (&*first.route, &*first.places[0].name),
                ("/users/*", ".account.price")
            );
            let largest = report.largest.clone().unwrap();
            assert_eq!(
                (largest.kind, &*largest.name),
                (Kind::Value, ".account.price")
            );
            assert!((0.003..0.03).contains(&largest.share), "{largest:?}");
        }
    }
    println!("found in {found} of 100 runs, something else in {more}");
    assert!(found >= 98 && more <= 5, "{found}, {more}");
}

#[test]
fn two_equal_servers_are_silent_in_95_of_100_runs() {
    let mut alarms = Vec::new();
    for seed in 1000..1100 {
        let run = Run {
            seed,
            requests: 3000,
            target: Build::Old,
            has_baseline: true,
        };
        let report = run.report();
        assert!(report.responses.differing > report.responses.compared / 2);
        if report.changed > 0 {
            alarms.push((seed, changed(&report)));
        }
    }
    println!("alarms: {alarms:?}");
    assert!(alarms.len() <= 5, "{alarms:?}");
}

#[test]
fn changes_of_form_are_found_whatever_else_differs() {
    for (build, route, kind, name) in [
        (
            Build::FieldIsMissing,
            "GET /items",
            Kind::Missing,
            ".items[].title",
        ),
        (
            Build::FieldIsNew,
            "POST /orders",
            Kind::Added,
            ".order.colour",
        ),
        (Build::Fails, "GET /health", Kind::Status, ""),
        (
            Build::OtherHeader,
            "GET /pages/about",
            Kind::Header,
            "cache-control",
        ),
        (Build::OtherPage, "GET /pages/about", Kind::Length, ""),
        (Build::OtherOrder, "GET /sorted", Kind::Order, ".names[]"),
    ] {
        let run = Run {
            seed: 5,
            requests: 3000,
            target: build,
            has_baseline: true,
        };
        let wanted = (route.to_owned(), kind, name.to_owned());
        assert_eq!(changed(&run.report()), [wanted], "{build:?}");
    }
}

#[test]
fn without_a_baseline_nothing_is_called_changed_and_clocks_are_named() {
    let mut run = Run {
        seed: 3,
        requests: 3000,
        target: Build::PriceOfOneInAHundred,
        has_baseline: false,
    };
    let report = run.report();
    assert!(!report.has_baseline && report.changed == 0);
    let says = |route, name| place(&report, route, name).map(|place| place.says);
    assert_eq!(says("/users/*", ".account.price"), Some(Says::Differs));
    assert_eq!(says("/users/*", ".request_id"), Some(Says::Always));
    assert_eq!(says("/orders", ".order.id"), Some(Says::Always));
    run.target = Build::Fails;
    let report = run.report();
    let health = place(&report, "/health", "").map(|place| (place.kind, place.says));
    assert_eq!(health, Some((Kind::Status, Says::Differs)));
    assert!(report.largest.unwrap().share > 0.9);
}

#[test]
fn no_value_and_no_hash_of_one_leaves() {
    let run = Run {
        seed: 11,
        requests: 500,
        target: Build::PriceOfOneInAHundred,
        has_baseline: true,
    };
    let digests = run.digests();
    let mut comparison = Comparison::new(Arc::clone(&digests), Vec::new());
    let mut hashes: Vec<u64> = Vec::new();
    run.happen(&digests, |happened| {
        record(&mut comparison, happened);
        for digest in [&happened.online, &happened.target] {
            hashes.extend([digest.sent.hash, digest.body().hash]);
            hashes.extend(digest.headers.iter().map(|header| header.hash));
            if let protocol::digest::Fields::Known(fields) = &digest.fields {
                hashes.extend(
                    fields
                        .iter()
                        .flat_map(|field| [field.in_order, field.any_order]),
                );
            }
        }
    });
    hashes.sort_unstable();
    hashes.dedup();
    assert!(hashes.len() > 1000);
    let report = comparison.drain().report();
    let json = serde_json::to_string(&report).unwrap();
    for secret in servers::SECRETS {
        assert!(!json.contains(secret), "{secret}");
    }
    // Neither as they are nor as text, in either base; of a short text anything could be part.
    for hash in hashes.iter().filter(|hash| **hash > 1 << 40) {
        assert!(!json.contains(&hash.to_string()) && !json.contains(&format!("{hash:x}")));
    }
    // Whatever is as long as a hash is none: no run of digits is.
    let longest = json
        .split(|letter: char| !letter.is_ascii_hexdigit())
        .map(str::len)
        .max();
    assert!(longest < Some(18), "{longest:?} in {json}");
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 30, failure_persistence: None, ..Default::default() })]

    #[test]
    fn workers_add_up_however_they_are_asked(seed in any::<u64>(), order in any::<u64>()) {
        let run = Run { seed, requests: 150, target: Build::PriceOfOneInAHundred, has_baseline: true };
        let digests = run.digests();
        let mut random = Rand64::new(order.into());
        let mut undrained = Comparison::new(Arc::clone(&digests), Vec::new());
        let mut workers: Vec<Comparison> = (0..3).map(|_| Comparison::new(Arc::clone(&digests), Vec::new())).collect();
        let mut tallies = Vec::new();
        run.happen(&digests, |happened| {
            let index = random.rand_range(0..3) as usize;
            if index == 0 {
                record(&mut undrained, happened);
            }
            let worker = &mut workers[index];
            record(worker, happened);
            if random.rand_float() < 0.05 {
                tallies.push((index, worker.drain()));
            }
        });
        tallies.extend(workers.iter_mut().map(Comparison::drain).enumerate());
        let of_first = tallies.iter().filter(|(index, _)| *index == 0);
        let first = of_first.fold(Tally::default(), |mut sum, (_, tally)| { sum.unite(tally); sum });
        prop_assert_eq!(first, undrained.drain());
        let mut tallies: Vec<Tally> = tallies.into_iter().map(|(_, tally)| tally).collect();
        // In any order, and added up in pairs first or one by one.
        for last in (1..tallies.len()).rev() {
            tallies.swap(last, random.rand_range(0..last as u64 + 1) as usize);
        }
        let one_by_one = tallies.iter().fold(Tally::default(), |mut sum, tally| { sum.unite(tally); sum });
        while tallies.len() > 1 {
            let last = tallies.pop().unwrap();
            let at = random.rand_range(0..tallies.len() as u64) as usize;
            tallies[at].unite(&last);
        }
        prop_assert_eq!(&one_by_one, &tallies[0]);
        prop_assert_eq!(one_by_one.report(), tallies[0].report());
    }
}
