//! What the closing table says of a run.

use std::time::{Duration, SystemTime};

use session::{Counters, Outcome, Response, RuleId, TurnEnded};

use super::{Table, percent};
use crate::{
    Differences, Feedback, Figures, KernelCounters, Latency, Ledger, Mode, RunTotals, Spread,
    State, Summary, WorkerTotals,
};

#[test]
fn what_is_not_whole_never_reads_100() {
    assert_eq!(percent(1.0), "100.000 %");
    assert_eq!(percent(0.999_999_9), "99.999 %");
    assert_eq!(percent(0.0), "0.000 %");
}

fn run() -> RunTotals {
    RunTotals {
        mode: Mode::Direct,
        state: State::Ended,
        started: SystemTime::UNIX_EPOCH,
        about: crate::About::default(),
        ready: Some(std::time::SystemTime::UNIX_EPOCH),
        duration: Duration::from_secs(1),
        rules: Vec::new(),
        ledger: Ledger::new(0),
        turns_open: 0,
        sessions_open: 0,
        budget: Figures::new(),
        latency: Latency::new(),
        spread: Spread::new(),
        differences: Differences::default(),
        engine: Counters {
            online_packets: 3,
            ..Counters::default()
        },
        workers: WorkerTotals::default(),
        kernel: KernelCounters::default(),
        cpu_seconds: Figures::new(),
        notes: Figures::new(),
        warnings: crate::Warnings::default(),
        feedback: Some(Feedback {
            client: "10.0.0.9".to_owned(),
            target: "10.0.0.2:80".to_owned(),
            requests_per_second: 560.0,
            requests: 4000,
            holds: 11,
            expected: 410.4,
            observed: 2,
        }),
    }
}

/// A turn that was not copied.
fn missed() -> TurnEnded {
    TurnEnded {
        bytes: 10,
        ..TurnEnded::unseen(RuleId(0), Outcome::Missed)
    }
}

#[test]
fn what_was_not_copied_stands_in_the_first_line() {
    let mut run = run();
    run.ledger = Ledger::new(1);
    run.rules = vec!["a to b".to_owned()];
    run.engine.left_out_open_before_flows = 7;
    run.engine.target_closes = 5;
    let text = Table(&Summary::new(&run)).to_string();
    let first = text.lines().next().unwrap_or_default();
    assert!(
        first.ends_with(
            "NOTHING WAS COPIED; 7 connection(s) that were open before the start left out"
        ),
        "{text}"
    );
    assert!(text.contains("THE TARGET CLOSED 5 TIMES"), "{text}");
    assert!(!text.contains("-i names the interfaces"), "{text}");
    run.ledger.record(&missed());
    run.ledger.record_missed(RuleId(0), 32);
    let summary = Summary::new(&run);
    assert_eq!(summary.bytes.get("missed"), Some(&42));
    let text = Table(&summary).to_string();
    assert!(
        text.contains("0 of 1 turns answered, fidelity 0.000 %, 1 MISSED; 7 connection(s)"),
        "{text}"
    );
}

#[test]
fn a_residue_is_shouted() {
    let text = Table(&Summary::new(&run())).to_string();
    assert!(
        text.contains("DOES NOT ADD UP: online, residue -3"),
        "{text}"
    );
    assert!(
        text.contains("A LOOP ENDED THE RUN: 10.0.0.9 asks the online service what 10.0.0.2:80"),
        "{text}"
    );
    assert!(
        text.contains("direct mode, 1.0 s: NOTHING WAS CAPTURED"),
        "{text}"
    );
}
/// Whoever reads how many were answered is told how many of them may not have been.
#[test]
fn turns_in_doubt_are_told() {
    let response = Some(Response {
        first: Duration::ZERO,
        last: Duration::ZERO,
        bytes: 100,
    });
    let turn = |paired| TurnEnded {
        outcome: Outcome::Answered,
        paired,
        online: response,
        target: response,
        ..missed()
    };
    let mut run = run();
    for number in 0..200 {
        run.differences.record(&turn(number != 0), SystemTime::now);
    }
    let table = |run: &RunTotals| Table(&Summary::new(run)).to_string();
    assert!(!table(&run).contains("not compared"), "one of 200");
    for _ in 0..2 {
        run.differences.record(&turn(false), SystemTime::now);
    }
    let text = table(&run);
    assert!(text.contains("  3 responses not compared"), "{text}");
}
