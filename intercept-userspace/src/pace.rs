//! Whether a worker spins, naps or sleeps when it has taken what there was.
//!
//! Waking up is what costs: for each packet alone it costs more than all else together, and at several hundred
//! thousand packets a second it takes longer than the ring lasts (measured: 24-44 % lost). So a worker
//!
//! - sleeps until the next packet where packets are rare: each is reported at once, and silence costs nothing;
//! - naps for a fixed time where several come meanwhile: they are reported together;
//! - spins where they come faster than naps could take them.
//!
//! Sessions that are behind send their next request when they have the report of the last response: a nap is then added to
//! each of their turns, and fewer packets come. How fast packets come does not tell the two apart, so [`Trial`] tries.
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
/// Mean time between packets below which a nap catches two or more, in nanoseconds: 15,000 packets a second.
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

/// How long a way is kept that was found to be the better one, in nanoseconds.
const KEPT_NS: u64 = 100_000_000;
/// How long the other way is tried then.
const TRIED_NS: u64 = 10_000_000;
/// Packets from which on the rate of a trial is believed.
const BELIEVED_MIN: u64 = 64;

/// How fast packets come.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When a turn last took something.
    taken_ns: u64,
    /// Mean time between packets.
    gap_ns: u64,
    trial: Trial,
}

/// Whether naps cost sessions their pace: for a moment each of the two ways is tried, with naps and without, and the one is
/// kept for a while in which packets come faster.
#[derive(Debug)]
struct Trial {
    /// Whether naps are taken now.
    naps: bool,
    /// Whether that is the way which is tried, and not the one which is kept.
    is_tried: bool,
    began_ns: u64,
    packets: u64,
    /// Packets and nanoseconds of the way that is kept.
    kept: Rate,
}

/// So many packets in so much time.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    packets: u64,
    ns: u64,
}

impl Rate {
    /// Whether packets came faster than in `other` by more than chance would have it: by a quarter.
    const fn is_above(self, other: Self) -> bool {
        let (ours, theirs) = (
            self.packets as u128 * other.ns as u128,
            other.packets as u128 * self.ns as u128,
        );
        ours * 4 > theirs * 5
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            taken_ns: 0,
            gap_ns: GAP_MAX_NS,
            trial: Trial {
                naps: true,
                is_tried: false,
                began_ns: 0,
                packets: 0,
                kept: Rate::default(),
            },
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
            self.trial.took(now_ns, taken as u64);
        }
        match (taken, self.gap_ns) {
            (1.., _) if more => Next::Again,
            (1.., ..=GAP_SPIN_MAX_NS) => Next::Again,
            (1.., ..=GAP_NAP_MAX_NS) if self.trial.naps => Next::Nap,
            (0, ..=GAP_SPIN_MAX_NS) if since < KEEP_NS => Next::Spin,
            (0, ..=GAP_SPIN_MAX_NS) if since < SPIN_NS => Next::Yield,
            _ => Next::Sleep,
        }
    }
}

impl Trial {
    fn took(&mut self, now_ns: u64, taken: u64) {
        self.packets += taken;
        let ns = now_ns.saturating_sub(self.began_ns);
        if ns < if self.is_tried { TRIED_NS } else { KEPT_NS } {
            return;
        }
        let rate = Rate {
            packets: self.packets,
            ns,
        };
        let is_believed = rate.packets >= BELIEVED_MIN && self.kept.packets >= BELIEVED_MIN;
        if !self.is_tried {
            self.kept = rate;
            self.is_tried = true;
            self.naps = !self.naps;
        } else {
            self.is_tried = false;
            // Naps spare both hosts, so they have to be worse to be given up, and sessions must be as fast with them.
            let stays = is_believed
                && if self.naps {
                    !self.kept.is_above(rate)
                } else {
                    rate.is_above(self.kept)
                };
            if !stays {
                self.naps = !self.naps;
            }
        }
        (self.began_ns, self.packets) = (now_ns, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::{GAP_NAP_MAX_NS, KEPT_NS, NAP, Next, Pace};

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

    /// Sessions that each send the next packet `answer_ns` after the last was reported, for 2 s: the share of the turns after which
    /// the worker napped, over the second half.
    fn waiting_sessions(sessions: usize, answer_ns: u64) -> f64 {
        let (mut pace, mut now, mut naps, mut turns) = (Pace::default(), 0, 0, 0);
        while now < 20 * KEPT_NS {
            let next = pace.next(now, sessions, false);
            let has_slept = match next {
                Next::Nap => u64::try_from(NAP.as_nanos()).unwrap(),
                _ => 0,
            };
            if now > 10 * KEPT_NS {
                turns += 1;
                naps += u32::from(next == Next::Nap);
            }
            now += answer_ns.max(has_slept);
        }
        f64::from(naps) / f64::from(turns)
    }

    #[test]
    fn sessions_that_wait_for_their_reports_are_spared_naps() {
        assert!(waiting_sessions(1, 20_000) < 0.1);
        assert!(waiting_sessions(4, 60_000) < 0.1);
        // A nap is no longer than what they take themselves.
        assert!(waiting_sessions(20, 150_000) > 0.8);
    }

    #[test]
    fn packets_that_come_at_a_rate_of_their_own_gather_in_naps() {
        let (mut pace, mut now, mut due, mut naps, mut turns) = (Pace::default(), 0, 0, 0, 0);
        let every_ns = GAP_NAP_MAX_NS / 4;
        while now < 20 * KEPT_NS {
            let taken = usize::try_from((now - due) / every_ns).unwrap();
            due += taken as u64 * every_ns;
            let next = pace.next(now, taken, false);
            turns += u32::from(taken > 0);
            naps += u32::from(next == Next::Nap);
            now += match next {
                Next::Nap => u64::try_from(NAP.as_nanos()).unwrap(),
                _ => every_ns,
            };
        }
        // While sleep is tried each packet has a turn of its own.
        assert!(
            f64::from(naps) / f64::from(turns) > 0.5,
            "{naps} of {turns}"
        );
    }

    #[test]
    fn spinning_ends() {
        let (mut pace, mut now) = (Pace::default(), 0);
        then(&mut pace, &mut now, 100, 20_000);
        assert_eq!(pace.next(now + 20_000, 0, false), Next::Yield);
        assert_eq!(pace.next(now + 50_000, 0, false), Next::Sleep);
    }
}
