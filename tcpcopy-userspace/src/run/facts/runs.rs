//! The runs of the sheet, and what is true of each: what every surface must say.

use std::time::Duration;

use session::Outcome;
use telemetry::{Gates, Replay, State};

use super::sheet::{Answered, Fact, GATES};

/// What is true of a run.
pub(super) struct Truth {
    pub(super) name: &'static str,
    pub(super) fact: Fact,
    /// The fidelity in percent, rounded down; `None` where there is nothing to judge.
    pub(super) fidelity: Option<&'static str>,
    /// What becomes of copies: `kept up`, `late`, `BEHIND`, or nothing.
    pub(super) copy: Copy,
    /// The verdict on the last byte: median and 99th percentile.
    pub(super) speed: [&'static str; 2],
    /// Responses that differ, of all compared.
    pub(super) differing: [u64; 2],
    /// Whether the card of the report is green.
    pub(super) is_green: bool,
    pub(super) exit_status: u8,
}

/// What becomes of copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    None,
    KeptUp,
    Behind,
}

const EQUAL: [&str; 2] = ["no_difference", "no_difference"];
const UNKNOWN: [&str; 2] = ["cannot_tell", "cannot_tell"];

fn equal(gates: Gates) -> Fact {
    Fact::new(gates).answered(6_000, Answered::default())
}

/// A run in which nothing was copied.
fn nothing(name: &'static str, fact: Fact) -> Truth {
    Truth {
        name,
        fact,
        fidelity: None,
        copy: Copy::None,
        speed: UNKNOWN,
        differing: [0, 0],
        is_green: false,
        exit_status: 4,
    }
}

/// A run whose target is as good as the online server.
fn good(name: &'static str, fact: Fact) -> Truth {
    Truth {
        name,
        fact,
        fidelity: Some("100.000"),
        copy: Copy::KeptUp,
        speed: EQUAL,
        differing: [0, 6_000],
        is_green: true,
        exit_status: 0,
    }
}

/// All of them.
pub(super) fn all() -> Vec<Truth> {
    let mut all = without_a_verdict();
    all.extend(as_good_as_the_online_server());
    all.extend(with_a_fault());
    all
}

fn without_a_verdict() -> Vec<Truth> {
    let without_a_gate = Truth {
        exit_status: 0,
        ..nothing("empty, without a gate", Fact::new(Gates::default()))
    };
    let never = Fact::new(GATES).with(|run| run.ready = None);
    vec![
        nothing("empty", Fact::new(GATES)),
        without_a_gate,
        nothing("never ready", never),
        nothing("unserved", Fact::new(GATES).ended(9, Outcome::Unserved)),
        nothing("filtered", Fact::new(GATES).ended(9, Outcome::Filtered)),
    ]
}

/// A replay that goes on, of files of this size.
fn replay(bytes_total: Option<u64>) -> Fact {
    equal(GATES).with(|run| {
        run.state = State::Copying;
        run.ended = None;
        let replay = Replay {
            words: "a.pcap to c.pcap, 3 files, as fast as it was captured".to_owned(),
            file: 2,
            files: 3,
            round: 1,
            rounds: 1,
            bytes: 3_000_000,
            bytes_total,
            share: bytes_total.map(|_| 0.25),
            file_seconds: 12.5,
            packets: 4_321,
            left_seconds: None,
        };
        run.replay = Some(replay.expect_end(Duration::from_secs(14)));
    })
}

fn as_good_as_the_online_server() -> Vec<Truth> {
    let killed = equal(GATES).with(|run| {
        run.state = State::Copying;
        (run.ended, run.turns_open) = (None, 39);
    });
    vec![
        good("equal", equal(GATES)),
        good("equal again", equal(GATES)),
        good("a replay", replay(Some(12_000_000))),
        good("a replay of a pipe", replay(None)),
        // What is open has not failed while the run goes on.
        good("killed", killed),
    ]
}

/// A run that is good but for what is said of it.
fn bad(name: &'static str, fact: Fact) -> Truth {
    Truth {
        is_green: false,
        exit_status: 3,
        ..good(name, fact)
    }
}

fn with_a_fault() -> Vec<Truth> {
    let shorter = Answered {
        bytes: 60,
        lag: Duration::from_millis(17_300),
        online: Duration::from_micros(160),
        target: Duration::from_micros(500),
    };
    let behind = Fact::new(GATES)
        .answered(4_390, shorter)
        .ended(3_608, Outcome::Pending);
    let slower = Answered {
        target: Duration::from_micros(5_200),
        ..Answered::default()
    };
    vec![
        Truth {
            fidelity: Some("54.888"),
            copy: Copy::Behind,
            speed: ["slower", "slower"],
            differing: [4_390, 4_390],
            ..bad("behind", behind)
        },
        Truth {
            fidelity: Some("98.360"),
            ..bad("shed", equal(GATES).ended(100, Outcome::Shed))
        },
        Truth {
            fidelity: Some("83.798"),
            ..bad(
                "left out",
                equal(GATES).with(|run| run.engine.sessions_shed = 1_160),
            )
        },
        Truth {
            differing: [60, 6_060],
            ..bad("answers 500", equal(GATES).failed(60))
        },
        Truth {
            speed: ["slower", "slower"],
            ..bad("slower", Fact::new(GATES).answered(6_000, slower))
        },
        // The median is as good, and the slowest hundredth cannot be told: that is a doubt where it was asked for.
        Truth {
            speed: ["no_difference", "cannot_tell"],
            differing: [0, 200],
            is_green: true,
            exit_status: 0,
            ..bad(
                "cannot tell",
                Fact::new(GATES).answered(200, Answered::default()),
            )
        },
        Truth {
            speed: ["no_difference", "cannot_tell"],
            differing: [0, 200],
            ..bad(
                "cannot tell, and must",
                Fact::new(Gates {
                    is_strict: true,
                    ..GATES
                })
                .answered(200, Answered::default()),
            )
        },
    ]
}
