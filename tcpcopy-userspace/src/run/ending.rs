//! How a run ends, and the exit status of it: a contract that scripts rely on.

use tracing::warn;

/// Why a run stops copying.
#[derive(Debug)]
pub(super) enum Stop {
    /// By a signal or `--duration`.
    Asked,
    /// Something failed: nothing is waited for.
    Failed(String),
    /// Copies come back as requests, which has been said: what was taken is still brought to its end.
    Loop,
}

impl Stop {
    /// What makes the run a failed one.
    pub(super) fn failure(self) -> Option<String> {
        match self {
            Self::Asked => None,
            Self::Failed(words) => Some(words),
            Self::Loop => Some(
                "copies came back as requests to the online service; see LOOP above for who sends them and what to do".to_owned(),
            ),
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
#[derive(Debug)]
pub(crate) enum Ending {
    /// As planned.
    Done,
    /// Something failed while it ran.
    Failed(String),
    /// The arguments or this host are unusable; nothing was changed.
    Unusable(Unusable),
    /// As planned, but the target did worse than was asked for, in percent.
    BelowFidelity {
        percent: f64,
        reached: f64,
        /// Requests that were left out, of which there is a word where there are any.
        left_out: u64,
    },
    /// As planned, but there is nothing that --min-fidelity could judge, because of this.
    NothingToJudge(&'static str),
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
            Self::BelowFidelity { .. } => 3,
            Self::NothingToJudge(_) => 4,
        }
    }

    /// Its name in docs/doctor.md, where there is something to say about it.
    pub(crate) const fn finding(&self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Failed(_) => "run-failed",
            Self::Unusable(unusable) => unusable.finding,
            Self::BelowFidelity { .. } => "below-fidelity",
            Self::NothingToJudge(_) => "nothing-to-judge",
        }
    }

    /// What there is to say about it.
    pub(crate) fn complaint(&self) -> Option<String> {
        match self {
            Self::Done => None,
            Self::Failed(words) => Some(format!("the run failed: {words}")),
            Self::Unusable(unusable) => Some(unusable.words.clone()),
            Self::BelowFidelity {
                percent,
                reached,
                left_out: 0,
            } => Some(format!(
                "fidelity {reached:.3} % is below --min-fidelity {percent} %"
            )),
            Self::BelowFidelity {
                percent, reached, ..
            } => Some(format!(
                "{reached:.3} % of the requests were copied and answered, what was left out by --max-sessions, --max-new-sessions, --max-cpu or \
                 --memory among them: that is below --min-fidelity {percent} %"
            )),
            Self::NothingToJudge(why) => {
                Some(format!("--min-fidelity has nothing to judge: {why}"))
            }
        }
    }
}

/// How a run that was not disturbed ends: whether it was ready, how many turns were captured, how many requests were left out and
/// which share of all was copied and answered ([`telemetry::LeftOut::share_copied`]), and how many connections were left out
/// because they were open before the start.
pub(super) fn judge(
    min_fidelity: Option<f64>,
    was_ready: bool,
    captured: u64,
    (left_out, share): (u64, Option<f64>),
    open_before: u64,
) -> Ending {
    let nothing = if open_before > 0 {
        "all connections that were seen were open before the start, and are left out (see --join)"
    } else {
        "nothing was captured"
    };
    let Some(percent) = min_fidelity else {
        if captured == 0 {
            warn!(
                finding = "nothing-captured",
                "{nothing}; with --min-fidelity this run would end with status 4"
            );
        }
        return Ending::Done;
    };
    match share {
        _ if !was_ready => Ending::NothingToJudge("the run was never ready, so nothing was copied"),
        None if captured > 0 => {
            Ending::NothingToJudge("the online server served nothing of what was captured")
        }
        None => Ending::NothingToJudge(nothing),
        Some(share) if share * 100.0 < percent => Ending::BelowFidelity {
            percent,
            reached: share * 100.0,
            left_out,
        },
        Some(_) => Ending::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn what_was_left_out_fails_and_nothing_is_not_judged() {
        let code = |min, ready, captured, left_out, share| {
            judge(min, ready, captured, (left_out, share), 0).code()
        };
        assert_eq!(code(Some(99.0), true, 20, 0, Some(1.0)), 0);
        assert_eq!(code(Some(99.0), true, 20, 0, Some(0.9)), 3);
        assert_eq!(code(Some(99.0), true, 20, 1160, Some(0.02)), 3);
        assert_eq!(code(Some(99.0), true, 0, 5, Some(0.0)), 3);
        assert_eq!(code(Some(99.0), true, 0, 0, None), 4);
        assert_eq!(code(Some(99.0), true, 3, 0, None), 4, "all unserved");
        assert_eq!(code(Some(0.0), false, 0, 0, None), 4, "never ready");
        for (captured, share) in [(0, None), (20, Some(0.1))] {
            assert_eq!(code(None, true, captured, 0, share), 0);
        }
        let words = judge(Some(99.0), true, 20, (1160, Some(0.02)), 0).complaint();
        assert!(words.is_some_and(|words| words.contains("left out")));
        let words = judge(Some(99.0), true, 0, (0, None), 7).complaint();
        assert!(words.is_some_and(|words| words.contains("open before the start")));
    }
}
