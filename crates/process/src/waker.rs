//! Waking a thread that sleeps: an eventfd, and a flag that spares it where the thread is awake.
//!
//! A sender puts its message into a queue and then calls [`Waker::wake`]; the thread that is about to sleep raises the flag and then looks
//! at its queues once more. Both sides put a full fence in between, so one of the two sees the other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// One per thread that can be woken up.
#[derive(Debug)]
pub struct Waker {
    asleep: AtomicBool,
    event: EventFd,
}

impl Waker {
    /// A waker whose owner is awake.
    ///
    /// # Errors
    ///
    /// Where the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self {
            asleep: AtomicBool::new(false),
            event,
        })
    }

    /// Called by anybody, after the message was queued.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            // It fails only where 2^64 - 2 wake-ups are outstanding.
            let _ = self.event.write(1);
        }
    }

    /// Called by the owner before its last look at its queues.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Called by the owner when it is awake again.
    pub fn wake_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        // "Would block" where nobody woke us up.
        let _ = self.event.read();
    }

    /// Readable after a wake-up.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::Waker;

    #[test]
    fn only_who_sleeps_is_woken_and_only_once() {
        let waker = Waker::new().unwrap();
        let is_readable = || {
            let mut fds = [PollFd::new(waker.fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
        };
        waker.wake();
        assert!(!is_readable(), "its owner is awake");
        waker.fall_asleep();
        assert!(!is_readable());
        waker.wake();
        waker.wake();
        assert!(is_readable());
        waker.wake_up();
        assert!(!is_readable());
    }
}
