//! Turns as captured: the client's stream cut where the client had seen a response, and what the online server answered.
//!
//! Turns are numbered from the flow's first on. Each session has its own front; the latest turn stays until another begins,
//! since the online server's answer to it may still come.

use std::collections::VecDeque;

use wire::seq::OnlineSeq;

use super::Flow;
use super::messages::Messages;
use super::queue::Queue;
use super::stream::Piece;
use super::turn::{Answer, Turn};
use super::unasked::Signs;
use crate::arena::Arena;
use crate::limits::{CONNECTION_DISTANCE_MAX, UNPROMPTED_PAUSE};
use crate::time::Instant;

/// The turns of one flow.
#[derive(Debug)]
pub(crate) struct Captured {
    /// The latest, which nearly all questions are about.
    pub(super) latest: Option<Turn>,
    /// Those before it that a session may still need.
    pub(super) earlier: VecDeque<Turn>,
    /// How many there have been.
    pub(super) count: u64,
    /// Turns before this number have ended everywhere, and are not charged to the budget any more.
    settled: u64,
    /// Where the stream ends.
    pub(super) end: u64,
    /// What the client had seen before its first byte.
    cause: OnlineSeq,
    /// Where the online server's bytes end, as far as they were seen.
    pub(super) online_end: OnlineSeq,
    /// Whether a session has ended the latest turn, so that nothing is added to it.
    pub(super) sealed: bool,
    /// Whether the online server has spoken without having been asked, as far as can be told.
    unprompted: bool,
    /// Whether the online server had spoken before the client's first byte.
    greeted: bool,
    /// Whether either side speaks unasked.
    signs: Signs,
    /// What a protocol module has said of the turns, where one reads the flow.
    pub(super) messages: Option<Box<Messages>>,
}

impl Captured {
    /// No turns yet; `cause` is what the client had seen before its first byte.
    pub(crate) fn new(cause: OnlineSeq) -> Self {
        Self {
            latest: None,
            earlier: VecDeque::new(),
            count: 0,
            settled: 0,
            end: 0,
            cause,
            online_end: cause,
            sealed: false,
            unprompted: false,
            greeted: false,
            signs: Signs::default(),
            messages: None,
        }
    }

    /// How many turns there have been.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether the online server had spoken before the client's first byte: what follows a greeting has state (a login, a salt), and
    /// means nothing on a connection of its own, whatever it looks like.
    pub(crate) fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Where the client's stream ends.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The latest turn.
    pub(crate) fn latest(&self) -> Option<&Turn> {
        self.latest.as_ref()
    }

    /// The cause of the latest bytes.
    pub(crate) fn last_cause(&self) -> OnlineSeq {
        self.latest.as_ref().map_or(self.cause, |turn| turn.cause)
    }

    /// Where the online server's bytes end, as far as they were seen.
    pub(crate) fn online_end(&self) -> OnlineSeq {
        self.online_end
    }

    /// Turn `number`, if it is known yet, and still.
    #[inline]
    pub(crate) fn get(&self, number: u64) -> Option<&Turn> {
        match self.count.wrapping_sub(number) {
            0 => None,
            1 => self.latest.as_ref(),
            behind => self.get_earlier(behind),
        }
    }

    /// The turn that is so many places from the end.
    fn get_earlier(&self, behind: u64) -> Option<&Turn> {
        let index = (self.earlier.len() as u64 + 1).checked_sub(behind)?;
        self.earlier.get(index as usize)
    }

