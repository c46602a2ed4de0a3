//! The signals that end a run, in order: SIGINT, SIGTERM, and SIGHUP when the terminal goes.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

/// Listens for the signals that end a run. Whoever started this process with `nohup` wants it to outlive its terminal, so that
/// SIGHUP stays ignored then.
///
/// A file that grows beyond the limit of file sizes is a failed writing from now on, and no longer a signal that kills.
///
/// # Errors
///
/// Where the kernel refuses a handler, or the process has no descriptor left.
pub fn listen() -> io::Result<Signals> {
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    let mut wanted = vec![SIGINT, SIGTERM];
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !is_ignored(&status, SIGHUP) {
        wanted.push(SIGHUP);
    }
    Signals::new(wanted)
}

/// Whether a signal hurries a run that is ending already. A terminal that goes says so twice: the shell to its jobs, and the
/// kernel to what ran in the foreground.
#[must_use]
pub fn hurries(signal: i32) -> bool {
    signal != SIGHUP
}

/// Whether `/proc/PID/status` (proc(5)) says that a signal is ignored.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(signal - 1).unwrap_or_default();
    mask.is_some_and(|mask| mask.checked_shr(bit).unwrap_or_default() & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::{SIGHUP, SIGINT, SIGTERM, is_ignored};

    #[test]
    fn what_is_ignored_is_read() {
        let status = "Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(is_ignored(status, SIGHUP));
        assert!(!is_ignored(status, SIGINT) && !is_ignored(status, SIGTERM));
        assert!(!is_ignored("", SIGHUP));
    }
}
