//! The timer wheel: at most one deadline per session, armed lazily.
//!
//! A session's deadline moves with nearly every packet (the retransmission timer restarts, the idle timer restarts),
//! nearly always to a later time. So an entry stays where it is while the deadline moves away from it; when it fires, the
//! session is asked again. Only an earlier deadline moves an entry. A stale entry (its session gone, or armed
//! earlier meanwhile) is recognised by the time that the session itself remembers.

use crate::time::Instant;

/// One tick: 2^19 ns, about half a millisecond.
const TICK_SHIFT: u32 = 19;
/// Slots of a level, as a power of two.
const LEVEL_SHIFT: u32 = 6;
const SLOTS: usize = 1 << LEVEL_SHIFT;
/// 64^6 ticks: more than a year.
const LEVELS: usize = 6;

/// What is due: the slot number of a session and the time that it was armed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The session.
    pub(crate) session: u32,
    /// What it was armed for.
    pub(crate) at: Instant,
}

/// A hierarchical timer wheel (Varghese and Lauck's scheme 7).
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The tick up to which everything has been handed out.
    tick: u64,
    levels: [[Vec<Entry>; SLOTS]; LEVELS],
    /// A bit per slot that holds anything.
    occupied: [u64; LEVELS],
    len: usize,
}

impl Wheel {
    /// An empty wheel that starts at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            tick: now.as_nanos() >> TICK_SHIFT,
            levels: core::array::from_fn(|_| core::array::from_fn(|_| Vec::new())),
            occupied: [0; LEVELS],
            len: 0,
        }
    }

    /// Adds an entry; it is handed out no earlier than its time, and at most one tick later.
    pub(crate) fn insert(&mut self, entry: Entry) {
        self.len += 1;
        // The current tick has been handed out already.
        self.place(entry, self.tick + 1);
    }

    fn place(&mut self, entry: Entry, earliest: u64) {
        // Round up, so that nothing fires early.
        let due = ((entry.at.as_nanos() >> TICK_SHIFT) + 1).max(earliest);
        let distance = (due - self.tick) | 1;
        let level = (distance.ilog2() / LEVEL_SHIFT).min(LEVELS as u32 - 1) as usize;
        let shift = level as u32 * LEVEL_SHIFT;
        // Farther than the wheel reaches: into its last slot, to be placed again from there.
        let farthest = (self.tick >> shift) + (SLOTS as u64 - 1);
        let slot = ((due >> shift).min(farthest) % SLOTS as u64) as usize;
        self.levels[level][slot].push(entry);
        self.occupied[level] |= 1 << slot;
    }

    /// Hands out everything that is due at `now`, in no particular order within a tick.
    pub(crate) fn expire(&mut self, now: Instant, due: &mut Vec<Entry>) {
        let until = now.as_nanos() >> TICK_SHIFT;
        while self.tick < until {
            if self.len == 0 {
                self.tick = until;
                return;
            }
            // Skip empty stretches of the lowest level, but never past the point where a higher one cascades.
            let next = self.next_tick().unwrap_or(until).min(until);
            self.tick = next;
            self.cascade();
            let slot = (self.tick % SLOTS as u64) as usize;
            self.occupied[0] &= !(1 << slot);
            self.len -= self.levels[0][slot].len();
            due.append(&mut self.levels[0][slot]);
        }
    }

    /// Moves the entries of higher levels whose stretch begins at this tick down.
    fn cascade(&mut self) {
        for level in 1..LEVELS {
            let shift = level as u32 * LEVEL_SHIFT;
            if !self.tick.is_multiple_of(1 << shift) {
                return;
            }
            let slot = ((self.tick >> shift) % SLOTS as u64) as usize;
            self.occupied[level] &= !(1 << slot);
            for entry in core::mem::take(&mut self.levels[level][slot]) {
                self.place(entry, self.tick);
            }
        }
    }

    /// The next tick at which something is due or moves down.
    fn next_tick(&self) -> Option<u64> {
        (0..LEVELS)
            .filter(|&level| self.occupied[level] != 0)
            .map(|level| {
                let shift = level as u32 * LEVEL_SHIFT;
                let position = (self.tick >> shift) + 1;
                let ahead = self.occupied[level]
                    .rotate_right((position % SLOTS as u64) as u32)
                    .trailing_zeros();
                (position + u64::from(ahead)) << shift
            })
            .min()
    }

    /// A time at or before the next entry; `None` where there is none.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next_tick()
            .map(|tick| Instant::from_nanos(tick << TICK_SHIFT))
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Wheel};
    use crate::time::Instant;

    /// Against a sorted list: everything comes out, never early, and at most one tick late for the steps taken.
    #[test]
    fn entries_come_out_on_time() {
        let start = 987_654_321_000;
        let mut wheel = Wheel::new(Instant::from_nanos(start));
        let mut state = 7u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let (mut now, mut pending, mut due) = (start, 0usize, Vec::new());
        for round in 0..20_000u32 {
            for _ in 0..random() % 4 {
                let span = 1u64 << (random() % 42);
                let at = Instant::from_nanos(now + random() % span);
                wheel.insert(Entry { session: round, at });
                pending += 1;
            }
            let step = 1u64 << (random() % 34);
            now = match wheel.next() {
                Some(next) if random() % 2 == 0 => next.as_nanos().max(now).min(now + step),
                _ => now + step,
            };
            wheel.expire(Instant::from_nanos(now), &mut due);
            for entry in due.drain(..) {
                assert!(
                    entry.at.as_nanos() <= now,
                    "early by {} ns",
                    entry.at.as_nanos() - now
                );
                pending -= 1;
            }
            // The longest that an entry may be late is a tick.
            let floor = Instant::from_nanos(now.saturating_sub(2 << super::TICK_SHIFT));
            for entry in wheel.levels.iter().flatten().flatten() {
                assert!(entry.at > floor, "late");
            }
        }
        wheel.expire(Instant::from_nanos(now + (1 << 45)), &mut due);
        assert_eq!(due.len(), pending);
        assert_eq!(wheel.next(), None);
    }
}