    /// Bytes arrived that are next in order. Returns whether they begin a new turn.
    #[inline(always)]
    pub(super) fn on_bytes(&mut self, piece: &Piece<'_>) -> bool {
        let start = self.end;
        debug_assert!(
            self.latest.as_ref().is_none_or(|last| last.end == start),
            "turns stand end to end"
        );
        self.end += piece.bytes.len() as u64;
        if let Some(last) = &mut self.latest
            && piece.cause <= last.cause
            && !self.sealed
        {
            last.end = self.end;
            self.signs
                .on_client_pause(piece.stamp.since(last.captured_last));
            last.captured_last = piece.stamp;
            return false;
        }
        self.sealed = false;
        if start == 0 {
            self.greeted |= self.cause < piece.cause;
            self.signs.on_beginning(piece.bytes);
        }
        let early = self.online_end.ahead_of(piece.cause);
        self.signs.on_turn(early > 0);
        if let Some(last) = self.latest.as_ref().filter(|_| early == 0) {
            self.signs.on_answered(piece.stamp.since(last.online.last));
        }
        let turn = Turn {
            start,
            end: self.end,
            cause: piece.cause,
            captured_first: piece.stamp,
            captured_last: piece.stamp,
            online: Answer::default(),
            online_reset: false,
            online_pause: 0,
            online_piece: 0,
            early,
            amid: self.online_end > self.cause && !self.signs.has_pushed(),
            rest: 0,
        };
        self.push(turn);
        true
    }

    /// A turn begins behind those that there are.
    #[inline(always)]
    pub(super) fn push(&mut self, turn: Turn) {
        if let Some(last) = self.latest.replace(turn)
            && self.settled < self.count
        {
            if self.earlier.capacity() == 0 {
                // One that is open and the next are all that most flows ever have.
                self.earlier.reserve_exact(1);
            }
            self.earlier.push_back(last);
        }
        self.count += 1;
    }

    /// A segment of the client with payload; `pushes` says whether it has PSH.
    pub(super) fn on_client(&mut self, pushes: bool) {
        self.signs.on_client(pushes);
    }

    /// The protocol is one that answers each request.
    pub(super) fn on_standalone(&mut self) {
        self.signs.forget();
    }

    /// What is left of them after a long silence, where at most the latest is open; of the signs only what is known is.
    pub(super) fn rest(&mut self) -> Option<RestingCaptured> {
        if !self.earlier.is_empty() || self.messages.is_some() {
            return None;
        }
        Some(RestingCaptured {
            count: self.count,
            is_open: self.settled < self.count,
            end: self.end,
            cause: self.last_cause(),
            latest: self.latest.take().map(RestingTurn::from),
            online_end: self.online_end,
            sealed: self.sealed,
            unprompted: self.unprompted,
            greeted: self.greeted,
            speaks_unasked: self.signs.are_known(),
        })
    }

    /// A session ends the latest turn.
    pub(super) fn seal(&mut self) {
        self.sealed = true;
    }

    /// Turns before number `front` have ended everywhere.
    #[inline(always)]
    pub(super) fn forget_before(&mut self, front: u64, arena: &mut Arena) {
        let front = front.min(self.count);
        if front <= self.settled {
            return;
        }
        arena.discharge((front - self.settled) as usize * Flow::TURN_BYTES);
        self.settled = front;
        // Of those that are kept the latest is the last.
        let kept = (self.count - front).saturating_sub(1) as usize;
        while self.earlier.len() > kept {
            self.earlier.pop_front();
        }
        if self.messages.is_some() {
            self.forget_messages(front.saturating_sub(1), arena);
        }
    }

    /// Nobody needs anything of it any more.
    pub(super) fn clear(&mut self, arena: &mut Arena) {
        self.forget_before(u64::MAX, arena);
        if self.messages.is_some() {
            self.forget_messages(u64::MAX, arena);
        }
    }

    /// The online server has reset the connection.
    pub(super) fn on_online_reset(&mut self) {
        if let Some(turn) = &mut self.latest {
            turn.online_reset = true;
        }
    }

