//! Echoes: turns that begin like one that was captured a short while before, counted by client address. They are what a loop
//! looks like (a target that calls back to the online service), and what many clients look like that only repeat
//! themselves. Whoever runs the engines tells the two apart by an experiment: it has all engines hold their departures for a
//! moment, and looks whose echoes stop ([`Watch`]).
//!
//! Whether a turn is an echo depends on what was captured alone, never on what was sent: holding changes nothing about
//! what real clients' turns are taken for.
//!
//! **Invariant:** what is kept here is a table of fixed size, and costs a turn some hundred instructions. It decides nothing.

use core::time::Duration;

use wire::flow::Addr;

use crate::config::RuleId;
use crate::limits::{ECHO_BYTES_MAX, ECHO_MEMORY, ECHO_PRINTS, ECHO_SAMPLING, ECHO_SUSPECTS};
use crate::time::Instant;

/// Spans of a [`Watch`].
pub const SPANS: usize = 4;

/// A stretch of time that is cut into [`SPANS`] spans of equal length, of which one is held: no turn and no SYN departs in
/// it that had not departed before. Each span begins with a guard, for what was under way, in which nothing is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Which one it is.
    pub number: u32,
    /// Where the first span begins.
    pub begin: Instant,
    /// How long nothing is counted at the beginning of each.
    pub guard: Duration,
    /// How long echoes are counted then.
    pub window: Duration,
    /// The span that is held, below [`SPANS`].
    pub held: u8,
}

impl Watch {
    /// Length of a span.
    #[must_use]
    pub fn span(&self) -> Duration {
        self.guard + self.window
    }

    /// Where all of it ends.
    #[must_use]
    pub fn end(&self) -> Instant {
        self.begin + self.span() * SPANS as u32
    }

    /// From when on echoes are counted in the span that is held.
    #[must_use]
    pub fn counts_from(&self) -> Instant {
        self.hold().0 + self.guard
    }

    /// From when until when departures are held.
    #[must_use]
    pub fn hold(&self) -> (Instant, Instant) {
        let from = self.begin + self.span() * u32::from(self.held);
        (from, from + self.span())
    }

    /// The span in which an echo of this stamp counts.
    fn span_of(&self, stamp: Instant) -> Option<usize> {
        if stamp < self.begin {
            return None;
        }
        let (at, span) = (stamp.since(self.begin).as_nanos(), self.span().as_nanos());
        let index = at.checked_div(span)?;
        let counts = at - index * span >= self.guard.as_nanos();
        usize::try_from(index)
            .ok()
            .filter(|index| counts && *index < SPANS)
    }
}

/// What was counted of a client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The address.
    pub client: Addr,
    /// The rule that the last of its echoes is copied by.
    pub rule: RuleId,
    /// Its echoes, since it stands in the table: one of [`ECHO_SAMPLING`] while nobody watches.
    pub echoes: u64,
    /// Its echoes in each span of the latest [`Watch`].
    pub spans: [u32; SPANS],
}

impl Suspect {
    const NOBODY: Self = Self {
        client: Addr::UNSPECIFIED,
        rule: RuleId(0),
        echoes: 0,
        spans: [0; SPANS],
    };
}

/// What an engine counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The [`Watch`] that it is about.
    pub watch: u32,
    /// Whether that came after it had begun.
    pub late: bool,
    /// Everything that was captured up to then has been counted.
    pub seen: Instant,
    /// Turns that were looked at, whosever.
    pub turns: u64,
    /// Copies that the target had not answered yet when counting began in the span that is held ([`Engine::in_flight`](crate::Engine::in_flight));
    /// `None` before that.
    pub under_way: Option<u64>,
    /// How many of them it answered before the hold ended; `None` before that, and where the hold was called off.
    pub came_back: Option<u64>,
    /// Whose turns are echoes.
    pub suspects: Vec<Suspect>,
}

/// One unit of the time that is kept with a beginning: 2^20 ns, about a millisecond.
const TICK_SHIFT: u32 = 20;
/// How far stamps may stand in another order than their turns, in ticks.
const DISORDER_TICKS: u32 = 16;
const MEMORY_TICKS: u32 = (ECHO_MEMORY.as_nanos() >> TICK_SHIFT) as u32;
/// Places of a set: an address that is not among them takes the place of the one that has been heard of least.
const WAYS: usize = 4;
/// How firmly an address can hold its place, in echoes of others.
const HEAT_MAX: u16 = 256;

