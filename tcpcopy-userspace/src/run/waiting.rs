//! How long a run waits until it can copy, and how often it says why it cannot: a judgement on times, and what follows from it.

use std::time::Duration;

use tracing::warn;

use super::Run;
use super::bridge::Bridge;

/// How often the reason is said.
const REPEAT: Duration = Duration::from_secs(30);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// To say why nothing is copied yet.
    Reason,
    /// To give up.
    End,
}

/// A run that is not ready.
#[derive(Debug)]
pub(super) struct Waiting {
    timeout: Option<Duration>,
    said: u32,
}

impl Waiting {
    /// `timeout` is how long it may take.
    pub(super) const fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, said: 0 }
    }

    /// What is due at this time since the start.
    pub(super) fn look(&mut self, waited: Duration) -> Option<Due> {
        if self.timeout.is_some_and(|most| waited >= most) {
            return Some(Due::End);
        }
        let due = waited >= REPEAT * (self.said + 1);
        if due {
            self.said += 1;
        }
        due.then_some(Due::Reason)
    }
}

impl Run<'_> {
    /// Says now and then why nothing is copied yet; gives the reason where it was waited for long enough.
    pub(super) fn gives_up(&mut self) -> Option<String> {
        if self.is_ready {
            return None;
        }
        let waited = self.began.elapsed();
        let due = self.waiting.look(waited)?;
        let reason = self
            .bridge
            .as_ref()
            .map_or_else(String::new, Bridge::why_not);
        let seconds = waited.as_secs();
        match due {
            Due::Reason => {
                warn!(
                    finding = "not-ready",
                    "still not copying ({seconds} s): {reason}"
                );
                None
            }
            Due::End => Some(format!(
                "not ready after {seconds} s (--ready-timeout): {reason}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Due, Waiting};

    #[test]
    fn the_reason_is_repeated_and_the_wait_ends() {
        let mut waiting = Waiting::new(Some(Duration::from_secs(75)));
        let due: Vec<_> = (0..100)
            .filter_map(|second| Some((second, waiting.look(Duration::from_secs(second))?)))
            .take(3)
            .collect();
        assert_eq!(due, [(30, Due::Reason), (60, Due::Reason), (75, Due::End)]);
        let mut patient = Waiting::new(None);
        let hour = (0..3600).filter(|&second| patient.look(Duration::from_secs(second)).is_some());
        assert_eq!(hour.count(), 119);
    }
}
