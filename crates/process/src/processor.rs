//! The processors that threads are pinned to.

use std::io;

use core_affinity::CoreId;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A processor of this machine that this process may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor(CoreId);

/// The processor was taken away from this process, or the kernel refuses for another reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot pin this thread to processor {0}; it goes on, on whichever processor the kernel chooses"
)]
pub struct NotPinned(usize);

impl Processor {
    /// Processors for one thread after the other: each has one of its own as long as there are enough, and then it begins anew. From
    /// the last one down, for the first ones are where interrupts and other programs' defaults go. `None` where the kernel names no
    /// processor.
    pub fn from_the_last() -> impl Iterator<Item = Option<Self>> {
        let mut all = core_affinity::get_core_ids().unwrap_or_default();
        all.reverse();
        in_turn(all.into_iter().map(Self).collect())
    }

    /// Keeps the calling thread on this processor.
    ///
    /// # Errors
    ///
    /// [`NotPinned`]: no reason not to go on.
    pub fn pin_this_thread(self) -> Result<(), NotPinned> {
        if core_affinity::set_for_current(self.0) {
            Ok(())
        } else {
            Err(NotPinned(self.0.id))
        }
    }
}

/// Keeps the calling thread, and those that it will start, away from the processors of so many workers
/// ([`Processor::from_the_last`]), as long as one is left.
///
/// # Errors
///
/// Where the kernel refuses; the thread goes on wherever it may.
pub fn leave_to_workers(workers: usize) -> io::Result<()> {
    let theirs: Vec<usize> = Processor::from_the_last()
        .take(workers)
        .flatten()
        .map(|processor| processor.0.id)
        .collect();
    let mut others = sched_getaffinity(None)?;
    for id in theirs.into_iter().filter(|id| *id < CpuSet::MAX_CPU) {
        others.unset(id);
    }
    if others.count() > 0 {
        sched_setaffinity(None, &others)?;
    }
    Ok(())
}

fn in_turn(all: Vec<Processor>) -> impl Iterator<Item = Option<Processor>> {
    (0..).map(move |turn: usize| {
        let place = turn.checked_rem(all.len())?;
        all.get(place).copied()
    })
}

#[cfg(test)]
mod tests {
    use core_affinity::CoreId;

    use super::{NotPinned, Processor, in_turn, leave_to_workers};
    use rustix::thread::sched_getaffinity;

    #[test]
    fn threads_get_the_last_processor_first_and_share_where_there_are_not_enough() {
        let all: Vec<_> = [3, 2].map(|id| Processor(CoreId { id })).into();
        let given: Vec<_> = in_turn(all.clone()).take(3).collect();
        assert_eq!(given, [Some(all[0]), Some(all[1]), Some(all[0])]);
        assert_eq!(in_turn(Vec::new()).next(), Some(None));
        assert!(Processor::from_the_last().next().is_some());
    }

    #[test]
    fn what_is_left_to_workers_is_not_used() {
        let last = Processor::from_the_last().next().flatten().expect("one");
        let left = std::thread::spawn(|| {
            leave_to_workers(1).expect("the kernel lets a thread choose");
            sched_getaffinity(None).expect("and tells it")
        });
        let left = left.join().unwrap();
        let all = sched_getaffinity(None).unwrap();
        assert_eq!(left.is_set(last.0.id), all.count() == 1);
    }

    #[test]
    fn a_processor_that_is_not_there_is_an_error_that_names_it() {
        let absent = Processor(CoreId { id: 1023 });
        let error = std::thread::spawn(move || absent.pin_this_thread()).join();
        assert_eq!(error.unwrap(), Err(NotPinned(1023)));
        assert!(NotPinned(1023).to_string().contains("1023"));
    }
}
