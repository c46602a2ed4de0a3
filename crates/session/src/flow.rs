//! One flow: what was captured of a client's connection to the online server, held once for all the sessions that copy it.
//!
//! | module | holds |
//! |---|---|
//! | `stream` | the client's bytes, each once, in order, with their cause |
//! | `captured`, `turn` | the stream cut into turns, and how the online server answered them |
//! | `news` | what a packet has changed, for the sessions that follow |
//! | `unasked` | signs that either side speaks without having been asked |
//! | `read`, `reading`, `course` | a protocol module at work on the flow |
//! | `messages` | what it has said of the turns |
//! | `payload`, `boundaries` | the bytes that a session still has to send, and where the client's segments ended |
//! | `sharing` | until when something is kept for the slowest of its sessions |
//! | `resting` | what is kept of one that is silent |
//!
//! A flow knows no target: it is told a packet once, and says what is new. Each of its sessions (the copies of `-n`, and the
//! rules of one service) then follows by itself.

pub(crate) mod advertised;
pub(crate) mod boundaries;
pub(crate) mod captured;
mod compared;
mod course;
pub(crate) mod messages;
mod multipath;
mod news;
pub(crate) mod payload;
pub(crate) mod queue;
mod read;
mod reading;
mod reassembly;
pub(crate) mod resting;
mod sharing;
pub(crate) mod stream;
mod taking;
pub(crate) mod turn;
pub(crate) mod unasked;

use wire::flow::FlowKey;
use wire::segment::Segment;
use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::Flags;

use crate::arena::Arena;
use crate::event::Counters;
use crate::id::SessionId;
use crate::limits::{CONNECTION_DISTANCE_MAX, RESET_AHEAD_MAX};
use crate::time::Instant;
use advertised::Advertised;
use captured::Captured;
use core::time::Duration;
pub(crate) use news::{Answered, Heard, News};
use payload::Payload;
use reading::Reading;
use stream::{ClientStream, End, EndOfStream, Piece};
use taking::Taker;
use turn::Turn;

/// What a flow needs from its engine while it is told something.
pub(crate) struct Room<'a> {
    pub(crate) now: Instant,
    pub(crate) arena: &'a mut Arena,
    pub(crate) counters: &'a mut Counters,
    /// How long a hole that the online server has acknowledged is waited for.
    pub(crate) gap_grace: Duration,
}

/// One flow.
#[derive(Debug)]
pub(crate) struct Flow {
    key: FlowKey,
    /// Whether it was joined: its SYN was not seen, or too long ago.
    joined: bool,
    /// Whether either side has confirmed that the client's handshake was completed.
    confirmed: bool,
    stream: ClientStream,
    captured: Captured,
    payload: Payload,
    /// Whether the online server has closed.
    online_closed: bool,
    /// Whether it has probed the window of its client since it last sent payload: it has more to say.
    online_blocked: bool,
    /// When it last sent payload.
    online_at: Instant,
    /// When a hole counts as lost.
    gap_at: Option<Instant>,
    /// When the client or the online server last said something.
    active_at: Instant,
    /// The first of its sessions; each knows the next.
    pub(crate) head: Option<SessionId>,
    /// How many there are ...
    pub(crate) sessions: u32,
    /// ... and how many of them still need the first byte that is kept.
    laggards: u32,
    /// A protocol module at work, where the flow's rules ask for one.
    reading: Option<Box<Reading>>,
}

impl Flow {
    /// A flow whose client's first byte will be `first`, sent when it had seen the online server's bytes up to `cause`.
    pub(crate) fn new(
        key: FlowKey,
        first: ClientSeq,
        cause: OnlineSeq,
        joined: bool,
        now: Instant,
    ) -> Self {
        Self {
            key,
            joined,
            confirmed: joined,
            stream: ClientStream::new(first),
            captured: Captured::new(cause),
            payload: Payload::default(),
            online_closed: false,
            online_blocked: false,
            online_at: now,
            gap_at: None,
            active_at: now,
            head: None,
            sessions: 0,
            laggards: 0,
            reading: None,
        }
    }

    /// From the client to the online server.
    pub(crate) fn key(&self) -> &FlowKey {
        &self.key
    }

    /// Whether its handshake was not seen.
    pub(crate) fn is_joined(&self) -> bool {
        self.joined
    }

