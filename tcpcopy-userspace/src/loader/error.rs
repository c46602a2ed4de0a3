//! Why the kernel could not be set up.

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// Why the kernel could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Missing(#[from] programs::Missing),
    #[error(transparent)]
    Host(#[from] host::Error),
    #[error(transparent)]
    Port(#[from] port::Error),
    /// The verifier or the linker of programs.
    #[error("cannot load the programs: {}; is this kernel older than 6.6, or were programs and binary built apart?", chain(.0))]
    Load(#[source] EbpfError),
    /// One program.
    #[error("cannot load the program `{program}`: {}; is this kernel older than 6.6?", chain(.source))]
    Program {
        program: &'static str,
        source: ProgramError,
    },
    /// One hook.
    #[error(
        "cannot attach `{program}` to `{interface}`: {}; is the interface still there, and are there fewer than 64 programs on \
         it (`bpftool net`)?",
        chain(.source)
    )]
    Attach {
        program: &'static str,
        interface: String,
        source: ProgramError,
    },
    /// The interface that was to be attached to.
    #[error(
        "there is no interface `{interface}` any more: {cause}; was it removed or renamed meanwhile?"
    )]
    Gone {
        interface: String,
        cause: std::io::Error,
    },
    /// One map.
    #[error("cannot fill the map `{map}`: {}; the kernel may be short of memory", chain(.source))]
    Map { map: &'static str, source: MapError },
    /// Programs and binary do not fit together.
    #[error(
        "the programs have no `{0}`: programs and binary were built apart, build both again (`cargo xtask build-ebpf`)"
    )]
    Absent(&'static str),
}

/// An error with all its causes: aya's own words often stop before the kernel's.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = next.source();
    }
    words
}
