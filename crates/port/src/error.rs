//! What can go wrong with a port, and what to do about it.

use std::io;

use nix::errno::Errno;

use crate::Mode;

/// Why a port could not be opened or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The frame length is not one that the kernel and the code can share.
    #[error(
        "an AF_XDP port with frames of {frame_len} bytes was asked for, but only 2048 and 4096 are possible"
    )]
    FrameLen {
        /// What was asked for, in bytes.
        frame_len: u32,
    },
    /// Too few or too many frames.
    #[error(
        "an AF_XDP port with {tx_frames} frames for sending and {rx_frames} for receiving was asked for; it needs at \
         least 1 for sending and at most {max} in all"
    )]
    FrameCount {
        /// Frames for sending.
        tx_frames: u32,
        /// Frames for receiving.
        rx_frames: u32,
        /// Most frames of both kinds together.
        max: u32,
    },
    /// The interface's name cannot be one.
    #[error("`{interface}` cannot be the name of an interface: use 1 to 15 bytes without NUL")]
    Name {
        /// What was given.
        interface: String,
    },
    /// The memory for frames could not be registered with the kernel.
    #[error(
        "cannot make the memory of an AF_XDP socket ({frames} frames of {frame_len} bytes): {cause}; {}",
        memory_advice(cause)
    )]
    Memory {
        /// Frames.
        frames: u32,
        /// Bytes per frame.
        frame_len: u32,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The socket could not be made or bound.
    #[error("cannot bind an AF_XDP socket to queue {queue} of `{interface}` ({mode:?}): {cause}; {}", bind_advice(cause, *mode))]
    Bind {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// How it was to be bound.
        mode: Mode,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The send buffer could not be made as large as the frames.
    #[error(
        "cannot set the send buffer of the AF_XDP socket on `{interface}` to {bytes} bytes: {cause}; run as root or with \
         CAP_NET_ADMIN (without it one target that does not answer would stop the copies to all others)"
    )]
    SendBuffer {
        /// The interface.
        interface: String,
        /// Bytes asked for.
        bytes: usize,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The kernel was asked to send and cannot.
    #[error(
        "cannot send through `{interface}`: {cause}; is the interface still there and up (`ip link show {interface}`)?"
    )]
    Kick {
        /// The interface.
        interface: String,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The kernel's counters could not be read.
    #[error(
        "cannot read the counters of the AF_XDP socket on `{interface}` (XDP_STATISTICS): {cause}; this kernel may be too old (5.9 or later is needed)"
    )]
    Statistics {
        /// The interface.
        interface: String,
        /// What the kernel said.
        cause: io::Error,
    },
}

fn memory_advice(cause: &io::Error) -> &'static str {
    match cause.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => "run as root or with CAP_NET_RAW",
        Some(Errno::ENOBUFS | Errno::ENOMEM) => {
            "raise the limit of locked memory (`ulimit -l`), give CAP_IPC_LOCK, or use fewer frames"
        }
        Some(Errno::EAFNOSUPPORT) => "this kernel was built without AF_XDP (CONFIG_XDP_SOCKETS)",
        _ => "see the kernel's log (`dmesg`)",
    }
}

fn bind_advice(cause: &io::Error, mode: Mode) -> &'static str {
    match cause.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => "run as root or with CAP_NET_RAW",
        Some(Errno::EBUSY) => "another process holds this queue: end it (`ss --xdp -p` shows it)",
        Some(Errno::ENODEV) => "there is no such interface in this network namespace",
        Some(Errno::ENETDOWN) => "set the interface up first",
        Some(Errno::EOPNOTSUPP | Errno::EINVAL) if mode == Mode::ZeroCopy => {
            "the queue does not exist or the driver cannot do zero-copy: use copy mode"
        }
        Some(Errno::EINVAL) => "the queue does not exist (`ip -d link show` tells numrxqueues)",
        Some(Errno::EAFNOSUPPORT) => "this kernel was built without AF_XDP (CONFIG_XDP_SOCKETS)",
        _ => "see the kernel's log (`dmesg`)",
    }
}
