//! No memory of ours on a disk: it holds what clients sent, and a core dump would keep that for whoever finds it.
//!
//! Whoever must look into a running process as root still can: `gdb -p PID`, and `gcore PID` writes a dump on purpose.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// From now on a crash writes no core dump, not even to a program that the kernel pipes dumps to, and no other process of the
/// same user may read our memory.
///
/// To be called at the start: what was opened below `/proc/self` before stays open, but some files there belong to root from now
/// on.
pub fn forbid() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if getrlimit(Resource::Core) != none {
        // Lowering a limit is always allowed.
        let _ = setrlimit(Resource::Core, none);
    }
    // A kernel that knows core dumps knows this.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(test)]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    #[test]
    fn a_crash_leaves_nothing() {
        super::forbid();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }
}
