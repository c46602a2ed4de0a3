//! Where the responses of a rule's target end although they are not as long as the online server's.
//!
//! Such a response is complete when the target has been silent for long enough, but a target that answers a byte less on every
//! turn must not set the pace of a session by its silences. So silence teaches: where it has confirmed several times that
//! responses end like this one, the next is taken to be complete at once. A byte that comes after such an end refutes it, and
//! it is believed again only after twice as many confirmations.
//!
//! An end is recognised by three marks, and each is believed by itself: the length of the response, by how much it is shorter (or
//! longer) than the online server's, and, for responses of random lengths, which of its segments that looked like the last
//! one it was, and roughly its size. The first two are remembered for the few ends that were confirmed most.

use core::num::NonZeroU8;

/// Lengths, and differences of lengths, that are remembered per rule; the one that was confirmed least makes room.
const EXACT: usize = 8;
/// Confirmations after which an exact length or difference is believed.
const EXACT_NEEDED: u16 = 3;
/// Confirmations after which it is believed that any response of this size ends at such a segment.
const KIND_NEEDED: u16 = 6;
/// So many times as many have the same length where all have.
const CONSTANT: u16 = 4;
/// Shortest length that shows something: of shorter ones a piece of an answer is as long as others are.
const LENGTH_MIN: u32 = 4;
/// Most confirmations that are asked for, however often a belief was refuted.
const NEEDED_MAX: u16 = 4096;
/// Kinds of ends: by the first, second, third or a later segment that looked like the last, and by four sizes.
const KINDS: usize = 16;
/// Silences after which any response that ends like this is taken to be the whole answer to its turn.
const WHOLE_NEEDED: u16 = 32;
/// What a silence of the quiet time counts for, among shorter ones.
const WHOLE_QUIET: u16 = 6;

/// A kind of end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(NonZeroU8);

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Its length in bytes.
    pub(crate) received: u32,
    /// How many bytes the online server's had more.
    pub(crate) missing: i32,
    /// How many of its segments have looked like the last one.
    pub(crate) tails: NonZeroU8,
    /// Whether it is believed for its length, or the difference, and not for its kind alone.
    pub(crate) is_exact: bool,
}

impl End {
    pub(super) fn kind(self) -> Kind {
        let size = match self.received {
            0..=255 => 0,
            256..=1399 => 1,
            1400..=16_383 => 2,
            _ => 3,
        };
        Kind(NonZeroU8::MIN.saturating_add((self.tails.get().min(4) - 1) * 4 + size))
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kinds(u16);

impl Kinds {
    /// One more; `None` is an end of no kind, which cannot be believed.
    pub(super) fn add(&mut self, kind: Option<Kind>) {
        self.0 |= kind.map_or(u16::MAX, |kind| 1 << kind.index());
    }
}

impl Kind {
    fn index(self) -> usize {
        usize::from(self.0.get() - 1)
    }
}

/// Whether something is believed, and why.
#[derive(Clone, Copy, Debug)]
struct Belief {
    confirmed: u16,
    needed: u16,
}

impl Belief {
    const fn new(needed: u16) -> Self {
        Self {
            confirmed: 0,
            needed,
        }
    }

    fn is_held(self) -> bool {
        self.confirmed >= self.needed
    }

    fn confirm(&mut self, by: u16) {
        self.confirmed = self.confirmed.saturating_add(by);
    }

    fn refute(&mut self) {
        self.confirmed = 0;
        self.needed = self.needed.saturating_mul(2).min(NEEDED_MAX);
    }
}

/// Exact values that were confirmed.
#[derive(Debug)]
struct Exact([(u32, Belief); EXACT]);

impl Exact {
    fn new() -> Self {
        Self([(0, Belief::new(EXACT_NEEDED)); EXACT])
    }

    fn get(&self, key: u32) -> Option<Belief> {
        let mut known = self.0.iter();
        known.find(|known| known.0 == key).map(|known| known.1)
    }

    fn confirm(&mut self, key: u32) {
        if let Some(known) = self.0.iter_mut().find(|known| known.0 == key) {
            known.1.confirm(1);
        } else if let Some(least) = self.0.iter_mut().min_by_key(|known| known.1.confirmed) {
            *least = (key, Belief::new(EXACT_NEEDED));
            least.1.confirm(1);
        }
    }

    fn refute(&mut self, key: u32) {
        if let Some(known) = self.0.iter_mut().find(|known| known.0 == key) {
            known.1.refute();
        }
    }
}

/// A value that several responses in a row have had.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    value: u32,
    len: u16,
}

impl Run {
    fn add(&mut self, value: u32) {
        self.len = match value == self.value {
            true => self.len.saturating_add(1),
            false => 0,
        };
        self.value = value;
    }

    /// One was not complete that had it.
    fn refute(&mut self, value: u32) {
        if self.value == value {
            *self = Self::default();
        }
    }

