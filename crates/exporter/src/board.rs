//! What the process publishes and the server reads.
//!
//! The process puts up a whole new snapshot about once a second; a reader takes a reference to the latest one. Neither
//! waits for the other longer than it takes to exchange a pointer.

use std::sync::{Arc, Mutex, PoisonError};

/// How far the process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It does not do its work yet.
    #[default]
    Starting,
    /// It does its work.
    Ready,
    /// It does its work in part only: something that it needs is missing for now.
    Impaired,
    /// It ends: no new work, what was begun is being finished.
    Draining,
}

impl Phase {
    /// The word for readers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Impaired => "impaired",
            Self::Draining => "draining",
        }
    }
}

/// Where the latest snapshot hangs.
#[derive(Debug)]
pub struct Board<T> {
    current: Mutex<(Phase, Option<Arc<T>>)>,
}

impl<T> Default for Board<T> {
    fn default() -> Self {
        Self {
            current: Mutex::new((Phase::default(), None)),
        }
    }
}

impl<T> Board<T> {
    /// An empty board of a process that starts.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Puts up a new snapshot in the place of the one before.
    pub fn publish(&self, snapshot: T) {
        let snapshot = Some(Arc::new(snapshot));
        let old = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut current.1, snapshot)
        };
        // Freed by whoever held it last, and not under the lock.
        drop(old);
    }

    /// Says how far the process is.
    pub fn enter(&self, phase: Phase) {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0 = phase;
    }

    /// How far the process is, and its latest snapshot, if there is one yet.
    #[must_use]
    pub fn read(&self) -> (Phase, Option<Arc<T>>) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        (current.0, current.1.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, Phase};

    #[test]
    fn a_reader_keeps_what_it_took_and_the_next_takes_the_latest() {
        let board = Board::new();
        assert_eq!(board.read(), (Phase::Starting, None));
        board.publish(1);
        let (_, first) = board.read();
        board.publish(2);
        board.enter(Phase::Ready);
        assert_eq!(first.as_deref(), Some(&1));
        let (phase, second) = board.read();
        assert_eq!((phase, second.as_deref()), (Phase::Ready, Some(&2)));
    }
}
