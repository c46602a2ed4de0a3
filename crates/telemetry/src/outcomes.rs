//! What each outcome is called where people read it: table, page and report have the same words from here.
//!
//! `docs/summary.md` has a row for each, with whose doing it is and what to do about it.

use serde::Serialize;
use session::Outcome;

/// How an outcome is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The target took the request.
    Good,
    /// The target failed.
    Bad,
    /// It was not copied, or not as a whole.
    Warn,
    /// The run ended before it did.
    Unfinished,
    /// Neither the target nor the copy did anything wrong.
    Neutral,
}

/// An outcome in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Words(pub Group, pub &'static str, pub &'static str);

/// What a turn is that was open when the run ended.
pub const NOT_FINISHED: Words = Words(
    Group::Unfinished,
    "not finished in time",
    "still waiting when the run ended: see how late the copies left, and --drain",
);

/// The group of an outcome, what it is called, and in a sentence what happened. An outcome `is_over` where the run is.
#[must_use]
pub const fn words(outcome: Outcome, is_over: bool) -> Words {
    match outcome {
        Outcome::Answered => Words(Group::Good, "answered", "the target answered"),
        Outcome::Delivered => Words(
            Group::Good,
            "delivered",
            "the target took it; the online server said nothing either",
        ),
        Outcome::Reset => Words(
            Group::Bad,
            "reset",
            "the target reset the connection before its response was complete",
        ),
        Outcome::Refused => Words(Group::Bad, "refused", "the target took no connection"),
        Outcome::TimedOut => Words(
            Group::Bad,
            "timed out",
            "the target did not answer in time, the online server did",
        ),
        Outcome::TargetClosed => Words(
            Group::Bad,
            "closed early",
            "the target closed the connection in the middle of it",
        ),
        Outcome::Gap => Words(
            Group::Warn,
            "gap",
            "packets were lost on the way to tcpcopy",
        ),
        Outcome::Shed => Words(
            Group::Warn,
            "shed",
            "memory or another limit of tcpcopy was reached",
        ),
        Outcome::Collision => Words(
            Group::Warn,
            "no free port",
            "the reply pool had no free port: widen it with -c",
        ),
        Outcome::Unreplayable => Words(
            Group::Warn,
            "encrypted",
            "TLS or SSH means nothing on another connection: copy behind its terminator",
        ),
        Outcome::Missed => Words(
            Group::Warn,
            "missed",
            "its connection could not be copied here any more: after a gap or the idle timeout, or one side of its handshake was \
             not seen",
        ),
        Outcome::Aborted => Words(
            Group::Neutral,
            "aborted",
            "the client broke off before its request was complete",
        ),
        Outcome::Unserved => Words(
            Group::Neutral,
            "unserved",
            "the online server never took it either",
        ),
        Outcome::Filtered => Words(
            Group::Neutral,
            "filtered out",
            "left out by --only, --except or --read-only",
        ),
        Outcome::Pending if is_over => NOT_FINISHED,
        Outcome::Pending => Words(Group::Neutral, "open", "not ended yet"),
    }
}

/// The words of every outcome as JSON, by its name; `not_finished` is `pending` of a run that is over.
pub(crate) fn json() -> String {
    let words: crate::figures::Figures<Words> = Outcome::ALL
        .iter()
        .map(|&outcome| (outcome.name(), words(outcome, false)))
        .chain(std::iter::once(("not_finished", NOT_FINISHED)))
        .collect();
    // Names and sentences of ours can be written as JSON.
    serde_json::to_string(&words).unwrap_or_else(|_| "{}".to_owned())
}
