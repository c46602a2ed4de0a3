//! How threads that sleep in `poll` are told to end: a pipe whose writing end is closed.

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Ends everything when it is dropped.
#[derive(Debug)]
pub(crate) struct Stop {
    flag: Arc<AtomicBool>,
    _writer: PipeWriter,
}

/// The other end: one for all threads.
#[derive(Clone, Debug)]
pub(crate) struct Stopped {
    flag: Arc<AtomicBool>,
    reader: Arc<PipeReader>,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The time is over.
    Timeout,
    /// There is something to read.
    Readable,
    /// The descriptor reports an error.
    Broken,
    /// It is time to end.
    Stopped,
}

/// Both ends.
pub(crate) fn new() -> io::Result<(Stop, Stopped)> {
    let (reader, writer) = pipe()?;
    let flag = Arc::new(AtomicBool::new(false));
    let stopped = Stopped {
        flag: Arc::clone(&flag),
        reader: Arc::new(reader),
    };
    Ok((
        Stop {
            flag,
            _writer: writer,
        },
        stopped,
    ))
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.flag.store(true, Ordering::Relaxed);
    }
}

impl Stopped {
    /// Whether it is time to end; for those that do not sleep.
    pub(crate) fn is_stopped(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Sleeps until `fd` is readable, it is time to end, or the timeout is over.
    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, timeout: PollTimeout) -> Result<Woken, Errno> {
        let mut fds = [
            PollFd::new(fd, PollFlags::POLLIN),
            PollFd::new(self.reader.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => return Ok(Woken::Timeout),
            Err(errno) => return Err(errno),
            Ok(_) => {}
        }
        let [events, stop] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let broken = PollFlags::POLLERR | PollFlags::POLLNVAL;
        Ok(if !stop.is_empty() {
            Woken::Stopped
        } else if events.intersects(broken) {
            Woken::Broken
        } else if events.is_empty() {
            Woken::Timeout
        } else {
            Woken::Readable
        })
    }

    /// Sleeps until `fd` has something to say; `false` where it is time to end.
    pub(crate) fn wait_readable(&self, fd: &impl AsFd) -> bool {
        loop {
            match self.wait(fd.as_fd(), PollTimeout::NONE) {
                Ok(Woken::Readable | Woken::Broken) => return true,
                Ok(Woken::Timeout) => {}
                Ok(Woken::Stopped) | Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use nix::poll::PollTimeout;

    use super::{Woken, new};

    #[test]
    fn all_who_wait_are_woken() {
        let (stop, stopped) = new().unwrap();
        let (silent, mut speaks) = std::io::pipe().unwrap();
        let wait = || stopped.wait(silent.as_fd(), PollTimeout::ZERO);
        assert_eq!(wait(), Ok(Woken::Timeout));
        std::io::Write::write_all(&mut speaks, b"x").unwrap();
        assert_eq!(wait(), Ok(Woken::Readable));
        assert!(!stopped.is_stopped());
        let other = stopped.clone();
        let waiter = std::thread::spawn(move || {
            let (silent, _speaks) = std::io::pipe().unwrap();
            other.wait_readable(&silent)
        });
        drop(stop);
        assert_eq!(wait(), Ok(Woken::Stopped));
        assert!(stopped.is_stopped());
        assert!(!waiter.join().unwrap());
    }
}
