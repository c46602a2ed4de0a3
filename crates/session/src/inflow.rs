//! What the sessions of an engine may take from targets together.
//!
//! Two measures that a window obeys besides what the online server has sent (`Turns::credit`): a budget of response bytes
//! per second, and the rate of what targets send beyond that.

use core::time::Duration;

use crate::limits::{EXCESS_BYTES_PER_SECOND, WINDOW_RETRY};
use crate::time::Instant;

/// How much of a second's worth a measure may give at once.
const BURST: u64 = 4;

/// Bytes that come back at a constant rate.
#[derive(Debug)]
struct Bucket {
    per_second: u64,
    /// What may be taken now; below zero where more came than was to be expected.
    level: i64,
    filled: Instant,
}

impl Bucket {
    fn new(per_second: u64, now: Instant) -> Self {
        let mut bucket = Self {
            per_second: per_second.max(1),
            level: 0,
            filled: now,
        };
        bucket.level = bucket.burst();
        bucket
    }

    fn burst(&self) -> i64 {
        (self.per_second / BURST).max(1).cast_signed()
    }

    fn fill(&mut self, now: Instant) {
        if self.level >= self.burst() / 2 {
            // Enough for now, and the time is not lost.
            return;
        }
        // More than a second's worth is more than the burst.
        let nanos = now.as_nanos().saturating_sub(self.filled.as_nanos());
        let bytes = self.per_second.saturating_mul(nanos.min(1_000_000_000)) / 1_000_000_000;
        // What is too little to count stays with the time that it took.
        if bytes > 0 {
            self.filled = now;
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.level = self.level.saturating_add(bytes).min(self.burst());
        }
    }
}

/// What may still be taken.
#[derive(Debug)]
pub(crate) struct Inflow {
    budget: Option<Bucket>,
    excess: Bucket,
}

impl Inflow {
    /// A budget of `per_second` response bytes, or none.
    pub(crate) fn new(per_second: Option<u64>, now: Instant) -> Self {
        Self {
            budget: per_second.map(|rate| Bucket::new(rate, now)),
            excess: Bucket::new(EXCESS_BYTES_PER_SECOND, now),
        }
    }

    /// So many bytes of a response have arrived.
    pub(crate) fn take(&mut self, bytes: u32) {
        if let Some(budget) = &mut self.budget {
            budget.level -= i64::from(bytes);
        }
    }

    /// How many bytes one window may be opened by now. What was promised before may still come on top.
    pub(crate) fn available(&mut self, now: Instant) -> u32 {
        let Some(budget) = &mut self.budget else {
            return u32::MAX;
        };
        budget.fill(now);
        u32::try_from(budget.level.max(0)).unwrap_or(u32::MAX)
    }

    /// How long no window may be opened any further because the budget is spent; `None` where it is not.
    pub(crate) fn spent_for(&mut self, now: Instant) -> Option<Duration> {
        let budget = self.budget.as_mut()?;
        budget.fill(now);
        // A little at a time would be spent on headers.
        let missing = budget.burst() / 8 - budget.level;
        let missing = u128::try_from(missing)
            .ok()
            .filter(|missing| *missing > 0)?;
        let nanos = missing * 1_000_000_000 / u128::from(budget.per_second);
        let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Some(wait.clamp(WINDOW_RETRY, Duration::from_secs(1)))
    }

    /// Up to `wanted` bytes beyond what the online server has sent; 0 where none are to be had now.
    pub(crate) fn excess(&mut self, wanted: u32, now: Instant) -> u32 {
        self.excess.fill(now);
        let granted = u32::try_from(self.excess.level).unwrap_or(0).min(wanted);
        // In small pieces it would be spent on headers.
        if granted < wanted / 4 {
            return 0;
        }
        self.excess.level -= i64::from(granted);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::Inflow;
    use crate::limits::EXCESS_BYTES_PER_SECOND;
    use crate::time::Instant;
    use core::time::Duration;

    #[test]
    fn a_budget_is_spent_and_comes_back() {
        let start = Instant::from_nanos(1);
        let mut inflow = Inflow::new(Some(1_000_000), start);
        assert_eq!(inflow.spent_for(start), None);
        assert_eq!(inflow.available(start), 250_000);
        inflow.take(350_000);
        assert_eq!(inflow.available(start), 0);
        // 100 kB too many, and an eighth of the burst before it is worth a window.
        let wait = inflow.spent_for(start).expect("spent");
        assert!(wait >= Duration::from_millis(131) && wait < Duration::from_millis(132));
        assert_eq!(inflow.spent_for(start + wait), None);
        // Time alone gives no more than the burst.
        inflow.take(250_000);
        assert!(inflow.spent_for(start + wait).is_some());
        assert_eq!(inflow.spent_for(start + Duration::from_secs(3600)), None);
        inflow.take(250_000);
        assert!(
            inflow
                .spent_for(start + Duration::from_secs(3600))
                .is_some()
        );
    }

    #[test]
    fn no_budget_is_never_spent() {
        let start = Instant::from_nanos(1);
        let mut inflow = Inflow::new(None, start);
        inflow.take(u32::MAX);
        assert_eq!(inflow.spent_for(start), None);
    }

    #[test]
    fn what_is_in_excess_comes_at_its_rate() {
        let start = Instant::from_nanos(1);
        let mut inflow = Inflow::new(None, start);
        let mut granted = 0;
        for millisecond in 0..2000 {
            granted +=
                u64::from(inflow.excess(1 << 18, start + Duration::from_millis(millisecond)));
        }
        let rate = EXCESS_BYTES_PER_SECOND;
        assert!((2 * rate..3 * rate).contains(&granted), "{granted}");
    }
}
