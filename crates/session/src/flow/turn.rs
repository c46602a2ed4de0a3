//! One turn as captured, and a response as far as it was seen.

use wire::seq::OnlineSeq;

use crate::event::Response;
use crate::time::Instant;

/// One request, or one pipelined batch.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Where it starts in the client's stream.
    pub(crate) start: u64,
    /// Where it ends, as far as captured.
    pub(crate) end: u64,
    /// The acknowledgement number of its bytes.
    pub(crate) cause: OnlineSeq,
    pub(crate) captured_first: Instant,
    pub(crate) captured_last: Instant,
    pub(crate) online: Answer,
    /// Whether the online server has reset the connection after it.
    pub(crate) online_reset: bool,
    /// The longest pause of the online server's inside its answer, in tenths of a millisecond, as far as it was of its own will.
    pub(crate) online_pause: u16,
    /// How long each piece of the online server's answer is, where all are alike, in bytes; 0 where they are not. A segment may carry
    /// several.
    pub(crate) online_piece: u16,
    /// Bytes of the online server that answer nothing of this turn and that the client had not seen when it sent it: they
    /// were on their way.
    pub(crate) early: u32,
    /// Whether its client said it in the middle of an answer: behind bytes of the online server that did not look like the end of
    /// one, as where a window kept the rest back. What comes next may be that rest.
    pub(crate) amid: bool,
    /// How many bytes that rest has, behind the early ones, as far as it has come.
    pub(crate) rest: u32,
}

impl Turn {
    /// A segment of the online server's answer.
    pub(crate) fn add_online(&mut self, bytes: u32, stamp: Instant) {
        let piece = u16::try_from(bytes).unwrap_or(0);
        if self.online.first.is_none() {
            self.online_piece = piece;
        } else if self.online_piece != piece {
            self.online_piece = common(self.online_piece, piece);
        }
        self.online.add(bytes, stamp);
    }

    /// Whether the turn begins here, for its client or for the online server, or a piece of that one's answer to it ends, as far as that
    /// is known.
    pub(crate) fn has_piece_end(&self, at: OnlineSeq) -> bool {
        let behind = u64::try_from(at - self.cause).ok();
        let answered = behind.and_then(|bytes| bytes.checked_sub(self.early.into()));
        let ends = |bytes: u64| {
            bytes == 0
                || bytes <= self.online.bytes
                    && self.online_piece > 0
                    && bytes.is_multiple_of(self.online_piece.into())
        };
        at == self.cause || answered.is_some_and(ends)
    }
}

/// Most pieces of which a segment is taken to be made.
const PIECES_MAX: u16 = 16;

/// The shorter of two, if the other is made of several of it.
fn common(one: u16, other: u16) -> u16 {
    let (short, long) = (one.min(other), one.max(other));
    let is_made_of_it = short > 0 && long.is_multiple_of(short) && long / short <= PIECES_MAX;
    if is_made_of_it { short } else { 0 }
}

/// A response as far as it was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) bytes: u64,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Instant,
}

impl Answer {
    pub(crate) fn add(&mut self, bytes: u32, stamp: Instant) {
        self.bytes += u64::from(bytes);
        self.first.get_or_insert(stamp);
        self.last = stamp;
    }

    pub(crate) fn measured_from(&self, start: Option<Instant>) -> Option<Response> {
        let (first, start) = (self.first?, start?);
        Some(Response {
            first: first.since(start),
            last: self.last.since(start),
            bytes: self.bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Turn};
    use crate::time::Instant;
    use wire::seq::OnlineSeq;

    /// What the online server had not said by then is no end of a piece, however little is missing.
    #[test]
    fn a_piece_ends_where_the_turn_begins_and_behind_whole_answers() {
        let at = OnlineSeq::new;
        let now = Instant::default();
        let mut turn = Turn {
            start: 0,
            end: 10,
            cause: at(100),
            captured_first: now,
            captured_last: now,
            online: Answer::default(),
            online_reset: false,
            online_pause: 0,
            online_piece: 0,
            early: 0,
            amid: false,
            rest: 0,
        };
        let ends = |turn: &Turn| -> Vec<u32> {
            (90..140)
                .filter(|seq| turn.has_piece_end(at(*seq)))
                .collect()
        };
        assert_eq!(ends(&turn), [100]);
        turn.early = 5;
        assert_eq!(ends(&turn), [100, 105]);
        turn.add_online(10, now);
        turn.add_online(10, now);
        assert_eq!(ends(&turn), [100, 105, 115, 125]);
    }
}
