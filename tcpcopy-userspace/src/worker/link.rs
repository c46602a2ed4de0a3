//! Whether reports can arrive at a worker: written by the connections' threads, looked at by the worker at each turn.
//!
//! A state and no command: who writes it never waits for a worker, however late that one is.

use std::sync::atomic::{AtomicU64, Ordering};

/// The state as others write it. Reports cannot arrive at first.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// Changes so far; after an odd number of them reports can arrive.
    changes: AtomicU64,
}

/// What the worker has made of it so far.
#[derive(Debug, Default)]
pub(crate) struct Seen(u64);

impl Link {
    /// Writes the state; to be called by one thread at a time. Gives whether it is another one now.
    pub(crate) fn set(&self, is_up: bool) -> bool {
        let changes = self.changes.load(Ordering::Relaxed);
        let is_new = is_up_after(changes) != is_up;
        if is_new {
            self.changes.store(changes + 1, Ordering::Release);
        }
        is_new
    }

    /// Whether there is news.
    pub(crate) fn has_news(&self, seen: &Seen) -> bool {
        self.changes.load(Ordering::Acquire) != seen.0
    }

    /// The states since the last look, in their order: none, the new one, or, where it changed and changed back meanwhile, both.
    pub(crate) fn news(&self, seen: &mut Seen) -> impl Iterator<Item = bool> + use<> {
        let changes = self.changes.load(Ordering::Acquire);
        let missed = changes
            .wrapping_sub(std::mem::replace(&mut seen.0, changes))
            .min(2);
        (changes.wrapping_sub(missed)..changes).map(|before| is_up_after(before + 1))
    }
}

const fn is_up_after(changes: u64) -> bool {
    changes % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::{Link, Seen};

    #[test]
    fn a_worker_sees_what_is_and_that_it_was_different_meanwhile() {
        let (link, mut seen) = (Link::default(), Seen::default());
        let news = |seen: &mut Seen| link.news(seen).collect::<Vec<_>>();
        assert!(news(&mut seen).is_empty());
        assert!(!link.set(false) && link.set(true) && !link.set(true));
        assert!(link.has_news(&seen));
        assert_eq!(news(&mut seen), [true]);
        assert!(!link.has_news(&seen));
        assert!(news(&mut seen).is_empty());
        assert!(link.set(false) && link.set(true));
        assert_eq!(news(&mut seen), [false, true]);
        for is_up in [false, true, false] {
            link.set(is_up);
        }
        assert_eq!(news(&mut seen), [true, false]);
    }
}
