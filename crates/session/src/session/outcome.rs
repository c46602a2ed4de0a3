//! How a turn ends: one table, by what ends it and by what the target has done with it until then.
//!
//! | what ends the turn | not answered | delivered | answered |
//! |---|---|---|---|
//! | its response is over, or both sides have closed | `target_closed` | `delivered` | `answered` |
//! | the same, and the client has reset | `aborted` | `delivered` | `answered` |
//! | no response within the response timeout | `timed_out` | `timed_out` | `timed_out` |
//! | the last response has not come after the client's end | `timed_out` | `delivered` | `answered` |
//! | a hole that can never be filled | `gap` | `gap` | `answered` |
//! | neither side has said anything for long | `timed_out` | `delivered` | `answered` |
//! | the run ends | `pending`, or `timed_out` | `delivered` | `answered` |
//! | the run ends while the target may have more to say | `pending` | `delivered` | `pending` |
//! | its connection is lost (reset, closed, silent) before its response was whole, or it was never to be sent (refused, shed, no port, encrypted) | that | that | that |
//!
//! *Delivered* is acknowledged as a whole where the online server has said nothing either; *not answered* is everything else that has
//! no response. A response that came before its request was complete is none.
//!
//! In a session that streams, where nobody waits, *delivered* is also a turn whose answer was taken for another's; but if the target has
//! said nothing since, and for longer than the response timeout, it is `timed_out`.
//!
//! Over all that stands the online server's word: the latest turn of a flow, where that has not acknowledged all of it, is
//! `unserved`, but for one that the client has aborted, or that has a hole.

use crate::event::Outcome;

/// What ends a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its response is over, or both sides have closed.
    Over,
    /// The same, and the client has reset.
    ClientReset,
    /// Nothing came within the response timeout.
    ResponseTimeout,
    /// The client's end has left, and the last response has not come for too long.
    LastTimeout,
    /// A hole that can never be filled.
    Gap,
    /// Neither side has said anything for longer than the user wants to remember.
    Idle,
    /// The run ends; the target may have been silent for longer than the response timeout.
    Finish { silent: bool },
    /// The run ends in the middle of its response: the target may not have come to all of it.
    CutOff,
    /// Its connection is lost before its response was whole, or it was never to be sent: as this.
    Lost(Outcome),
}

/// What the target has done with a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    NotAnswered,
    Delivered,
    Answered,
}

/// How a turn ends.
pub(super) const fn ending(cause: Cause, progress: Progress) -> Outcome {
    let unanswered = match cause {
        Cause::Lost(outcome) => return outcome,
        Cause::ResponseTimeout => return Outcome::TimedOut,
        Cause::Over => Outcome::TargetClosed,
        Cause::ClientReset => Outcome::Aborted,
        Cause::LastTimeout | Cause::Idle | Cause::Finish { silent: true } => Outcome::TimedOut,
        Cause::Finish { silent: false } | Cause::CutOff => Outcome::Pending,
        Cause::Gap => Outcome::Gap,
    };
    match (progress, cause) {
        (Progress::Answered, Cause::CutOff) => Outcome::Pending,
        (Progress::Answered, _) => Outcome::Answered,
        // Nobody knows what else would have come.
        (Progress::Delivered, Cause::Gap) | (Progress::NotAnswered, _) => unanswered,
        (Progress::Delivered, _) => Outcome::Delivered,
    }
}

/// The same where the online server has not acknowledged all of the latest turn, and may never.
pub(super) const fn unserved(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Aborted | Outcome::Gap => outcome,
        _ => Outcome::Unserved,
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Progress, ending, unserved};
    use crate::event::Outcome;

    /// The table of this module's beginning, cell by cell.
    #[test]
    fn each_cell_of_the_table() {
        use Outcome::{
            Aborted, Answered, Collision, Delivered, Gap, Pending, Reset, TargetClosed, TimedOut,
        };
        let rows = [
            (Cause::Over, [TargetClosed, Delivered, Answered]),
            (Cause::ClientReset, [Aborted, Delivered, Answered]),
            (Cause::ResponseTimeout, [TimedOut; 3]),
            (Cause::LastTimeout, [TimedOut, Delivered, Answered]),
            (Cause::Lost(Reset), [Reset; 3]),
            (Cause::Gap, [Gap, Gap, Answered]),
            (Cause::Idle, [TimedOut, Delivered, Answered]),
            (
                Cause::Finish { silent: false },
                [Pending, Delivered, Answered],
            ),
            (
                Cause::Finish { silent: true },
                [TimedOut, Delivered, Answered],
            ),
            (Cause::CutOff, [Pending, Delivered, Pending]),
            (Cause::Lost(Collision), [Collision; 3]),
        ];
        let columns = [
            Progress::NotAnswered,
            Progress::Delivered,
            Progress::Answered,
        ];
        for (cause, outcomes) in rows {
            for (progress, outcome) in columns.into_iter().zip(outcomes) {
                assert_eq!(ending(cause, progress), outcome, "{cause:?}, {progress:?}");
            }
        }
    }

    #[test]
    fn what_was_not_served_was_aborted_or_has_a_hole_at_most() {
        for outcome in Outcome::ALL {
            let kept = matches!(outcome, Outcome::Aborted | Outcome::Gap);
            let expected = if kept { *outcome } else { Outcome::Unserved };
            assert_eq!(unserved(*outcome), expected);
        }
    }
}
