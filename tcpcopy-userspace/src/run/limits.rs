//! What a run needs of the limits of its process, before it changes anything.

use process::limits::{Limit, TooSmall, need};

use crate::args::Args;
use crate::loader;
use crate::plan::{Plan, default_workers};

/// Descriptors of a run besides the workers': programs, maps and links (some 40), netlink, files, those who read metrics, and
/// the channel to each intercept.
const DESCRIPTORS_FIXED: u64 = 192;
/// Of each worker: ring, port, waker, and what its start opens for a moment.
const DESCRIPTORS_PER_WORKER: u64 = 6;
/// Threads besides the workers.
const THREADS_FIXED: u64 = 16;
/// Locked memory besides the frames, in bytes: their rings.
const LOCKED_SLACK: u64 = 1 << 20;

/// Makes room for what the command line asks for.
pub(crate) fn at_start(args: &Args, processors: usize) -> Result<(), TooSmall> {
    let workers = args.workers.unwrap_or_else(|| default_workers(processors));
    let workers = u64::from(workers);
    let intercepts = 2 * args.intercepts.len() as u64;
    need(
        Limit::Descriptors,
        DESCRIPTORS_FIXED + intercepts + DESCRIPTORS_PER_WORKER * workers,
    )?;
    // It does not hold for root.
    if host::capability::is_root() {
        return Ok(());
    }
    need(Limit::Threads, THREADS_FIXED + intercepts + workers)
}

/// Makes room for the frames of a plan.
pub(super) fn for_frames(plan: &Plan) -> Result<(), TooSmall> {
    let (_, frames) = loader::memory_of(plan);
    if host::kernel::locked_memory_short_of(frames).is_none() {
        return Ok(());
    }
    need(Limit::LockedMemory, frames + LOCKED_SLACK)
}
