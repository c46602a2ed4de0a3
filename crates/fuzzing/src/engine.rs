//! The session engine in a world made of bytes.
//!
//! An input is a configuration of [`plan::LEN`] bytes and a list of steps of [`STEP_LEN`] bytes each, so that a fuzzer
//! that changes, copies or removes a few bytes changes, copies or removes a few steps. Clients, online servers and
//! targets are small models that remember what was said, and a step says the next thing relative to that: mostly right, a
//! little wrong, or nonsense. So handshakes succeed and sessions grow old.
//!
//! | module | holds |
//! |---|---|
//! | [`plan`] | the configuration, the flows and the addresses |
//! | [`steps`] | what one step does |
//! | [`client`] | one client and its online server: the captured flow |
//! | [`talk`] | what is said where a protocol module reads the flows |
//! | [`content`] | what clients say: every few bytes name their flow and their sequence number |
//! | [`target`] | the targets' ends of the sessions' connections; judges each frame that the engine sends |
//! | [`reply`] | what a target may answer |
//! | [`world`] | all of them around the engine, and what must hold after every call |
//! | [`ledger`] | events against each other, and against what clients and targets did |

mod client;
mod content;
mod ledger;
mod packet;
mod plan;
mod reply;
mod steps;
mod talk;
mod target;
mod world;

use steps::Step;
use world::World;

/// Length of a step, in bytes.
const STEP_LEN: usize = 4;
/// Most steps of an input: enough for every state, few enough to be quick.
const STEPS_MAX: usize = 1024;

/// Plays one input.
///
/// # Panics
///
/// Where the engine panics or breaks an invariant: see `world`, `target` and `ledger`.
pub fn run(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<{ plan::LEN }>() else {
        return;
    };
    let mut world = World::new(plan::Plan::new(head));
    for chunk in rest.as_chunks::<STEP_LEN>().0.iter().take(STEPS_MAX) {
        world.step(Step::new(*chunk));
    }
    world.end();
}
