//! The simulator: the engine between a client, an online server and a target whose TCP is another house's (smoltcp),
//! over a network with seeded faults, in virtual time.
//!
//! | module | holds |
//! |---|---|
//! | `plan` | what a seed decides: connections, requests, answers, faults |
//! | `world` | hosts, paths, the ring of records and the engine, run step by step |
//! | `setting` | addresses, the engine's configuration, what the programs in the kernel do |
//! | `stack` | a host: smoltcp over a pair of queues |
//! | `client`, `server` | the applications |
//! | `link` | a path: loss, duplication, reordering, corruption, delay |
//! | `oracle` | what the engine ought to know, kept naively |
//! | `verdict` | what must be true |
//! | `trace`, `random` | what a replay prints, and the source of everything random |
//!
//! `SIM_SEED=n` replays one seed (with `SIM_TRACE=1` as a packet trace), `SIM_SEEDS=n` runs n seeds, `SIM_FROM=n` from
//! the n-th on.

mod client;
mod link;
mod oracle;
mod plan;
mod random;
mod server;
mod setting;
mod stack;
mod trace;
mod verdict;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::world::World;

/// Seeds of an ordinary run.
const SEEDS: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_seed_ends_well() {
    if let Some(seed) = number("SIM_SEED") {
        World::new(seed).run();
        return;
    }
    let from = number("SIM_FROM").unwrap_or(0);
    let mut failed = vec![];
    // One line per seed that fails, not a backtrace.
    std::panic::set_hook(Box::new(|_| ()));
    for seed in from..from + number("SIM_SEEDS").unwrap_or(SEEDS) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| World::new(seed).run())) else {
            continue;
        };
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or(panic.downcast_ref::<&str>().copied());
        eprintln!("seed {seed}: {}", said.unwrap_or("panicked"));
        failed.push(seed);
    }
    let _ = std::panic::take_hook();
    assert!(
        failed.is_empty(),
        "{} seeds failed: {failed:?}; to replay one with its trace: \
         SIM_SEED={} SIM_TRACE=1 cargo test -p tests --test simulation -- --nocapture",
        failed.len(),
        failed[0]
    );
}
