//! Whether the run that attached these programs still lives: the dead man's switch.
//!
//! A clsact filter stays where it is when its process is killed (a tcx link goes with it). So the run renews a deadline in
//! [`DEADLINE`] as long as it lives, and past it every program passes every packet at once: nothing is recorded, dropped or sent.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;

use crate::maps::{DEADLINE, DEADLINE_KEPT};

/// Whether nobody has renewed the deadline in time.
///
/// With tcx nobody keeps one: the global is read-only, so the kernel knows its value and removes all of this while it loads the
/// program.
#[inline(always)]
pub fn is_abandoned() -> bool {
    if DEADLINE_KEPT.load() == 0 {
        return false;
    }
    let Some(word) = DEADLINE.get_ptr(0) else {
        return true;
    };
    // The clock of the last tick (Linux 5.11): some ns instead of some 20, and right to a few ms of several seconds.
    // SAFETY: the helper takes no argument that could be wrong.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    // SAFETY: an element of an array lives as long as the program; user space replaces the whole word by one store.
    now > unsafe { word.read_volatile() }
}
