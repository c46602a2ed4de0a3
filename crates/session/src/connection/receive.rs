//! The receiving half of a session, from headers alone: what of the target's stream has arrived, and what to
//! acknowledge. Payload is never looked at, and nothing is buffered: the window is not what there is room for, but what
//! the target may send at this point of the flow ([`ReceiveHalf::open`]).

use wire::seq::TargetSeq;
use wire::tcp::SackBlocks;

use crate::limits::{RESPONSE_RANGES_MAX, WINDOW_SCALE};

/// What a segment brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Bytes that are now in order, FIN counted as one.
    pub(crate) in_order: u32,
    /// Whether the target's stream ended with it.
    pub(crate) fin: bool,
    /// Whether it must be acknowledged at once: out of order, a duplicate, or outside the window.
    pub(crate) ack_now: bool,
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct ReceiveHalf {
    /// RCV.NXT.
    nxt: TargetSeq,
    fin: Option<TargetSeq>,
    finished: bool,
    /// Ranges behind a hole, in order, neither touching nor overlapping.
    ranges: Vec<(TargetSeq, TargetSeq)>,
    /// The range that arrived last, which a SACK option names first (RFC 2018 section 4).
    latest: Option<TargetSeq>,
    /// TS.Recent (RFC 7323 section 4.3).
    pub(crate) timestamp: u32,
    /// Last.ACK.sent (the same section).
    pub(crate) acknowledged: TargetSeq,
    /// The right edge of the window: the first byte that the target has not been allowed to send, RCV.NXT + RCV.WND. It
    /// never moves back (RFC 9293 section 3.8.6).
    edge: TargetSeq,
    /// The window scale that was agreed upon.
    shift: u8,
}

/// The widest window without a scale, in bytes.
const WINDOW_UNSCALED: u32 = u16::MAX as u32;
/// The edge moves by at least this many bytes, or the target would send small segments (RFC 9293 section 3.8.6.2.2).
pub(crate) const EDGE_STEP_MIN: u32 = 536;

impl ReceiveHalf {
    /// A half whose first byte is `nxt`, of which the target may send `window` bytes.
    pub(crate) fn new(nxt: TargetSeq, window: u16) -> Self {
        Self {
            nxt,
            fin: None,
            finished: false,
            ranges: Vec::new(),
            latest: None,
            timestamp: 0,
            acknowledged: nxt,
            edge: nxt + u32::from(window),
            shift: 0,
        }
    }

    /// Both sides have offered window scaling, this one with `shift`.
    pub(crate) fn scale_window(&mut self, shift: u8) {
        self.shift = shift.min(WINDOW_SCALE);
    }

    /// How many bytes the target may still send.
    pub(crate) fn window(&self) -> u32 {
        self.edge.ahead_of(self.nxt)
    }

    /// How many bytes the target may send after `end`.
    pub(crate) fn room_after(&self, end: TargetSeq) -> u32 {
        self.edge.ahead_of(end)
    }

    /// Where the edge would be if the target might send `allowance` more bytes: not farther than the field can say.
    fn edge_with(&self, allowance: u32) -> TargetSeq {
        self.nxt + allowance.min(WINDOW_UNSCALED << self.shift)
    }

    /// Whether the window would become wider by at least `step` bytes.
    pub(crate) fn would_open(&self, allowance: u32, step: u32) -> bool {
        self.edge_with(allowance).ahead_of(self.edge) >= step
    }

    /// Whether it is `allowance` that limits the window, and not the field of the header.
    pub(crate) fn is_narrowed(&self, allowance: u32) -> bool {
        allowance < WINDOW_UNSCALED << self.shift
    }

    /// Lets the target send `allowance` more bytes from RCV.NXT on, as far as that moves the edge forward, and returns what
    /// the window field says of it.
    pub(crate) fn open(&mut self, allowance: u32) -> u16 {
        let edge = self.edge_with(allowance);
        if edge.ahead_of(self.edge) >= EDGE_STEP_MIN {
            self.edge = edge;
        }
        // Rounded down, so that what the field says may end before the edge by less than it can tell (RFC 7323 section
        // 2.4); what comes up to the edge is taken. Rounded up, each acknowledgement would give some bytes away.
        (self.window() >> self.shift).min(WINDOW_UNSCALED) as u16
    }

    /// RCV.NXT.
    pub(crate) fn nxt(&self) -> TargetSeq {
        self.nxt
    }

