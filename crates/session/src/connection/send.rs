//! The sending half of a session: what of the client's stream is sent, acknowledged, lost, and may be sent now.
//!
//! Positions are offsets into the client's stream, 64 bits wide, so nothing here wraps; SYN stands before the first
//! byte and FIN takes one position after the last. RFC 9293's SND.UNA and SND.NXT are `una` and `nxt`.
//!
//! | what | by |
//! |---|---|
//! | retransmission timeout | RFC 6298, in [`rtt`] |
//! | congestion control | RFC 5681 with the initial window of RFC 6928; no growth while application-limited |
//! | loss recovery | RFC 6675 where the target reports what it holds ([`scoreboard`]), else RFC 6582 |
//! | losses in a small flight | limited transmit (RFC 3042), early retransmit (RFC 5827), tail loss probe (RFC 8985 section 7) |
//! | paths that swallow large segments | RFC 4821, as far as a smaller segment is tried |

mod recovery;
pub(crate) mod resting;
mod rtt;
mod scoreboard;
mod timer;

use wire::seq::{LocalSeq, TargetSeq};
use wire::tcp::OPTIONS_LEN_MAX;

use crate::limits::{CONGESTION_WINDOW_MAX, INITIAL_WINDOW_SEGMENTS, RTO_AFTER_SYN_LOSS};
use crate::time::Instant;
use recovery::{Probe, Recovery};
use rtt::RoundTrip;
use scoreboard::Scoreboard;
use timer::Timer;

pub(super) use timer::Fired;

/// What a segment's acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    /// It acknowledges what was never sent.
    Unacceptable,
    /// It acknowledges nothing new.
    Nothing,
    /// It acknowledges this many more positions.
    Advanced(u64),
}

/// What the acknowledgement field of a segment comes with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    /// SEG.ACK.
    pub(crate) number: LocalSeq,
    /// Whether the segment carries nothing else and leaves the window as it is.
    pub(crate) plain: bool,
    /// Its SACK blocks; `None` where SACK was not agreed upon.
    pub(crate) sack: Option<&'a [(u32, u32)]>,
    /// How far the stream may be sent now.
    pub(crate) limit: u64,
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct SendHalf {
    /// ISS, the number of the SYN.
    iss: LocalSeq,
    /// The stream offset that stands at ISS + 1: not 0 where a session goes on after a reconnect.
    base: u64,
    una: u64,
    nxt: u64,
    /// The highest position ever sent: below it, everything sent is a retransmission.
    sent: u64,
    /// SND.WND, in bytes.
    window: u32,
    /// SND.WL1 and SND.WL2: the sequence and the acknowledgement number of the segment that it was last taken from.
    window_from: (TargetSeq, LocalSeq),
    pub(crate) window_shift: u8,
    mss: u16,
    congestion_window: u32,
    threshold: u32,
    trip: RoundTrip,
    timed: Option<(u64, Instant)>,
    timer: Timer,
    /// Timeouts in a row.
    pub(crate) timeouts: u8,
    /// Duplicate acknowledgements in a row.
    duplicates: u8,
    held: Scoreboard,
    recovery: Option<Recovery>,
    probe: Option<Probe>,
    /// One segment is to be sent from here, although it was sent before and whatever the congestion window says.
    forced: Option<u64>,
    /// Whether a smaller segment than before is being tried.
    shunning: bool,
}

impl SendHalf {
    /// A half that starts at `iss`, whose first byte is the stream's byte `base`.
    pub(crate) fn new(iss: LocalSeq, base: u64, mss: u16) -> Self {
        Self {
            iss,
            base,
            una: base,
            nxt: base,
            sent: base,
            window: 0,
            window_from: (TargetSeq::new(0), iss),
            window_shift: 0,
            mss,
            congestion_window: u32::from(mss) * INITIAL_WINDOW_SEGMENTS,
            threshold: CONGESTION_WINDOW_MAX,
            trip: RoundTrip::new(),
            timed: None,
            timer: Timer::Idle,
            timeouts: 0,
            duplicates: 0,
            held: Scoreboard::default(),
            recovery: None,
            probe: None,
            forced: None,
            shunning: false,
        }
    }

    /// The largest payload that the target takes and the route carries, in bytes.
    pub(crate) fn mss(&self) -> u16 {
        self.mss
    }

    /// ISS.
    pub(crate) fn iss(&self) -> LocalSeq {
        self.iss
    }

    /// SND.UNA as a stream offset.
    pub(crate) fn una(&self) -> u64 {
        self.una
    }

    /// The stream offset that the connection began with.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Everything that was sent is acknowledged, and what is sent next is the stream's byte `base`.
    pub(crate) fn jump_to(&mut self, base: u64) {
        debug_assert_eq!((self.una, self.nxt), (self.sent, self.sent));
        self.iss = self.seq_sent() - 1;
        (self.base, self.una, self.nxt, self.sent) = (base, base, base, base);
        (self.timed, self.forced, self.duplicates) = (None, None, 0);
    }