const _: () = assert!(
    ECHO_PRINTS.is_power_of_two()
        && ECHO_SAMPLING.is_power_of_two()
        && ECHO_SUSPECTS.is_multiple_of(WAYS)
);

/// A beginning that was captured, and when it was last.
#[derive(Clone, Copy, Debug, Default)]
struct Print {
    hash: u32,
    tick: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    suspect: Suspect,
    heat: u16,
}

/// What the engine counts of echoes.
#[derive(Debug)]
pub(crate) struct Echoes {
    prints: Box<[Print; ECHO_PRINTS]>,
    sets: Box<[[Place; WAYS]; ECHO_SUSPECTS / WAYS]>,
    watch: Option<Watch>,
    /// Where the watch ends; the earliest instant where there is none.
    watch_end: Instant,
    /// Where counting begins in the hold, then where the hold ends, and after that where the watch does, until that has passed.
    due: Option<Instant>,
    /// From when until when nothing departs that has not departed before.
    hold: Option<(Instant, Instant)>,
    late: bool,
    /// The stamp of the latest turn.
    latest: Instant,
    turns: u64,
    under_way: Option<u64>,
    came_back: Option<u64>,
}

impl Echoes {
    /// Until when departures are held, where they are now.
    #[inline]
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        match self.hold {
            None => None,
            Some(hold) => holds(hold, now),
        }
    }

    /// When the hold ends that is to be kept, now or later.
    #[inline]
    pub(crate) fn hold_end(&self) -> Option<Instant> {
        self.hold.map(|(_, until)| until)
    }

    /// When somebody should look again: where counting begins in the hold, at its end, and at the end of the watch.
    #[inline]
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The watch is over at `now`, if it is.
    pub(crate) fn end_watch(&mut self, now: Instant) {
        self.due = self.due.filter(|due| *due > now);
    }

    /// So many copies are under way at `now`: to be told at each [`Echoes::due`] in a hold.
    pub(crate) fn on_under_way(&mut self, now: Instant, copies: u64) {
        let Some((watch, (_, until))) = self.watch.zip(self.hold) else {
            return;
        };
        if watch.counts_from() <= now && self.under_way.is_none() {
            self.under_way = Some(copies);
            self.due = Some(until);
        }
        if until <= now {
            self.came_back = self.under_way.map(|before| before.saturating_sub(copies));
        }
    }

    /// Nothing is held any more. Returns until when it would have been.
    pub(crate) fn end_hold(&mut self) -> Option<Instant> {
        let (_, until) = self.hold.take()?;
        self.due = Some(self.watch_end);
        Some(until)
    }

    pub(crate) fn new() -> Self {
        let nobody = Place {
            suspect: Suspect::NOBODY,
            heat: 0,
        };
        Self {
            prints: Box::new([Print::default(); ECHO_PRINTS]),
            sets: Box::new([[nobody; WAYS]; ECHO_SUSPECTS / WAYS]),
            watch: None,
            watch_end: Instant::default(),
            due: None,
            hold: None,
            late: false,
            latest: Instant::default(),
            turns: 0,
            under_way: None,
            came_back: None,
        }
    }

    /// A turn of `client` begins with these bytes. Where nobody watches, some of the turns are looked at, to save time.
    #[inline]
    pub(crate) fn on_turn(&mut self, client: &Addr, rule: RuleId, bytes: &[u8], stamp: Instant) {
        let tick = (stamp.as_nanos() >> TICK_SHIFT) as u32;
        if tick.is_multiple_of(ECHO_SAMPLING) || stamp < self.watch_end {
            self.look(client, rule, bytes, stamp, tick);
        }
    }

    #[inline(never)]
    fn look(&mut self, client: &Addr, rule: RuleId, bytes: &[u8], stamp: Instant, tick: u32) {
        let hash = fingerprint(bytes);
        let print = &mut self.prints[hash as usize % ECHO_PRINTS];
        let age = tick.wrapping_sub(print.tick).wrapping_add(DISORDER_TICKS);
        let is_echo = print.hash == hash && age <= MEMORY_TICKS + DISORDER_TICKS;
        *print = Print { hash, tick };
        self.latest = stamp;
        self.turns += 1;
        if is_echo {
            self.count(client, rule, stamp);
        }
    }

    fn count(&mut self, client: &Addr, rule: RuleId, stamp: Instant) {
        let set = &mut self.sets[set_of(client)];
        let known = set.iter().position(|place| place.suspect.client == *client);
        let Some(way) = known.or_else(|| make_way(set, client)) else {
            return;
        };
        let place = &mut set[way];
        place.heat = (place.heat + 1).min(HEAT_MAX);
        place.suspect.rule = rule;
        place.suspect.echoes += 1;
        if stamp < self.watch_end
            && let Some(span) = self.watch.and_then(|watch| watch.span_of(stamp))
        {
            place.suspect.spans[span] += 1;
        }
    }

    /// From now on echoes are counted by the spans of `watch`.
    pub(crate) fn watch(&mut self, now: Instant, watch: Watch) {
        for place in self.sets.iter_mut().flatten() {
            place.suspect.spans = [0; SPANS];
        }
        // Whichever span is held: what is thrown away must not depend on that.
        self.late = now > watch.begin;
        self.hold = Some(watch.hold());
        self.watch_end = watch.end();
        (self.under_way, self.came_back) = (None, None);
        self.due = Some(watch.counts_from());
        self.watch = Some(watch);
    }

    /// Where the latest watch ends; the earliest instant where there was none.
    pub(crate) fn watch_end(&self) -> Instant {
        self.watch_end
    }

    /// What was counted so far.
    pub(crate) fn tally(&self, seen: Instant, into: &mut Tally) {
        into.watch = self.watch.map_or(0, |watch| watch.number);
        into.late = self.late;
        into.seen = seen.max(self.latest);
        into.turns = self.turns;
        (into.under_way, into.came_back) = (self.under_way, self.came_back);
        into.suspects.clear();
        let places = self.sets.iter().flatten();
        let heard = places.filter(|place| place.suspect.echoes > 0);
        into.suspects.extend(heard.map(|place| place.suspect));
    }
}

