//! The timer wheel: at most one deadline per session, armed lazily.
//!
//! A session's deadline moves with nearly every packet (the retransmission timer restarts, the idle timer restarts),
//! nearly always to a later time. So an entry stays where it is while the deadline moves away from it; when it fires, the
//! session is asked again. Only an earlier deadline takes a new entry, and the later one is remembered for when that has
//! fired: the idle timer of a session would otherwise leave an entry behind with each turn, for minutes. A stale entry
//! (its session gone, or armed earlier meanwhile) is recognised by the times that the session itself remembers: [`Armed`].

use crate::time::Instant;

/// One tick: 2^19 ns, about half a millisecond.
const TICK_SHIFT: u32 = 19;
/// Slots of a level, as a power of two.
const LEVEL_SHIFT: u32 = 6;
const SLOTS: usize = 1 << LEVEL_SHIFT;
/// Entries that an empty slot keeps room for. The slots of the lowest level, which are used all the time, keep all theirs.
const KEPT: usize = 64;
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

/// What the wheel holds for a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Armed {
    /// When the session is asked next.
    next: Option<Instant>,
    /// A later entry.
    later: Option<Instant>,
}

impl Armed {
    /// Something is due at `deadline`. Returns whether the wheel needs a new entry for that.
    pub(crate) fn arm(&mut self, deadline: Instant) -> bool {
        match (self.next, self.later) {
            (Some(next), _) if next <= deadline => return false,
            (None, Some(later)) if later <= deadline => {
                (self.next, self.later) = (Some(later), None);
                return false;
            }
            (next, later) => self.later = later.max(next),
        }
        self.next = Some(deadline);
        true
    }

    /// What was remembered of a session while it rested: `next`. A later entry is stale then.
    pub(crate) fn resumed(next: Option<Instant>) -> Self {
        Self { next, later: None }
    }

    /// When the session is asked next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// An entry fired. Returns whether the session is to be asked: others are stale.
    pub(crate) fn fire(&mut self, at: Instant) -> bool {
        self.later = self.later.filter(|later| *later != at);
        let is_next = self.next == Some(at);
        if is_next {
            self.next = None;
        }
        is_next
    }
}

/// A hierarchical timer wheel (Varghese and Lauck's scheme 7).
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The tick up to which everything has been handed out.
    tick: u64,
    levels: [[Vec<Entry>; SLOTS]; LEVELS],
    /// A bit per slot that holds anything.
    occupied: [u64; LEVELS],
    /// The next tick at which something is due or moves down; the largest there is where nothing ever is.
    next: u64,
}

impl Wheel {
    /// An empty wheel that starts at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            tick: now.as_nanos() >> TICK_SHIFT,
            levels: core::array::from_fn(|_| core::array::from_fn(|_| Vec::new())),
            occupied: [0; LEVELS],
            next: u64::MAX,
        }
    }

    /// Adds an entry; it is handed out no earlier than its time, and at most one tick later.
    pub(crate) fn insert(&mut self, entry: Entry) {
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
        let position = (due >> shift).min(farthest);
        let slot = (position % SLOTS as u64) as usize;
        self.next = self.next.min(position << shift);
        self.levels[level][slot].push(entry);
        self.occupied[level] |= 1 << slot;
    }

    /// Time has passed up to `now`. Returns whether [`Wheel::expire`] has anything to do; where it has not, the wheel has gone on.
    pub(crate) fn pass(&mut self, now: Instant) -> bool {
        let until = now.as_nanos() >> TICK_SHIFT;
        let is_due = self.next <= until;
        if !is_due {
            self.tick = self.tick.max(until);
        }
        is_due
    }

    /// Hands out everything that is due at `now`, in no particular order within a tick.
    pub(crate) fn expire(&mut self, now: Instant, due: &mut Vec<Entry>) {
        let until = now.as_nanos() >> TICK_SHIFT;
        while self.next <= until {
            self.tick = self.next;
            self.cascade();
            let slot = (self.tick % SLOTS as u64) as usize;
            self.occupied[0] &= !(1 << slot);
            due.append(&mut self.levels[0][slot]);
            self.next = self.next_tick();
        }
        self.tick = self.tick.max(until);
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
            let mut entries = core::mem::take(&mut self.levels[level][slot]);
            for entry in entries.drain(..) {
                self.place(entry, self.tick);
            }
            if entries.capacity() <= KEPT && self.levels[level][slot].is_empty() {
                self.levels[level][slot] = entries;
            }
        }
    }

    fn next_tick(&self) -> u64 {
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
            .unwrap_or(u64::MAX)
    }

    /// A time at or before the next entry; `None` where there is none.
    pub(crate) fn next(&self) -> Option<Instant> {
        (self.next < u64::MAX).then(|| Instant::from_nanos(self.next << TICK_SHIFT))
    }
}

#[cfg(test)]
mod tests {
    use super::Armed;
    use crate::time::Instant;

    #[test]
    fn a_later_entry_serves_again_when_the_earlier_one_has_fired() {
        let at = Instant::from_nanos;
        let mut armed = Armed::default();
        assert!(armed.arm(at(600)), "idle");
        assert!(armed.arm(at(200)), "a retransmission, earlier");
        assert!(armed.arm(at(20)), "an acknowledgement, earlier still");
        assert!(!armed.arm(at(620)));
        assert!(armed.fire(at(20)));
        assert!(!armed.arm(at(620)), "the entry for 600 is still there");
        assert!(!armed.fire(at(200)), "stale");
        assert!(armed.fire(at(600)));
        assert!(armed.arm(at(620)));
        assert!(!armed.fire(at(600)));
    }
}
