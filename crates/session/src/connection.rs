//! A connection to a target: a TCP client (RFC 9293) that writes its segments into the caller's frame. It knows sequence
//! numbers, windows and timers, and no turns: what may be sent, and how much the target may send, are arguments.
//!
//! | module | holds |
//! |---|---|
//! | `send` | the sending half: what is acknowledged, lost, and may be sent now |
//! | `receive` | the receiving half, from headers alone |
//! | `segment` | the segments that it writes |
//! | `inbound` | what a segment of the target does, told as [`Effects`] |
//! | `timer` | what it does by itself |
//! | `resting` | what is kept of one that is silent |
//!
//! Positions are offsets into the client's stream. The FIN takes the position after the last byte: a limit of the stream's
//! end and one lets it out.

mod inbound;
pub(crate) mod receive;
pub(crate) mod resting;
mod segment;
mod send;
mod timer;

use core::time::Duration;

use wire::flow::{Endpoint, FlowKey};
use wire::seq::{LocalSeq, TargetSeq};
use wire::tcp::Flags;

use crate::time::Instant;
use receive::ReceiveHalf;
use send::SendHalf;

pub(crate) use inbound::{Arrival, Change, Tail};
pub(crate) use segment::{Kind, Payload};
pub(crate) use timer::Expired;

/// What the SYN offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) mss: u16,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is none, or it has been left.
    Closed,
    /// A SYN is, or is about to be, on its way.
    SynSent { due: bool },
    /// The handshake is done: ESTABLISHED and all states after it, told apart by what the two halves know.
    Synchronized,
    /// One last segment with these flags is to be sent; nothing is waited for.
    Leaving(Flags),
}

/// How far the client's stream may be sent now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Up to here; one beyond the stream's end where its FIN may go too.
    pub(crate) limit: u64,
    /// The stream's end, as far as it is known.
    pub(crate) stream_end: u64,
}

/// What a segment depends on besides its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    pub(crate) now: Instant,
    /// The clock that TSval is read from (RFC 7323), in milliseconds.
    pub(crate) timestamp: u32,
    /// What the path to the target carries, in bytes, IP header included.
    pub(crate) mtu: u16,
    /// How many more bytes the target may send.
    pub(crate) allowance: u32,
}

/// A TCP client of a target.
#[derive(Debug)]
pub(crate) struct Connection {
    /// From our source to the target; the source means something only while there is a connection.
    local: FlowKey,
    offer: Offer,
    phase: Phase,
    send: SendHalf,
    receive: ReceiveHalf,
    /// Whether both sides know SACK, and timestamps.
    sack: bool,
    timestamps: bool,
    /// An acknowledgement is to leave now ...
    ack_due: bool,
    /// ... or then.
    ack_at: Option<Instant>,
    /// SYNs sent again because the target still had a connection that a run before had left behind.
    recoveries: u8,
    /// A RST for that connection, to be sent before the next SYN.
    recover_reset: Option<LocalSeq>,
    /// The longest payload that the target has sent, in bytes: a shorter one ends a response.
    receive_mss: u16,
    /// Whether a keep-alive probe is to ask for a word of the target.
    knocks: bool,
}

impl Connection {
    /// None yet, from `local.client` to `local.server`; see [`Connection::open`].
    pub(crate) fn new(local: FlowKey, offer: Offer) -> Self {
        Self {
            local,
            offer,
            phase: Phase::Closed,
            send: SendHalf::new(LocalSeq::new(0), 0, 536),
            receive: ReceiveHalf::new(TargetSeq::new(0), 0),
            sack: false,
            timestamps: false,
            ack_due: false,
            ack_at: None,
            recoveries: 0,
            recover_reset: None,
            receive_mss: 0,
            knocks: false,
        }
    }

    /// Begins a connection: a SYN with `iss` is due, and byte `base` of the stream will follow it. The target may send `window`
    /// bytes at first: no scale is applied to the window of a SYN (RFC 7323 section 2.2).
    pub(crate) fn open(&mut self, iss: LocalSeq, base: u64, mtu: u16, window: u16) {
        self.send = SendHalf::new(iss, base, self.segment_max(mtu));
        self.receive = ReceiveHalf::new(TargetSeq::new(0), window);
        (self.ack_due, self.ack_at, self.knocks) = (false, None, false);
        self.phase = Phase::SynSent { due: true };
    }

