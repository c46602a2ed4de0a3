//! Whether what the target has sent since a turn departed answers that turn, and not the one before.
//!
//! An answer that is not as long as the online server's may have a rest that is still to come, and nothing in it says so. What
//! comes next is *unsure* then, and so is what comes after that, until something shows that an answer is its turn's own. Unsure turns
//! are not compared.

use core::ops::DerefMut;
use core::time::Duration;

use super::ends::{End, Kind, Kinds};
use super::habits::Habits;
use super::{Next, Playing, Turns};
use crate::limits::WHOLE_SILENCE;
use crate::time::Instant;

/// An answer of at least so many bytes that is to the byte as long as the online server's is its turn's own where most are: that pieces
/// of others add up to as many is as good as impossible then, unless our window lets through as many.
const EXACT_MIN: u32 = 100;

/// Why the bytes that come next may not answer the turn that they seem to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsure {
    /// The server may speak first.
    Greeting,
    /// The rest of an answer may come.
    Rest,
    /// The same, and two answers in a row had as many bytes less than the online server's.
    RestAgain,
}

/// What is known of the answer to the turn before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind {
    pub(super) unsure: Option<Unsure>,
    /// How it has ended, where it was not as long as the online server's.
    ended: Option<Kind>,
    /// The kinds of ends that turns are unsure for.
    doubted: Kinds,
    /// How many bytes it had less than the online server's, where turns are unsure.
    missing: i32,
}

impl Behind {
    /// On a new connection, where the server speaks first, or may.
    pub(super) fn greeted(is_greeted: bool) -> Self {
        Self {
            unsure: is_greeted.then_some(Unsure::Greeting),
            ..Self::default()
        }
    }

    /// After a long silence, in which what turns were unsure for was forgotten.
    pub(super) fn resumed(unsure: Option<Unsure>) -> Self {
        let mut doubted = Kinds::default();
        if unsure.is_some() {
            doubted.add(None);
        }
        Self {
            unsure,
            doubted,
            ..Self::default()
        }
    }

    /// Bytes have come that answer the turn before: more may.
    pub(super) fn on_late_bytes(&mut self, habits: &mut Habits) {
        if let Some(kind) = self.ended {
            habits.refute_whole(kind);
        }
        if self.unsure.is_none() {
            // They came by themselves: one answer that is as long as the online server's is enough.
            (self.unsure, self.missing) = (Some(Unsure::RestAgain), 0);
        }
        self.doubt(self.ended);
    }

    /// An answer may not have been complete that has ended like this, or like no answer does.
    fn doubt(&mut self, kind: Option<Kind>) {
        self.unsure.get_or_insert(Unsure::Rest);
        self.doubted.add(kind);
    }

    /// An answer only happens to be as long as the online server's, together with what the turn before had too many. It has ended
    /// like this by itself, and either may have been but a part; what was alike before it is no row.
    fn interrupt(&mut self, kind: Option<Kind>) {
        self.doubt(self.ended);
        self.doubt(kind);
        self.ended = kind;
        if self.unsure == Some(Unsure::RestAgain) {
            self.unsure = Some(Unsure::Rest);
        }
        self.missing = i32::MIN;
    }

    /// An answer had so many bytes less than the online server's. Returns whether that is usual: three in a row had.
    fn is_usual(&mut self, missing: i32) -> bool {
        let is_alike = self.missing == missing;
        self.missing = missing;
        match self.unsure {
            Some(Unsure::RestAgain) if is_alike => true,
            Some(Unsure::Rest | Unsure::RestAgain) => {
                self.unsure = Some(if is_alike {
                    Unsure::RestAgain
                } else {
                    Unsure::Rest
                });
                false
            }
            None | Some(Unsure::Greeting) => false,
        }
    }
}

impl<T: DerefMut<Target = Turns>> Playing<'_, T> {
    /// The current turn is over without an answer, which may still come.
    pub(super) fn pair_with_none(&mut self) {
        self.step.behind.doubt(None);
    }

    /// The current turn is over: says whether it is compared, where that was unsure, and whether the next one can be.
    pub(super) fn pair(&mut self, next: Next, trips: Duration, habits: &mut Habits, now: Instant) {
        let paced = self.step.paced;
        let was_cut = core::mem::replace(&mut self.step.cut, paced);
        let wanted = self.wanted(next).filter(|wanted| *wanted > 0);
        let unsure = self.step.behind.unsure;
        // A silence may have ended another doubt.
        self.step.paired &= unsure.is_none();
        let is_carried = self.credit() > 0;
        if is_carried && self.current().is_some_and(|turn| turn.early == 0) {
            let own = self.end_of(self.step.answer.bytes, wanted);
            self.step.behind.interrupt(own.map(End::kind));
            return;
        }
        let is_equal = wanted.is_none_or(|wanted| wanted == self.received());
        if wanted.is_some() {
            habits.on_length(is_equal);
        }
        if unsure.is_none() && is_equal {
            self.step.behind.ended = None;
            return;
        }
        let silence = now.since(self.silent_since(now));
        let Some(end) = self.end(wanted) else {
            if wanted.is_some() {
                self.step.behind.doubt(None);
            }
            return;
        };
        let at_once = self.is_at_once(trips);
        let is_odd = habits.is_odd(end);
        let is_whole = !is_odd && habits.is_whole(end, at_once);
        let is_quiet = silence >= habits.quiet();
        // A target that our window has kept from sending more is silent for that.
        if !paced && (is_quiet || silence >= trips.max(WHOLE_SILENCE)) {
            habits.confirm_whole(end, is_quiet);
        }
        habits.on_end(end);
        let behind = &mut self.step.behind;
        let is_exact =
            end.missing == 0 && end.received >= EXACT_MIN && habits.are_exact() && !was_cut;
        let is_usual = behind.is_usual(end.missing) || is_exact;
        let is_own = match unsure {
            None => true,
            Some(_) if is_carried => false,
            Some(Unsure::Greeting) => end.missing == 0,
            Some(Unsure::Rest | Unsure::RestAgain) => {
                is_usual || habits.is_constant(end) || is_whole && habits.are_whole(behind.doubted)
            }
        };
        let is_over = end.missing == 0 || is_usual || habits.is_constant(end) || is_whole;
        let kind = end.kind();
        if is_own && is_over {
            *behind = Behind::default();
        } else if is_own || unsure == Some(Unsure::Greeting) {
            // A greeting that has come by now may look like any answer.
            (behind.unsure, behind.doubted) = (None, Kinds::default());
            behind.doubt((is_own && !is_odd).then_some(kind));
        } else if !is_over {
            behind.doubted.add((!is_odd).then_some(kind));
        }
        behind.ended = Some(kind);
        if unsure.is_some() {
            self.step.paired = is_own && !self.doubt.is_open();
        }
    }
}
