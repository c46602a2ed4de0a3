//! What a turn costs from end to end, in time: records in, frames out, timers and events included.
//!
//! `cargo bench -p session --bench turn`. Instructions and memory are counted by the other bench, `cost`.

mod load;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use load::{AT_ONCE, CLOSED, Load, THINKING};

/// One turn of an established session, alone and as one of many whose state is not in the cache.
fn turns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");
    group.throughput(Throughput::Elements(1));
    for (sessions, pace, name) in [
        (1, AT_ONCE, "one session, the next request at once"),
        (1, THINKING, "one session"),
        (10_000, THINKING, "10,000 sessions"),
        (100_000, THINKING, "100,000 sessions"),
    ] {
        let mut load = Load::new(sessions, pace);
        let mut peers = load.establish(sessions);
        let mut next = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                load.turn(&mut peers[next]);
                next = (next + 1) % peers.len();
            });
        });
        assert!(load.answered > 0, "nothing was copied");
    }
    group.finish();
}

/// A connection with one turn, from its SYN to the end of its TIME-WAIT.
fn connections(criterion: &mut Criterion) {
    let mut load = Load::new(1000, THINKING);
    let mut number = 0;
    criterion.bench_function("connection", |bencher| {
        bencher.iter(|| {
            load.connection(number);
            number += 1;
        });
    });
    load.settle(CLOSED);
    assert_eq!(load.engine.sessions(), 0, "connections are left over");
}

criterion_group!(benches, turns, connections);
criterion_main!(benches);
