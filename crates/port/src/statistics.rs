//! The counters of a port.

/// Totals since the port was opened: what the port counted, and what the kernel counted (`XDP_STATISTICS`).
///
/// Frames that were queued equal `completed` plus [`crate::Port::tx_in_flight`]; of those completed, `tx_dropped` did
/// not leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames put into the tx ring.
    pub queued: u64,
    /// Frames that came back through the completion ring.
    pub completed: u64,
    /// Frames taken from the rx ring.
    pub received: u64,
    /// Wake-ups of the kernel (system calls).
    pub kicks: u64,
    /// Wake-ups after which frames were left in the tx ring for later: the device or the socket's buffer was full.
    pub kicks_again: u64,
    /// Wake-ups that failed for want of kernel memory (`ENOBUFS`); the frames stay in the tx ring.
    pub kicks_no_memory: u64,
    /// Frames that the device refused (`EBUSY`): they are completed and were not sent.
    pub tx_dropped: u64,
    /// Ring entries that named a frame which was not with the kernel: always 0 unless kernel and port disagree.
    pub disowned: u64,
    /// Kernel: frames lost because the rx ring was full.
    pub rx_ring_full: u64,
    /// Kernel: frames lost because no frame was in the fill ring.
    pub rx_fill_ring_empty: u64,
    /// Kernel: frames lost on receiving for another reason (too long for a frame, for example).
    pub rx_dropped: u64,
    /// Kernel: descriptors in the fill ring that it rejected.
    pub rx_invalid: u64,
    /// Kernel: descriptors in the tx ring that it rejected.
    pub tx_invalid: u64,
    /// Kernel: how often it found the tx ring empty.
    pub tx_ring_empty: u64,
}
