//! What a worker is told, and why it may end without being told.

use std::sync::Arc;
use std::time::Duration;

use session::{Ports, Tuning, Watch};
use wire::flow::{Addr, FlowKey};

/// What a worker is told while it runs.
#[derive(Debug)]
pub(crate) enum Command {
    /// The route to a target changed: its MTU, or none.
    Route(Addr, Option<u16>),
    /// Whether new flows may get sessions.
    Admit(bool),
    /// What users may turn stands like this from now on.
    Tune(Arc<Tuning>),
    /// Ports that others on this host have: no new session takes one of them.
    Exclude(Arc<Ports>),
    /// Count echoes by these spans, and hold departures in one of them.
    Watch(Watch),
    /// What is held departs now.
    EndHold,
    /// For the time being one connection is opened in each such interval, and the others wait.
    Throttle(Option<Duration>),
    /// Client packets that are seen from now on are ignored.
    StopCapture,
    /// Every session is reset, every open turn ends.
    Finish,
    /// Replies to these sessions go to another tcpcopy, which had them first.
    Taken(Vec<FlowKey>),
    /// Send this frame, which is no session's: a probe of the path.
    Send(Vec<u8>),
    /// The programs are detached: take what is left in the ring, and end.
    Leave,
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
