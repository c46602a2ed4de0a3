//! Whether what the target has sent since a turn departed answers that turn, and not the one before.
//!
//! An answer that is not as long as the online server's may have a rest that is still to come, and nothing in it says so. What
//! comes next is *unsure* then, and so is what comes after that, until something shows whose bytes they are: an answer as long as
//! the online server's, or one that ends as the answers of the rule are known to. Unsure turns are not compared.

use core::ops::DerefMut;

use super::ends::{End, Kind};
use super::habits::Habits;
use super::{Next, Playing};
use crate::limits::WHOLE_SILENCE;
use crate::time::Instant;

/// Why the bytes that come next may not answer the turn that they seem to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsure {
    /// The server may speak first.
    Greeting,
    /// The rest of an answer may come.
    Rest,
}

/// What is known of the answer to the turn before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind {
    pub(super) unsure: Option<Unsure>,
    /// How many bytes the answer before had less than the online server's, where its rest may come.
    missing: i32,
    /// How it has ended, where it was not as long as the online server's.
    pub(super) ended: Option<Kind>,
}

impl<T: DerefMut<Target = super::Turns>> Playing<'_, T> {
    /// The current turn is over: says whether it is compared, where that was `unsure`, and whether the next one can be.
    pub(super) fn pair(
        &mut self,
        next: Next,
        unsure: Option<Unsure>,
        trips: core::time::Duration,
        habits: &mut Habits,
        now: Instant,
    ) {
        let wanted = self.wanted(next).filter(|wanted| *wanted > 0);
        if unsure.is_none() && wanted.is_none_or(|wanted| wanted == self.received()) {
            return;
        }
        let Some(end) = self.end(wanted) else {
            // It has no answer of its own, or one that is cut off.
            let is_begun = wanted.is_some() && self.received() > 0;
            let behind = &mut self.step.behind;
            behind.unsure = unsure.or(is_begun.then_some(Unsure::Rest));
            return;
        };
        let at_once = self.is_at_once(trips);
        let is_whole = habits.is_whole(end, at_once);
        let is_own = unsure.is_none_or(|unsure| self.is_own(unsure, end, is_whole));
        if unsure.is_some() {
            self.step.paired = is_own && !self.doubt.is_open();
        }
        let silence = now.since(self.silent_since(now));
        if silence >= habits.quiet() || unsure.is_none() && silence >= trips.max(WHOLE_SILENCE) {
            habits.confirm_whole(end);
        }
        habits.on_end(end);
        let is_over = end.missing == 0 || is_whole;
        let behind = &mut self.step.behind;
        behind.ended = Some(end.kind());
        (behind.unsure, behind.missing) = match unsure {
            _ if is_own && is_over => (None, 0),
            Some(unsure) if !is_own => (Some(unsure), behind.missing),
            _ => (Some(Unsure::Rest), end.missing),
        };
    }

    /// Whether an answer is the turn's own, although the rest of another may have come: both servers' are as long, or this one is
    /// longer by as much as the one before, or it ends as answers are known to.
    fn is_own(&self, unsure: Unsure, end: End, is_whole: bool) -> bool {
        if self.credit() > 0 {
            return false;
        }
        match unsure {
            Unsure::Greeting => end.missing == 0,
            Unsure::Rest => {
                let before = self.step.behind.missing;
                end.missing == 0 || end.missing == before && before < 0 || is_whole
            }
        }
    }
}
