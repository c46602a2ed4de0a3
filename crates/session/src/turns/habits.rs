//! What is learned of how a rule's target answers, and shared by all its sessions: how long it pauses inside a response, and how
//! its responses end.

use core::time::Duration;

use super::ends::{End, Ends, Kind, Kinds};
use crate::limits::{QUIET_LEARNED, QUIET_MAX, QUIET_MIN};

/// See [`Habits::fade`].
const FADE_MIN: u32 = 2;
const FADE_MAX: u32 = 64;

/// How far an answer that is to the byte as long as the online server's counts up, by one, and how far down one that is not; from
/// [`EXACT_USUAL`] on that is usual, so four of five must be. Behind [`EXACT_MAX`] a few that are not change nothing.
const EXACT_MAX: u8 = 32;
const EXACT_USUAL: u8 = 8;
const EXACT_STEP_DOWN: u8 = 4;

/// The habits of one rule's target.
#[derive(Debug)]
pub(crate) struct Habits {
    /// The longest pause inside a response of late.
    pause: Duration,
    /// By which part of itself a silence that was long enough brings it down: the less often that has been too short, the more.
    fade: u32,
    ends: Ends,
    /// How usual it is that an answer is to the byte as long as the online server's: from 0 to [`EXACT_MAX`].
    exact: u8,
}

impl Habits {
    /// Before anything was learned, a target is not expected to pause: one that does is ahead once, and then waited for. To wait for as
    /// long as for any would have every connection late that is there when a run begins.
    pub(crate) fn new(copies: u16) -> Self {
        Self {
            pause: QUIET_LEARNED / 2,
            fade: FADE_MIN,
            exact: 0,
            ends: Ends::new(copies),
        }
    }

    /// Flows have so many copies from now on.
    pub(crate) fn expect_copies(&mut self, copies: u16) {
        self.ends.expect_copies(copies);
    }

    /// How long a target must be silent before a response counts as complete that is not as long as the online server's.
    pub(crate) fn quiet(&self) -> Duration {
        (self.pause * 2).clamp(QUIET_MIN, QUIET_MAX)
    }

    /// See [`Ends::believe`].
    pub(crate) fn believe(&self, end: End, at_once: bool) -> Option<End> {
        self.ends.believe(end, at_once)
    }

    /// Whether responses that end like this were complete each time.
    pub(super) fn is_whole(&self, end: End, at_once: bool) -> bool {
        self.ends.is_whole(end, at_once)
    }

    /// A turn is over whose answer is as long as the online server's to the byte, or is not.
    #[inline]
    pub(super) fn on_length(&mut self, is_exact: bool) {
        self.exact = match is_exact {
            true => (self.exact + 1).min(EXACT_MAX),
            false => self.exact.saturating_sub(EXACT_STEP_DOWN),
        };
    }

    /// Whether most answers are to the byte as long as the online server's: then one that is shows something.
    pub(super) fn are_exact(&self) -> bool {
        self.exact >= EXACT_USUAL
    }

    /// Whether many responses in a row have had the same length, or the same difference, and this one has another.
    pub(super) fn is_odd(&self, end: End) -> bool {
        self.ends.is_odd(end)
    }

    /// Whether all responses are as long as this one, whatever the online server's.
    pub(super) fn is_constant(&self, end: End) -> bool {
        self.ends.is_constant(end)
    }

    /// Whether responses were complete each time that end in any of these ways.
    pub(super) fn are_whole(&self, kinds: Kinds) -> bool {
        self.ends.are_whole(kinds)
    }

    /// A response ended like this.
    pub(super) fn on_end(&mut self, end: End) {
        self.ends.on_end(end);
    }

    /// Nothing came behind a response that ended like this.
    pub(super) fn confirm_whole(&mut self, end: End, is_quiet: bool) {
        self.ends.confirm_whole(end, is_quiet);
    }

    /// Something came behind a response that was over.
    pub(super) fn refute_whole(&mut self, kind: Kind) {
        self.ends.refute_whole(kind);
    }

    /// More came of a response that looked as if it ended like this.
    pub(super) fn refute_part(&mut self, end: End) {
        self.ends.refute_part(end);
    }

    /// A pause inside a response: a longer one counts at once, shorter ones fade it out.
    pub(crate) fn on_pause(&mut self, pause: Duration) {
        if pause > self.pause {
            self.pause = pause.min(QUIET_MAX);
        } else {
            self.pause -= (self.pause - pause) / 64;
        }
    }

    /// Silence has shown that a response was complete: such silences become shorter, since nothing came of the longer one.
    pub(crate) fn confirm(&mut self, end: End) {
        self.ends.confirm(end);
        self.shorten();
    }

    /// A silence was long enough, for all that is known.
    pub(super) fn shorten(&mut self) {
        self.pause -= self.pause.saturating_sub(QUIET_LEARNED / 2) / self.fade;
    }

    /// A response that seemed complete was not; the rest came after `pause`, if that is known.
    pub(crate) fn refute(&mut self, end: End, pause: Option<Duration>) {
        self.ends.refute(end);
        if let Some(pause) = pause {
            self.fade = (self.fade * 2).min(FADE_MAX);
            self.on_pause(pause);
        }
    }
}
