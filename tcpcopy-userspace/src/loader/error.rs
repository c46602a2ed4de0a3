//! Why the kernel could not be set up.

use std::net::IpAddr;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use nix::errno::Errno;

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
    #[error("cannot load the programs: {}; {}", chain(.0), advice(.0, "is this kernel older than 6.6, or were programs and binary built apart?"))]
    Load(#[source] EbpfError),
    /// One program.
    #[error("cannot load the program `{program}`: {}; {}", chain(.source), advice(.source, "is this kernel older than 6.6?"))]
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
    #[error("cannot fill the map `{map}`: {}; {}", chain(.source), advice(.source, "the kernel may be short of memory"))]
    Map { map: &'static str, source: MapError },
    /// More next hops than the programs' table holds.
    #[error(
        "the way to {target} has changed to a next hop for which there is no room: a run can have had {max} of them; start it \
         again"
    )]
    Gateways { target: IpAddr, max: u32 },
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

/// What to do about an error of the kernel, where the process has reached a limit of its own; else `otherwise`.
fn advice(error: &dyn std::error::Error, otherwise: &'static str) -> &'static str {
    // Some errors of aya's show the words of the kernel's error and do not hand it out.
    let words = chain(error);
    let is = |errno: Errno| words.contains(&std::io::Error::from(errno).to_string());
    if is(Errno::EMFILE) {
        "this process may open no more files: raise the limit (`ulimit -n 1024`, LimitNOFILE= in a unit)"
    } else if is(Errno::ENFILE) {
        "this machine may open no more files: raise the limit (`sysctl fs.file-max`)"
    } else {
        otherwise
    }
}

#[cfg(test)]
mod tests {
    use aya::maps::MapError;
    use nix::errno::Errno;

    use super::Error;

    #[test]
    fn a_limit_of_open_files_is_named() {
        let error = |errno: Errno| {
            let source = MapError::IoError(errno.into());
            Error::Map { map: "X", source }.to_string()
        };
        assert!(
            error(Errno::EMFILE).contains("ulimit -n"),
            "{}",
            error(Errno::EMFILE)
        );
        assert!(error(Errno::ENOMEM).contains("short of memory"));
    }
}
