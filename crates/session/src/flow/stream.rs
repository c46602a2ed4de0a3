//! The client's stream: from captured segments to each byte once, in order.
//!
//! Duplicates, overlaps and retransmissions with other boundaries are removed; what arrives behind a hole waits,
//! within limits. A byte's cause is the acknowledgement number of the first captured copy of it, so pieces are handed
//! on with theirs. FIN and RST are events of the stream with a cause of their own.

use wire::seq::{ClientSeq, OnlineSeq};

use super::advertised::Advertised;
use super::captured::Captured;
use super::reassembly::Reassembly;
use crate::arena::Arena;
use crate::event::Counters;
use crate::holes::Holes;
use crate::limits::{CLIENT_WINDOW_MAX, CONNECTION_DISTANCE_MAX};
use crate::time::Instant;

/// Bytes that are next in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) bytes: &'a [u8],
    /// What the client had seen of the online server's bytes when it sent them.
    pub(crate) cause: OnlineSeq,
    pub(crate) stamp: Instant,
}

/// How the client's side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// FIN: everything before it arrived.
    Fin,
    /// RST, as the online server would believe it.
    Reset,
    /// A new connection took the 4-tuple, so this one must have ended unseen.
    Replaced,
    /// Neither side has said anything for longer than the user wants to remember: the flow may go on.
    Idle,
    /// A hole that the online server has acknowledged can never be filled.
    Gap,
}

/// The end of the client's side, with its cause and capture time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndOfStream {
    pub(crate) end: End,
    /// What the client had seen when it ended; `None` where that is unknown.
    pub(crate) cause: Option<OnlineSeq>,
    pub(crate) stamp: Instant,
}

/// One client's stream.
#[derive(Debug)]
pub(crate) struct ClientStream {
    /// The next byte in order.
    pub(super) next: ClientSeq,
    /// What the online server has acknowledged, as far as `observe` saw.
    acknowledged: Option<ClientSeq>,
    /// A FIN that was seen, perhaps behind a hole.
    fin: Option<(ClientSeq, OnlineSeq, Instant)>,
    pub(super) end: Option<EndOfStream>,
    /// How far ahead the client may be.
    advertised: Advertised,
    /// Whether a RST of the client came after its FIN.
    abandoned: bool,
    /// Whether its 4-tuple is a newer connection's: nothing more comes of this one.
    replaced: bool,
    /// What waits behind a hole, in a box of its own because hardly any session has one.
    pub(super) waiting: Option<Box<Reassembly>>,
}

impl ClientStream {
    /// A stream whose first byte is `next`.
    pub(crate) fn new(next: ClientSeq) -> Self {
        Self {
            next,
            acknowledged: None,
            fin: None,
            end: None,
            advertised: Advertised::unknown(),
            abandoned: false,
            replaced: false,
            waiting: None,
        }
    }

    /// The same, of which the online server has acknowledged something.
    pub(super) fn resumed(
        next: ClientSeq,
        acknowledged: Option<ClientSeq>,
        advertised: Advertised,
    ) -> Self {
        Self {
            acknowledged,
            advertised,
            ..Self::new(next)
        }
    }

    /// Whether it goes on without a hole: there is nothing to say of it but where it stands. What was missing before its beginning
    /// will not come any more after a silence.
    pub(super) fn is_plain(&self) -> bool {
        let is_plain = |it: &Reassembly| it.only_misses();
        let waiting = self.waiting.as_deref();
        self.fin.is_none() && self.end.is_none() && waiting.is_none_or(is_plain)
    }

    /// The next byte in order.
    pub(crate) fn next(&self) -> ClientSeq {
        self.next
    }

    /// How the stream ended, once everything before the end has arrived.
    pub(crate) fn end(&self) -> Option<EndOfStream> {
        self.end
    }

    /// Whether it has.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether the client has closed, and wants nothing any more of what the online server still says.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Whether its 4-tuple is a newer connection's: nothing more comes of this one, nor of what its online server has said of it.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// What the online server has acknowledged, as far as was seen.
    pub(crate) fn acknowledged(&self) -> Option<ClientSeq> {
        self.acknowledged
    }

