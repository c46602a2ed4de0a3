//! Two sources in one order, for `--capture af-xdp`: a client's packet takes its time through the private device, and
//! the record of the online server's answer must not overtake it, or the engine would see an answer to bytes that
//! nobody sent.
//!
//! So `capture` leaves a mark in the ring for each clone, and records of the online server that follow a mark are held
//! until its frames have come. The private device keeps the order of frames, so one that is younger than the next mark
//! says that the frames before are here, or lost. Replies of targets are not held: they answer what the engine itself
//! sent.

use std::collections::VecDeque;
use std::time::Duration;

use abi::record::HEADERS_LEN_MAX;
use session::Instant;

/// A clone that has not come after so long is lost: the kernel had no time for the private device.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// Most records and marks that are held; of more the oldest goes at once.
const HELD_MAX: usize = 1 << 15;
/// Most bytes of records that are longer than their headers, likewise: whole responses are up to 64 KiB each.
const HELD_BYTES_MAX: usize = 16 << 20;

/// Online records that wait for frames.
#[derive(Debug)]
pub(super) struct Merge {
    held: VecDeque<Entry>,
    /// Bytes of the long records among them.
    held_bytes: usize,
    /// The clone whose frames are arriving.
    current: Option<Expected>,
    /// The stamp of the latest frame, and how many frames had it.
    latest: (Instant, u32),
}

#[derive(Debug)]
enum Entry {
    Online(Held),
    Expected(Expected),
}

/// A clone under way.
#[derive(Clone, Copy, Debug)]
struct Expected {
    /// Its frames are younger than this.
    stamp: Instant,
    /// Frames that have not come.
    left: u32,
}

/// A record of an online server's segment.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) stamp: Instant,
    record: Record,
}

/// Headers, and a sample of payload or all of it where that was asked for.
#[derive(Debug)]
enum Record {
    Short(usize, [u8; HEADERS_LEN_MAX as usize]),
    Long(Box<[u8]>),
}

impl Record {
    fn new(record: &[u8]) -> Self {
        let mut bytes = [0; HEADERS_LEN_MAX as usize];
        match bytes.get_mut(..record.len()) {
            Some(place) => {
                place.copy_from_slice(record);
                Self::Short(record.len(), bytes)
            }
            None => Self::Long(record.into()),
        }
    }

    /// Bytes that it takes beside the others, where it is long.
    fn long_len(&self) -> usize {
        match self {
            Self::Short(..) => 0,
            Self::Long(bytes) => bytes.len(),
        }
    }
}

impl Held {
    /// The captured bytes: headers, and a sample of payload or all of it where that was asked for.
    pub(super) fn headers(&self) -> &[u8] {
        match &self.record {
            Record::Short(len, bytes) => bytes.get(..*len).unwrap_or_default(),
            Record::Long(bytes) => bytes,
        }
    }
}