/// An address wants a place where it has none. It gets that of the address that was heard of least, once it has asked as often
/// as that was heard of lately.
#[cold]
fn make_way(set: &mut [Place; WAYS], client: &Addr) -> Option<usize> {
    let coldest = (0..WAYS).min_by_key(|way| set[*way].heat)?;
    let place = &mut set[coldest];
    place.heat = place.heat.saturating_sub(1);
    if place.heat > 0 {
        return None;
    }
    *place = Place {
        suspect: Suspect {
            client: *client,
            ..Suspect::NOBODY
        },
        heat: 0,
    };
    Some(coldest)
}

#[cold]
fn holds((from, until): (Instant, Instant), now: Instant) -> Option<Instant> {
    (from <= now && now < until).then_some(until)
}

fn set_of(client: &Addr) -> usize {
    let address = u128::from_ne_bytes(*client.octets());
    let folded = (address as u64) ^ (address >> 64) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % (ECHO_SUSPECTS / WAYS)
}

/// A hash of what a turn begins with, up to the end of its first line: a proxy changes headers, and some of them grow with each
/// round, but the request line stays. RESP has a line for each word, the first of which tell nothing.
#[inline]
fn fingerprint(bytes: &[u8]) -> u32 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let bytes = bytes.get(..ECHO_BYTES_MAX).unwrap_or(bytes);
    // No text has a byte of 0xff.
    let end = match bytes.first() {
        Some(b'*') => 0xff,
        _ => b'\n',
    };
    let ends = ONES * u64::from(end);
    let mut hash = 0_u64;
    let (words, rest) = bytes.as_chunks();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let zeroed = word ^ ends;
        // The lowest bit of this is right; those above it need not be.
        let found = zeroed.wrapping_sub(ONES) & !zeroed & (ONES << 7);
        if found != 0 {
            let before = found.trailing_zeros() & !7;
            return finish(mix(hash, word & ((1 << before) - 1)));
        }
        hash = mix(hash, word);
    }
    if rest.is_empty() {
        return finish(hash);
    }
    let line = rest.iter().take_while(|byte| **byte != end).zip(0..);
    let last = line.fold(0, |word, (byte, at)| word | u64::from(*byte) << (8 * at));
    finish(mix(hash, last))
}

#[inline(always)]
const fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