    /// Where the client's bytes end that came, in order or not.
    pub(crate) fn seen(&self) -> ClientSeq {
        let end = self
            .waiting
            .as_ref()
            .and_then(|waiting| waiting.unordered_end);
        end.map_or(self.next, |end| end.max(self.next))
    }

    /// What is missing before [`ClientStream::seen`].
    pub(crate) fn holes(&self) -> Holes {
        let waiting = self.waiting.as_ref();
        waiting.map_or_else(Holes::new, |waiting| waiting.holes.clone())
    }

    pub(super) fn lose(&mut self, bytes: u64, end: Option<ClientSeq>) {
        if bytes > 0 {
            let waiting = self.waiting.get_or_insert_default();
            waiting.unordered_bytes += bytes;
            if let Some(end) = end {
                waiting.unordered_end = Some(waiting.unordered_end.map_or(end, |it| it.max(end)));
            }
        }
    }

    /// The windows that the online server has advertised.
    pub(crate) fn advertised(&mut self) -> &mut Advertised {
        &mut self.advertised
    }

    /// Whether a segment that begins at `seq` can be this client's: no farther ahead of what the online server has than its window
    /// allows, and no farther behind than anything is sent again.
    fn is_near(&self, seq: ClientSeq) -> bool {
        let base = self.acknowledged.map_or(self.next, |it| it.max(self.next));
        let distance = seq - base;
        let limit = if distance > 0 {
            self.advertised.reach()
        } else {
            CONNECTION_DISTANCE_MAX
        };
        distance.unsigned_abs() <= limit
    }

    /// Whether new bytes of the online server cannot acknowledge this: it is far away, behind what was acknowledged before, or beyond
    /// the client's end.
    pub(crate) fn is_never_acknowledged(&self, ack: ClientSeq) -> bool {
        (ack - self.next).unsigned_abs() > CONNECTION_DISTANCE_MAX
            || self.acknowledged.is_some_and(|before| ack < before)
            || self.fin.is_some_and(|(seq, ..)| seq + 1 < ack)
    }

    /// Whether bytes that look like older ones are another connection's: those have seen what this client cannot have. They are counted.
    #[inline]
    pub(super) fn is_of_another(
        &mut self,
        seq: ClientSeq,
        piece: &Piece<'_>,
        captured: &Captured,
    ) -> bool {
        let is_old = seq < self.next && seq + piece.bytes.len() as u32 <= self.next;
        let is_it = is_old && captured.is_unseen(piece.cause);
        if is_it {
            self.lose(piece.bytes.len() as u64, None);
        }
        is_it
    }

    /// Whether the online server has acknowledged everything that arrived.
    pub(crate) fn is_served(&self) -> bool {
        self.acknowledged
            .is_some_and(|acknowledged| acknowledged >= self.next)
    }

    /// Whether the online server has acknowledged a byte that we do not have, be it one that took another path (Multipath TCP).
    pub(crate) fn has_acknowledged_hole(&self) -> bool {
        let is_ahead = || {
            self.acknowledged.is_some_and(|acknowledged| {
                // An acknowledged FIN counts one beyond the last byte.
                let fin = u32::from(
                    self.fin
                        .is_some_and(|(seq, ..)| seq + 1 == acknowledged && seq == self.next),
                );
                acknowledged > self.next + fin
            })
        };
        self.end.is_none() && (is_ahead() || self.lacks_data())
    }

    /// Ends the stream for a reason that is not in it.
    pub(crate) fn finish(
        &mut self,
        end: End,
        cause: Option<OnlineSeq>,
        stamp: Instant,
        arena: &mut Arena,
    ) {
        self.replaced |= end == End::Replaced;
        if self.end.is_none() {
            self.end = Some(EndOfStream { end, cause, stamp });
        }
        self.clear(arena);
    }

