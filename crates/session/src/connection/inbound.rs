//! What a segment of the target does to a connection (RFC 9293 section 3.10.7).

use wire::segment::Segment;
use wire::seq::{LocalSeq, TargetSeq};
use wire::tcp::{Flags, Options};

use super::receive::ReceiveHalf;
use super::segment::TIMESTAMPS_LEN;
use super::send::{Ack, Acked, SendHalf};
use super::{Connection, Phase, Reach};
use crate::event::Counters;
use crate::limits::{SYN_RECOVERIES_MAX, TARGET_MSS_MIN};
use crate::time::Instant;

/// What became of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that its user has to know of.
    #[default]
    None,
    /// The target has accepted it.
    Accepted,
    /// The target has refused it.
    Refused,
    /// The target has reset it.
    Reset,
}

/// What a segment of the target did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effects {
    pub(crate) change: Change,
    /// Whether it was acceptable; of what was not, the rest here says nothing.
    pub(crate) accepted: bool,
    /// Whether it acknowledged something new: see [`Connection::una`].
    pub(crate) acknowledged: bool,
    /// The path carries no more than this, in bytes: smaller segments than before have arrived.
    pub(crate) mtu: Option<u16>,
    /// What it brought, where it brought anything.
    pub(crate) arrival: Option<Arrival>,
}

/// Whether a segment looks like the last of what its sender had to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tail {
    /// It does not.
    #[default]
    No,
    /// It has PSH, but is as long as segments are, or several of that length that were merged: Linux ends each piece of 64 KB so that a
    /// server has written.
    Full,
    /// It is shorter than others, or the first.
    Short,
}

impl Tail {
    /// Of a segment of `len` bytes, where the longest that came so far was `longest`, and a full one is `full` as agreed upon.
    const fn of(len: u32, pushes: bool, longest: u32, full: u32) -> Self {
        let is_merged = len > full && longest > 0;
        let is_full = len.is_multiple_of(full) || is_merged && len.is_multiple_of(longest);
        match (pushes, is_full) {
            (true, true) => Self::Full,
            (true, false) => Self::Short,
            (false, _) if len < longest => Self::Short,
            (false, _) => Self::No,
        }
    }
}

/// Payload or a FIN of the target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Where the segment's payload begins and ends.
    pub(crate) seq: TargetSeq,
    pub(crate) end: TargetSeq,
    /// RCV.NXT before it, and after it.
    pub(crate) before: TargetSeq,
    pub(crate) nxt: TargetSeq,
    /// How many bytes the target was allowed to send after it.
    pub(crate) room: u32,
    /// How many bytes are in order now that were not before.
    pub(crate) bytes: u32,
    /// How much of the client's stream it acknowledges, as an offset.
    pub(crate) acknowledged: u64,
    /// Whether it looks like the last of what its sender had to say.
    pub(crate) tail: Tail,
    /// Whether the target's stream ended with it.
    pub(crate) fin: bool,
    /// Whether it must be acknowledged at once: out of order, a duplicate, or the end.
    pub(crate) ack_now: bool,
}

impl Connection {
    /// A segment of the target, by its headers.
    pub(crate) fn on_segment(
        &mut self,
        segment: &Segment,
        options: &Options,
        stamp: Instant,
        reach: Reach,
        mtu: u16,
        counters: &mut Counters,
    ) -> Effects {
        match self.phase {
            Phase::SynSent { .. } => {
                let change = self.on_answer_to_syn(segment, options, stamp, mtu, counters);
                Effects {
                    change,
                    accepted: change == Change::Accepted,
                    ..Effects::default()
                }
            }
            Phase::Synchronized if segment.flags.contains(Flags::RST) => {
                self.on_reset(segment, options, stamp, reach)
            }
            Phase::Synchronized => {
                self.on_synchronized(segment, options, stamp, reach, mtu, counters)
            }
            Phase::Closed | Phase::Leaving(_) => Effects::default(),
        }
    }

