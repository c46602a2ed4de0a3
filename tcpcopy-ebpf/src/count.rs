//! Counting: one add to a slot of this CPU.

use abi::counter::Counter;

use crate::maps::COUNTERS;

/// Adds one.
#[inline(always)]
pub fn count(counter: Counter) {
    count_many(counter, 1);
}

/// Adds `n`.
#[inline(always)]
pub fn count_many(counter: Counter, n: u64) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the slot belongs to this CPU, and a program is not interrupted by another one on the same hook; a
        // hook that interrupts another one counts in slots of its own.
        unsafe { *slot += n };
    }
}
