//! The simulator: the engine between a client, an online server and a target whose TCP is another house's (smoltcp),
//! over a network with seeded faults, in virtual time.
//!
//! | module | holds |
//! |---|---|
//! | `plan`, `draw`, `features` | what a seed decides: connections, faults, the engine's configuration |
//! | `application`, `shape` | requests, responses and what else the two sides say; how a seed draws them |
//! | `http` | requests and responses of HTTP/1, for worlds with a protocol module |
//! | `read`, `messages` | what a protocol module makes of a flow, and what must be true of its messages |
//! | `world` | hosts, paths, rings of records and the engines, run step by step |
//! | `hosts`, `feed` | its hosts; its programs and engines |
//! | `address` | addresses of either family |
//! | `setting`, `engines` | addresses, configuration, and the engines of all workers |
//! | `stack`, `wrap` | a host: smoltcp over a pair of queues; its sequence numbers moved to the wrap |
//! | `client`, `server` | the applications' two ends |
//! | `link` | a path: loss, duplication, reordering, corruption, delay, a narrow pipe |
//! | `gro`, `packet`, `forge` | packets merged, cut, changed, forged |
//! | `oracle`, `flow` | what the engine ought to know, kept naively |
//! | `watch`, `verdict` | what must be true all the time, and at the end |
//! | `account` | whether every byte of the clients is accounted for |
//! | `calm` | whether every new turn is answered once all faults are over |
//! | `pace` | whether turns departed when they could |
//! | `reasons` | what happened to each flow that excuses it from a rule |
//! | `demands` | what is asked of the engine and not held yet |
//! | `runner`, `shrink`, `tally` | many seeds, the smallest plan that still fails, what has occurred how often |
//! | `trace`, `random` | what a replay prints, and the source of everything random |
//!
//! Environment variables, for `cargo test -p tests --test simulation -- --nocapture`:
//!
//! | variable | effect |
//! |---|---|
//! | `SIM_SEED=n` | replays one seed, with `SIM_TRACE=1` as a packet trace |
//! | `SIM_REDUCE=a.b.c` | with `SIM_SEED`: the smaller plan that a failed run has printed |
//! | `SIM_SEEDS=n` | runs n seeds |
//! | `SIM_FROM=n` | begins with the n-th |
//! | `SIM_MINUTES=n` | runs seeds for so many minutes |
//! | `SIM_THREADS=n` | on so many threads; all cores otherwise |
//! | `SIM_DEMAND=name` | makes demands count that the engine does not hold yet: names with commas between, or `all` |

mod account;
mod address;
mod application;
mod calm;
mod client;
mod demands;
mod draw;
mod engines;
mod features;
mod feed;
mod flow;
mod forge;
mod gro;
mod hosts;
mod http;
mod link;
mod messages;
mod oracle;
mod pace;
mod packet;
mod pairs;
mod plan;
mod random;
mod read;
mod reasons;
mod runner;
mod server;
mod setting;
mod shape;
mod shrink;
mod stack;
mod tally;
mod trace;
mod verdict;
mod watch;
mod world;
mod wrap;

#[test]
fn every_seed_ends_well() {
    match runner::number("SIM_SEED") {
        Some(seed) => runner::replay(seed),
        None => runner::run_many(),
    }
}
