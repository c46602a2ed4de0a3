//! Whether a worker spins, naps or sleeps when it has taken what there was.
//!
//! Waking up is what costs: for each packet alone it costs more than all else together, and at several hundred
//! thousand packets a second it takes longer than the ring lasts (measured: 24-44 % lost). So a worker
//!
//! - sleeps until the next packet where packets are rare: each is reported at once, and silence costs nothing;
//! - naps for a fixed time where several come meanwhile: they are reported together;
//! - spins where they come faster than naps could take them.
//!
//! Stamps do not suffer: `sink` makes them.

use std::time::Duration;

/// What a worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Look again at once.
    Again,
    /// Look again in a moment.
    Spin,
    /// Look again when others had a turn on this CPU.
    Yield,
    /// Look again after [`NAP`].
    Nap,
    /// Sleep until there is something.
    Sleep,
}

/// Length of a nap: the most that a report is delayed by, besides what timers add (about 60 us).
pub(crate) const NAP: Duration = Duration::from_micros(100);
/// Mean time between packets below which a nap catches two or more, in nanoseconds: 15,000 packets a second. A few sessions
/// that each wait for their report do not come to that, and a nap would be added to each of their turns.
const GAP_NAP_MAX_NS: u64 = 67_000;
/// Mean time between packets below which spinning pays, in nanoseconds: 500,000 packets a second.
const GAP_SPIN_MAX_NS: u64 = 2_000;
/// How long it spins after the last packet, in nanoseconds.
const SPIN_NS: u64 = 50_000;
/// For how much of that it keeps the CPU to itself.
const KEEP_NS: u64 = 5_000;
/// Weight of the newest turn in the mean: one part in this many.
const WEIGHT: u64 = 8;
/// A longer silence counts as this long, so that it is forgotten within a few turns.
const GAP_MAX_NS: u64 = 4 * GAP_NAP_MAX_NS;

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
            gap_ns: GAP_MAX_NS,
        }
    }
}

impl Pace {
    /// What to do after a turn at `now_ns` took `taken` packets; `more` where it may have left some.
    pub(crate) fn next(&mut self, now_ns: u64, taken: usize, more: bool) -> Next {
        let since = now_ns.saturating_sub(self.taken_ns);
        if taken > 0 {
            let gap = (since / taken as u64).min(GAP_MAX_NS);
            self.gap_ns = (self.gap_ns * (WEIGHT - 1) + gap) / WEIGHT;
            self.taken_ns = now_ns;
        }
        match (taken, self.gap_ns) {
            (1.., _) if more => Next::Again,
            (1.., ..=GAP_SPIN_MAX_NS) => Next::Again,
            (1.., ..=GAP_NAP_MAX_NS) => Next::Nap,
            (0, ..=GAP_SPIN_MAX_NS) if since < KEEP_NS => Next::Spin,
            (0, ..=GAP_SPIN_MAX_NS) if since < SPIN_NS => Next::Yield,
            _ => Next::Sleep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, Pace};

    /// After turns that each take `taken` packets, `every_ns`: what comes then, and after an empty turn 1 us later.
    fn then(pace: &mut Pace, now_ns: &mut u64, taken: usize, every_ns: u64) -> (Next, Next) {
        let mut last = Next::Sleep;
        for _ in 0..60 {
            *now_ns += every_ns;
            last = pace.next(*now_ns, taken, false);
        }
        (last, pace.next(*now_ns + 1_000, 0, false))
    }

    #[test]
    fn each_rate_has_its_way() {
        let (mut pace, mut now) = (Pace::default(), 0);
        assert_eq!(pace.next(1, 0, false), Next::Sleep);
        assert_eq!(pace.next(1, 256, true), Next::Again);
        for _ in 0..2 {
            let ways = [
                (1, 500_000, (Next::Sleep, Next::Sleep)),
                (1, 50_000, (Next::Nap, Next::Sleep)),
                (40, 200_000, (Next::Nap, Next::Sleep)),
                (16, 20_000, (Next::Again, Next::Spin)),
            ];
            for (taken, every_ns, way) in ways {
                assert_eq!(
                    then(&mut pace, &mut now, taken, every_ns),
                    way,
                    "{taken} per {every_ns} ns"
                );
            }
        }
    }

    #[test]
    fn spinning_ends() {
        let (mut pace, mut now) = (Pace::default(), 0);
        then(&mut pace, &mut now, 100, 20_000);
        assert_eq!(pace.next(now + 20_000, 0, false), Next::Yield);
        assert_eq!(pace.next(now + 50_000, 0, false), Next::Sleep);
    }
}
