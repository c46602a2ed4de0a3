//! A limit on how often the log speaks: what peers do must not fill it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines per [`PERIOD`].
const LINES_MAX: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// Lets through [`LINES_MAX`] lines per second and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    lines: u32,
    suppressed: u64,
}

impl Limit {
    /// Whether a line may be written now: `Some` with the number of lines left out since the last that was.
    pub(crate) fn allow(&self, now: Instant) -> Option<u64> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = guard.get_or_insert(State {
            since: now,
            lines: 0,
            suppressed: 0,
        });
        if now.saturating_duration_since(state.since) >= PERIOD {
            (state.since, state.lines) = (now, 0);
        }
        if state.lines >= LINES_MAX {
            state.suppressed += 1;
            return None;
        }
        state.lines += 1;
        Some(core::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Limit;

    #[test]
    fn ten_lines_a_second_and_the_rest_is_counted() {
        let (limit, start) = (Limit::default(), Instant::now());
        assert!((0..10).all(|_| limit.allow(start) == Some(0)));
        assert!((0..7).all(|_| limit.allow(start).is_none()));
        assert_eq!(limit.allow(start + Duration::from_secs(1)), Some(7));
        assert_eq!(limit.allow(start + Duration::from_secs(1)), Some(0));
    }
}