    /// SND.NXT as a stream offset.
    pub(crate) fn nxt(&self) -> u64 {
        self.nxt
    }

    /// The sequence number of a stream offset.
    pub(crate) fn seq(&self, offset: u64) -> LocalSeq {
        self.iss + 1 + (offset.wrapping_sub(self.base) as u32)
    }

    /// The highest position ever sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// The sequence number after everything ever sent.
    pub(crate) fn seq_sent(&self) -> LocalSeq {
        self.seq(self.sent)
    }

    /// The stream offset that an acknowledgement number stands for, as far as it is one that can be.
    pub(crate) fn offset_of(&self, ack: LocalSeq) -> Option<u64> {
        let distance = i64::from(ack - self.seq(self.una));
        self.una.checked_add_signed(distance)
    }

    /// Whether anything is sent and not acknowledged.
    pub(crate) fn in_flight(&self) -> bool {
        self.nxt > self.una
    }

    /// What is known of the round trip.
    pub(crate) fn trip(&self) -> &RoundTrip {
        &self.trip
    }

    /// The target has said what it takes: MSS in bytes.
    pub(crate) fn set_mss(&mut self, mss: u16) {
        self.mss = mss;
        self.congestion_window = self
            .congestion_window
            .min(u32::from(mss) * INITIAL_WINDOW_SEGMENTS);
    }

    /// Whether a window field says what is known already.
    pub(crate) fn is_window(&self, field: u16) -> bool {
        self.window == u32::from(field) << self.window_shift
    }

    /// The target's window, as the field of its SYN says, to which no scale is applied.
    pub(crate) fn set_first_window(&mut self, field: u16, seq: TargetSeq) {
        self.window = u32::from(field);
        self.window_from = (seq, self.iss + 1);
    }

    /// The target's window, as the field of a segment says. One that has been overtaken by a later one says nothing (RFC 9293
    /// section 3.10.7.4): a zero window of long ago would stop the stream for good.
    pub(crate) fn set_window(&mut self, field: u16, seq: TargetSeq, ack: LocalSeq) {
        let (last_seq, last_ack) = self.window_from;
        if last_seq < seq || last_seq == seq && last_ack <= ack {
            self.window = u32::from(field) << self.window_shift;
            self.window_from = (seq, ack);
        }
    }

    /// How many bytes may go out at once now, given that the stream may be sent up to `limit`; with the offset that
    /// they start at. A zero window lets nothing out: see [`SendHalf::on_timer`].
    #[inline]
    pub(crate) fn sendable(&self, limit: u64, segment_max: u32) -> Option<(u64, u32)> {
        if self.is_done(limit) {
            return None;
        }
        self.next_segment(limit, segment_max)
    }

    /// Whether everything up to `limit` is sent and nothing is to be sent again: so it is after most packets.
    pub(crate) fn is_done(&self, limit: u64) -> bool {
        self.nxt >= limit && self.forced.is_none() && self.recovery.is_none()
    }

    fn next_segment(&self, limit: u64, segment_max: u32) -> Option<(u64, u32)> {
        let segment_max = u64::from(segment_max);
        if let Some(from) = self.forced {
            let end = if from < self.sent {
                self.sent.min(self.held.next_held(from).unwrap_or(u64::MAX))
            } else {
                self.una + u64::from(self.window)
            };
            let len = end.min(limit).saturating_sub(from);
            if len > 0 {
                return Some((from, len.min(segment_max) as u32));
            }
        }
        if self.nxt == self.una
            && self.duplicates == 0
            && self.recovery.is_none()
            && self.held.is_empty()
        {
            // Nothing is in flight, and nothing is lost: so a turn begins.
            let room = u64::from(self.congestion_window.min(self.window));
            let len = limit.saturating_sub(self.nxt).min(segment_max).min(room);
            return (len > 0).then_some((self.nxt, len as u32));
        }
        let room = self.room();
        let len = limit.saturating_sub(self.nxt).min(segment_max);
        // What is lost goes first; where there is nothing new, what may be lost goes as well.
        let hole = self.next_hole(limit, len == 0).filter(|_| room > 0);
        if let Some((from, end)) = hole {
            return Some((from, (end - from).min(segment_max) as u32));
        }
        let window = u64::from(self.window).saturating_sub(self.nxt - self.una);
        let room = room.min(window);
        // Sender-side silly window avoidance (RFC 9293 section 3.8.6.2.1): a full segment, all there is, or wait for
        // an acknowledgement, which must come while something is in flight.
        if len == 0 || room == 0 || (room < len && self.in_flight()) {
            return None;
        }
        Some((self.nxt, len.min(room) as u32))
    }