impl Merge {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            held: VecDeque::new(),
            held_bytes: 0,
            current: None,
            latest: (now, 0),
        }
    }

    /// Holds a record; gives the oldest where there are too many.
    pub(super) fn hold(&mut self, stamp: Instant, headers: &[u8]) -> Option<Held> {
        let record = Record::new(headers);
        self.held_bytes += record.long_len();
        self.held.push_back(Entry::Online(Held { stamp, record }));
        self.trim()
    }

    /// A packet was cloned at `stamp` and becomes so many frames; gives the oldest record where there are too many.
    pub(super) fn expect(&mut self, stamp: Instant, frames: u32) -> Option<Held> {
        // They may have come before the ring was read.
        let (latest, came) = self.latest;
        let left = if latest >= stamp {
            frames.saturating_sub(came)
        } else {
            frames
        };
        if left == 0 {
            return None;
        }
        self.held
            .push_back(Entry::Expected(Expected { stamp, left }));
        self.trim()
    }

    fn trim(&mut self) -> Option<Held> {
        while self.held.len() > HELD_MAX || self.held_bytes > HELD_BYTES_MAX {
            if let Entry::Online(held) = self.pop()? {
                return Some(held);
            }
        }
        None
    }

    /// The oldest of all.
    fn pop(&mut self) -> Option<Entry> {
        let oldest = self.held.pop_front()?;
        if let Entry::Online(held) = &oldest {
            self.held_bytes -= held.record.long_len();
        }
        Some(oldest)
    }

    /// It is the oldest still.
    fn put_back(&mut self, entry: Entry) {
        if let Entry::Online(held) = &entry {
            self.held_bytes += held.record.long_len();
        }
        self.held.push_front(entry);
    }

    /// The oldest record if it is not younger than a frame of this stamp.
    pub(super) fn before(&mut self, stamp: Instant) -> Option<Held> {
        loop {
            match self.pop()? {
                Entry::Online(held) if held.stamp <= stamp => return Some(held),
                // Frames keep their order: whatever is left of the clone before is lost.
                Entry::Expected(clone) if clone.stamp <= stamp => self.current = Some(clone),
                younger => {
                    self.put_back(younger);
                    return None;
                }
            }
        }
    }

    /// A client's frame arrived, and the records that are older were taken.
    pub(super) fn saw(&mut self, stamp: Instant) {
        self.latest = match self.latest {
            (latest, came) if latest == stamp => (latest, came.saturating_add(1)),
            _ => (stamp, 1),
        };
        self.current = self.current.take().and_then(|clone| {
            let left = if clone.stamp <= stamp {
                clone.left.saturating_sub(1)
            } else {
                clone.left
            };
            (left > 0).then_some(Expected { left, ..clone })
        });
    }

    /// The oldest record if every frame before it has come.
    pub(super) fn ripe(&mut self, now: Instant) -> Option<Held> {
        let is_lost = |clone: Expected| now.since(clone.stamp) >= LOST_AFTER;
        if self.current.is_some_and(|clone| !is_lost(clone)) {
            return None;
        }
        self.current = None;
        loop {
            match self.pop()? {
                Entry::Online(held) => return Some(held),
                Entry::Expected(clone) if is_lost(clone) => {}
                waiting @ Entry::Expected(_) => {
                    self.put_back(waiting);
                    return None;
                }
            }
        }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::Instant;

    use super::{HELD_BYTES_MAX, HELD_MAX, LOST_AFTER, Merge};

    const START: Instant = Instant::from_nanos(50_000_000_000);

    fn at(micros: u64) -> Instant {
        START + Duration::from_micros(micros)
    }

    /// What may go on at `now`, as text.
    fn ripe(merge: &mut Merge, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| merge.ripe(now))
            .map(|held| String::from_utf8_lossy(held.headers()).into_owned())
            .collect()
    }

    fn before(merge: &mut Merge, stamp: Instant) -> usize {
        let taken = std::iter::from_fn(|| merge.before(stamp)).count();
        merge.saw(stamp);
        taken
    }

    #[test]
    fn an_answer_waits_for_the_frames_of_its_request() {
        let mut merge = Merge::new(START);
        assert!(merge.expect(at(10), 2).is_none());
        assert!(merge.hold(at(50), b"answer").is_none());
        assert!(ripe(&mut merge, at(9_000)).is_empty());
        assert_eq!(before(&mut merge, at(11)), 0);
        assert!(ripe(&mut merge, at(9_000)).is_empty(), "one of two frames");
        assert_eq!(before(&mut merge, at(11)), 0);
        assert_eq!(ripe(&mut merge, at(9_000)), ["answer"]);
        assert!(merge.is_empty());
    }

    #[test]
    fn a_record_with_a_sample_is_held_whole() {
        let mut merge = Merge::new(START);
        let records = [0, 52, 120, 121, 248].map(|len| vec![b'x'; len]);
        for record in &records {
            merge.hold(at(10), record);
        }
        let held: Vec<_> = std::iter::from_fn(|| merge.ripe(at(20))).collect();
        assert!(held.iter().map(super::Held::headers).eq(&records));
    }

    #[test]
    fn what_follows_no_clone_goes_at_once() {
        let mut merge = Merge::new(START);
        merge.hold(at(10), b"one");
        merge.expect(at(20), 1);
        merge.hold(at(30), b"two");
        assert_eq!(ripe(&mut merge, at(40)), ["one"]);
        assert!(!merge.is_empty());
    }

    #[test]
    fn frames_may_come_before_their_mark_is_read() {
        let mut merge = Merge::new(START);
        assert_eq!(before(&mut merge, at(11)), 0);
        merge.expect(at(10), 1);
        merge.hold(at(30), b"answer");
        assert_eq!(ripe(&mut merge, at(40)), ["answer"]);
    }

    #[test]
    fn a_younger_frame_says_that_a_clone_is_lost() {
        let mut merge = Merge::new(START);
        merge.expect(at(10), 3);
        merge.hold(at(15), b"first");
        merge.expect(at(20), 1);
        merge.hold(at(30), b"second");
        assert_eq!(before(&mut merge, at(21)), 1, "the first answer");
        assert_eq!(ripe(&mut merge, at(40)), ["second"]);
    }

    #[test]
    fn without_any_frame_it_takes_a_time() {
        let mut merge = Merge::new(START);
        merge.expect(at(10), 1);
        merge.hold(at(15), b"answer");
        let late = at(10) + LOST_AFTER;
        assert!(ripe(&mut merge, late - Duration::from_micros(1)).is_empty());
        assert_eq!(ripe(&mut merge, late), ["answer"]);
    }

    #[test]
    fn no_more_is_held_than_the_limit() {
        let mut merge = Merge::new(START);
        for n in 0..HELD_MAX as u64 {
            assert!(merge.hold(at(n), b"").is_none());
        }
        assert_eq!(merge.hold(at(HELD_MAX as u64), b"").unwrap().stamp, START);
    }

    #[test]
    fn no_more_bytes_are_held_than_the_limit() {
        let mut merge = Merge::new(START);
        merge.expect(at(0), 1);
        let whole = vec![b'x'; 64 << 10];
        let fit = HELD_BYTES_MAX / whole.len();
        for n in 0..fit as u64 {
            assert!(merge.hold(at(n), &whole).is_none());
        }
        // The mark goes before the oldest record does: what waits for it waits no longer.
        let oldest = merge.hold(at(fit as u64), &whole).expect("one too many");
        assert_eq!(oldest.stamp, START);
        assert_eq!(ripe(&mut merge, at(9_000)).len(), fit);
        assert_eq!(merge.held_bytes, 0);
    }
}
