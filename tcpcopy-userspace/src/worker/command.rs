//! What a worker is told, and why it may end without being told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use session::{Ports, Watch};
use wire::flow::Addr;

/// What a worker is told while it runs.
#[derive(Debug)]
pub(crate) enum Command {
    /// The route to a target changed: its MTU, or none.
    Route(Addr, Option<u16>),
    /// Whether new flows may get sessions.
    Admit(bool),
    /// Ports that others on this host have: no new session takes one of them.
    Exclude(Arc<Ports>),
    /// Count echoes by these spans, and hold departures in one of them.
    Watch(Watch),
    /// What is held departs now.
    EndHold,
    /// For the time being one flow may be opened in each such interval.
    Throttle(Option<Duration>),
    /// Client packets that are seen from now on are ignored.
    StopCapture,
    /// Every session is reset, every open turn ends.
    Finish,
    /// Send this frame, which is no session's: a probe of the path.
    Send(Vec<u8>),
    /// The larger ring that the worker asked for; programs begin to write into it.
    Grow(LargerRing),
    /// No program writes into the worker's first ring any more.
    RingSettled,
    /// The programs are detached: take what is left in the ring, and end.
    Leave,
}

/// A ring on its way to its worker.
pub(crate) struct LargerRing(pub(crate) RingBuf<MapData>);

// aya's rings have no `Debug` of their own.
impl fmt::Debug for LargerRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LargerRing").finish_non_exhaustive()
    }
}

/// Why a worker ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The private device is gone.
    #[error(transparent)]
    Port(#[from] port::Error),
    /// The kernel refused something that it never refuses.
    #[error("a worker cannot sleep: {0}; see the kernel's log (`dmesg`)")]
    Sleep(#[source] std::io::Error),
}
