//! The port itself: what a worker sends and receives with.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send, setsockopt, sockopt};

use crate::frame::Ledger;
use crate::memory::Memory;
use crate::rings::Rings;
use crate::{Config, Error, Statistics};

/// One AF_XDP socket with its frames. One thread owns it.
#[derive(Debug)]
pub struct Port {
    interface: String,
    ledger: Ledger,
    rings: Rings,
    // After the rings, so that the socket is closed before its memory goes.
    memory: Memory,
    counted: Statistics,
}

impl Port {
    /// How long a queue that is taken is waited for: after a crash the kernel frees it late (about 1.2 s were seen).
    pub const BUSY_RETRY_MAX: Duration = Duration::from_secs(5);
    const BUSY_RETRY_EVERY: Duration = Duration::from_millis(100);
    /// Bytes that a frame is charged to the socket's send buffer with, at most: its memory and the kernel's own.
    const SEND_BUFFER_PER_FRAME: usize = 4096;
    /// How often the kernel is woken in vain before what waits is left for later. More than once, because before Linux 6.17
    /// it does not always tell at once that it took some.
    const FUTILE_KICKS_MAX: u32 = 4;

    /// Opens and binds a port. Loads no XDP program: whoever wants to receive puts [`Port::fd`] into an `XSKMAP`.
    ///
    /// Blocks for up to [`Port::BUSY_RETRY_MAX`] while somebody else holds the queue.
    ///
    /// # Errors
    ///
    /// Says what was asked for, what the kernel answered and what to do.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let deadline = Instant::now() + Self::BUSY_RETRY_MAX;
        loop {
            match Self::open_once(config) {
                Err(Error::Bind { cause, .. })
                    if is(&cause, Errno::EBUSY) && Instant::now() < deadline =>
                {
                    thread::sleep(Self::BUSY_RETRY_EVERY);
                }
                result => return result,
            }
        }
    }

    fn open_once(config: &Config) -> Result<Self, Error> {
        let sizes = config.sizes()?;
        let memory = Memory::new(config, sizes)?;
        let rings = Rings::bind(config, sizes, &memory)?;
        let (ledger, receiving) = Ledger::new(config.tx_frames, config.rx_frames);
        let mut port = Self {
            interface: config.interface.clone(),
            ledger,
            rings,
            memory,
            counted: Statistics::default(),
        };
        port.enlarge_send_buffer(config.tx_frames)?;
        for frame in receiving {
            port.rings.fill.give(&mut port.ledger, &port.memory, frame);
        }
        Ok(port)
    }

    /// A frame counts against the socket's send buffer until the kernel frees it, which takes seconds where a target does
    /// not answer ARP: with the default (212,992 bytes) one such target would stop the sending to all others.
    fn enlarge_send_buffer(&self, tx_frames: u32) -> Result<(), Error> {
        let bytes = (tx_frames as usize).saturating_mul(Self::SEND_BUFFER_PER_FRAME);
        setsockopt(&self.fd(), sockopt::SndBufForce, &bytes).map_err(|errno| Error::SendBuffer {
            interface: self.interface.clone(),
            bytes,
            cause: errno.into(),
        })
    }

    /// The socket: for an `XSKMAP`, and to poll (readable where a frame was received).
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.rings.fd()
    }

    /// Whether the frames are on huge pages; if not, it is worth a note.
    #[must_use]
    pub fn huge_pages(&self) -> bool {
        self.memory.huge_pages()
    }

    /// Sends up to `budget` frames: calls `fill` with the buffer of a free frame, to write a frame from its Ethernet header
    /// on and return its length, until it returns `None` or no frame is free. Returns how many were queued; they leave
    /// with the next [`Port::kick`].
    ///
    /// Frees no frames itself: see [`Port::reap`].
    ///
    /// # Panics
    ///
    /// If `fill` returns 0 or more than the length of its buffer.
    pub fn transmit_with(
        &mut self,
        budget: usize,
        mut fill: impl FnMut(&mut [u8]) -> Option<usize>,
    ) -> usize {
        let limit = budget
            .min(self.ledger.free())
            .min(self.rings.tx.room() as usize);
        let mut queued = 0;
        while queued < limit {
            let Some(mut frame) = self.ledger.take() else {
                break;
            };
            if !self.memory.write(&mut frame, &mut fill) {
                self.ledger.put_back(frame);
                break;
            }
            let given = self.rings.tx.give(&mut self.ledger, &self.memory, frame);
            debug_assert!(given, "the room was checked");
            queued += 1;
        }
        self.counted.queued += queued as u64;
        queued
    }

    /// Frames that can be written at once, were [`Port::transmit_with`] called now.
    #[must_use]
    pub fn tx_free(&self) -> usize {
        self.ledger.free()
    }

    /// Frames that were queued and have not come back through the completion ring.
    #[must_use]
    pub fn tx_in_flight(&self) -> u32 {
        self.ledger.transmitting()
    }

    /// Frames that were queued and that the kernel has not taken from the tx ring.
    #[must_use]
    pub fn tx_waiting(&mut self) -> u32 {
        self.rings.tx.waiting()
    }

    /// Whether [`Port::kick`] has something to do: frames wait in the tx ring and the kernel wants to be told.
    #[must_use]
    pub fn needs_kick(&mut self) -> bool {
        self.rings.tx.waiting() > 0 && self.rings.tx.needs_wakeup()
    }

    /// Wakes the kernel to send what was queued, again and again as long as it gets on (it takes 32 frames at a time).
    /// Frames that it cannot take now stay in the tx ring for the next kick. Where nothing waits this costs no system
    /// call.
    ///
    /// # Errors
    ///
    /// Where the interface is down or gone; frames stay queued, so a later kick may succeed.
    pub fn kick(&mut self) -> Result<(), Error> {
        let mut waiting = self.rings.tx.waiting();
        let mut futile = 0;
        while waiting > 0 && futile < Self::FUTILE_KICKS_MAX && self.rings.tx.needs_wakeup() {
            self.counted.kicks += 1;
            // Not through xsk-rs, which hides what the kernel answers.
            match send(self.fd().as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN | Errno::EINTR) => futile += 1,
                Err(Errno::EBUSY) => self.counted.tx_dropped += 1,
                Err(Errno::ENOBUFS) => {
                    self.counted.kicks_no_memory += 1;
                    return Ok(());
                }
                Err(errno) => {
                    return Err(Error::Kick {
                        interface: self.interface.clone(),
                        cause: errno.into(),
                    });
                }
            }
            let left = self.rings.tx.waiting();
            if left < waiting {
                futile = 0;
            }
            waiting = left;
        }
        self.counted.kicks_again += u64::from(futile == Self::FUTILE_KICKS_MAX);
        Ok(())
    }

    /// Takes frames that were sent back from the completion ring; they are free then. Returns how many.
    pub fn reap(&mut self) -> usize {
        let Self {
            ledger,
            rings,
            memory,
            counted,
            ..
        } = self;
        let mut freed = 0;
        // A frame is named once per time it was lent, so this ends: nothing is lent meanwhile.
        loop {
            let named =
                rings
                    .completion
                    .name(memory, |named| match ledger.completed(named.number) {
                        Some(frame) => {
                            ledger.put_back(frame);
                            freed += 1;
                        }
                        None => counted.disowned += 1,
                    });
            if named == 0 {
                break;
            }
        }
        counted.completed += freed as u64;
        freed
    }

    /// Shows `take` up to `budget` received frames, from their Ethernet header on, and gives each frame back to the kernel.
    /// Returns how many.
    pub fn receive_with(&mut self, budget: usize, mut take: impl FnMut(&[u8])) -> usize {
        let Self {
            ledger,
            rings,
            memory,
            counted,
            ..
        } = self;
        let Rings { rx, fill, .. } = rings;
        let mut received = 0;
        while received < budget {
            let named = rx.name(memory, budget - received, |named| {
                let Some(frame) = ledger.received(named.number) else {
                    counted.disowned += 1;
                    return;
                };
                match memory.packet(&frame, &named) {
                    Some(packet) => {
                        counted.received += 1;
                        take(packet);
                    }
                    None => counted.disowned += 1,
                }
                let given = fill.give(ledger, memory, frame);
                debug_assert!(given, "the fill ring holds every frame for receiving");
            });
            if named == 0 {
                break;
            }
            received += named;
        }
        fill.wake_if_needed(rx);
        received
    }

    /// Totals since the port was opened.
    ///
    /// # Errors
    ///
    /// Where the kernel does not tell its own counters.
    pub fn statistics(&self) -> Result<Statistics, Error> {
        let kernel = self.rings.statistics().map_err(|cause| Error::Statistics {
            interface: self.interface.clone(),
            cause,
        })?;
        Ok(Statistics {
            rx_ring_full: kernel.rx_ring_full(),
            rx_fill_ring_empty: kernel.rx_fill_ring_empty_descs(),
            rx_dropped: kernel.rx_dropped(),
            rx_invalid: kernel.rx_invalid_descs(),
            tx_invalid: kernel.tx_invalid_descs(),
            tx_ring_empty: kernel.tx_ring_empty_descs(),
            ..self.counted
        })
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

impl AsRawFd for Port {
    fn as_raw_fd(&self) -> RawFd {
        self.fd().as_raw_fd()
    }
}

fn is(cause: &std::io::Error, errno: Errno) -> bool {
    cause.raw_os_error() == Some(errno as i32)
}
