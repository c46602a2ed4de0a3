//! How much memory a run may take, and how many sessions that is.
//!
//! The online server needs its memory itself: what nobody chooses is a share of what is free at the start.

use crate::args::Args;

/// Of the free memory, this part may hold captured bytes that wait to be sent ...
const WAITING_SHARE: u64 = 8;
/// ... but neither less nor more than this, in bytes.
const WAITING: std::ops::RangeInclusive<u64> = 64 << 20..=4 << 30;
/// Of the free memory, this part may hold sessions ...
const SESSIONS_SHARE: u64 = 8;
/// ... of which each takes about this much while it is active, in bytes.
const SESSION_LEN: u64 = 4096;
/// Sessions at a time, neither less nor more than this.
const SESSIONS: std::ops::RangeInclusive<u64> = 10_000..=1_000_000;
/// Free memory where the kernel does not say, in bytes.
const FREE_DEFAULT: u64 = 4 << 30;

/// Budgets of the whole process; each worker has its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// Captured bytes that wait to be sent.
    pub(super) payload_bytes: u64,
    /// Sessions at a time, as far as memory decides.
    pub(super) sessions: u32,
}

impl Budget {
    pub(super) fn new(args: &Args, memory_available: Option<u64>) -> Self {
        let free = memory_available.unwrap_or(FREE_DEFAULT);
        let within = |value: u64, range: &std::ops::RangeInclusive<u64>| {
            value.clamp(*range.start(), *range.end())
        };
        let sessions = within(free / SESSIONS_SHARE / SESSION_LEN, &SESSIONS);
        Self {
            payload_bytes: args
                .memory
                .unwrap_or_else(|| within(free / WAITING_SHARE, &WAITING)),
            sessions: args
                .max_sessions
                .unwrap_or_else(|| u32::try_from(sessions).unwrap_or(u32::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Budget;
    use crate::args::Args;

    fn budget(line: &str, free: Option<u64>) -> (u64, u32) {
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        let budget = Budget::new(&args, free);
        (budget.payload_bytes >> 20, budget.sessions)
    }

    #[test]
    fn budgets_follow_the_free_memory_within_limits() {
        let line = "tcpcopy -x 80-10.0.0.2:80";
        assert_eq!(budget(line, Some(8 << 30)), (1024, 262_144));
        assert_eq!(budget(line, Some(100 << 20)), (64, 10_000));
        assert_eq!(budget(line, Some(1 << 40)), (4096, 1_000_000));
        assert_eq!(budget(line, None), (512, 131_072));
    }

    #[test]
    fn what_is_chosen_stands() {
        let line = "tcpcopy -x 80-10.0.0.2:80 --memory 3M --max-sessions 7";
        assert_eq!(budget(line, Some(8 << 30)), (3, 7));
    }
}