    /// The online server sent bytes up to `end` that acknowledge the client's stream up to `acknowledged`; those up to
    /// [`Captured::online_end`] are known. Returns the turn that they answer: its number, and where it starts.
    pub(super) fn on_online_bytes(
        &mut self,
        acknowledged: u64,
        end: OnlineSeq,
        len: u32,
        pushes: bool,
        stamp: Instant,
    ) -> Option<(u64, u64)> {
        let new = end.ahead_of(self.online_end).min(len);
        if new < len {
            self.signs.on_online_again();
        }
        if new == 0 {
            return None;
        }
        self.online_end = end;
        let earlier = self.earlier.iter_mut().rev();
        let turns = self.latest.iter_mut().chain(earlier);
        for (behind, turn) in (1..).zip(turns) {
            if turn.start < acknowledged {
                let pause = turn.online.first.map(|_| stamp.since(turn.online.last));
                if let Some(pause) = pause.filter(|_| self.signs.pauses_at_will()) {
                    let pause = u16::try_from(pause.as_micros() / 100).unwrap_or(u16::MAX);
                    turn.online_pause = turn.online_pause.max(pause);
                }
                if behind == 1 {
                    if turn.amid && !self.signs.has_pushed() {
                        turn.rest = turn.rest.saturating_add(new);
                    }
                    let is_long = pause.is_some_and(|pause| pause >= UNPROMPTED_PAUSE);
                    self.unprompted |= is_long && self.signs.pauses_at_will();
                    self.signs.on_online(pause, pushes);
                } else {
                    self.signs.on_online_end(pushes);
                }
                turn.add_online(new, stamp);
                return Some((self.count - behind, turn.start));
            }
            let early = end.ahead_of(turn.cause);
            if behind == 1 && turn.early == 0 && early > 0 {
                self.signs.on_early();
            }
            turn.early = turn.early.max(early);
        }
        self.signs.on_online_end(pushes);
        None
    }

    /// The turns from number `front` on, as a session that has passed the others sees them.
    #[inline]
    pub(crate) fn queue(&self, front: u64) -> Queue<'_> {
        Queue::of(self, front)
    }

    /// Whether the client of this flow cannot have seen the online server's bytes up to here, and no farther, since it spoke last.
    pub(super) fn is_unseen(&self, cause: OnlineSeq) -> bool {
        let far = |known: OnlineSeq| (cause - known).unsigned_abs() > CONNECTION_DISTANCE_MAX;
        far(self.last_cause()) && far(self.online_end)
    }

    /// Whether the online server has spoken without having been asked.
    #[inline]
    pub(super) fn is_unprompted(&self) -> bool {
        self.unprompted
    }

    /// Whether either side speaks unasked.
    #[inline]
    pub(super) fn signs(&self) -> Signs {
        self.signs
    }
}

/// What is left of a turn that ends where the stream does.
#[derive(Debug)]
struct RestingTurn {
    start: u64,
    captured_first: Instant,
    captured_last: Instant,
    online: Answer,
    online_reset: bool,
    early: u32,
}

impl From<Turn> for RestingTurn {
    fn from(turn: Turn) -> Self {
        Self {
            start: turn.start,
            captured_first: turn.captured_first,
            captured_last: turn.captured_last,
            online: turn.online,
            online_reset: turn.online_reset,
            early: turn.early,
        }
    }
}

/// What is left of the turns of a flow that is silent.
#[derive(Debug)]
pub(crate) struct RestingCaptured {
    latest: Option<RestingTurn>,
    count: u64,
    /// Whether a session has not ended the latest.
    is_open: bool,
    end: u64,
    /// The latest turn's, or what the client had seen before its first byte.
    cause: OnlineSeq,
    online_end: OnlineSeq,
    sealed: bool,
    unprompted: bool,
    greeted: bool,
    speaks_unasked: bool,
}

impl RestingCaptured {
    /// The turns as they were.
    pub(super) fn wake(self) -> Captured {
        let latest = self.latest.map(|latest| Turn {
            start: latest.start,
            end: self.end,
            cause: self.cause,
            captured_first: latest.captured_first,
            captured_last: latest.captured_last,
            online: latest.online,
            online_reset: latest.online_reset,
            online_pause: 0,
            // Whatever comes is not known to be as long as what came.
            online_piece: 0,
            early: latest.early,
            amid: false,
            rest: 0,
        });
        Captured {
            latest,
            count: self.count,
            settled: self.count - u64::from(self.is_open),
            end: self.end,
            online_end: self.online_end,
            sealed: self.sealed,
            unprompted: self.unprompted,
            greeted: self.greeted,
            signs: Signs::resumed(self.speaks_unasked),
            ..Captured::new(self.cause)
        }
    }
}
