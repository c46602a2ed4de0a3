//! A target that refuses connections: whether it would refuse the next one.

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, REFUSALS_MAX};
use crate::time::Instant;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    in_a_row: u32,
    until: Instant,
}

impl Refusals {
    /// After [`REFUSALS_MAX`] in a row the target is believed to refuse all of them, for a time that doubles from
    /// [`BACKOFF_MIN`] to [`BACKOFF_MAX`]. What is refused meanwhile was asked before, and says nothing new.
    pub(super) fn on_refusal(&mut self, now: Instant) {
        if now < self.until {
            return;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        if let Some(beyond) = self.in_a_row.checked_sub(REFUSALS_MAX) {
            self.until = now + (BACKOFF_MIN * (1 << beyond.min(10))).min(BACKOFF_MAX);
        }
    }

    /// Until when it would refuse another connection, as far as is known.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        Some(self.until).filter(|until| now < *until)
    }
}
