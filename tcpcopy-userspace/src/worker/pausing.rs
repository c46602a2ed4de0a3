//! When a worker has the programs stop recording: every record costs the online server and its clients a little, and what
//! cannot be copied is not worth it.
//!
//! - No target can be reached (no route; in assistant mode no connection to the intercepts), and what was recorded at the
//!   beginning of that would have timed out by now.
//! - The machine is busier than `--max-cpu`, so no new flow is copied, and no session is left that could go on.
//!
//! The first moment in which copying can go on ends it. What was not recorded is counted by the programs as `paused`; flows
//! that were open meanwhile are joined as any flow is that was open before the start.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abi::maps::{PAUSED_BUSY, PAUSED_UNREACHABLE};
use session::{Engine, Instant};

use words::Words;

/// A worker's hand on its switch; others have theirs on other bits of it.
#[derive(Debug)]
pub(crate) struct Switch {
    words: Arc<Words>,
    worker: u32,
    /// What stands in the switch of ours.
    reasons: u64,
}

impl Switch {
    pub(crate) fn new(words: Arc<Words>, worker: u32) -> Self {
        Self {
            words,
            worker,
            reasons: 0,
        }
    }

    fn set(&mut self, reasons: u64) {
        if self.reasons == reasons {
            return;
        }
        let (new, old) = (reasons & !self.reasons, self.reasons & !reasons);
        self.reasons = reasons;
        if let Some(word) = self.words.get(self.worker as usize) {
            word.fetch_or(new, Ordering::SeqCst);
            word.fetch_and(!old, Ordering::SeqCst);
        }
    }
}

/// What decides about the switch.
#[derive(Debug)]
pub(crate) struct Pausing {
    switch: Switch,
    /// How long a request waits at most: `--response-timeout`.
    patience: Duration,
    cut_off_since: Option<Instant>,
    admitting: bool,
}

impl Pausing {
    pub(crate) fn new(switch: Switch, patience: Duration) -> Self {
        Self {
            switch,
            patience,
            cut_off_since: None,
            admitting: true,
        }
    }

    /// New flows may get sessions from now on, or not.
    pub(crate) fn admit(&mut self, admit: bool) {
        self.admitting = admit;
    }

    /// Sets the switch as things are now.
    pub(crate) fn look(&mut self, now: Instant, engine: &Engine) {
        let cut_off = engine.is_cut_off();
        self.decide(now, cut_off, engine.sessions());
    }

    fn decide(&mut self, now: Instant, cut_off: bool, sessions: u64) {
        if cut_off {
            self.cut_off_since.get_or_insert(now);
        } else {
            self.cut_off_since = None;
        }
        let mut reasons = 0;
        if self
            .cut_off_since
            .is_some_and(|since| now.since(since) >= self.patience)
        {
            reasons |= PAUSED_UNREACHABLE;
        }
        if !self.admitting && sessions == 0 {
            reasons |= PAUSED_BUSY;
        }
        self.switch.set(reasons);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use abi::maps::{PAUSED_BUSY, PAUSED_RING_FULL, PAUSED_UNREACHABLE};
    use session::Instant;

    use super::{Pausing, Switch};
    use words::Words;

    const START: Instant = Instant::from_nanos(1_000_000_000);
    const PATIENCE: Duration = Duration::from_secs(3);

    #[test]
    fn recording_stops_where_nothing_can_be_copied_and_goes_on_at_once() {
        let words = Arc::new(Words::private(2).unwrap());
        let mut pausing = Pausing::new(Switch::new(Arc::clone(&words), 1), PATIENCE);
        let mut look = |at: u64, cut_off, admit, sessions| {
            pausing.admit(admit);
            pausing.decide(START + Duration::from_secs(at), cut_off, sessions);
            words.get(1).unwrap().load(Ordering::SeqCst)
        };
        assert_eq!(look(0, false, true, 0), 0);
        assert_eq!(look(1, true, true, 5), 0);
        assert_eq!(
            look(3, true, true, 5),
            0,
            "what was recorded may still be sent"
        );
        assert_eq!(look(4, true, true, 5), PAUSED_UNREACHABLE);
        assert_eq!(look(5, false, true, 5), 0);
        assert_eq!(look(6, true, true, 5), 0, "another time of its own");
        assert_eq!(look(7, false, false, 1), 0, "a session may go on");
        assert_eq!(look(8, false, false, 0), PAUSED_BUSY);
        words
            .get(1)
            .unwrap()
            .fetch_or(PAUSED_RING_FULL, Ordering::SeqCst);
        assert_eq!(look(9, false, true, 0), PAUSED_RING_FULL, "not ours");
        assert_eq!(
            words.get(0).unwrap().load(Ordering::SeqCst),
            0,
            "another worker's"
        );
    }
}