    fn on_answer_to_syn(
        &mut self,
        segment: &Segment,
        options: &Options,
        stamp: Instant,
        mtu: u16,
        counters: &mut Counters,
    ) -> Change {
        let flags = segment.flags;
        let acceptable =
            flags.contains(Flags::ACK) && LocalSeq::new(segment.ack) == self.send.iss() + 1;
        if flags.contains(Flags::RST) {
            return if acceptable {
                Change::Refused
            } else {
                Change::None
            };
        }
        if flags.contains(Flags::ACK) && !acceptable {
            // The target still has a connection that a run before us left behind: reset it there, and begin again. It says so
            // without payload (RFC 5961 section 4); what it sends again by itself is no answer to our SYN.
            if segment.payload_len == 0 {
                self.recover_syn(LocalSeq::new(segment.ack), counters);
            }
            return Change::None;
        }
        if !flags.contains(Flags::SYN) || !acceptable {
            return Change::None;
        }
        self.send.on_syn_acked(stamp);
        let window = u16::try_from(self.receive.window()).unwrap_or(u16::MAX);
        self.receive = ReceiveHalf::new(TargetSeq::new(segment.seq) + 1, window);
        let largest = self.segment_max(mtu);
        self.send
            .set_mss(options.mss.unwrap_or(536).clamp(TARGET_MSS_MIN, largest));
        if let (Some(theirs), Some(ours)) = (options.window_scale, self.offer.window_scale) {
            self.send.window_shift = theirs;
            self.receive.scale_window(ours);
        }
        self.sack = self.offer.sack && options.sack_permitted;
        let timestamps = options.timestamps.filter(|_| self.offer.timestamps);
        // The connection before may have had them.
        self.timestamps = timestamps.is_some();
        self.receive.timestamp = timestamps.map_or(0, |timestamps| timestamps.value);
        self.send
            .set_first_window(segment.window, TargetSeq::new(segment.seq));
        self.phase = Phase::Synchronized;
        (self.recoveries, self.ack_due) = (0, true);
        Change::Accepted
    }

    fn recover_syn(&mut self, seq: LocalSeq, counters: &mut Counters) {
        if self.recoveries >= SYN_RECOVERIES_MAX {
            return;
        }
        self.recoveries += 1;
        counters.syn_recovered += 1;
        self.recover_reset = Some(seq);
        if self.send.iss() <= seq {
            // The new ISN exceeds what the leftover connection expects. One that does already stays: this may be the
            // same answer once more, and the SYN be on its way.
            self.send = SendHalf::new(seq + 1, self.send.una(), self.send.mss());
        }
        self.phase = Phase::SynSent { due: true };
    }

    /// A RST (RFC 5961 section 3.2): believed at exactly the next byte; in the window our word comes first; else nothing.
    fn on_reset(
        &mut self,
        segment: &Segment,
        options: &Options,
        stamp: Instant,
        reach: Reach,
    ) -> Effects {
        let mut effects = Effects::default();
        if self.ends(reach.stream_end) == (true, true) {
            // TIME-WAIT: both sides have ended in order (RFC 1337 section 3).
            return effects;
        }
        let seq = TargetSeq::new(segment.seq);
        let ahead = seq >= self.receive.nxt() && self.receive.is_in_window(seq, 0);
        // What it acknowledges has arrived: the turn must not be sent again.
        if segment.flags.contains(Flags::ACK) && ahead {
            self.on_acknowledgement(segment, options, stamp, reach.limit, &mut effects);
        }
        if seq == self.receive.nxt() {
            (effects.accepted, effects.change) = (true, Change::Reset);
        } else if ahead {
            self.ack_due = true;
            effects.accepted = true;
        }
        effects
    }

