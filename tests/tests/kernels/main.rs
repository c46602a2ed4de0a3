//! What must hold on every kernel and every kind of network device: `cargo xtask vm` runs this in emulated machines.
//!
//! | module | holds |
//! |---|---|
//! | [`sound`] | a copy from the doctor to SIGKILL, in both modes |
//! | [`engines`] | both ways of capture, several workers |
//! | [`recording`] | `tcpcopy record` with whole responses |
//! | [`links`] | VLAN devices, bonds and bridges |
//! | [`lossy`] | a way to the target that delays, reorders and loses |
//! | [`cards`] | emulated network cards |
//! | [`copy`] | loads that are small enough for an emulated processor |
//!
//! It runs on this machine's own kernel as well, as far as that has what a test needs:
//! `cargo test -p tests --test kernels -- --test-threads=1 --nocapture`.

mod cards;
mod copy;
mod engines;
mod links;
mod lossy;
mod recording;
mod sound;

use lab::Topology;
use tests::Stand;

/// A lab with these foreign programs.
fn stand(topology: Topology, needs: &[&str]) -> Option<Stand> {
    Stand::up(topology, env!("CARGO_BIN_EXE_lab-part"), needs)
}
