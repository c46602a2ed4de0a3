//! The sending half of a session: what of the client's stream is sent, acknowledged, lost, and may be sent now.
//!
//! Positions are offsets into the client's stream, 64 bits wide, so nothing here wraps; SYN stands before the first
//! byte and FIN takes one position after the last. RFC 9293's SND.UNA and SND.NXT are `una` and `nxt`.
//! Retransmission timeout by RFC 6298, congestion control by RFC 5681 and 6582 with the initial window of RFC 6928.

use core::time::Duration;

use wire::seq::LocalSeq;

use crate::limits::{
    CONGESTION_WINDOW_MAX, DUPLICATE_ACKS, INITIAL_WINDOW_SEGMENTS, RTO_INITIAL, RTO_MAX, RTO_MIN,
};
use crate::time::Instant;

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
    pub(crate) window_shift: u8,
    mss: u16,
    congestion_window: u32,
    threshold: u32,
    smoothed: Option<Duration>,
    variation: Duration,
    shortest: Duration,
    rto: Duration,
    timed: Option<(u64, Instant)>,
    rto_at: Option<Instant>,
    /// Timeouts in a row.
    pub(crate) timeouts: u8,
    duplicates: u8,
    /// While recovering from a loss: what was sent when it was found (RFC 6582 "recover").
    recover: Option<u64>,
    /// Send one segment at `una` although it was sent before.
    resend: bool,
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
            window_shift: 0,
            mss,
            congestion_window: u32::from(mss) * INITIAL_WINDOW_SEGMENTS,
            threshold: CONGESTION_WINDOW_MAX,
            smoothed: None,
            variation: Duration::ZERO,
            shortest: Duration::MAX,
            rto: RTO_INITIAL,
            timed: None,
            rto_at: None,
            timeouts: 0,
            duplicates: 0,
            recover: None,
            resend: false,
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

    /// SND.NXT as a stream offset.
    pub(crate) fn nxt(&self) -> u64 {
        self.nxt
    }

    /// The sequence number of a stream offset.
    pub(crate) fn seq(&self, offset: u64) -> LocalSeq {
        self.iss + 1 + (offset.wrapping_sub(self.base) as u32)
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

    /// The shortest round trip seen.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.shortest)
    }

    #[cfg(test)]
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
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

    /// The target's window, as its field says.
    pub(crate) fn set_window(&mut self, field: u16, scaled: bool) {
        self.window = u32::from(field) << if scaled { self.window_shift } else { 0 };
    }

    /// How many bytes may go out at once now, given that the stream may be sent up to `limit`; with the offset that
    /// they start at. A zero window lets nothing out: see [`SendHalf::on_timeout`].
    pub(crate) fn sendable(&self, limit: u64, segment_max: u32) -> Option<(u64, u32)> {
        if self.resend {
            let len = self
                .sent
                .min(limit)
                .saturating_sub(self.una)
                .min(u64::from(segment_max)) as u32;
            return (len > 0).then_some((self.una, len));
        }
        let flight = self.nxt - self.una;
        let window = u64::from(self.window.min(self.congestion_window));
        let room = window.saturating_sub(flight);
        let waiting = limit.saturating_sub(self.nxt);
        let len = waiting.min(u64::from(segment_max));
        // Sender-side silly window avoidance (RFC 9293 section 3.8.6.2.1): a full segment, all there is, or wait for
        // an acknowledgement, which must come while something is in flight.
        if len == 0 || room == 0 || (room < len && flight > 0) {
            return None;
        }
        Some((self.nxt, len.min(room) as u32))
    }

    /// Bytes (or FIN) from `offset` on were given to the wire. Returns whether it was a retransmission.
    pub(crate) fn on_sent(&mut self, offset: u64, positions: u32, now: Instant) -> bool {
        let end = offset + u64::from(positions);
        let again = offset < self.sent;
        if again {
            // Karn's algorithm: what was sent twice measures nothing.
            self.timed = None;
        } else if self.timed.is_none() {
            self.timed = Some((end, now));
        }
        self.resend = false;
        self.nxt = self.nxt.max(end);
        self.sent = self.sent.max(end);
        if self.rto_at.is_none() {
            self.arm(now);
        }
        again
    }

    /// The SYN was sent.
    pub(crate) fn on_syn_sent(&mut self, now: Instant) {
        self.timed = (self.timeouts == 0).then_some((self.base, now));
        self.arm(now);
    }

    /// The SYN was acknowledged.
    pub(crate) fn on_syn_acked(&mut self, stamp: Instant) {
        if let Some((_, sent_at)) = self.timed.take() {
            self.measure(stamp.since(sent_at));
        }
        if self.timeouts > 0 {
            // RFC 6298 section 5.7, RFC 5681 section 3.1.
            self.rto = Duration::from_secs(3).max(self.rto);
            self.congestion_window = u32::from(self.mss);
        }
        self.timeouts = 0;
        self.rto_at = None;
    }

    /// An acknowledgement; `plain` where the segment carries nothing else and leaves the window as it is.
    pub(crate) fn on_ack(&mut self, ack: LocalSeq, plain: bool, stamp: Instant) -> Acked {
        let Some(offset) = self.offset_of(ack) else {
            return Acked::Nothing;
        };
        if offset > self.sent {
            return Acked::Unacceptable;
        }
        if offset <= self.una {
            if offset == self.una && plain && self.in_flight() {
                self.on_duplicate();
            }
            return Acked::Nothing;
        }
        let advanced = offset - self.una;
        if let Some((end, sent_at)) = self.timed
            && offset >= end
        {
            self.timed = None;
            self.measure(stamp.since(sent_at));
        }
        // Application-limited senders do not grow (RFC 7661 in spirit): the window must have been in use.
        let used = self.nxt - self.una + u64::from(self.mss) >= u64::from(self.congestion_window);
        self.una = offset;
        self.nxt = self.nxt.max(offset);
        self.timeouts = 0;
        self.duplicates = 0;
        self.grow(advanced, used);
        self.rto_at = self.in_flight().then(|| stamp + self.rto);
        Acked::Advanced(advanced)
    }

    fn on_duplicate(&mut self) {
        self.duplicates = self.duplicates.saturating_add(1);
        if self.recover.is_some() {
            self.congestion_window = self.congestion_window.saturating_add(u32::from(self.mss));
        } else if self.duplicates == DUPLICATE_ACKS {
            self.recover = Some(self.nxt);
            self.threshold = self.half_flight();
            self.congestion_window = self.threshold + 3 * u32::from(self.mss);
            self.resend = true;
        }
    }

    fn grow(&mut self, advanced: u64, used: bool) {
        let mss = u32::from(self.mss);
        match self.recover {
            Some(recover) if self.una < recover => {
                // A partial acknowledgement: the next hole (RFC 6582 section 3.2, step 3).
                self.resend = true;
                self.congestion_window = self
                    .congestion_window
                    .saturating_sub(advanced as u32)
                    .max(mss)
                    + mss;
            }
            Some(_) => {
                self.recover = None;
                self.congestion_window = self.threshold;
            }
            None if used => {
                let step = if self.congestion_window < self.threshold {
                    (advanced as u32).min(mss)
                } else {
                    (mss * mss / self.congestion_window).max(1)
                };
                self.congestion_window = (self.congestion_window + step).min(CONGESTION_WINDOW_MAX);
            }
            None => {}
        }
    }

    fn half_flight(&self) -> u32 {
        let half = u32::try_from((self.nxt - self.una) / 2).unwrap_or(u32::MAX);
        half.max(2 * u32::from(self.mss))
    }

    /// When the retransmission timer fires.
    pub(crate) fn rto_at(&self) -> Option<Instant> {
        self.rto_at
    }

    /// The retransmission timer fired: everything unacknowledged is to be sent again, slowly; where nothing is in
    /// flight, the timer stood for a zero window, and one byte probes it.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        self.timeouts = self.timeouts.saturating_add(1);
        self.rto = (self.rto * 2).min(RTO_MAX);
        self.timed = None;
        if self.in_flight() {
            self.threshold = self.half_flight();
            self.congestion_window = u32::from(self.mss);
            self.recover = None;
            self.duplicates = 0;
            self.nxt = self.una;
        }
        if self.window == 0 {
            // Zero-window probe (RFC 9293 section 3.8.6.1): the probe's acknowledgement brings the window.
            self.window = 1;
        }
        self.arm(now);
    }

    /// Whether a sequence number lies in what was sent and is not acknowledged: only then is a message about it ours
    /// (RFC 5927 section 4.1).
    pub(crate) fn was_sent(&self, seq: LocalSeq) -> bool {
        self.offset_of(seq)
            .is_some_and(|offset| offset >= self.una && offset < self.sent)
    }

    /// What was sent was too big for the path: it is lost, and that says nothing about congestion.
    pub(crate) fn on_too_big(&mut self, now: Instant) {
        self.nxt = self.una;
        self.timed = None;
        self.arm(now);
    }

    /// Whether a timer is missing although bytes wait for a window.
    pub(crate) fn wants_probe_timer(&self, limit: u64) -> bool {
        self.rto_at.is_none() && limit > self.nxt && self.window == 0
    }

    /// Starts the retransmission timer.
    pub(crate) fn arm(&mut self, now: Instant) {
        self.rto_at = Some(now + self.rto);
    }

    /// Stops the retransmission timer.
    pub(crate) fn disarm(&mut self) {
        self.rto_at = None;
    }

    /// RFC 6298 section 2.
    fn measure(&mut self, sample: Duration) {
        self.shortest = self.shortest.min(sample);
        let smoothed = match self.smoothed {
            None => {
                self.variation = sample / 2;
                sample
            }
            Some(smoothed) => {
                self.variation = self.variation * 3 / 4 + smoothed.abs_diff(sample) / 4;
                smoothed * 7 / 8 + sample / 8
            }
        };
        self.smoothed = Some(smoothed);
        self.rto = (smoothed + self.variation * 4).clamp(RTO_MIN, RTO_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::{Acked, SendHalf};
    use crate::limits::RTO_MIN;
    use crate::time::Instant;
    use core::time::Duration;
    use wire::seq::LocalSeq;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn established() -> SendHalf {
        let mut half = SendHalf::new(LocalSeq::new(u32::MAX - 1), 0, 1000);
        half.on_syn_sent(at(0));
        half.on_syn_acked(at(1));
        half.window_shift = 4;
        half.set_window(65_535, true);
        half
    }

    fn send_all(half: &mut SendHalf, limit: u64, now: Instant) -> Vec<(u64, u32)> {
        let mut sent = Vec::new();
        while let Some((offset, len)) = half.sendable(limit, 1000) {
            half.on_sent(offset, len, now);
            sent.push((offset, len));
        }
        sent
    }

    #[test]
    fn the_initial_window_is_ten_segments_and_grows_only_when_used() {
        let mut half = established();
        assert_eq!(send_all(&mut half, 20_000, at(2)).len(), 10);
        assert_eq!(
            half.on_ack(half.seq(10_000), true, at(3)),
            Acked::Advanced(10_000)
        );
        assert_eq!(send_all(&mut half, 40_000, at(3)).len(), 11);
        half.on_ack(half.seq(21_000), true, at(4));
        half.on_sent(21_000, 10, at(5));
        half.on_ack(half.seq(21_010), true, at(6));
        assert_eq!(send_all(&mut half, 60_000, at(7)).len(), 12);
    }

    #[test]
    fn three_duplicates_resend_the_first_hole() {
        let mut half = established();
        send_all(&mut half, 5000, at(2));
        for _ in 0..2 {
            half.on_ack(half.seq(0), true, at(3));
            assert_eq!(half.sendable(5000, 1000), None);
        }
        half.on_ack(half.seq(0), true, at(3));
        assert_eq!(half.sendable(5000, 1000), Some((0, 1000)));
        assert!(half.on_sent(0, 1000, at(3)));
        half.on_ack(half.seq(2000), true, at(4));
        assert_eq!(
            half.sendable(5000, 1000),
            Some((2000, 1000)),
            "a partial acknowledgement names the next hole"
        );
    }

    #[test]
    fn a_timeout_sends_everything_again_and_backs_off() {
        let mut half = established();
        send_all(&mut half, 3000, at(2));
        assert_eq!(half.rto_at(), Some(at(2) + RTO_MIN));
        half.on_timeout(at(202));
        assert_eq!(half.sendable(3000, 1000), Some((0, 1000)));
        assert_eq!(half.rto_at(), Some(at(202) + RTO_MIN * 2));
        half.on_sent(0, 1000, at(202));
        half.on_ack(half.seq(3000), true, at(203));
        assert_eq!(half.rto_at(), None);
        assert_eq!(
            half.smoothed(),
            Some(Duration::from_millis(1)),
            "Karn: no sample from what was sent twice"
        );
    }

    #[test]
    fn a_zero_window_is_probed_by_one_byte() {
        let mut half = established();
        half.set_window(0, true);
        assert_eq!(half.sendable(100, 1000), None);
        assert!(half.wants_probe_timer(100));
        half.arm(at(10));
        half.on_timeout(at(300));
        assert_eq!(half.sendable(100, 1000), Some((0, 1)));
    }

    #[test]
    fn what_was_never_sent_cannot_be_acknowledged() {
        let mut half = established();
        send_all(&mut half, 100, at(2));
        assert_eq!(half.on_ack(half.seq(101), true, at(3)), Acked::Unacceptable);
        assert_eq!(
            half.on_ack(half.seq(100), true, at(3)),
            Acked::Advanced(100)
        );
    }
}