    /// Bytes (or FIN) from `offset` on were given to the wire. Returns where the part of them begins that was never sent
    /// before; at the end of them where there is none.
    pub(crate) fn on_sent(&mut self, offset: u64, positions: u32, now: Instant) -> u64 {
        let end = offset + u64::from(positions);
        let new = self.sent.clamp(offset, end);
        if offset < self.sent {
            // Karn's algorithm: what was sent twice measures nothing.
            self.timed = None;
        } else if self.timed.is_none() {
            self.timed = Some((end, now));
        }
        self.forced = None;
        if let Some(recovery) = &mut self.recovery
            && offset < self.sent
        {
            recovery.resent = recovery.resent.max(end);
        }
        self.nxt = self.nxt.max(end);
        self.sent = self.sent.max(end);
        let running = self.timer;
        if running == Timer::Idle || offset >= new {
            self.arm(now);
        }
        if let (Timer::Retransmission(at), Timer::Retransmission(before)) = (self.timer, running) {
            // Of the first segment that waits, not of the latest (RFC 6298 section 5.1).
            self.timer = Timer::Retransmission(at.min(before));
        }
        new
    }

    /// The SYN was sent.
    pub(crate) fn on_syn_sent(&mut self, now: Instant) {
        self.timed = (self.timeouts == 0).then_some((self.base, now));
        self.arm_retransmission(now);
    }

    /// The SYN was acknowledged.
    pub(crate) fn on_syn_acked(&mut self, stamp: Instant) {
        if let Some((_, sent_at)) = self.timed.take() {
            self.trip.measure(stamp.since(sent_at));
        }
        if self.timeouts > 0 {
            // RFC 6298 section 5.7, RFC 5681 section 3.1.
            self.trip.restart(RTO_AFTER_SYN_LOSS);
            self.congestion_window = u32::from(self.mss);
        }
        self.timeouts = 0;
        self.timer = Timer::Idle;
    }

    /// An acknowledgement, seen at `stamp`.
    pub(crate) fn on_ack(&mut self, ack: &Ack<'_>, stamp: Instant) -> Acked {
        let Some(offset) = self.offset_of(ack.number) else {
            return Acked::Nothing;
        };
        if offset > self.sent {
            return Acked::Unacceptable;
        }
        let (news, twice) = self.note_held(ack, offset);
        if offset <= self.una {
            let duplicate = news || (ack.plain && ack.sack.is_none());
            if offset == self.una && self.in_flight() && duplicate {
                self.on_duplicate(ack.limit);
            }
            if self.window == 0 {
                // A target that acknowledges is there: its zero window is waited for (RFC 9293 section 3.8.6.1).
                self.timeouts = 0;
            }
            return Acked::Nothing;
        }
        let advanced = offset - self.una;
        if let Some((end, sent_at)) = self.timed
            && offset >= end
        {
            self.timed = None;
            self.trip.measure(stamp.since(sent_at));
        }
        // Application-limited senders do not grow (RFC 7661 in spirit): the window must have been in use.
        let used = self.nxt - self.una + u64::from(self.mss) >= u64::from(self.congestion_window);
        self.una = offset;
        self.nxt = self.nxt.max(offset);
        self.held.advance(offset);
        // What was to be sent again may have been acknowledged before it left.
        self.forced = self.forced.filter(|from| *from >= offset);
        self.timeouts = 0;
        self.duplicates = 0;
        self.settle_probe(twice);
        self.grow(advanced, used);
        if self.in_flight() {
            self.arm(stamp);
        } else {
            self.timer = Timer::Idle;
        }
        Acked::Advanced(advanced)
    }

    /// Full-size segments do not seem to arrive: from here on they are smaller.
    pub(crate) fn shun(&mut self, mss: u16) {
        self.set_mss(mss);
        self.shunning = true;
    }

    /// Whether a smaller segment has arrived since [`SendHalf::shun`]; says so once.
    pub(crate) fn is_shunning_over(&mut self) -> bool {
        core::mem::take(&mut self.shunning)
    }

    /// How long a segment may be that has been lost twice in a row, in bytes as the MSS counts: a path that carries only
    /// smaller ones swallows it every time (RFC 4821 section 7.6.4).
    pub(crate) fn lost_twice(&self) -> Option<u16> {
        let longest = self.sent - self.una + OPTIONS_LEN_MAX as u64;
        let longest = u16::try_from(longest).unwrap_or(u16::MAX).min(self.mss);
        (self.timeouts >= 2).then_some(longest)
    }

    /// Whether a sequence number lies in what was sent and is not acknowledged: only then is a message about it ours
    /// (RFC 5927 section 4.1).
    pub(crate) fn was_sent(&self, seq: LocalSeq) -> bool {
        self.offset_of(seq)
            .is_some_and(|offset| offset >= self.una && offset < self.sent)
    }

    /// What was sent was too big for the path: it is lost, and that says nothing about congestion.
    pub(crate) fn on_too_big(&mut self, now: Instant) {
        self.forget_flight();
        self.timed = None;
        self.arm_retransmission(now);
    }
}

#[cfg(test)]
mod tests;
