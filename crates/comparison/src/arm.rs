//! Whose responses are compared with the online server's.

/// Whose response is compared with the online server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// The target: the build that is tested.
    Target,
    /// The baseline: a second target, which runs what the online server runs.
    Baseline,
}

/// One number for each arm.
pub(crate) type Both<T> = [T; 2];
