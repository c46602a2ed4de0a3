//! The janitor: a process that removes a run's clsact filters and its private device as soon as the run is gone, however it went.
//!
//! It is this very binary, started anew, so that nothing of what clients sent is in its memory. It holds the end of a pipe: when
//! the pipe breaks, the run is gone. Signals that end a run (a terminal's, systemd's to a whole group) do not end it. It
//! removes what it was told of and nothing else: a program by its number, the device by its index, so that a run that was started
//! meanwhile loses nothing.

use std::io::{self, BufRead as _, Read as _, Write as _, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt as _, parent_id};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use host::clsact::{Clsact, Direction, Filter};
use host::{Netlink, device};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

/// The command that makes a process the janitor.
pub(crate) const COMMAND: &str = "janitor";
/// What it says to whoever started it once signals cannot end it any more.
const READY: &[u8] = b"ready\n";
/// What it is told where nothing is left to do.
const END: &str = "end";
/// How long it may take to begin, and to go.
const READY_MAX: Duration = Duration::from_secs(5);
const GO_MAX: Duration = Duration::from_secs(2);
/// How often it tries to clean up, and what it waits in between: the kernel may be short of memory just then.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);
/// How long a line to standard error may wait for its reader.
const SAY_MAX: u16 = 1000;
/// Things that it keeps in mind at most: far more than a run has hooks. Of filters and qdiscs the oldest are forgotten first:
/// interfaces that came and went.
const THINGS_MAX: usize = 4096;

/// Something that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    /// The private device, by the index of its outer end.
    Device(u32),
    /// The qdisc of an interface, which the run made.
    Qdisc(u32),
    /// A filter of the run's.
    Filter(Filter),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(index) => write!(f, "device {index}"),
            Self::Qdisc(index) => write!(f, "qdisc {index}"),
            Self::Filter(filter) => write!(
                f,
                "filter {} {} {} {}",
                filter.interface_index,
                filter.direction,
                filter.handle,
                filter.program_id.unwrap_or_default()
            ),
        }
    }
}

impl Thing {
    /// What a line names.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let kind = words.next()?;
        let index = words.next()?.parse().ok()?;
        match kind {
            "device" => Some(Self::Device(index)),
            "qdisc" => Some(Self::Qdisc(index)),
            "filter" => {
                let direction = Direction::from_name(words.next()?)?;
                let handle = words.next()?.parse().ok()?;
                let program_id = words.next()?.parse().ok()?;
                Some(Self::Filter(Filter::of_program(
                    index, direction, handle, program_id,
                )))
            }
            _ => None,
        }
    }
}

/// A janitor as the run sees it.
#[derive(Debug)]
pub(super) struct Janitor {
    child: Child,
    pipe: ChildStdin,
}

impl Janitor {
    /// Starts one in the network namespace of the calling thread, and waits until nothing but its pipe can end it.
    pub(super) fn start() -> io::Result<Self> {
        // Not by the name `tcpcopy`: who kills all of that name (pidof, pkill) is to leave this one alive.
        let mut child = Command::new("/proc/self/exe")
            .arg0("tcpcopy-janitor")
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipe = child.stdin.take();
        let mut words = child.stdout.take();
        let is_ready = words.as_mut().is_some_and(|words| {
            let mut said = [0; READY.len()];
            is_readable(words, READY_MAX) && words.read_exact(&mut said).is_ok() && said == READY
        });
        match pipe {
            Some(pipe) if is_ready => Ok(Self { child, pipe }),
            _ => {
                // It may have ended by itself.
                let _ = child.kill();
                let ended = child.wait()?;
                Err(io::Error::other(format!(
                    "it did not begin within {READY_MAX:?} ({ended})"
                )))
            }
        }
    }

