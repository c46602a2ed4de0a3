//! Options that are one word of a few.

use clap::ValueEnum;

/// Whether a line per second is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// Where standard error is a terminal
    Auto,
    /// Wherever it goes
    Always,
    /// Not at all
    Never,
}

/// Whether bytes wait for the online server's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Confirmed {
    /// Where a rule of this host's netfilter may hit the service
    Auto,
    /// Wherever it runs
    Always,
    /// Not at all
    Never,
}

/// Who waits where processors or memory run short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Priority {
    /// The copy: the threads that copy are nice (10), and the kernel ends tcpcopy first where memory is out (oom_score_adj 500)
    Low,
    /// Nobody in particular: as tcpcopy was started
    Normal,
}

/// How packets reach the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Capture {
    /// A BPF ring buffer per worker: close to free for the online server
    Ring,
    /// Clones through an AF_XDP socket per worker: dearer for the online server
    AfXdp,
}

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookChoice {
    /// tcx where the kernel has it (Linux 6.6 and later), else clsact
    Auto,
    /// tcx links: they go with the process
    Tcx,
    /// Filters of a clsact qdisc, first by preference
    Clsact,
}

/// What is kept of the online server's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Responses {
    /// Their headers of IP and TCP: what a replay needs
    Headers,
    /// All of them
    Whole,
}
