//! How a run ends, and the exit status of it: a contract that scripts rely on.

use std::time::Duration;

use telemetry::Summary;
use telemetry::gates::{Answer, Gate, Passage};
use tracing::warn;

use super::SECOND;
use crate::args::Args;

/// How long open requests are waited for at most once they are known to come back: each one that departs yet is one more to the
/// online service.
const LOOP_DRAIN_MAX: Duration = SECOND;

/// Why a run stops copying.
#[derive(Debug)]
pub(super) enum Stop {
    /// By a signal or `--duration`.
    Asked,
    /// The files of a replay are at their end.
    Played,
    /// Something failed: nothing is waited for.
    Failed(String),
    /// Copies come back as requests, which has been said: what is under way is still brought to its end.
    Loop,
    /// It could not begin for so long that it gives up, for this reason.
    NeverReady(String),
}

impl Stop {
    /// How long the end waits for open requests. A file's last ones have as long as all others: nobody asked for the end.
    pub(super) fn patience(&self, args: &Args) -> Duration {
        match self {
            Self::Played => args.drain.max(args.response_timeout + SECOND),
            Self::Loop => args.drain.min(LOOP_DRAIN_MAX),
            _ => args.drain,
        }
    }
}

/// Why a run does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// What was tried, why it failed, what to do.
    pub(crate) words: String,
    /// Its name in docs/doctor.md.
    pub(crate) finding: &'static str,
}

impl Unusable {
    pub(crate) fn new(words: impl std::fmt::Display, finding: &'static str) -> Self {
        Self {
            words: words.to_string(),
            finding,
        }
    }
}

impl From<Unusable> for Ending {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(unusable)
    }
}

/// The end of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As planned.
    Done,
    /// Something failed while it ran.
    Failed(String),
    /// The arguments or this host are unusable; nothing was changed.
    Unusable(Unusable),
    /// As planned, but a limit that was given was not kept: which, in words.
    GateFailed(String),
    /// As planned, but the limits that were given cannot be judged, because of this.
    NotJudged(String),
    /// It never began to copy, because of this.
    NeverReady(String),
    /// A recorder saw no packet that it could record: what passed instead, in words.
    Unrecorded(String),
    /// No packet of the files belongs to a rule: what there is instead, in words.
    Unmatched(String),
}

impl Ending {
    /// The exit status where nothing was changed.
    pub(crate) const UNUSABLE: u8 = 2;

    /// The exit status.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed(_) => 1,
            Self::Unusable(_) => Self::UNUSABLE,
            Self::GateFailed(_) | Self::Unmatched(_) | Self::Unrecorded(_) => 3,
            Self::NotJudged(_) | Self::NeverReady(_) => 4,
        }
    }

    /// Its name in docs/doctor.md, where there is something to say about it.
    pub(crate) const fn finding(&self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Failed(_) => "run-failed",
            Self::Unusable(unusable) => unusable.finding,
            Self::GateFailed(_) => "gate-failed",
            Self::NotJudged(_) => "nothing-to-judge",
            Self::NeverReady(_) => "never-ready",
            Self::Unmatched(_) => "nothing-matched",
            Self::Unrecorded(_) => "nothing-recorded",
        }
    }

    /// What there is to say about it.
    pub(crate) fn complaint(&self) -> Option<String> {
        match self {
            Self::Done => None,
            Self::Failed(words) => Some(format!("the run failed: {words}")),
            Self::Unusable(unusable) => Some(unusable.words.clone()),
            Self::GateFailed(words) => Some(format!("not passed: {words}")),
            Self::Unrecorded(words) => Some(format!("nothing was recorded: {words}")),
            Self::NotJudged(words) => Some(format!("not judged: {words}")),
            Self::NeverReady(words) | Self::Unmatched(words) => {
                Some(format!("nothing was copied: {words}"))
            }
        }
    }
}

/// How a run ends that was told to the end and in which no worker failed.
pub(super) fn of(stop: Stop, summary: &Summary) -> Ending {
    match stop {
        Stop::Asked | Stop::Played => judge(summary),
        Stop::Failed(words) => Ending::Failed(words),
        Stop::Loop => Ending::Failed(
            "copies came back as requests to the online service; see LOOP above for who sends them and what to do".to_owned(),
        ),
        Stop::NeverReady(reason) => Ending::NeverReady(reason),
    }
}

/// How a run ends that was not disturbed.
fn judge(summary: &Summary) -> Ending {
    let nothing = summary.nothing_to_judge;
    match summary.passage() {
        Passage::NoGate => {
            if let Some(nothing) = nothing {
                warn!(
                    finding = "nothing-captured",
                    "{nothing}; with --min-fidelity this run would end with status 4"
                );
            }
            Ending::Done
        }
        Passage::Passed => Ending::Done,
        Passage::Failed => Ending::GateFailed(words(summary)),
        Passage::NotJudged => {
            let nothing = nothing.map(|why| format!("there is nothing to judge: {why}"));
            Ending::NotJudged(nothing.unwrap_or_else(|| words(summary)))
        }
    }
}

/// Every gate that has not passed, by its option.
fn words(summary: &Summary) -> String {
    let bad = summary
        .gates
        .iter()
        .filter(|gate| gate.result != Answer::Ok);
    bad.map(option_words).collect::<Vec<_>>().join("; ")
}

fn option_words(gate: &Gate) -> String {
    let option = gate.gate.replace('_', "-");
    let why = if gate.why.is_empty() {
        String::new()
    } else {
        format!(" ({})", gate.why)
    };
    format!("--{option} {}: {}{why}", gate.wanted, gate.found)
}

#[cfg(test)]
mod tests {
    use session::Outcome;
    use telemetry::Gates;

    use super::{Ending, Stop, of};
    use crate::run::facts::sheet::{Answered, Fact, GATES};

    fn ending(fact: &Fact) -> Ending {
        of(Stop::Asked, &fact.summary())
    }

    #[test]
    fn the_exit_status_follows_from_the_gates() {
        let equal = || Fact::new(GATES).answered(6000, Answered::default());
        assert_eq!(ending(&equal()), Ending::Done);
        let gap = equal().ended(10, Outcome::Gap);
        assert_eq!(ending(&gap).code(), 3);
        let words = ending(&gap).complaint().unwrap_or_default();
        assert_eq!(words, "not passed: --min-fidelity >= 99.9 %: 99.833 %");
        let left_out = equal().with(|run| run.engine.sessions_shed = 1160);
        let words = ending(&left_out).complaint().unwrap_or_default();
        assert!(words.contains("83.798 % (1,160 left out by"), "{words}");
        let nothing = Fact::new(GATES);
        assert_eq!(ending(&nothing).code(), 4);
        let before = nothing.with(|run| run.engine.left_out_open_before_flows = 7);
        let words = ending(&before).complaint().unwrap_or_default();
        assert!(words.contains("open before the start"), "{words}");
        // Without a gate nothing is a warning and no failure.
        assert_eq!(ending(&Fact::new(Gates::default())), Ending::Done);
    }

    #[test]
    fn a_run_that_never_began_says_so() {
        let summary = Fact::new(Gates::default()).summary();
        let ending = of(Stop::NeverReady("nobody there".to_owned()), &summary);
        assert_eq!(ending.code(), 4);
        assert!(
            ending
                .complaint()
                .is_some_and(|words| words.contains("nobody there"))
        );
        assert_eq!(of(Stop::Loop, &summary).code(), 1);
    }
}
