//! What the command lines of both programs have in common, beside what clap does.
//!
//! | module | holds |
//! |---|---|
//! | [`letters`] | TCPCopy's letters that are not ours: each says what to write instead |
//! | [`refusal`] | what is said of a command line that cannot be read |
//! | [`logging`] | what is logged, and how |
//! | [`access`] | who may read what is shown at `--listen` |
//! | [`complaint`] | why a program does not begin |
//! | [`endpoint`] | an address with a port |
//!
//! **Architecture invariant:** a line is judged by its words alone; the host is asked for nothing but the file of a token.
#![forbid(unsafe_code)]

pub mod access;
pub mod complaint;
pub mod endpoint;
pub mod letters;
pub mod logging;
pub mod refusal;

pub use access::AccessArgs;
pub use complaint::complaint;
pub use endpoint::endpoint;
pub use letters::Letter;
pub use logging::LogArgs;
pub use refusal::explain;

/// What `--version` says; `-V` has the number alone.
pub const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nLicence: MIT or Apache-2.0. The programs for the kernel that are embedded are under GPL-2.0 besides; their sources are",
    "\ntcpcopy-ebpf and intercept-ebpf of this release. Other people's code: THIRD-PARTY.txt of the package.",
);
