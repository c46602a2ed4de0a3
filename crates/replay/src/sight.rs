//! Whether a packet is one that was seen already in another network: a capture on both sides of a router has each packet twice, with
//! other VLANs around it, and it is one connection all the same.
//!
//! Addresses and ports say nothing, for two networks may have equal ones. Sequence numbers do: two connections choose their initial
//! ones at random.

use wire::segment::Segment;
use wire::tcp::Flags;

/// How far the two sights of a connection lie apart in the file at most. A router takes microseconds; clocks of two interfaces differ.
const APART_MAX_MS: u32 = 1000;
/// How many bytes one sight may be ahead of the other, where no SYN was seen in both: two connections are so close to each other by chance
/// once in 8,000 times for each direction.
const AHEAD_MAX: u32 = 256 << 10;

/// What one side of a connection was seen to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Its initial sequence number, where its SYN was seen.
    isn: Option<u32>,
    /// Behind what it has said, of which nothing is missing before that.
    end: u32,
    /// Where the last bytes begin that have something missing before them, if any have.
    resumes: u32,
    /// Behind all of it.
    top: u32,
    at_ms: u32,
}

impl Sight {
    /// What is seen after this, if anything was.
    pub(crate) fn next(before: Option<Self>, segment: &Segment, at_ns: u64) -> Self {
        let begins = segment.flags.contains(Flags::SYN);
        let mut sight = before.filter(|_| !begins).unwrap_or(Self {
            isn: begins.then_some(segment.seq),
            end: segment.seq,
            resumes: segment.seq,
            top: segment.seq,
            at_ms: 0,
        });
        sight.take(segment.seq, end_of(segment));
        sight.at_ms = millis(at_ns);
        sight
    }

    fn take(&mut self, start: u32, end: u32) {
        if is_behind(start, self.top) {
            self.resumes = start;
        }
        if is_behind(end, self.top) {
            self.top = end;
        }
        if !is_behind(start, self.end) && is_behind(end, self.end) {
            self.end = end;
        }
        if !is_behind(self.resumes, self.end) {
            self.end = self.top;
        }
    }

    /// Whether a segment that is seen in another network is of the same connection.
    pub(crate) fn is_of(self, segment: &Segment, at_ns: u64) -> bool {
        let later = millis(at_ns).wrapping_sub(self.at_ms).cast_signed();
        if later.unsigned_abs() > APART_MAX_MS {
            return false;
        }
        if segment.flags.contains(Flags::SYN) {
            return self.isn == Some(segment.seq);
        }
        let ahead = end_of(segment).wrapping_sub(self.top).cast_signed();
        ahead.unsigned_abs() <= AHEAD_MAX
    }

    /// Whether a SYN begins another connection than this one.
    pub(crate) fn is_before(self, segment: &Segment) -> bool {
        segment.flags.contains(Flags::SYN) && self.isn != Some(segment.seq)
    }

    /// Whether a segment says something that was not seen yet.
    pub(crate) fn lacks(self, segment: &Segment) -> bool {
        is_behind(end_of(segment), self.end)
    }
}

fn end_of(segment: &Segment) -> u32 {
    segment.seq.wrapping_add(segment.sequence_len())
}

/// Whether a sequence number lies behind another one.
const fn is_behind(number: u32, other: u32) -> bool {
    number.wrapping_sub(other).cast_signed() > 0
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only differences are looked at"
)]
const fn millis(at_ns: u64) -> u32 {
    (at_ns / 1_000_000) as u32
}
