//! What the closing table says of a run.

use std::time::{Duration, SystemTime};

use session::{Counters, Outcome, Response, RuleId, TurnEnded};

use super::{Details, Table, millis, percent, percent_up};
use crate::figures::grouped;
use crate::{
    Differences, Feedback, Figures, KernelCounters, Latency, Ledger, Mode, RunTotals, Spread,
    State, Summary, WorkerTotals,
};

#[test]
fn what_is_not_whole_never_reads_100() {
    assert_eq!(percent(1.0), "100 %");
    assert_eq!(percent(0.999_999_9), "99.999 %");
    assert_eq!(percent(0.0), "0.000 %");
    assert_eq!(percent_up(0.000_000_1), "0.001 %");
}

#[test]
fn numbers_are_read_at_a_glance() {
    let groups = [0, 999, 1_000, 1_234_567].map(grouped);
    assert_eq!(groups, ["0", "999", "1,000", "1,234,567"]);
    let times = [160, 9_999, 10_500, 99_000, 273_000, 17_300_000].map(millis);
    assert_eq!(
        times,
        [
            "0.16 ms", "10.00 ms", "10.5 ms", "99.0 ms", "273 ms", "17.3 s"
        ]
    );
}

fn run() -> RunTotals {
    RunTotals {
        mode: Mode::Direct,
        state: State::Ended,
        started: SystemTime::UNIX_EPOCH,
        about: crate::About::default(),
        ready: Some(std::time::SystemTime::UNIX_EPOCH),
        ended: None,
        drain: Duration::ZERO,
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
        replay: None,
        comparison: None,
        tap: None,
        changes: crate::Changes::default(),
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
    for words in [
        "TAKEN     -         NOTHING TO JUDGE",
        "          nothing was captured: all connections that were seen were open before the start",
        "7 connection(s) that were open before the start left out",
        "THE TARGET CLOSED 5 TIMES",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    run.ledger.record(&missed());
    run.ledger.record_missed(RuleId(0), 32);
    run.engine.sessions_shed = 1160;
    let summary = Summary::new(&run);
    assert_eq!(summary.bytes.get("missed"), Some(&42));
    let text = Table(&summary).to_string();
    for words in [
        "TAKEN     0.000 %   0 of 1,161 requests",
        "1 missed: its connection could not be copied here any more",
        "1,160 left out by --max-sessions",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

#[test]
fn a_residue_is_shouted() {
    let text = Table(&Summary::new(&run())).to_string();
    for words in [
        "COUNTERS  DO NOT ADD UP",
        "          online, residue -3",
        "A LOOP ENDED THE RUN: 10.0.0.9 asks the online service what 10.0.0.2:80",
        "          nothing was captured: ",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

/// What is for developers is not in the way of who reads five lines.
#[test]
fn counters_stand_among_the_details_alone() {
    let mut run = run();
    run.engine.client_packets = 8008;
    let summary = Summary::new(&run);
    assert!(!Table(&summary).to_string().contains("client_packets"));
    assert!(
        Details(&summary)
            .to_string()
            .contains("client_packets 8008")
    );
}

/// A run of three rules: one was taken, one was reset, of one nothing came.
#[test]
fn each_rule_of_several_has_a_line() {
    let mut run = run();
    let rules = ["port 80 -> a", "port 81 -> b", "port 82 -> c"];
    run.rules = rules.map(str::to_owned).to_vec();
    run.ledger = Ledger::new(3);
    let text = Table(&Summary::new(&run)).to_string();
    assert!(text.contains("direct  3 rules  1.0 s  seed"), "{text}");
    for rule in rules {
        let line = format!("          -         nothing captured             {rule}\n");
        assert!(text.contains(&line), "no `{line}` in {text}");
    }
    for (rule, outcome) in [(0, Outcome::Answered), (1, Outcome::Reset)] {
        run.ledger.record(&TurnEnded::unseen(RuleId(rule), outcome));
    }
    let text = Table(&Summary::new(&run)).to_string();
    for words in [
        "TAKEN     50.000 %  1 of 2 requests",
        "          100 %     1 of 1 requests              port 80 -> a\n",
        "          0.000 %   0 of 1 requests              port 81 -> b\n",
        "          -         nothing captured             port 82 -> c\n",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

#[test]
fn a_run_of_less_than_a_second_has_a_length() {
    let mut run = run();
    run.rules = vec!["a to b".to_owned()];
    run.ledger = Ledger::new(1);
    (run.duration, run.drain) = (Duration::from_millis(40), Duration::ZERO);
    let text = Table(&Summary::new(&run)).to_string();
    assert!(text.contains("  a to b  40 ms  seed"), "{text}");
    (run.duration, run.drain) = (Duration::from_millis(12_500), Duration::from_millis(500));
    let text = Table(&Summary::new(&run)).to_string();
    assert!(
        text.contains("  a to b  12.0 s + drain 500 ms  seed"),
        "{text}"
    );
}

/// Marks and columns stand below each other, and what all gates have in common is said once.
#[test]
fn columns_are_columns() {
    let mut run = run();
    run.rules = vec!["a to b".to_owned()];
    run.ledger = Ledger::new(1);
    run.about.gates = crate::Gates {
        fidelity_min: Some(0.999),
        slower_max: Some(crate::SlowerMax::Share(0.2)),
        ..crate::Gates::default()
    };
    let text = Table(&Summary::new(&run)).to_string();
    assert_eq!(text.matches("nothing to judge").count(), 1, "{text}");
    for _ in 0..10 {
        run.ledger
            .record(&TurnEnded::unseen(RuleId(0), Outcome::Answered));
        for series in crate::latency::Series::COMPARED {
            run.latency.add_time(series, Duration::from_micros(123_456));
        }
    }
    let late = TurnEnded {
        lag: Duration::from_micros(99_900),
        ..TurnEnded::unseen(RuleId(0), Outcome::Answered)
    };
    let mut recorder = crate::Recorder::new();
    recorder.record(&late);
    recorder.drain_into(&mut run.latency);
    let text = Table(&Summary::new(&run)).to_string();
    let columns = |what: &str, names: &[&str]| {
        let lines = text
            .lines()
            .filter(|line| names.iter().any(|name| line.starts_with(name)));
        let found: Vec<_> = lines.filter_map(|line| line.rfind(what)).collect();
        (found.len(), found.windows(2).all(|pair| pair[0] == pair[1]))
    };
    assert_eq!(columns(" ok", &["TAKEN", "COPY"]), (2, true), "{text}");
    let gates = ["GATE", "          ?", "          ok"];
    assert_eq!(columns("wanted", &gates), (2, true), "{text}");
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
    assert!(!table(&run).contains(" not compared:"), "one of 200");
    for _ in 0..2 {
        run.differences.record(&turn(false), SystemTime::now);
    }
    let text = table(&run);
    assert!(text.contains("  3 not compared: "), "{text}");
}

#[test]
fn the_place_that_differs_most_stands_below_the_answers() {
    let mut run = run();
    let response = Some(Response {
        first: Duration::ZERO,
        last: Duration::ZERO,
        bytes: 1,
    });
    let turn = TurnEnded {
        outcome: Outcome::Answered,
        paired: true,
        online: response,
        target: response,
        ..missed()
    };
    run.differences.record(&turn, SystemTime::now);
    let mut report = comparison::Report {
        has_baseline: true,
        changed: 3,
        ..comparison::Report::default()
    };
    report.largest = Some(comparison::report::Largest {
        method: "GET".to_owned(),
        route: "/users/*".to_owned(),
        kind: comparison::Kind::Value,
        name: ".price".to_owned(),
        responses: 24,
        of: 2400,
        share: 0.01,
    });
    run.comparison = Some(report.clone());
    let table = Table(&Summary::new(&run)).to_string();
    let words = "BEYOND NOISE, GET /users/* .price: another value in 24 of 2400";
    assert!(table.contains(words), "{table}");
    assert!(table.contains("and 2 places more"), "{table}");
    let words = "differ    by contents, 1 compared";
    assert!(table.contains(words), "{table}");

    report.largest = None;
    report.responses.compared = 2400;
    for (differing, has_baseline, words) in [
        (
            0,
            false,
            "contents of 2,400 compared, by 0 route(s): all the same",
        ),
        (9, true, "route(s): nothing beyond noise"),
        (9, false, "nothing but what differs always"),
    ] {
        report.responses.differing = differing;
        report.has_baseline = has_baseline;
        run.comparison = Some(report.clone());
        let table = Table(&Summary::new(&run)).to_string();
        assert!(table.contains(words), "{table}");
    }
}
