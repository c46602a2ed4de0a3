//! The stage of a dry run as two threads have it: the one that reads the files plays on it, the run looks at it; and whoever comes to the end
//! first brings it to its end. The reading one may wait for hours in the middle of a pipe.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use replay::Cue;

use super::Figures;
use super::stage::Stage;
use crate::playback::sink::Sink;

/// A stage, by whoever has it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Act>>);

struct Act {
    stage: Stage,
    /// How it ended, where it has.
    ended: Option<Result<(), String>>,
}

impl Shared {
    pub(super) fn new(stage: Stage) -> Self {
        let ended = None;
        Self(Arc::new(Mutex::new(Act { stage, ended })))
    }

    /// What was counted so far.
    pub(super) fn figures(&self) -> Figures {
        self.act().stage.figures()
    }

    /// Brings it to its end, unless that has been done.
    ///
    /// # Errors
    ///
    /// Where the file could not be written, in words.
    pub(super) fn end(&self) -> Result<(), String> {
        let Act { stage, ended } = &mut *self.act();
        ended.get_or_insert_with(|| stage.finish()).clone()
    }

    fn act(&self) -> MutexGuard<'_, Act> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the stage do this, as long as it has not ended.
    fn with<R: Default>(&self, does: impl FnOnce(&mut Stage) -> R) -> R {
        match &mut *self.act() {
            Act { stage, ended: None } => does(stage),
            _ => R::default(),
        }
    }
}

impl Sink for Shared {
    fn begin(&mut self) {
        self.with(Sink::begin);
    }

    fn now_ns(&self) -> u64 {
        self.with(|stage| stage.now_ns())
    }

    fn take(&mut self, cue: &Cue<'_>) {
        self.with(|stage| stage.take(cue));
    }

    fn has_one_side(&mut self) {
        self.with(Sink::has_one_side);
    }

    fn flush(&mut self) {
        self.with(Sink::flush);
    }

    fn has_waited(&mut self) -> bool {
        self.with(Sink::has_waited)
    }

    fn goes_on(&mut self) -> bool {
        self.with(Sink::goes_on)
    }

    fn come_to_an_end(&mut self) -> bool {
        self.with(Sink::come_to_an_end)
    }
}