#[inline(always)]
const fn finish(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use wire::flow::Addr;

    use super::{ECHO_SUSPECTS, Echoes, SPANS, Tally, Watch, fingerprint};
    use crate::config::RuleId;
    use crate::limits::ECHO_MEMORY;
    use crate::time::Instant;

    const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(5_000_000_000 + millis * 1_000_000)
    }

    /// One that looks at all turns for an hour.
    fn watching() -> Echoes {
        let mut echoes = Echoes::new();
        let hour = Duration::from_secs(900);
        echoes.watch(
            at(0),
            Watch {
                number: 1,
                begin: at(0),
                guard: hour,
                window: Duration::ZERO,
                held: 3,
            },
        );
        echoes
    }

    fn tally(echoes: &Echoes) -> Tally {
        let mut tally = Tally::default();
        echoes.tally(at(0), &mut tally);
        tally
    }

    #[test]
    fn a_request_line_is_told_from_others_and_headers_do_not_matter() {
        let first = fingerprint(GET);
        assert_eq!(
            first,
            fingerprint(b"GET /a HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n\r\n")
        );
        assert_ne!(first, fingerprint(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_ne!(first, fingerprint(b"GET /a HTTP/1.0\r\nHost: x\r\n\r\n"));
        // The end of the line anywhere, also in what is no whole word.
        for len in 1..60 {
            let line = vec![b'x'; len];
            let with = |rest: &[u8]| fingerprint(&[&line[..], b"\n", rest].concat());
            assert_eq!(with(b"one"), with(b"another"), "{len}");
            assert_ne!(with(b"one"), fingerprint(&vec![b'y'; len]), "{len}");
        }
        let resp =
            |key: &str| fingerprint(format!("*2\r\n$3\r\nGET\r\n$3\r\n{key}\r\n").as_bytes());
        assert_ne!(resp("abc"), resp("abd"));
        assert_eq!(fingerprint(b""), fingerprint(b"\n"));
    }

    #[test]
    fn a_turn_is_an_echo_of_one_that_came_a_short_while_before() {
        let mut echoes = watching();
        let (client, proxy) = (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]));
        echoes.on_turn(&client, RuleId(0), GET, at(0));
        assert_eq!(tally(&echoes).suspects, []);
        echoes.on_turn(&proxy, RuleId(3), GET, at(1));
        echoes.on_turn(&proxy, RuleId(3), b"POST / HTTP/1.1\r\n", at(2));
        let long = ECHO_MEMORY.as_millis() as u64 + 20;
        echoes.on_turn(&client, RuleId(0), GET, at(1 + long));
        let suspects = tally(&echoes).suspects;
        assert_eq!(suspects.len(), 1);
        assert_eq!(
            (suspects[0].client, suspects[0].rule, suspects[0].echoes),
            (proxy, RuleId(3), 1)
        );
    }

    #[test]
    fn echoes_count_in_their_span_and_not_in_its_guard() {
        let mut echoes = watching();
        let client = Addr::v4([10, 0, 0, 1]);
        let watch = Watch {
            number: 7,
            begin: at(100),
            guard: Duration::from_millis(10),
            window: Duration::from_millis(30),
            held: 2,
        };
        echoes.on_turn(&client, RuleId(0), GET, at(90));
        echoes.on_turn(&client, RuleId(0), GET, at(91));
        echoes.watch(at(95), watch);
        assert_eq!(watch.hold(), (at(180), at(220)));
        assert_eq!(watch.end(), at(260));
        for millis in [
            99, 100, 109, 110, 139, 140, 149, 150, 229, 230, 259, 260, 300,
        ] {
            echoes.on_turn(&client, RuleId(0), GET, at(millis));
        }
        let tally = tally(&echoes);
        assert_eq!((tally.watch, tally.late), (7, false));
        assert_eq!(tally.suspects[0].spans, [2, 1, 0, 2]);
        echoes.watch(at(101), watch);
        assert!(super::tests::tally(&echoes).late);
    }

    #[test]
    fn while_nobody_watches_some_turns_are_looked_at() {
        let mut echoes = Echoes::new();
        let client = Addr::v4([10, 0, 0, 1]);
        for millis in 0..4000 {
            echoes.on_turn(&client, RuleId(0), GET, at(millis));
        }
        let seen = tally(&echoes).suspects[0].echoes;
        assert!((900..1100).contains(&seen), "{seen}");
    }

    #[test]
    fn whoever_echoes_most_stays_and_the_table_does_not_grow() {
        let mut echoes = watching();
        let proxy = Addr::v4([10, 0, 0, 1]);
        for n in 0..100_000_u32 {
            let [_, a, b, c] = n.to_be_bytes();
            echoes.on_turn(&Addr::v4([11, a, b, c]), RuleId(0), GET, at(0));
            echoes.on_turn(&proxy, RuleId(0), GET, at(0));
        }
        let tally = tally(&echoes);
        assert!(tally.suspects.len() <= ECHO_SUSPECTS);
        let most = tally.suspects.iter().max_by_key(|suspect| suspect.echoes);
        assert_eq!(most.map(|suspect| suspect.client), Some(proxy));
        assert_eq!(most.map(|suspect| suspect.spans), Some([0; SPANS]));
    }
}