    /// Tells it of what is to be removed.
    pub(super) fn tell(&mut self, things: &[Thing]) -> io::Result<()> {
        let lines: String = things.iter().map(|thing| format!("{thing}\n")).collect();
        self.pipe.write_all(lines.as_bytes())
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Lets it go: nothing is left to be removed.
    pub(super) fn dismiss(mut self) {
        let told = writeln!(self.pipe, "{END}");
        let since = Instant::now();
        while told.is_ok() && self.ended().is_none() && since.elapsed() < GO_MAX {
            thread::sleep(Duration::from_millis(2));
        }
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn is_readable(file: &impl AsFd, within: Duration) -> bool {
    let mut files = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
    poll(&mut files, timeout).is_ok_and(|ready| ready > 0)
}

/// The janitor's own life. Returns its exit status.
pub(crate) fn run() -> u8 {
    const UNUSABLE: u8 = 2;
    if nix::unistd::isatty(stdin()).unwrap_or(false) {
        say("`janitor` is for tcpcopy itself, which tells it by a pipe what to remove");
        return UNUSABLE;
    }
    let run = parent_id();
    let begun = begin();
    let (Ok(()), Ok(clsact), Ok(netlink)) = (begun, Clsact::open(), Netlink::open()) else {
        return UNUSABLE;
    };
    if stdout()
        .write_all(READY)
        .and_then(|()| stdout().flush())
        .is_err()
    {
        return UNUSABLE;
    }
    let things = match listen() {
        Some(things) if !things.is_empty() => things,
        _ => return 0,
    };
    for _ in 0..TRIES {
        match clean_up(&clsact, &netlink, &things) {
            Ok(filters) => {
                say(&format!(
                    "tcpcopy (pid {run}) ended without cleaning up; its janitor removed {filters} filters and the private device"
                ));
                return 0;
            }
            Err(error) => say(&format!("the janitor of tcpcopy (pid {run}): {error}")),
        }
        thread::sleep(BETWEEN_TRIES);
    }
    1
}

/// From here on only its pipe ends this process.
fn begin() -> io::Result<()> {
    // A session of its own: no terminal's Ctrl-C or hangup reaches it. Whoever leads a group already is in no terminal's.
    let _ = nix::unistd::setsid();
    // It would be called `exe`.
    let _ = nix::sys::prctl::set_name(c"janitor");
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    // A run has the kernel end it first where memory is out. This process has none to give.
    let file = "/proc/self/oom_score_adj";
    let score = fs::read_to_string(file)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    if score.is_some_and(|score: i32| score > 0) {
        let _ = fs::write(file, "0");
    }
    Ok(())
}

/// What is to be removed once the pipe is broken; nothing where the run ended in order.
fn listen() -> Option<Vec<Thing>> {
    let mut things = Vec::new();
    for line in stdin().lock().lines() {
        let Ok(line) = line else {
            break;
        };
        if line == END {
            return None;
        }
        things.extend(Thing::parse(&line));
        if things.len() > THINGS_MAX
            && let Some(oldest) = things
                .iter()
                .position(|thing| !matches!(thing, Thing::Device(_)))
        {
            things.remove(oldest);
        }
    }
    Some(things)
}

/// Returns how many filters there were.
fn clean_up(clsact: &Clsact, netlink: &Netlink, things: &[Thing]) -> Result<usize, host::Error> {
    let mut filters = 0;
    for thing in things {
        if let Thing::Filter(filter) = thing {
            filters += usize::from(clsact.detach(filter)?);
        }
    }
    for thing in things {
        match thing {
            Thing::Filter(_) => {}
            Thing::Qdisc(index) => clsact.remove_hooks(*index)?,
            Thing::Device(index) => device::remove(netlink, *index)?,
        }
    }
    Ok(filters)
}

/// One line on standard error, where somebody reads it: a pipe that nobody reads is not waited for.
fn say(words: &str) {
    let stderr = io::stderr();
    let mut files = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut files, PollTimeout::from(SAY_MAX)).is_ok_and(|ready| ready > 0) {
        let _ = writeln!(stderr.lock(), "{words}");
    }
}

#[cfg(test)]
mod tests {
    use host::clsact::{Direction, Filter};

    use super::Thing;

    #[test]
    fn things_are_understood_as_they_were_told() {
        for thing in [
            Thing::Device(17),
            Thing::Qdisc(3),
            Thing::Filter(Filter::of_program(2, Direction::Egress, 0x7463_0002, 4711)),
        ] {
            assert_eq!(Thing::parse(&thing.to_string()), Some(thing));
        }
        for line in [
            "",
            "device",
            "device x",
            "filter 2 sideways 1 1",
            "filter 2 ingress 1",
            "house 1",
        ] {
            assert_eq!(Thing::parse(line), None, "{line}");
        }
    }
}