    fn on_synchronized(
        &mut self,
        segment: &Segment,
        options: &Options,
        stamp: Instant,
        reach: Reach,
        mtu: u16,
        counters: &mut Counters,
    ) -> Effects {
        let flags = segment.flags;
        let seq = TargetSeq::new(segment.seq);
        let mut effects = Effects::default();
        if flags.contains(Flags::SYN) {
            // RFC 5961 section 4: a challenge; also the answer to a SYN-ACK whose acknowledgement was lost.
            self.ack_due = true;
            return effects;
        }
        let stale = self.timestamps
            && options
                .timestamps
                .is_some_and(|timestamps| !self.receive.on_timestamp(seq, timestamps.value));
        let len = u32::from(segment.payload_len);
        if stale || !self.receive.is_in_window(seq, len) {
            counters.reply_unacceptable += 1;
            self.ack_due = true;
            return effects;
        }
        if flags.contains(Flags::ACK)
            && !self.on_acknowledgement(segment, options, stamp, reach.limit, &mut effects)
        {
            return effects;
        }
        effects.accepted = true;
        effects.arrival = self.on_payload(segment, mtu);
        effects
    }

    /// Returns whether the segment is acceptable.
    fn on_acknowledgement(
        &mut self,
        segment: &Segment,
        options: &Options,
        stamp: Instant,
        limit: u64,
        effects: &mut Effects,
    ) -> bool {
        let control = segment.flags.intersects(Flags::FIN.with(Flags::SYN));
        let plain = segment.payload_len == 0 && !control && self.send.is_window(segment.window);
        let ack = Ack {
            number: LocalSeq::new(segment.ack),
            plain,
            sack: self.sack.then_some(options.sack.as_slice()),
            limit,
        };
        match self.send.on_ack(&ack, stamp) {
            Acked::Unacceptable => {
                self.ack_due = true;
                return false;
            }
            Acked::Nothing => {}
            Acked::Advanced(_) => {
                effects.acknowledged = true;
                if self.send.is_shunning_over() {
                    // What is smaller arrives, what is larger did not: no need for other connections to find out.
                    effects.mtu = Some(self.send.mss() + self.headers_len());
                }
            }
        }
        self.send.set_window(
            segment.window,
            TargetSeq::new(segment.seq),
            LocalSeq::new(segment.ack),
        );
        true
    }

    fn on_payload(&mut self, segment: &Segment, mtu: u16) -> Option<Arrival> {
        let fin = segment.flags.contains(Flags::FIN);
        let len = u32::from(segment.payload_len);
        let seq = TargetSeq::new(segment.seq);
        let before = self.receive.nxt();
        if len == 0 && !fin {
            // A keep-alive probe stands one before what we expect (RFC 9293 section 3.8.4) and wants an answer.
            self.ack_due |= seq < before;
            return None;
        }
        let pushes = segment.flags.contains(Flags::PSH);
        let longest = u32::from(self.receive_mss);
        // The MSS counts no options (RFC 6691).
        let options = if self.timestamps { TIMESTAMPS_LEN } else { 0 };
        let full = u32::from(self.offer.mss.min(self.segment_max(mtu)) - options);
        let arrived = self.receive.on_segment(seq, len, fin);
        // The FIN takes a position and is no byte.
        let bytes = arrived.in_order - u32::from(arrived.fin);
        if bytes > 0 && segment.payload_len <= self.segment_max(mtu) {
            // Longer ones are several that receive offload has merged.
            self.receive_mss = self.receive_mss.max(segment.payload_len);
        }
        Some(Arrival {
            seq,
            end: seq + len,
            before,
            nxt: self.receive.nxt(),
            room: self.receive.room_after(seq + len),
            bytes,
            acknowledged: self
                .send
                .offset_of(LocalSeq::new(segment.ack))
                .unwrap_or_default(),
            tail: Tail::of(len, pushes, longest, full),
            fin: arrived.fin,
            ack_now: arrived.ack_now,
        })
    }
}
