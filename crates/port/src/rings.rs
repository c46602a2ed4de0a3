//! The four rings, each a type of its own: the fill and tx ring take frames, the completion and rx ring name some.
//!
//! The rings are made together with their socket and hold it: the queue of the interface is free again when all four are
//! dropped.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig};
use xsk_rs::socket::XdpStatistics;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue};

use crate::config::Sizes;
use crate::frame::{Frame, Ledger};
use crate::memory::{Memory, Named, cause_of};
use crate::{Config, Error, Mode};

/// Most descriptors that are taken from a ring at once.
const BATCH: usize = 64;

/// Frames on their way to the kernel to be filled.
#[derive(Debug)]
pub(crate) struct FillRing(FillQueue);
/// Frames that the kernel has sent.
#[derive(Debug)]
pub(crate) struct CompletionRing(CompQueue);
/// Frames that the kernel has filled.
#[derive(Debug)]
pub(crate) struct RxRing(RxQueue);
/// Frames on their way to the kernel to be sent.
#[derive(Debug)]
pub(crate) struct TxRing {
    queue: TxQueue,
    slots: u32,
}

/// The four rings of one socket.
#[derive(Debug)]
pub(crate) struct Rings {
    pub(crate) fill: FillRing,
    pub(crate) completion: CompletionRing,
    pub(crate) rx: RxRing,
    pub(crate) tx: TxRing,
}

impl Rings {
    /// Makes a socket over `memory` and binds it.
    pub(crate) fn bind(config: &Config, sizes: Sizes, memory: &Memory) -> Result<Self, Error> {
        let name = || Error::Name {
            interface: config.interface.clone(),
        };
        let failed = |cause| Error::Bind {
            interface: config.interface.clone(),
            queue: config.queue,
            mode: config.mode,
            cause,
        };
        if !(1..16).contains(&config.interface.len()) {
            return Err(name());
        }
        let interface: Interface = config.interface.parse().map_err(|_| name())?;
        let socket_config = socket_config(config.mode, sizes).map_err(failed)?;
        // SAFETY: the memory is not shared with another socket, and no program is loaded (INHIBIT_PROG_LOAD).
        let made = unsafe { Socket::new(socket_config, memory.umem(), &interface, config.queue) };
        let (tx, rx, rest) = made.map_err(|error| failed(cause_of(error)))?;
        let (fill, completion) =
            rest.ok_or_else(|| failed(io::Error::other("the socket came without its fill ring")))?;
        Ok(Self {
            fill: FillRing(fill),
            completion: CompletionRing(completion),
            rx: RxRing(rx),
            tx: TxRing {
                queue: tx,
                slots: sizes.transmit,
            },
        })
    }

    /// The socket.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the rings hold the socket open, and the returned value borrows them.
        unsafe { BorrowedFd::borrow_raw(self.tx.queue.fd().as_raw_fd()) }
    }

    /// The kernel's counters of the socket.
    pub(crate) fn statistics(&self) -> io::Result<XdpStatistics> {
        self.tx.queue.fd().xdp_statistics()
    }
}

fn socket_config(mode: Mode, sizes: Sizes) -> io::Result<SocketConfig> {
    let copy = match mode {
        Mode::Copy | Mode::Generic => BindFlags::XDP_COPY,
        Mode::ZeroCopy => BindFlags::XDP_ZEROCOPY,
    };
    Ok(SocketConfig::builder()
        .rx_queue_size(QueueSize::new(sizes.receive).map_err(io::Error::other)?)
        .tx_queue_size(QueueSize::new(sizes.transmit).map_err(io::Error::other)?)
        // The loader attaches its own program and puts this socket into its map.
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(copy | BindFlags::XDP_USE_NEED_WAKEUP)
        .build())
}

impl FillRing {
    /// Gives a frame to the kernel to be filled. Returns false, and the frame is lost, where the ring is full: it has a
    /// slot for every frame for receiving, so that does not happen.
    pub(crate) fn give(&mut self, ledger: &mut Ledger, memory: &Memory, frame: Frame) -> bool {
        let number = ledger.lend_for_receive(frame);
        // SAFETY: the frame is of the UMEM that this ring was made with, and the only right to it has just been given up.
        unsafe { self.0.produce_one(memory.descriptor(number)) == 1 }
    }

    /// Wakes a driver that sleeps for want of frames (zero-copy only).
    pub(crate) fn wake_if_needed(&mut self, rx: &mut RxRing) {
        if self.0.needs_wakeup() {
            // The poll is the wake-up; whether it finds anything does not matter, the next turn of the loop looks.
            let _ = self.0.wakeup(rx.0.fd_mut(), 0);
        }
    }
}

impl TxRing {
    /// Slots that can take a frame now.
    pub(crate) fn room(&mut self) -> u32 {
        self.queue.nb_free(self.slots)
    }

    /// Frames that the kernel has not taken yet. (Before Linux 6.17 it tells late, with the next wake-up.)
    pub(crate) fn waiting(&mut self) -> u32 {
        self.slots.saturating_sub(self.queue.nb_free_exact())
    }

    /// Whether the kernel has to be woken to look at this ring.
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.queue.needs_wakeup()
    }

    /// Gives a frame to the kernel to be sent. Returns false, and the frame is lost, where there is no
    /// [room](Self::room).
    pub(crate) fn give(&mut self, ledger: &mut Ledger, memory: &Memory, frame: Frame) -> bool {
        let number = ledger.lend_for_transmit(frame);
        // SAFETY: the frame is of the UMEM that this ring was made with, and the only right to it has just been given up.
        unsafe { self.queue.produce_one(memory.descriptor(number)) == 1 }
    }
}

impl CompletionRing {
    /// Tells `each` what the kernel says it has sent: up to a batch. Returns how many.
    pub(crate) fn name(&mut self, memory: &Memory, mut each: impl FnMut(Named)) -> usize {
        let mut descriptors = [FrameDesc::default(); BATCH];
        // SAFETY: the ring is of the same UMEM. Its content becomes a right to a frame only by way of the ledger.
        let count = unsafe { self.0.consume(&mut descriptors) };
        descriptors[..count]
            .iter()
            .for_each(|descriptor| each(memory.named(*descriptor)));
        count
    }
}

impl RxRing {
    /// Tells `each` what the kernel says it has filled: up to a batch and to `budget`. Returns how many.
    pub(crate) fn name(
        &mut self,
        memory: &Memory,
        budget: usize,
        mut each: impl FnMut(Named),
    ) -> usize {
        let mut descriptors = [FrameDesc::default(); BATCH];
        // SAFETY: the ring is of the same UMEM. Its content becomes a right to a frame only by way of the ledger.
        let count = unsafe { self.0.consume(&mut descriptors[..budget.min(BATCH)]) };
        descriptors[..count]
            .iter()
            .for_each(|descriptor| each(memory.named(*descriptor)));
        count
    }
}
