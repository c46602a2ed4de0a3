//! What this kernel can do.

use std::io;
use std::path::Path;

use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::utsname::uname;
use socket2::{Domain, Socket, Type};

use crate::{Error, capability};

/// The first release that runs the programs: they have an atomic operation that came with 5.12.
pub const RELEASE_MIN: (u32, u32) = (5, 12);
/// Types of the running kernel, which programs are checked and fitted against.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Whether programs can be attached by tcx links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tcx {
    /// They can: Linux 6.6 and later, and older ones that it was brought back to.
    Yes,
    /// They cannot.
    No,
    /// This process may not ask.
    Unknown,
}

/// Asks whether this kernel has tcx: not by its release, for distributions bring features back to older ones.
#[must_use]
pub fn tcx() -> Tcx {
    // Every network namespace has one.
    const ANY: &str = "lo";
    match SchedClassifier::query_tcx(ANY, TcAttachType::Ingress) {
        Ok(_) => Tcx::Yes,
        Err(error) => match errno_of(&error) {
            // A type of attachment that the kernel does not know, or knows and was built without.
            Some(Errno::EINVAL | Errno::EOPNOTSUPP) => Tcx::No,
            _ => Tcx::Unknown,
        },
    }
}

/// The number of the kernel's that an error of aya's hides among its causes.
fn errno_of(error: &ProgramError) -> Option<Errno> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(code) = found
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
        {
            return Some(Errno::from_raw(code));
        }
        cause = found.source();
    }
    None
}

/// Whether the running kernel is known to be older than this release.
#[must_use]
pub fn is_before(major: u32, minor: u32) -> bool {
    parse_release(&release()).is_some_and(|found| found < (major, minor))
}

/// The release of the running kernel, as `uname -r` says it.
#[must_use]
pub fn release() -> String {
    uname().map_or_else(
        |_| "?".to_owned(),
        |names| names.release().to_string_lossy().into_owned(),
    )
}

/// The name of this host, as `uname -n` says it.
#[must_use]
pub fn node_name() -> String {
    uname().map_or_else(
        |_| "?".to_owned(),
        |names| names.nodename().to_string_lossy().into_owned(),
    )
}

/// Refuses to go on where the kernel lacks what a run needs whatever its hooks: operations of programs, and BTF.
///
/// # Errors
///
/// Names the first thing that is missing.
pub fn require() -> Result<(), Error> {
    let release = release();
    if parse_release(&release).is_none_or(|found| found < RELEASE_MIN) {
        let (major, minor) = RELEASE_MIN;
        return Err(Error::Kernel {
            what: format!(
                "this is Linux {release}, and the programs need atomic operations, which came with {major}.{minor}"
            ),
            todo: "use a newer kernel (6.1 and later are tested)",
        });
    }
    if !Path::new(BTF).exists() {
        return Err(Error::Kernel {
            what: format!("there is no {BTF}, so this kernel's types are not known"),
            todo: "use a kernel with CONFIG_DEBUG_INFO_BTF=y, and mount /sys where it is not (a container?)",
        });
    }
    Ok(())
}

/// Refuses to go on where no AF_XDP socket can be made.
///
/// # Errors
///
/// Where the kernel or the process's rights do not allow it.
pub fn require_af_xdp() -> Result<(), Error> {
    let made = Socket::new(Domain::from(nix::libc::AF_XDP), Type::RAW, None);
    made.map(drop)
        .map_err(|cause| match cause.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAFNOSUPPORT) => Error::Kernel {
                what: "this kernel knows no AF_XDP sockets".into(),
                todo: "use a kernel with CONFIG_XDP_SOCKETS=y",
            },
            _ => Error::Refused {
                what: "make an AF_XDP socket".into(),
                cause,
            },
        })
}

/// The limit of locked memory in bytes where it is too small for `bytes` of frames; `None` where there is enough, or where
/// the limit does not apply.
#[must_use]
pub fn locked_memory_short_of(bytes: u64) -> Option<u64> {
    let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    (capability::is_memory_limited() && limit < bytes).then_some(limit)
}

/// Major and minor number of `6.18.44-fc-v445`.
fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(parse_release("6.18.44-fc-v445"), Some((6, 18)));
        assert_eq!(parse_release("6.6-rc1"), Some((6, 6)));
        assert_eq!(parse_release("7.0+"), Some((7, 0)));
        assert!(parse_release("5.4.0-105-generic").unwrap() < RELEASE_MIN);
        assert!(parse_release("5.15.0-105-generic").unwrap() > RELEASE_MIN);
        assert_eq!(parse_release("unknown"), None);
    }
}
