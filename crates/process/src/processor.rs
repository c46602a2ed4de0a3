//! The processors that threads are pinned to.

use core_affinity::CoreId;

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

fn in_turn(all: Vec<Processor>) -> impl Iterator<Item = Option<Processor>> {
    (0..).map(move |turn: usize| {
        let place = turn.checked_rem(all.len())?;
        all.get(place).copied()
    })
}

#[cfg(test)]
mod tests {
    use core_affinity::CoreId;

    use super::{NotPinned, Processor, in_turn};

    #[test]
    fn threads_get_the_last_processor_first_and_share_where_there_are_not_enough() {
        let all: Vec<_> = [3, 2].map(|id| Processor(CoreId { id })).into();
        let given: Vec<_> = in_turn(all.clone()).take(3).collect();
        assert_eq!(given, [Some(all[0]), Some(all[1]), Some(all[0])]);
        assert_eq!(in_turn(Vec::new()).next(), Some(None));
        assert!(Processor::from_the_last().next().is_some());
    }

    #[test]
    fn a_processor_that_is_not_there_is_an_error_that_names_it() {
        let absent = Processor(CoreId { id: 1023 });
        let error = std::thread::spawn(move || absent.pin_this_thread()).join();
        assert_eq!(error.unwrap(), Err(NotPinned(1023)));
        assert!(NotPinned(1023).to_string().contains("1023"));
    }
}
