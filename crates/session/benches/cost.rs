//! What the engine costs, in instructions and in memory: the workload that `cargo xtask bench engine` runs under
//! callgrind and alone.
//!
//! | arguments | does |
//! |---|---|
//! | `turns COUNT SESSIONS` | turns on so many sessions in rotation, each response acknowledged by a segment of its own |
//! | `turns-at-once COUNT SESSIONS` | the same, acknowledged by the next request |
//! | `connections COUNT` | connections with one turn each |
//! | `memory SESSIONS` | prints the resident memory of idle sessions, and of active ones, as JSON |

mod load;

use core::time::Duration;
use std::process::ExitCode;

use load::{AT_ONCE, CLOSED, Load, THINKING};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["turns", count, sessions] => turns(number(count), number(sessions), THINKING),
        ["turns-at-once", count, sessions] => turns(number(count), number(sessions), AT_ONCE),
        ["connections", count] => connections(number(count)),
        ["memory", sessions] => memory(number(sessions)),
        _ => {
            // As cargo runs it.
            turns(100, 10, THINKING);
            connections(100);
        }
    }
    ExitCode::SUCCESS
}

fn number(word: &str) -> u32 {
    word.parse().expect("a number")
}

fn turns(count: u32, sessions: u32, pace: Duration) {
    let mut load = Load::new(sessions, pace);
    let mut peers = load.establish(sessions);
    for turn in 0..count {
        load.turn(&mut peers[(turn % sessions) as usize]);
    }
    // One was had before, and the last one ends when the next one begins.
    assert_eq!(
        load.answered,
        u64::from(count),
        "not every turn was answered"
    );
}

fn connections(count: u32) {
    let mut load = Load::new(10, THINKING);
    for number in 0..count {
        load.connection(number);
    }
    load.settle(CLOSED);
    assert_eq!(
        load.answered,
        u64::from(count),
        "not every turn was answered"
    );
    assert_eq!(load.engine.sessions(), 0, "connections are left over");
}

/// How many sessions are opened in a second: memory of a crowd that comes all at once is another question.
const OPENED_PER_SECOND: u32 = 20_000;
/// Beyond the silence after which a session rests.
const RESTED: Duration = Duration::from_secs(5);

/// Every session is established, has had a turn, and has its timer armed; active ones have a request in flight besides.
#[expect(
    clippy::print_stdout,
    reason = "standard output is where the figures go"
)]
fn memory(sessions: u32) {
    let mut load = Load::new(
        sessions,
        Duration::from_secs(1) / OPENED_PER_SECOND * sessions,
    );
    let before = resident();
    let active = sessions / 10;
    let mut kept = Vec::with_capacity(active as usize);
    for number in 0..sessions {
        let mut peer = load.open(number);
        load.turn(&mut peer);
        if number < active {
            kept.push(peer);
        }
    }
    load.settle(RESTED);
    assert_eq!(
        load.engine.sessions(),
        u64::from(sessions),
        "sessions are gone"
    );
    let idle = resident() - size_of_val(kept.as_slice()) as u64;
    let (talker, others) = kept.split_first_mut().expect("sessions");
    for (number, peer) in others.iter_mut().enumerate() {
        load.request(peer);
        if number % 500 == 0 {
            // A target that said nothing at all would be suspended.
            load.turn(talker);
        }
    }
    let after = resident() - size_of_val(kept.as_slice()) as u64;
    println!(
        r#"{{"sessions":{sessions},"idle_bytes":{},"active":{active},"active_bytes":{}}}"#,
        idle - before,
        after - idle,
    );
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes
        .and_then(|number| number.parse::<u64>().ok())
        .expect("kilobytes")
        * 1024
}