    /// The client's ISN, where its SYN was seen.
    pub(crate) fn client_isn(&self) -> Option<ClientSeq> {
        let read = self.reading.as_ref();
        let taken = read.map_or(self.captured.end(), |reading| reading.read());
        let isn = self.stream.next() - (taken as u32).wrapping_add(1);
        (!self.joined).then_some(isn)
    }

    /// Whether either side has confirmed that the client's handshake was completed.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// The client's bytes as they arrive.
    pub(crate) fn stream(&self) -> &ClientStream {
        &self.stream
    }

    /// Its turns.
    pub(crate) fn captured(&self) -> &Captured {
        &self.captured
    }

    /// The bytes that are kept.
    pub(crate) fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Where the client's stream ends, as far as it was captured.
    pub(crate) fn end(&self) -> u64 {
        self.captured.end()
    }

    /// How the client's side ended, if it has.
    pub(crate) fn ended(&self) -> Option<EndOfStream> {
        self.stream.end()
    }

    /// Whether the client's side has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.stream.has_ended()
    }

    /// Whether the online server has closed.
    pub(crate) fn is_online_closed(&self) -> bool {
        self.online_closed
    }

    /// Whether the online server waits for its client's window.
    pub(crate) fn is_online_blocked(&self) -> bool {
        self.online_blocked
    }

    /// When the online server last sent payload.
    pub(crate) fn online_at(&self) -> Instant {
        self.online_at
    }

    /// When the client or the online server last said something.
    pub(crate) fn active_at(&self) -> Instant {
        self.active_at
    }

    /// When a hole counts as lost.
    pub(crate) fn gap_at(&self) -> Option<Instant> {
        self.gap_at
    }

    /// Bytes that it holds, in order or not.
    pub(crate) fn bytes_held(&self) -> u64 {
        (self.payload.len() + self.stream.waiting_cost()) as u64
    }

    /// The online server has advertised these windows.
    pub(crate) fn advertised(&mut self) -> &mut Advertised {
        self.stream.advertised()
    }

    /// A session ends the latest turn: what the client says next begins another.
    pub(crate) fn seal_latest(&mut self) {
        self.captured.seal();
    }

    /// A turn stands alone: the protocol is one that answers each request.
    pub(crate) fn on_standalone(&mut self) {
        self.captured.on_standalone();
    }

    /// Whether numbers of the online server cannot be this connection's: until it has closed, a far one may follow what was not seen.
    pub(crate) fn is_elsewhere(&self, seq: OnlineSeq, ack: ClientSeq) -> bool {
        let distance = seq - self.captured.online_end();
        distance.unsigned_abs() > CONNECTION_DISTANCE_MAX
            && (self.online_closed || self.stream.is_never_acknowledged(ack))
    }

    /// A segment of the client, its checksum verified.
    pub(crate) fn on_client(
        &mut self,
        seq: ClientSeq,
        flags: Flags,
        piece: Piece<'_>,
        room: &mut Room<'_>,
    ) -> News {
        self.active_at = room.now;
        self.confirmed = true;
        let news = if flags.contains(Flags::RST) {
            self.on_client_reset(seq, flags, piece, room)
        } else if self.stream.is_of_another(seq, &piece, &self.captured) {
            News::default()
        } else {
            let mut taker = Taker {
                captured: &mut self.captured,
                payload: &mut self.payload,
                from_start: !self.joined,
                news: News::default(),
            };
            let (fin, reading) = (flags.contains(Flags::FIN), &mut self.reading);
            let was_open = !self.stream.has_ended();
            let take = &mut |arena: &mut Arena, piece: Piece<'_>| match reading {
                None => taker.take(arena, piece),
                Some(reading) => reading.take(arena, &piece, &mut taker),
            };
            self.stream
                .on_segment(seq, fin, piece, room.arena, room.counters, take);
            if let Some(reading) = reading {
                let end = self.stream.end().filter(|_| was_open);
                reading.on_client_segment(end, piece.stamp, room, &mut taker);
            }
            let news = taker.news;
            if !piece.bytes.is_empty() {
                self.captured.on_client(flags.contains(Flags::PSH));
            }
            news
        };
        self.watch_holes(room);
        news
    }

    fn on_client_reset(
        &mut self,
        seq: ClientSeq,
        flags: Flags,
        piece: Piece<'_>,
        room: &mut Room<'_>,
    ) -> News {
        let mut news = News::default();
        if self.stream.is_reset_behind_hole(seq) {
            news.lost = Some(self.end_at_gap(room));
        } else {
            // A RST without ACK answers a segment to a closed socket: what the client had seen before is not in it.
            let cause = flags.contains(Flags::ACK).then_some(piece.cause);
            self.stream.on_reset(seq, cause, piece.stamp, room.arena);
            if self.has_ended()
                && let Some(cause) = cause
            {
                self.read_reset(cause, room);
            }
        }
        news
    }

    /// A segment of the online server to the client.
    pub(crate) fn on_online(
        &mut self,
        (seq, ack): (OnlineSeq, ClientSeq),
        (segment, packet): (&Segment, &[u8]),
        len: u32,
        stamp: Instant,
        room: &mut Room<'_>,
    ) -> Heard {
        let flags = segment.flags;
        self.active_at = room.now;
        let before = self.captured.online_end();
        let reset = flags.contains(Flags::RST);
        if reset && (seq < self.captured.last_cause() || seq.ahead_of(before) > RESET_AHEAD_MAX) {
            // Its client would not believe it: it is about an older connection of the same port, of which a segment came late.
            return Heard::Nothing;
        }
        self.online_closed |= flags.intersects(Flags::FIN.with(Flags::RST));
        if reset {
            // Whatever the client was told last, its connection is gone.
            self.captured.on_online_reset();
            self.finish(End::Replaced, stamp, room.arena);
            return Heard::Reset;
        }
        self.stream.on_acknowledged(ack);
        // A probe of a closed window (RFC 9293 section 3.8.6.1) says that there is more; a keep-alive probe looks the same.
        self.online_blocked |= len == 0 && seq < before;
        let mut turn = None;
        if len > 0 {
            (self.online_at, self.online_blocked) = (stamp, false);
            self.confirmed = true;
        }
        if self.is_told() {
            turn = self.read_online(seq, (segment, packet), len, stamp, room);
        } else if len > 0 {
            let distance = i64::from(ack - self.stream.next());
            let acknowledged = self.end().saturating_add_signed(distance);
            let pushes = flags.contains(Flags::PSH);
            turn = self
                .captured
                .on_online_bytes(acknowledged, seq + len, len, pushes, stamp);
        }
        self.watch_holes(room);
        Heard::Segment(Answered {
            seq,
            len,
            before,
            turn,
        })
    }

    fn watch_holes(&mut self, room: &Room<'_>) {
        if !self.stream.has_acknowledged_hole() {
            self.gap_at = None;
        } else if self.gap_at.is_none() {
            self.gap_at = Some(room.now + room.gap_grace);
        }
    }

    /// The time has come to take a hole for lost. Returns how many turns stand behind it, if it is still there.
    pub(crate) fn on_gap_due(&mut self, room: &mut Room<'_>) -> Option<u64> {
        self.gap_at = None;
        self.stream
            .has_acknowledged_hole()
            .then(|| self.end_at_gap(room))
    }

    /// What stands behind a hole that can never be filled is lost with it. Returns how many turns that are.
    fn end_at_gap(&mut self, room: &mut Room<'_>) -> u64 {
        let turns = self.stream.turns_behind_hole(self.captured.last_cause());
        self.finish(End::Gap, room.now, room.arena);
        turns
    }

    /// The client's side ends for a reason that is not in its stream.
    pub(crate) fn finish(&mut self, end: End, stamp: Instant, arena: &mut Arena) {
        self.stream.finish(end, None, stamp, arena);
    }

    /// What waits behind a hole is wanted by nobody any more.
    pub(crate) fn forget_waiting(&mut self, arena: &mut Arena) {
        self.stream.clear(arena);
    }

    /// What waits behind a hole is given up for want of room.
    pub(crate) fn shed(&mut self, arena: &mut Arena, counters: &mut Counters) {
        counters.reassembly_dropped += self.stream.waiting_bytes() as u64;
        self.stream.clear(arena);
    }

    /// Bytes that a turn has, for budgets.
    pub(crate) const TURN_BYTES: usize = size_of::<Turn>();
}