    /// The next connection comes from `source`.
    pub(crate) fn set_source(&mut self, source: Endpoint) {
        self.local.client = source;
    }

    /// Forgets the connection. What it has sent stays known: see [`Connection::seq_sent`].
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.send.disarm();
        self.ack_at = None;
    }

    /// Leaves the connection with one last segment, a FIN or a RST. Returns whether there is one to send: not where the
    /// target cannot know of the connection.
    pub(crate) fn leave(&mut self, with: Flags) -> bool {
        let with = match self.phase {
            // Before the SYN-ACK there is nothing to acknowledge, and a RST that does so all the same is ignored.
            Phase::SynSent { due: false } => with,
            Phase::Synchronized => with.with(Flags::ACK),
            _ => return false,
        };
        self.send.disarm();
        self.ack_at = None;
        self.phase = Phase::Leaving(with);
        true
    }

    /// A last FIN, whose answer may go astray and is not waited for, becomes a RST.
    pub(crate) fn leave_unanswered(&mut self) {
        if let Phase::Leaving(with) = &mut self.phase
            && with.contains(Flags::FIN)
        {
            *with = Flags::RST.with(Flags::ACK);
        }
    }

    /// Whether its last segment is a RST.
    pub(crate) fn leaves_by_reset(&self) -> bool {
        matches!(self.phase, Phase::Leaving(with) if with.contains(Flags::RST))
    }

    /// From our source to the target.
    pub(crate) fn local(&self) -> &FlowKey {
        &self.local
    }

    /// Whether a SYN is, or is about to be, on its way.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::SynSent { .. })
    }

    /// Whether a SYN has left and was not answered yet.
    pub(crate) fn awaits_answer_to_syn(&self) -> bool {
        self.phase == Phase::SynSent { due: false }
    }

    /// Whether its first SYN is what it wants to send.
    pub(crate) fn is_first_syn_due(&self) -> bool {
        self.phase == Phase::SynSent { due: true } && self.send.timeouts == 0
    }

    /// Whether the handshake is done, and the connection has not been left.
    pub(crate) fn is_synchronized(&self) -> bool {
        self.phase == Phase::Synchronized
    }

    /// ISS.
    pub(crate) fn iss(&self) -> LocalSeq {
        self.send.iss()
    }

    /// The stream offset that it began with.
    pub(crate) fn base(&self) -> u64 {
        self.send.base()
    }

    /// Goes on with the stream's byte `base`, everything before being acknowledged.
    pub(crate) fn jump_to(&mut self, base: u64) {
        self.send.jump_to(base);
    }

    /// SND.UNA as a stream offset.
    pub(crate) fn una(&self) -> u64 {
        self.send.una()
    }

    /// Where the bytes of the stream end that were ever sent.
    pub(crate) fn sent(&self) -> u64 {
        self.send.sent()
    }

    /// The sequence number after everything ever sent.
    pub(crate) fn seq_sent(&self) -> LocalSeq {
        self.send.seq_sent()
    }

    /// Whether a sequence number lies in what was sent and is not acknowledged.
    pub(crate) fn was_sent(&self, seq: LocalSeq) -> bool {
        self.send.was_sent(seq)
    }

    /// What was sent was too big for the path.
    pub(crate) fn on_too_big(&mut self, now: Instant) {
        self.send.on_too_big(now);
    }

    /// The shortest round trip that was measured.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.send.trip().shortest()
    }

    /// The largest payload that the target takes and the path carries, in bytes.
    pub(crate) fn mss(&self) -> u16 {
        self.send.mss()
    }

    /// The longest payload that the target has sent, in bytes.
    pub(crate) fn receive_mss(&self) -> u16 {
        self.receive_mss
    }

    /// Whether the target's FIN has arrived with everything before it.
    pub(crate) fn is_finished(&self) -> bool {
        self.receive.is_finished()
    }

    /// Whether our FIN after `stream_end` was acknowledged, and whether the target's has arrived.
    pub(crate) fn ends(&self, stream_end: u64) -> (bool, bool) {
        (self.send.una() > stream_end, self.receive.is_finished())
    }

    /// Whether something is missing before what has arrived.
    pub(crate) fn has_hole(&self) -> bool {
        self.receive.has_hole()
    }

    /// How many bytes the target may still send.
    pub(crate) fn window(&self) -> u32 {
        self.receive.window()
    }

    /// Where what the target may send ends.
    pub(crate) fn window_end(&self) -> TargetSeq {
        self.receive.nxt() + self.receive.window()
    }

    /// Whether the window would become wider by at least `step` bytes if the target might send `allowance` more.
    pub(crate) fn would_open(&self, allowance: u32, step: u32) -> bool {
        self.receive
            .would_open(allowance, step.max(receive::EDGE_STEP_MIN))
    }

    /// Whether it is `allowance` that limits the window, and not the field of the header.
    pub(crate) fn is_narrowed(&self, allowance: u32) -> bool {
        self.receive.is_narrowed(allowance)
    }

    /// An acknowledgement is to leave now.
    pub(crate) fn acknowledge(&mut self) {
        self.ack_due = true;
    }

    /// An acknowledgement is to leave at `at`, unless one leaves before.
    pub(crate) fn acknowledge_at(&mut self, at: Instant) {
        self.ack_at.get_or_insert(at);
    }

    /// A SYN that was sent and not answered is to be sent once more.
    pub(crate) fn repeat_syn(&mut self) {
        if self.awaits_answer_to_syn() {
            self.phase = Phase::SynSent { due: true };
        }
    }

    /// A keep-alive probe is to ask for a word of the target.
    pub(crate) fn knock(&mut self) {
        self.knocks = true;
    }

    /// Whether a connection has nothing to write whose stream may be sent up to `limit`, nor up to any lower one. So it is
    /// after most inputs.
    #[inline]
    pub(crate) fn has_said_all(&self, limit: u64) -> bool {
        self.is_synchronized() && !self.ack_due && !self.knocks && self.send.is_done(limit)
    }

    /// Whether an acknowledgement is due, and nothing else is to be written however far the stream may be sent up to `limit`.
    #[inline(always)]
    pub(crate) fn only_acknowledges(&self, limit: u64) -> bool {
        self.owes_acknowledgement() && !self.knocks && self.send.is_done(limit)
    }

    /// Whether everything up to `limit` is sent, and nothing is to be sent again.
    #[inline]
    pub(crate) fn has_sent_all(&self, limit: u64) -> bool {
        self.send.is_done(limit)
    }

    /// Whether it owes an acknowledgement, and can send one.
    #[inline]
    pub(crate) fn owes_acknowledgement(&self) -> bool {
        self.is_synchronized() && self.ack_due
    }

    /// Whether [`Connection::transmit`] would write something.
    pub(crate) fn wants_to_send(&self, reach: impl FnOnce() -> Reach) -> bool {
        match self.phase {
            Phase::Closed => false,
            Phase::SynSent { due } => due,
            Phase::Leaving(_) => true,
            Phase::Synchronized => self.ack_due || self.wants_answer(reach),
        }
    }

    /// Whether a synchronized connection has something to say that a target answers.
    pub(crate) fn wants_answer(&self, reach: impl FnOnce() -> Reach) -> bool {
        let mss = u32::from(self.send.mss());
        self.knocks || self.send.sendable(reach().limit, mss).is_some()
    }

    /// Whether the target takes nothing more for now.
    pub(crate) fn is_window_closed(&self) -> bool {
        self.is_synchronized() && self.send.is_window(0)
    }

    /// Sees to it that a closed window of the target is probed where bytes wait for it to open.
    pub(crate) fn probe_window(&mut self, reach: Reach, now: Instant) {
        if self.send.wants_probe_timer(reach.limit) {
            self.send.arm_retransmission(now);
        }
    }

    /// When [`Connection::on_acknowledgement_due`] is to be called.
    pub(crate) fn acknowledgement_due(&self) -> Option<Instant> {
        self.ack_at
    }

    /// When [`Connection::on_timer`] is to be called.
    pub(crate) fn timer_due(&self) -> Option<Instant> {
        self.send.timer_at()
    }

    /// Lets an acknowledgement leave whose time has come.
    pub(crate) fn on_acknowledgement_due(&mut self, now: Instant) {
        if self.ack_at.is_some_and(|at| at <= now) {
            (self.ack_due, self.ack_at) = (true, None);
        }
    }

    /// IP and TCP headers without options, in bytes.
    pub(crate) fn headers_len(&self) -> u16 {
        if self.local.server.addr.is_v4() {
            40
        } else {
            60
        }
    }

    /// The largest payload that fits a path, in bytes, before the target has said what it takes.
    fn segment_max(&self, mtu: u16) -> u16 {
        mtu - self.headers_len()
    }
}
