//! Who makes larger rings for the workers that ask for one: a thread that does nothing else, for the kernel takes some ten
//! milliseconds to make one, and as long again to see the programs off that write into the first.

use std::io;
use std::thread;

use abi::maps::WORKERS_MAX;
use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::{info, warn};

use crate::loader::Error;
use crate::loader::rings::Rings;
use crate::worker::handle::WorkerHandle;
use crate::worker::{Command, LargerRing};

/// Starts the thread; it ends with the last of those who can ask. `None` where rings are as large as they get.
///
/// # Errors
///
/// Where the kernel gives no thread.
pub(super) fn start(
    rings: Rings,
    workers: Vec<WorkerHandle>,
) -> io::Result<Option<(Sender<u32>, usize)>> {
    let Some(asks_from) = rings.asks_from() else {
        return Ok(None);
    };
    let (ask, asked) = bounded(WORKERS_MAX as usize);
    thread::Builder::new()
        .name("rings".to_owned())
        .spawn(move || serve(rings, &workers, &asked))?;
    Ok(Some((ask, asks_from)))
}

fn serve(mut rings: Rings, workers: &[WorkerHandle], asked: &Receiver<u32>) {
    for worker in asked {
        let Some(handle) = workers.get(worker as usize) else {
            continue;
        };
        match grow(&mut rings, worker, handle) {
            Ok(()) => info!("worker {worker} has its larger ring now"),
            Err(error) => warn!(
                "worker {worker} keeps its small ring, for the kernel gives no larger one: {error}; bursts may find it full (ring_full)"
            ),
        }
    }
}

/// The worker knows its larger ring before any program does: nothing in it waits.
fn grow(rings: &mut Rings, worker: u32, handle: &WorkerHandle) -> Result<(), Error> {
    let (ring, twin) = rings.larger()?;
    handle.command(Command::Grow(LargerRing(ring)));
    rings.place(worker, &twin)?;
    handle.command(Command::RingSettled);
    Ok(())
}
