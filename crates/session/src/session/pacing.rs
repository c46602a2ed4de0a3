//! When a session's window is to be looked at: what [`super::window`] remembers.

use wire::seq::TargetSeq;

use crate::time::Instant;

/// When a session's window is to be looked at, and what it depends on.
#[derive(Debug)]
pub(crate) struct Pacing {
    /// When a window that is nearly closed may be opened, or the target is told again that it is open ...
    pub(super) at: Option<Instant>,
    /// ... and how often it has been told without sending anything.
    pub(super) told: u8,
    /// Where the window ended that it knew of before it was told.
    pub(super) known: TargetSeq,
}

impl Default for Pacing {
    /// Nothing is to be looked at.
    fn default() -> Self {
        Self {
            at: None,
            told: 0,
            known: TargetSeq::new(0),
        }
    }
}

impl Pacing {
    /// When [`Session::on_window_timer`] wants to be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.at
    }

    /// Whether nothing would be lost by forgetting it.
    pub(crate) fn is_idle(&self) -> bool {
        self.at.is_none()
    }

    /// The target has sent something: it knows of the window.
    pub(crate) fn on_used(&mut self) {
        if self.told > 0 {
            (self.told, self.at) = (0, None);
        }
    }
}