    /// A segment that belongs to no place of the stream: what of it did not come before is counted.
    fn pass_over(&mut self, seq: ClientSeq, len: u32) {
        let (end, seen) = (seq + len, self.seen());
        if !self.is_near(seq) {
            self.lose(len.into(), None);
            return;
        }
        let waiting = self.waiting.as_mut();
        let late = waiting.map_or(0, |waiting| waiting.holes.fill(seq, end));
        self.lose(late.into(), None);
        if end > seen {
            self.lose(end.ahead_of(seen).min(len).into(), Some(end));
            let waiting = self.waiting.get_or_insert_default();
            waiting.holes.open(seen, seq);
        }
    }

    /// Bytes from `seq` to `end` come, of which those before what is next in order are in no turn: what was missing there is counted.
    fn fill_before(&mut self, seq: ClientSeq, end: ClientSeq) {
        let Some(waiting) = self.waiting.as_mut() else {
            return;
        };
        let late = waiting.holes.fill(seq, end.min(self.next));
        waiting.holes.fill(self.next, end);
        waiting.take_back(self.next, end);
        self.lose(late.into(), None);
    }

    /// The online server acknowledged everything before `ack`.
    ///
    /// A number far outside what this client can have sent (another connection's) is ignored.
    pub(crate) fn on_acknowledged(&mut self, ack: ClientSeq) {
        if (ack - self.next).unsigned_abs() < CLIENT_WINDOW_MAX
            && self.acknowledged.is_none_or(|old| old < ack)
        {
            self.acknowledged = Some(ack);
        }
    }

    /// Whether a RST of the client at `seq` ends a stream with a hole: what is missing was acknowledged, and will not come.
    pub(crate) fn is_reset_behind_hole(&self, seq: ClientSeq) -> bool {
        self.acknowledged == Some(seq) && self.has_acknowledged_hole()
    }

    /// A RST of the client at `seq`: believed only where the online server would (RFC 5961 section 3.2).
    pub(crate) fn on_reset(
        &mut self,
        seq: ClientSeq,
        cause: Option<OnlineSeq>,
        stamp: Instant,
        arena: &mut Arena,
    ) {
        if seq == self.next || self.acknowledged == Some(seq) {
            self.finish(End::Reset, cause, stamp, arena);
        }
        // A client that has closed, and resets when more comes, wants nothing of it (RFC 9293 section 3.10.7.4).
        self.abandoned |= self.end.is_some_and(|end| end.end == End::Fin) && seq == self.next + 1;
    }

    /// A segment of the client. `take` gets every byte that is now in order, with its cause.
    pub(crate) fn on_segment(
        &mut self,
        seq: ClientSeq,
        fin: bool,
        piece: Piece<'_>,
        arena: &mut Arena,
        counters: &mut Counters,
        take: &mut dyn FnMut(&mut Arena, Piece<'_>),
    ) {
        let len = u32::try_from(piece.bytes.len()).unwrap_or(u32::MAX);
        if self.end.is_some() || !self.is_near(seq) {
            self.pass_over(seq, len);
            return;
        }
        // The nearest: one far ahead is not the client's, or the bytes before it would have to come first.
        if fin && self.fin.is_none_or(|(at, ..)| seq + len < at) {
            self.fin = Some((seq + len, piece.cause, piece.stamp));
        }
        if seq <= self.next {
            self.fill_before(seq, seq + len);
            while let Some(bytes) = self.news(seq, piece.bytes) {
                self.next += bytes.len() as u32;
                take(arena, Piece { bytes, ..piece });
                self.drain_waiting(arena, take);
            }
        } else if !piece.bytes.is_empty() {
            self.store(seq, piece, arena, counters);
        }
        if let Some((at, cause, stamp)) = self.fin
            && at == self.next
        {
            self.finish(End::Fin, Some(cause), stamp, arena);
        }
    }

    /// What of a segment is next in order, up to what waits already: the first copy of a byte tells its cause.
    fn news<'a>(&self, seq: ClientSeq, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let bytes = bytes.get(self.next.ahead_of(seq) as usize..)?;
        let waiting = self.waiting.as_ref().and_then(|w| w.segments.front());
        let missing = waiting.map_or(bytes.len(), |waiting| {
            waiting.seq.ahead_of(self.next) as usize
        });
        Some(&bytes[..bytes.len().min(missing)]).filter(|bytes| !bytes.is_empty())
    }
}

#[cfg(test)]
mod tests;
