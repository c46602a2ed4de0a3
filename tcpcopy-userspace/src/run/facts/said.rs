//! A comparison that is made up: one field has changed, a clock is noise.

use comparison::report::{GroupReport, Largest, PlaceReport, Responses, Statuses};
use comparison::times::Quantiles;
use comparison::{Kind, Report, Says};

/// A route whose target says another price in one response of a hundred, beside a baseline.
pub(super) fn report() -> Report {
    let responses = Responses {
        compared: 2400,
        differing: 2350,
        baseline_compared: 2398,
        baseline_differing: 2340,
    };
    let times = Quantiles {
        count: 2400,
        p50: 4000,
        p90: 5000,
        p99: 9000,
        max: 20_000,
    };
    let unread = ["not_json", "malformed", "too_deep", "too_long", "coding"];
    let unread = unread.into_iter().chain(["undecodable", "busy", "hidden"]);
    Report {
        has_baseline: true,
        false_alarm_rate: 0.05,
        tested: 5,
        level: 0.01,
        changed: 1,
        responses,
        unread: unread.map(|why| (why, 0)).collect(),
        largest: Some(Largest {
            method: "GET".to_owned(),
            route: "/users/*".to_owned(),
            kind: Kind::Value,
            name: ".account.price".to_owned(),
            responses: 24,
            of: 2400,
            share: 0.01,
        }),
        groups: vec![GroupReport {
            method: "GET".to_owned(),
            route: "/users/*".to_owned(),
            responses,
            statuses: vec![Statuses {
                online: 200,
                other: 200,
                responses: 2400,
                baseline_responses: 2398,
            }],
            online_us: times,
            target_us: times,
            baseline_us: Some(times),
            places: vec![
                place(Kind::Value, ".account.price", Says::Changed, 24, 0),
                place(Kind::Value, ".request_id", Says::Noise, 2350, 2340),
            ],
            places_unlisted: 0,
        }],
        groups_unlisted: 0,
        refused: 0,
    }
}

fn place(kind: Kind, name: &str, says: Says, target: u64, baseline: u64) -> PlaceReport {
    PlaceReport {
        kind,
        name: name.to_owned(),
        says,
        responses: target,
        of: 2400,
        having: 2400,
        baseline_responses: baseline,
        baseline_of: 2398,
        probability: Some(if says == Says::Changed { 1e-7 } else { 1.0 }),
    }
}
