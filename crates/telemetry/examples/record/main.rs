//! What it costs a worker to write down a turn that ended: `record COUNT`, to be run under callgrind, whose total
//! for two counts tells the instructions of a turn.
//!
//! ```text
//! cargo build --release -p telemetry --example record
//! for count in 10000 110000; do valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/record $count; done
//! ```

mod turn;

use core::time::Duration;
use std::hint::black_box;

use telemetry::{Differences, Latency, Ledger, Recorder};

fn main() {
    let count = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let (mut ledger, mut latency, mut differences) =
        (Ledger::new(1), Recorder::new(), Differences::default());
    for number in 0..count.unwrap_or(1000u64) {
        let time = Duration::from_micros(150 + number % 97);
        let turn = black_box(turn::turn(time, [1000, 1000]));
        ledger.record(&turn);
        latency.record(&turn);
        differences.record(&turn, std::time::SystemTime::now);
    }
    let mut all = Latency::new();
    latency.drain_into(&mut all);
    black_box((&ledger, &all, &differences));
}
