//! How a run ends, and the exit status of it: a contract that scripts rely on.

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

/// The end of a run.
#[derive(Debug)]
pub(crate) enum Ending {
    /// As planned.
    Done,
    /// Something failed while it ran.
    Failed(String),
    /// The arguments or this host are unusable; nothing was changed.
    Unusable(String),
    /// As planned, but the target did worse than was asked for, in percent.
    BelowFidelity { percent: f64, reached: f64 },
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
        }
    }

    /// What there is to say about it.
    pub(crate) fn complaint(&self) -> Option<String> {
        match self {
            Self::Done => None,
            Self::Failed(words) => Some(format!("the run failed: {words}")),
            Self::Unusable(words) => Some(words.clone()),
            Self::BelowFidelity { percent, reached } => Some(format!(
                "fidelity {reached:.3} % is below --min-fidelity {percent} %"
            )),
        }
    }
}
