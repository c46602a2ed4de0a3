//! What the documents say of the summary: `docs/summary.md` for readers and `docs/summary.schema.json` for programs, held to what a
//! run really writes and to each other.

use std::collections::BTreeSet;
use std::fs;
use std::time::SystemTime;

use serde_json::Value;
use session::{Outcome, RuleId, TurnEnded};
use telemetry::warning::{Kind, Warning};
use telemetry::{Change, Feedback, Ledger, Replay, fidelity};

use super::runs;
use super::sheet::{Answered, Fact, GATES};

fn read(name: &str) -> String {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn schema() -> Value {
    serde_json::from_str(&read("summary.schema.json")).expect("the schema is JSON")
}

/// A run that has every key that there is.
fn full() -> Fact {
    Fact::new(GATES)
        .answered(600, Answered::default())
        .failed(5)
        .with(|run| {
            run.about.title = Some("a title".to_owned());
            run.replay = Some(Replay {
                words: "a.pcap, as fast as it was captured".to_owned(),
                bytes: 7,
                bytes_total: Some(9),
                share: Some(0.7),
                left_seconds: Some(3.5),
                ..Replay::default()
            });
            run.notes.push("clock_error_us", 77);
            for number in 0..200 {
                let warning = Warning::new(Kind::DeviceMissing, "gone", SystemTime::now());
                let warning = warning.of_rule("80").about(number.to_string());
                run.warnings.raise(warning);
            }
            for number in 0..300 {
                let change = Change {
                    at: String::new(),
                    what: "percent",
                    rule: Some("port 80 -> 10.0.0.2:80".to_owned()),
                    from: "100".to_owned(),
                    to: number.to_string(),
                    by: "user 0, process 1".to_owned(),
                };
                run.changes.push(SystemTime::now(), change);
            }
            run.tap = Some(telemetry::Tap::default());
            run.comparison = Some(super::said::report());
            run.feedback = Some(Feedback {
                client: "10.0.0.9".to_owned(),
                target: "10.0.0.2:80".to_owned(),
                requests_per_second: 560.0,
                requests: 4000,
                holds: 11,
                expected: 410.4,
                observed: 2,
            });
        })
}

#[test]
fn real_summaries_are_of_the_schema() {
    let schema = schema();
    let validator = jsonschema::draft202012::new(&schema).expect("the schema is one");
    let runs = runs::all().into_iter().map(|truth| truth.fact);
    for summary in runs.chain([full()]).map(|fact| fact.summary()) {
        for summary in [summary.clone(), summary.without_curves()] {
            let json = serde_json::to_value(&summary).expect("JSON");
            let errors: Vec<String> = validator
                .iter_errors(&json)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
    }
    // A schema that takes anything would say nothing.
    let json = serde_json::to_value(full().summary()).expect("JSON");
    let keys = json.as_object().expect("an object").keys().cloned();
    for key in keys.collect::<Vec<_>>() {
        let mut other = json.clone();
        let value = other.as_object_mut().expect("an object").remove(&key);
        other["unknown"] = value.unwrap_or_default();
        assert!(!validator.is_valid(&other), "{key} under another name");
    }
    let written: BTreeSet<_> = json.as_object().expect("an object").keys().collect();
    let known = schema["properties"].as_object().expect("keys").keys();
    assert_eq!(written, known.collect(), "every key is written by some run");
}

/// Every key of the schema has a row, and every row is a key.
#[test]
fn every_key_is_documented() {
    let schema = schema();
    let mut known = BTreeSet::new();
    walk(&schema["properties"], "", &mut known);
    for definition in schema["$defs"].as_object().into_iter().flatten() {
        walk(&definition.1["properties"], "", &mut known);
    }
    let page = read("summary.md");
    let (_, keys) = page.split_once("## Keys").expect("a chapter of keys");
    let documented: BTreeSet<String> = rows(keys).map(|row| row[0].to_owned()).collect();
    assert_eq!(documented, known);
    assert!(rows(keys).all(|row| row.get(1).is_some_and(|words| words.len() > 3)));
}

fn walk(properties: &Value, prefix: &str, known: &mut BTreeSet<String>) {
    for (key, value) in properties.as_object().into_iter().flatten() {
        let path = format!("{prefix}{key}");
        walk(&value["properties"], &format!("{path}."), known);
        walk(&value["items"]["properties"], &format!("{path}[]."), known);
        known.insert(path);
    }
}

/// The cells of each row that begins with a name.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let cells = line.trim_end_matches('|').split('|');
            cells.map(|cell| cell.trim().trim_matches('`')).collect()
        })
}

/// Every outcome has a row, in the order of the code, and counts in the fidelity as the row says.
#[test]
fn every_outcome_is_documented() {
    let page = read("summary.md");
    let (_, outcomes) = page.split_once("## Outcomes").expect("outcomes");
    let (outcomes, _) = outcomes.split_once("## Keys").expect("keys");
    let rows: Vec<_> = rows(outcomes).collect();
    let documented: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
    let known = Outcome::ALL.iter().map(|outcome| outcome.name());
    assert_eq!(documented, known.collect());
    for row in &rows {
        let outcome = Outcome::ALL.iter().find(|outcome| outcome.name() == row[0]);
        let outcome = *outcome.expect("one of them");
        let mut ledger = Ledger::new(1);
        ledger.record(&TurnEnded::unseen(RuleId(0), outcome));
        let share = fidelity::fidelity(&ledger.total(), &telemetry::LeftOut::default());
        let word = match share {
            None => "left out",
            Some(share) if share > 0.5 => "taken",
            Some(_) => "not taken",
        };
        assert!(row[3].starts_with(word), "{row:?}: {word}");
        assert!(row.len() == 5 && row.iter().all(|cell| !cell.is_empty()));
    }
}
