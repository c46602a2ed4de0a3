//! Live tests: real servers, real clients, a real copy, in namespaces.
//!
//! Run them one at a time, `cargo test -p tests --test live -- --test-threads=1`: they share two CPUs. `cargo xtask test` does so
//! as well, but for those that `beside.txt` names, which bear with others beside them; a new test runs alone until it stands there.
//! They need root and the servers that they name; without them each says SKIP and does nothing.

mod another;
mod assistant;
mod beginnings;
mod bodies;
mod captures;
mod compared;
mod containers;
mod control;
mod directions;
mod doctor;
mod dry_run;
mod early_close;
mod encryption;
mod files;
mod flat_out;
mod flood;
mod flows;
mod gate;
mod gates;
mod habits;
mod halves;
mod hooks;
mod http1;
mod idle;
mod in_step;
mod joining;
mod keys;
mod known_faults;
mod logins;
mod loopback;
mod loops;
mod loss;
mod lost_and_found;
mod manners;
mod many;
mod mariadb;
mod measures;
mod metrics;
mod moments;
mod mptcp;
mod multiplexed;
mod nginx;
mod options;
mod own_traffic;
mod pace;
mod page;
mod passing;
mod path;
mod payload;
mod places;
mod pools;
mod postgres;
mod precedence;
mod printed;
mod privileges;
mod protocols;
mod proxy;
mod record;
mod recorded_twice;
mod redis;
mod refusals;
mod replay;
mod report;
mod rights;
mod robust;
mod samples;
mod slow_readers;
mod spoken;
mod tap;
mod telling;
mod unprompted;
mod waiting;

use lab::Topology;
use tests::Stand;

/// A lab with nginx as the only foreign program.
fn stand(topology: Topology) -> Option<Stand> {
    stand_with(topology, &["nginx"])
}

/// A lab with these foreign programs.
fn stand_with(topology: Topology, needs: &[&str]) -> Option<Stand> {
    Stand::up(topology, env!("CARGO_BIN_EXE_lab-part"), needs)
}