    /// Whether the target's FIN has arrived with everything before it.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether something is missing before what has arrived.
    pub(crate) fn has_hole(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// Notes the timestamp of a segment that starts at `seq`. Returns whether the segment may be one: an older one than the
    /// latest is a duplicate of long ago, from before the sequence numbers wrapped (PAWS, RFC 7323 section 5).
    pub(crate) fn on_timestamp(&mut self, seq: TargetSeq, value: u32) -> bool {
        let ahead = value.wrapping_sub(self.timestamp).cast_signed();
        if ahead >= 0 && seq <= self.acknowledged {
            self.timestamp = value;
        }
        ahead >= 0
    }

    /// Whether a segment of `len` bytes lies in the window at all (RFC 9293 section 3.10.7.4). A FIN takes no room: a target that fills
    /// its window and closes may say both in one segment, and would say it again for ever.
    pub(crate) fn is_in_window(&self, seq: TargetSeq, len: u32) -> bool {
        let (start, end) = (seq - self.nxt, (seq + len) - self.nxt);
        start.max(end) <= i32::try_from(self.window()).unwrap_or(i32::MAX)
    }

    /// A segment of the target with `len` bytes of payload.
    pub(crate) fn on_segment(&mut self, seq: TargetSeq, len: u32, fin: bool) -> Arrived {
        let end = seq + len;
        if self.finished {
            // RFC 9293 section 3.10.7.4: what comes after the FIN is ignored.
            return Arrived {
                ack_now: len > 0 || fin,
                ..Arrived::default()
            };
        }
        if fin && self.fin.is_none() && end >= self.nxt {
            self.fin = Some(end);
        }
        let before = self.nxt;
        let mut ack_now = false;
        if end > self.nxt && seq <= self.nxt {
            self.nxt = end;
            self.join_ranges();
            ack_now = !self.ranges.is_empty();
        } else if len > 0 {
            // Behind a hole, or a duplicate: either way the target waits for our word.
            ack_now = true;
            if seq > self.nxt {
                self.remember(seq, end);
            }
        }
        let mut in_order = self.nxt.ahead_of(before);
        let mut finished_now = false;
        if self.fin == Some(self.nxt) {
            self.finished = true;
            finished_now = true;
            self.nxt += 1;
            in_order += 1;
            self.ranges.clear();
        }
        Arrived {
            in_order,
            fin: finished_now,
            ack_now: ack_now || finished_now,
        }
    }

    /// The SACK blocks to send, at most `count`.
    pub(crate) fn sack_blocks(&self, count: u8) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        if self.ranges.is_empty() {
            return blocks;
        }
        let latest = self.latest.and_then(|seq| {
            self.ranges
                .iter()
                .find(|(left, right)| *left <= seq && seq < *right)
        });
        for (left, right) in latest
            .into_iter()
            .chain(self.ranges.iter().filter(|range| Some(*range) != latest))
        {
            blocks.push(left.raw(), right.raw());
        }
        blocks.truncate(count);
        blocks
    }

    fn join_ranges(&mut self) {
        let reached = self.ranges.partition_point(|(left, _)| *left <= self.nxt);
        for (_, right) in self.ranges.drain(..reached) {
            self.nxt = self.nxt.max(right);
        }
    }

    fn remember(&mut self, left: TargetSeq, right: TargetSeq) {
        self.latest = Some(left);
        let from = self
            .ranges
            .partition_point(|(_, old_right)| *old_right < left);
        let to = self
            .ranges
            .partition_point(|(old_left, _)| *old_left <= right);
        if from < to {
            let merged = (
                self.ranges[from].0.min(left),
                self.ranges[to - 1].1.max(right),
            );
            self.ranges.splice(from..to, [merged]);
        } else if self.ranges.len() < RESPONSE_RANGES_MAX {
            self.ranges.insert(from, (left, right));
        }
    }
}

/// What is left of a half while its session rests.
#[derive(Debug)]
pub(crate) struct RestingReceive {
    nxt: TargetSeq,
    finished: bool,
    timestamp: u32,
    acknowledged: TargetSeq,
    edge: TargetSeq,
    shift: u8,
}

impl RestingReceive {
    /// What is left of `half`; `None` where that would lose something.
    pub(crate) fn of(half: &ReceiveHalf) -> Option<Self> {
        let ReceiveHalf {
            nxt,
            fin,
            finished,
            ranges,
            // Means something only while there are ranges.
            latest: _,
            timestamp,
            acknowledged,
            edge,
            shift,
        } = half;
        // Once everything before it has arrived, the FIN is what came last.
        let is_whole = ranges.is_empty() && fin.is_some() == *finished;
        is_whole.then_some(Self {
            nxt: *nxt,
            finished: *finished,
            timestamp: *timestamp,
            acknowledged: *acknowledged,
            edge: *edge,
            shift: *shift,
        })
    }
}

impl From<RestingReceive> for ReceiveHalf {
    fn from(resting: RestingReceive) -> Self {
        Self {
            fin: resting.finished.then_some(resting.nxt - 1),
            finished: resting.finished,
            timestamp: resting.timestamp,
            acknowledged: resting.acknowledged,
            edge: resting.edge,
            shift: resting.shift,
            ..Self::new(resting.nxt, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrived, ReceiveHalf};
    use wire::seq::TargetSeq;

    #[test]
    fn order_is_restored_and_fin_counts_one() {
        let first = TargetSeq::new(u32::MAX - 4);
        let mut half = ReceiveHalf::new(first, u16::MAX);
        let late = half.on_segment(first + 10, 5, true);
        assert_eq!(
            late,
            Arrived {
                in_order: 0,
                fin: false,
                ack_now: true
            }
        );
        assert_eq!(
            half.sack_blocks(3).as_slice(),
            &[((first + 10).raw(), (first + 15).raw())]
        );
        let filled = half.on_segment(first, 10, false);
        assert_eq!(
            filled,
            Arrived {
                in_order: 16,
                fin: true,
                ack_now: true
            }
        );
        assert_eq!(half.nxt(), first + 16);
        assert!(
            half.on_segment(first + 10, 5, true).ack_now,
            "a FIN sent again is acknowledged again"
        );
    }

    #[test]
    fn nothing_follows_the_end() {
        let first = TargetSeq::new(1000);
        let mut half = ReceiveHalf::new(first, u16::MAX);
        half.on_segment(first + 11, 50, false);
        assert!(half.on_segment(first, 10, true).fin);
        assert!(!half.has_hole(), "what stood behind the FIN is forgotten");
        let more = half.on_segment(first + 11, 50, false);
        assert_eq!((more.in_order, half.nxt()), (0, first + 11));
    }
}
