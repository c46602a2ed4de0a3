//! Whether a worker spins or sleeps when there is nothing to take.
//!
//! A sleeping worker costs nothing, but waking it takes longer than a full ring lasts at several hundred thousand
//! packets a second (measured: 24-44 % lost). So it spins only while packets come that fast, and sleeps otherwise.

/// What a worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There was something: look again.
    Again,
    /// Look again in a moment.
    Spin,
    /// Look again when others had a turn on this CPU.
    Yield,
    /// Sleep until there is something.
    Sleep,
}

/// Mean time between packets below which spinning pays, in nanoseconds: 100,000 packets a second.
const GAP_SPIN_MAX_NS: u64 = 10_000;
/// How long it spins after the last packet, in nanoseconds.
const SPIN_NS: u64 = 100_000;
/// For how much of that it keeps the CPU to itself.
const KEEP_NS: u64 = 5_000;
/// Weight of the newest turn in the mean: one part in this many.
const WEIGHT: u64 = 8;

/// How fast packets come.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When a turn last took something.
    taken_ns: u64,
    /// Mean time between packets.
    gap_ns: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            taken_ns: 0,
            gap_ns: u64::MAX / WEIGHT,
        }
    }
}

impl Pace {
    /// What to do after a turn at `now_ns` took `taken` packets.
    pub(crate) fn next(&mut self, now_ns: u64, taken: usize) -> Next {
        let since = now_ns.saturating_sub(self.taken_ns);
        if taken > 0 {
            // A long silence is forgotten within a few turns.
            let gap = (since / taken as u64).min(16 * GAP_SPIN_MAX_NS);
            let mean = self.gap_ns.min(16 * GAP_SPIN_MAX_NS);
            self.gap_ns = (mean * (WEIGHT - 1) + gap) / WEIGHT;
            self.taken_ns = now_ns;
            return Next::Again;
        }
        if self.gap_ns > GAP_SPIN_MAX_NS || since >= SPIN_NS {
            Next::Sleep
        } else if since < KEEP_NS {
            Next::Spin
        } else {
            Next::Yield
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, Pace};

    /// Feeds `rounds` turns, one per 20 us, that take `each` packets.
    fn after(rounds: u64, each: usize) -> (Pace, u64) {
        let mut pace = Pace::default();
        for round in 1..=rounds {
            assert_eq!(pace.next(round * 20_000, each), Next::Again);
        }
        (pace, rounds * 20_000)
    }

    #[test]
    fn slow_traffic_is_slept_for() {
        assert_eq!(Pace::default().next(1, 0), Next::Sleep);
        let (mut pace, now) = after(1000, 1);
        assert_eq!(pace.next(now + 1, 0), Next::Sleep);
    }

    #[test]
    fn fast_traffic_is_spun_for_but_not_for_ever() {
        let (mut pace, now) = after(100, 16);
        assert_eq!(pace.next(now + 1_000, 0), Next::Spin);
        assert_eq!(pace.next(now + 50_000, 0), Next::Yield);
        assert_eq!(pace.next(now + 100_000, 0), Next::Sleep);
        // After a second of silence the first packets do not count for slow traffic for long.
        let mut now = now + 1_000_000_000;
        for _ in 0..30 {
            now += 20_000;
            pace.next(now, 16);
        }
        assert_eq!(pace.next(now + 1_000, 0), Next::Spin);
    }
}
