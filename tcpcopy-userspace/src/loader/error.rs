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
    /// Maps, or the fitting of programs to this kernel's types.
    #[error(
        "cannot load the programs into Linux {release}: {}; {}",
        chain(&**source),
        advice(
            source,
            "this kernel may lack what they need (6.1 and later are tested), or programs and binary were built apart"
        )
    )]
    Load {
        release: String,
        source: Box<EbpfError>,
    },
    /// The kernel does not take a program.
    #[error("Linux {release} does not take the program `{program}` ({cause}): {todo}{log}")]
    Refused {
        release: String,
        program: &'static str,
        cause: std::io::Error,
        todo: String,
        /// The last lines of what the kernel said, each on a line of its own.
        log: String,
    },
    /// One program, apart from what the kernel says of it.
    #[error("cannot use the program `{program}`: {}; {}", chain(.source), advice(.source, "were programs and binary built apart?"))]
    Program {
        program: &'static str,
        source: ProgramError,
    },
    /// Nobody would remove the filters of a run that is killed.
    #[error(
        "cannot start the janitor, a process of tcpcopy's own that removes its clsact filters should the run be killed: {cause}; nothing \
         is attached without one; may this process start another (`ulimit -u`, TasksMax= in a unit), and is /proc mounted?"
    )]
    Janitor { cause: std::io::Error },
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

/// Lines of the kernel's log that are shown: the last say what it did not like.
const LOG_LINES: usize = 20;

impl Error {
    /// Its name in docs/doctor.md.
    pub(crate) fn finding(&self) -> &'static str {
        match self {
            Self::Host(error) => match error.finding() {
                // What the host refuses at this point is a step of the set-up.
                "host" => "cannot-set-up",
                name => name,
            },
            _ => "cannot-set-up",
        }
    }
}

impl Error {
    /// What the kernel said when a program was to be loaded.
    pub(super) fn of_load(program: &'static str, source: ProgramError) -> Self {
        match source {
            ProgramError::LoadError {
                io_error,
                verifier_log,
            } => {
                let log = verifier_log.to_string();
                Self::Refused {
                    release: host::kernel::release(),
                    program,
                    todo: todo(&io_error, &log),
                    cause: io_error,
                    log: last_lines(&log),
                }
            }
            source => Self::Program { program, source },
        }
    }
}

/// What it means that the kernel refuses a program, and what to do.
fn todo(cause: &std::io::Error, log: &str) -> String {
    let errno = cause.raw_os_error().map(Errno::from_raw);
    let helper = log.lines().find_map(|line| {
        let (_, name) = line
            .split_once("unknown func ")
            .or_else(|| line.split_once("invalid func "))?;
        name.split(['#', ' ']).find(|word| !word.is_empty())
    });
    match (helper, errno) {
        (Some(helper), _) => format!(
            "this kernel lacks the function {helper}, which the program calls; use a newer one (6.1 and later are tested)"
        ),
        (None, Some(Errno::EPERM)) => {
            "this process may not load programs: run as root, and see whether the kernel is locked down \
             (`cat /sys/kernel/security/lockdown` must not say [confidentiality])"
                .to_owned()
        }
        (None, Some(Errno::E2BIG)) => {
            "its verifier gave up before it had seen all of it; use a newer kernel (6.1 and later are tested), and please report this".to_owned()
        }
        _ if log.trim().is_empty() => advice(
            cause,
            "it said no more than that: it may have been built without what programs need (CONFIG_BPF_SYSCALL, CONFIG_NET_CLS_ACT), \
             or be short of memory",
        )
        .to_owned(),
        _ => {
            "its verifier does not follow the program, which is no fault of this host's; use another kernel (6.1 and later are \
             tested), and please report this with the kernel's words:"
                .to_owned()
        }
    }
}

/// The last lines of a log, each after a line break.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LOG_LINES));
    last.map(|line| format!("\n    {line}")).collect()
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
    use aya::programs::ProgramError;
    use aya_obj::VerifierLog;
    use nix::errno::Errno;

    use super::{Error, LOG_LINES};

    #[test]
    fn what_the_kernel_says_of_a_program_is_cut_and_explained() {
        let refused = |errno: Errno, log: &str| {
            let source = ProgramError::LoadError {
                io_error: errno.into(),
                verifier_log: VerifierLog::new(log.to_owned()),
            };
            Error::of_load("capture", source).to_string()
        };
        let long: String = (0..5000)
            .map(|line| format!("{line}: (b7) r0 = 0\n\n"))
            .collect();
        let said = refused(
            Errno::EACCES,
            &format!("{long}invalid access to memory, mem_size=512\n"),
        );
        assert_eq!(said.lines().count(), 1 + LOG_LINES, "{said}");
        assert!(
            said.contains("invalid access to memory") && said.contains("4999:"),
            "{said}"
        );
        assert!(
            !said.contains("4900:") && !said.contains("older than"),
            "{said}"
        );
        assert!(
            said.contains(&format!("Linux {}", host::kernel::release())),
            "{said}"
        );
        assert!(
            said.contains("`capture`") && said.contains("please report"),
            "{said}"
        );
        let said = refused(
            Errno::EINVAL,
            "12: (85) call bpf_redirect_neigh#152\nunknown func bpf_redirect_neigh#152\n",
        );
        assert!(
            said.contains("lacks the function bpf_redirect_neigh,"),
            "{said}"
        );
        assert!(refused(Errno::EPERM, "").contains("run as root"));
        assert!(refused(Errno::EMFILE, "").contains("ulimit -n"));
        assert!(refused(Errno::EINVAL, "").contains("CONFIG_NET_CLS_ACT"));
    }

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
