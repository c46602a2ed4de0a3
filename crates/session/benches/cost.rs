//! What the engine costs, in instructions and in memory: the workload that `cargo xtask bench engine` runs under
//! callgrind and alone.
//!
//! | arguments | does |
//! |---|---|
//! | `turns COUNT SESSIONS` | turns on so many sessions in rotation, each response acknowledged by a segment of its own |
//! | `turns-at-once COUNT SESSIONS` | the same, acknowledged by the next request |
//! | `messages COUNT SESSIONS` | as `turns`, where a protocol module reads requests and responses of HTTP/1 |
//! | `connections COUNT` | connections with one turn each |
//! | `memory SESSIONS` | prints the resident memory of idle sessions, what they cost while few speak, and the memory of active ones, as JSON |

mod load;

use core::time::Duration;
use std::process::ExitCode;
use std::sync::Arc;

use load::{AT_ONCE, CLOSED, Load, REQUEST_LEN, RESPONSE_LEN, THINKING};
use protocol::{Choice, Module, Protocol};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["turns", count, sessions] => turns(number(count), number(sessions), THINKING),
        ["turns-at-once", count, sessions] => turns(number(count), number(sessions), AT_ONCE),
        ["messages", count, sessions] => messages(number(count), number(sessions)),
        ["connections", count] => connections(number(count)),
        ["memory", sessions] => memory(number(sessions)),
        _ => {
            // As cargo runs it.
            turns(100, 10, THINKING);
            messages(100, 10);
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

fn messages(count: u32, sessions: u32) {
    let mut load = reading(sessions);
    let mut peers = load.establish(sessions);
    for turn in 0..count {
        load.turn(&mut peers[(turn % sessions) as usize]);
    }
    // Each ends as soon as both servers have answered it.
    assert_eq!(
        load.answered,
        u64::from(count + sessions),
        "not every message was answered"
    );
}

/// A world in which the module of HTTP/1 reads requests and responses, whole.
fn reading(sessions: u32) -> Load {
    let module = Module {
        choice: Choice::Is(Protocol::Http1),
        ..Module::default()
    };
    let mut request = b"GET /a/b HTTP/1.1\r\nHost: example.com\r\nX: ".to_vec();
    request.resize(REQUEST_LEN as usize - 4, b'x');
    request.extend_from_slice(b"\r\n\r\n");
    let head = "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Type: text/html\r\nContent-Length: ";
    let body = RESPONSE_LEN as usize - head.len() - "000\r\n\r\n".len();
    let mut response = format!("{head}{body:03}\r\n\r\n").into_bytes();
    response.resize(RESPONSE_LEN as usize, b'a');
    let words = (&request[..], &response[..]);
    Load::with(sessions, THINKING, Some(Arc::new(module)), words)
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
/// How many turns are had in each second while all other sessions rest, for how long, and how often the engine is asked meanwhile for
/// what a worker publishes.
const FEW_PER_SECOND: u32 = 100;
const FEW_SECONDS: u32 = 300;
const PUBLISHED_PER_SECOND: u32 = 10;

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
    let busy = few(&mut load, talker);
    for (number, peer) in others.iter_mut().enumerate() {
        load.request(peer);
        if number % 500 == 0 {
            // A target that said nothing at all would be suspended.
            load.turn(talker);
        }
    }
    let after = resident() - size_of_val(kept.as_slice()) as u64;
    let (ending, ended) = end(&mut load);
    println!(
        r#"{{"sessions":{sessions},"idle_bytes":{},"resting_share":{},"active":{active},"active_bytes":{},"ending_seconds":{},"ending_bytes":{}}}"#,
        idle - before,
        busy.as_secs_f64() / f64::from(FEW_SECONDS),
        after - idle,
        ending.as_secs_f64(),
        ended.saturating_sub(after),
    );
}

/// A light load on one session while all others rest: how long this thread had a processor for it.
fn few(load: &mut Load, talker: &mut load::Peer) -> Duration {
    let began = on_processor();
    for number in 0..FEW_PER_SECOND * FEW_SECONDS {
        load.turn(talker);
        load.settle(Duration::from_secs(1) / FEW_PER_SECOND);
        if number % (FEW_PER_SECOND / PUBLISHED_PER_SECOND) == 0 {
            core::hint::black_box((
                load.engine.turns_open(),
                load.engine.sessions(),
                load.engine.payload_bytes(),
                *load.engine.counters(),
            ));
        }
    }
    on_processor() - began
}

/// How many sessions a worker ends at a time: it sends their last segments before it ends more.
const ENDED_AT_ONCE: usize = 256;

/// The end of a run: how long this thread had a processor for it, and how much memory was resident in the middle of it.
fn end(load: &mut Load) -> (Duration, u64) {
    let began = on_processor();
    let (sessions, mut middle) = (load.engine.sessions(), None);
    load.engine.stop_capture(load.now);
    while !load.engine.finish_some(load.now, ENDED_AT_ONCE) {
        load.settle(Duration::from_micros(100));
        if load.engine.sessions() < sessions / 2 {
            middle.get_or_insert_with(resident);
        }
    }
    load.settle(CLOSED);
    assert_eq!(load.engine.sessions(), 0, "sessions are left over");
    (on_processor() - began, middle.unwrap_or_else(resident))
}

/// How long this thread has had a processor.
fn on_processor() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = told.split_whitespace().next();
    Duration::from_nanos(
        nanoseconds
            .and_then(|number| number.parse().ok())
            .expect("nanoseconds"),
    )
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