    fn has(self, value: u32, len: u16) -> bool {
        self.value == value && self.len >= len
    }
}

/// What is known of the ends of a rule's responses.
#[derive(Debug)]
pub(crate) struct Ends {
    lengths: Exact,
    differences: Exact,
    kinds: [Belief; KINDS],
    /// Whether a response was complete that ended like this, be it shorter or longer.
    whole: [Belief; KINDS],
    /// How the latest have ended: their length, and the difference.
    runs: [Run; 2],
    /// How long a run has to be: all copies of a flow have the same.
    run: u16,
}

impl Ends {
    pub(crate) fn new(copies: u16) -> Self {
        let whole = WHOLE_NEEDED.saturating_mul(copies).min(NEEDED_MAX);
        Self {
            run: EXACT_NEEDED.saturating_mul(copies),
            lengths: Exact::new(),
            differences: Exact::new(),
            kinds: [Belief::new(KIND_NEEDED); KINDS],
            whole: [Belief::new(whole); KINDS],
            runs: [Run::default(); 2],
        }
    }

    /// Flows have so many copies from now on. Those that have more still count, so that nothing is believed sooner than before.
    pub(crate) fn expect_copies(&mut self, copies: u16) {
        let new = Self::new(copies);
        self.run = self.run.max(new.run);
        for (belief, new) in self.whole.iter_mut().zip(new.whole) {
            belief.needed = belief.needed.max(new.needed);
        }
    }

    /// The end as it is believed, if nothing more is expected of a response that ends like this. `at_once` says that the online
    /// server's came without a pause; where it did not, the kind does not mean that this one has no pause.
    pub(crate) fn believe(&self, end: End, at_once: bool) -> Option<End> {
        let held = |belief: Option<Belief>| belief.is_some_and(Belief::is_held);
        let is_exact = held(self.lengths.get(end.received))
            || held(self.differences.get(end.missing.cast_unsigned()));
        let believed = is_exact || at_once && self.kinds[end.kind().index()].is_held();
        believed.then_some(End { is_exact, ..end })
    }

    /// Silence has shown that a response ended like this.
    pub(crate) fn confirm(&mut self, end: End) {
        self.kinds[end.kind().index()].confirm(1);
        self.lengths.confirm(end.received);
        self.differences.confirm(end.missing.cast_unsigned());
    }

    /// Whether responses that end like this were complete each time, be it for their length, the difference, or their kind.
    pub(super) fn is_whole(&self, end: End, at_once: bool) -> bool {
        let [lengths, differences] = self.runs;
        end.received >= LENGTH_MIN && lengths.has(end.received, self.run)
            || differences.has(end.missing.cast_unsigned(), self.run)
            || at_once && self.whole[end.kind().index()].is_held()
    }

    /// Whether many responses in a row have had the same length, or the same difference, and this one has another. A few happen to have.
    pub(super) fn is_odd(&self, end: End) -> bool {
        let [lengths, differences] = self.runs;
        let is_held = |run: Run| run.len >= self.run.saturating_mul(CONSTANT);
        let is_alike = lengths.has(end.received, self.run)
            || differences.has(end.missing.cast_unsigned(), self.run);
        (is_held(lengths) || is_held(differences)) && !is_alike
    }

    /// Whether all responses are as long as this one, whatever the online server's.
    pub(super) fn is_constant(&self, end: End) -> bool {
        end.received >= LENGTH_MIN
            && self.runs[0].has(end.received, self.run.saturating_mul(CONSTANT))
    }

    /// Whether responses were complete each time that end in any of these ways.
    pub(super) fn are_whole(&self, kinds: Kinds) -> bool {
        let kinds = (0..KINDS).filter(|kind| kinds.0 >> kind & 1 == 1);
        kinds.into_iter().all(|kind| self.whole[kind].is_held())
    }

    /// A response ended like this.
    pub(super) fn on_end(&mut self, end: End) {
        self.runs[0].add(end.received);
        self.runs[1].add(end.missing.cast_unsigned());
    }

    /// Nothing came behind a response that ended like this.
    pub(super) fn confirm_whole(&mut self, end: End, is_quiet: bool) {
        let by = if is_quiet { WHOLE_QUIET } else { 1 };
        self.whole[end.kind().index()].confirm(by);
    }

    /// Something came behind a response that was over.
    pub(super) fn refute_whole(&mut self, kind: Kind) {
        self.whole[kind.index()].refute();
        self.runs = [Run::default(); 2];
    }

    /// More came of a response that looked as if it ended like this. A belief that lets turns leave is not shaken by what is more
    /// than the online server's.
    pub(super) fn refute_part(&mut self, end: End) {
        if end.missing > 0 {
            self.refute(end);
        }
        self.whole[end.kind().index()].refute();
        let [lengths, differences] = &mut self.runs;
        lengths.refute(end.received);
        differences.refute(end.missing.cast_unsigned());
    }

    /// More came of a response that looked as if it had ended like this.
    pub(crate) fn refute(&mut self, end: End) {
        self.kinds[end.kind().index()].refute();
        self.lengths.refute(end.received);
        self.differences.refute(end.missing.cast_unsigned());
    }
}
