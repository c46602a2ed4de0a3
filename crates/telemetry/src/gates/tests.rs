//! What gates say of runs.

use std::time::SystemTime;

use session::{Outcome, Response, RuleId, TurnEnded};

use super::{Answer, Gates, Passage, SlowerMax, passage};
use crate::metrics::tests::totals;
use crate::{RunTotals, State, Summary};

fn all() -> Gates {
    Gates {
        fidelity_min: Some(0.999),
        differing_max: Some(0.001),
        difference_max: None,
        slower_max: Some(SlowerMax::Share(0.2)),
        lag_max_us: None,
        requests_min: Some(100),
        is_strict: false,
    }
}

/// A run that asks all of this.
fn run(gates: Gates) -> RunTotals {
    let mut run = totals();
    run.state = State::Ended;
    run.about.gates = gates;
    run
}

fn record(run: &mut RunTotals, turns: u64, bytes_of_target: u64) {
    for _ in 0..turns {
        let response = |bytes| {
            Some(Response {
                first: std::time::Duration::ZERO,
                last: std::time::Duration::ZERO,
                bytes,
            })
        };
        let turn = TurnEnded {
            paired: true,
            online: response(100),
            target: response(bytes_of_target),
            ..TurnEnded::unseen(RuleId(0), Outcome::Answered)
        };
        run.ledger.record(&turn);
        run.differences.record(&turn, SystemTime::now);
    }
}

fn answers(run: &RunTotals) -> (Vec<Answer>, Passage) {
    let summary = Summary::new(run);
    let answers = summary.gates.iter().map(|gate| gate.result).collect();
    (answers, summary.passage())
}

#[test]
fn nothing_is_judged_where_there_is_nothing() {
    let (answers_, passed) = answers(&run(all()));
    assert_eq!(
        (answers_, passed),
        (vec![Answer::CannotTell; 4], Passage::NotJudged)
    );
    let strict = Gates {
        is_strict: true,
        ..all()
    };
    assert_eq!(
        answers(&run(strict)).1,
        Passage::NotJudged,
        "nothing, even so"
    );
    assert_eq!(answers(&run(Gates::default())).1, Passage::NoGate);
    let mut never = run(all());
    record(&mut never, 200, 100);
    never.ready = None;
    assert_eq!(answers(&never).1, Passage::NotJudged, "never ready");
}

#[test]
fn each_gate_fails_for_what_it_is_about() {
    let only = |gates: Gates| {
        let mut run = run(gates);
        record(&mut run, 998, 100);
        record(&mut run, 2, 99);
        run.ledger
            .record(&TurnEnded::unseen(RuleId(0), Outcome::Gap));
        answers(&run)
    };
    let passes = |gates: Gates| only(gates).1 == Passage::Passed;
    let none = Gates::default();
    for (least, is_met) in [(0.999, true), (0.9991, false)] {
        let gates = Gates {
            fidelity_min: Some(least),
            ..none
        };
        assert_eq!(passes(gates), is_met, "{least}");
    }
    for (most, is_met) in [(0.002, true), (0.0019, false), (0.0, false)] {
        let gates = Gates {
            differing_max: Some(most),
            ..none
        };
        assert_eq!(passes(gates), is_met, "{most}");
    }
    for (least, is_met) in [(1001, true), (1002, false)] {
        let gates = Gates {
            requests_min: Some(least),
            ..none
        };
        assert_eq!(passes(gates), is_met, "{least}");
    }
    let (answers, passed) = only(all());
    let expected = [Answer::Ok, Answer::Failed, Answer::CannotTell, Answer::Ok];
    assert_eq!(
        (answers.as_slice(), passed),
        (expected.as_slice(), Passage::Failed)
    );
}

/// A copy that fell behind, and has copied everything in the end.
#[test]
fn a_copy_that_fell_behind_fails_where_it_is_to() {
    let late = TurnEnded {
        lag: std::time::Duration::from_millis(1500),
        ..TurnEnded::unseen(RuleId(0), Outcome::Answered)
    };
    for (most, expected) in [(1_000_000, Answer::Failed), (1_600_000, Answer::Ok)] {
        let mut run = run(Gates {
            lag_max_us: Some(most),
            ..Gates::default()
        });
        record(&mut run, 10, 100);
        assert_eq!(answers(&run).0, [Answer::CannotTell], "none has left");
        let mut recorder = crate::Recorder::new();
        for _ in 0..10 {
            recorder.record(&late);
        }
        recorder.drain_into(&mut run.latency);
        assert_eq!(answers(&run).0, [expected], "{most}");
    }
}

/// What cannot be told is no failure unless that was asked for, and no success.
#[test]
fn doubt_fails_where_it_is_to() {
    for (is_strict, expected) in [(false, Passage::NotJudged), (true, Passage::Failed)] {
        let mut run = run(Gates {
            slower_max: Some(SlowerMax::Micros(5_000)),
            is_strict,
            ..Gates::default()
        });
        record(&mut run, 10, 100);
        assert_eq!(answers(&run).1, expected);
    }
}

/// Whoever reads that a gate cannot tell reads what would let it.
#[test]
fn doubt_names_what_would_settle_it() {
    let mut run = run(Gates {
        slower_max: Some(SlowerMax::Share(0.2)),
        ..Gates::default()
    });
    run.duration = std::time::Duration::from_secs(15);
    for second in 0..15u64 {
        for turn in 0..40 {
            for series in crate::latency::Series::COMPARED {
                let micros = 1_000 + (second * 7 + turn * 13) % 40 * 50;
                run.latency
                    .add_time(series, std::time::Duration::from_micros(micros));
            }
        }
        run.spread.look(&run.latency);
    }
    record(&mut run, 600, 100);
    let summary = Summary::new(&run);
    let why = &summary.gates[0].why;
    assert!(
        why.starts_with("p99 cannot tell: 600 requests in 15 s; some ")
            && why.contains(" would tell ("),
        "{why}"
    );
    let wanted = summary.verdict.last.p99.would_tell.unwrap();
    assert!(why.ends_with(&wanted.to_string()), "{why}, but {wanted}");
    let table = crate::table::Table(&summary).to_string();
    assert!(table.contains(&format!("          {wanted}\n")), "{table}");
}

#[test]
fn the_words_are_those_of_the_command_line() {
    let mut run = run(all());
    record(&mut run, 10, 100);
    let gates = Summary::new(&run).gates;
    let words: Vec<(&str, &str)> = gates
        .iter()
        .map(|gate| (gate.wanted.as_str(), gate.found.as_str()))
        .collect();
    assert_eq!(words[0], (">= 99.9 %", "100.000 %"));
    assert_eq!(words[1], ("<= 0.1 %", "0.000 %"));
    assert_eq!(words[2].0, "<= +20 %");
    assert_eq!(words[3], (">= 100", "10"));
    let json = serde_json::to_value(&gates[3]).unwrap();
    assert_eq!(json["result"], "failed");
    assert_eq!(passage(&gates, false, false), Passage::Failed);
}
