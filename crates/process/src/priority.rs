//! Who waits where processors or memory run short: this process, and not the server that it runs beside.

use std::fs;
use std::io;

use caps::errors::CapsError;
use caps::{CapSet, Capability};
use rustix::process::{getpriority_process, setpriority_process};

/// How much more willing than others a thread is to wait for a processor, as in nice(2): it gets about a tenth of the share of
/// a thread at 0 where both want to run, and all that nobody else wants.
pub const NICE: i32 = 10;
/// The same of a thread that even the nice ones go before: it gets an eighth of their share.
pub const NICE_MAX: i32 = 19;
/// How much sooner than others the process is ended where memory has run out, as in proc(5): as if it had half of all memory
/// more than it has.
pub const OOM_SCORE: i32 = 500;
/// Where the kernel keeps that.
const OOM_FILE: &str = "/proc/self/oom_score_adj";

/// Has the calling thread wait for others: niceness belongs to a thread on Linux, whatever POSIX says, and threads that it
/// starts inherit it. One that is nicer already stays so.
///
/// # Errors
///
/// Where the kernel refuses; being nicer is always allowed.
pub fn yield_to_others() -> io::Result<()> {
    become_nice(NICE)
}

/// Has the calling thread wait for all others, this process's nice ones included.
///
/// # Errors
///
/// As [`yield_to_others`].
pub fn yield_to_all() -> io::Result<()> {
    become_nice(NICE_MAX)
}

fn become_nice(nice: i32) -> io::Result<()> {
    if getpriority_process(None)? < nice {
        setpriority_process(None, nice)?;
    }
    Ok(())
}

/// Has the kernel end this process sooner than others where memory has run out. It is done without CAP_SYS_RESOURCE, with which
/// the kernel would take the new score for the least that a process without that capability, as the janitor is, may ever have
/// again (`oom_score_adj_min`). To be called before [`crate::dumps::forbid`],
/// after which the file belongs to root.
///
/// # Errors
///
/// Where `/proc` cannot be written to.
pub fn go_first() -> io::Result<()> {
    let now: i32 = fs::read_to_string(OOM_FILE)?
        .trim()
        .parse()
        .map_err(io::Error::other)?;
    if now < OOM_SCORE {
        let resource = Capability::CAP_SYS_RESOURCE;
        let has = caps::has_cap(None, CapSet::Effective, resource).unwrap_or(false);
        let set = |change: fn(Option<i32>, CapSet, Capability) -> Result<(), CapsError>| {
            if has {
                change(None, CapSet::Effective, resource).map_err(io::Error::other)
            } else {
                Ok(())
            }
        };
        set(caps::drop)?;
        let written = fs::write(OOM_FILE, OOM_SCORE.to_string());
        set(caps::raise)?;
        written?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::process::getpriority_process;

    use super::{NICE, NICE_MAX, go_first, yield_to_all, yield_to_others};

    #[test]
    fn a_thread_becomes_nice_and_its_maker_does_not() {
        let before = getpriority_process(None).unwrap();
        let of_thread = |become_nice: fn() -> std::io::Result<()>| {
            let thread = thread::spawn(move || {
                become_nice().unwrap();
                yield_to_others().unwrap();
                getpriority_process(None).unwrap()
            });
            thread.join().unwrap()
        };
        assert_eq!(of_thread(yield_to_others), NICE.max(before));
        assert_eq!(of_thread(yield_to_all), NICE_MAX);
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn the_process_goes_first() {
        go_first().unwrap();
        let text = std::fs::read_to_string(super::OOM_FILE).unwrap();
        assert!(text.trim().parse::<i32>().unwrap() >= super::OOM_SCORE);
    }
}
