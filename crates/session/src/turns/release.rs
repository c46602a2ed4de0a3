//! The release rule: whether the current turn is over, so that the next may depart. It reads like the table in docs/session.md;
//! what follows from a verdict is in [`super::lessons`].

use core::num::NonZeroU8;
use core::ops::Deref;
use core::time::Duration;

use super::doubt::Why;
use super::ends::End;
use super::habits::Habits;
use super::{Gating, Next, Playing, Turns};
use crate::connection::Tail;
use crate::limits::{
    CUT_OFF, OVERTAKEN_STALL, PATIENCE_MAX, QUIET_MAX, QUIET_SETTLED, SLOW_STALL, UNASKED_STALL,
    WAITING_LOOKED_AT,
};
use crate::time::Instant;

/// A target that has said all but this part of what the client had seen is not taken to be silent because it is slow.
pub(super) const OWED_PART: u32 = 4;

/// Whether the current turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is answered as the online server answered it.
    Over,
    /// It is answered differently, and responses of this rule are known to end like this one.
    Learned(End),
    /// It is answered differently, and the target has been quiet.
    Quiet,
    /// It is not answered, but what came before it may have been for it, and the target has been quiet for long.
    Overtaken,
    /// Either side speaks unasked, and there is nothing to wait for.
    Streaming,
    /// The response timeout has passed.
    TimedOut,
    /// Ask again at this time.
    At(Instant),
    /// Only another event can tell.
    Wait,
}

/// What it means that the target says nothing of a turn that the online server has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It is slow, for all that is known.
    Slowness,
    /// The answer may have come before the turn ([`Playing::is_overtaken`]).
    Overtaken,
    /// The online server has spoken without having been asked, and may have here.
    Unprompted,
}

/// What the verdict depends on besides the turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience<'a> {
    /// What is known of the target's responses.
    pub(crate) habits: &'a Habits,
    /// Two round trips: silence means nothing before they have passed.
    pub(crate) trips: Duration,
    /// Whether the response has a hole: then more must come.
    pub(crate) has_hole: bool,
    pub(crate) response_timeout: Duration,
    /// Whether the target has closed: its response is complete.
    pub(crate) target_closed: bool,
    /// Whether our window keeps it silent.
    pub(crate) is_held: bool,
    /// Whether our window is closed, be it for as long as the online server has not said more.
    pub(crate) is_shut: bool,
    /// Whether either side may speak unasked: there are signs of it ([`Playing::seems_unasked`]), and the next turn needs what came
    /// before it.
    pub(crate) unasked: bool,
    /// What it means if the target says nothing.
    pub(crate) absence: Absence,
    /// From so many bytes more than the online server's on, only silence ends a response: in the middle of a long one there are
    /// segments that look like its end, because Linux sets PSH after each piece that a server has written.
    pub(crate) longer: u32,
}

impl<T: Deref<Target = Turns>> Playing<'_, T> {
    /// Whether the current turn is over, so that `next` may depart.
    pub(crate) fn verdict(
        &self,
        next: Next,
        una: u64,
        patience: &Patience<'_>,
        now: Instant,
    ) -> Verdict {
        let wanted = self.wanted(next);
        if self.waits_for_nothing(wanted) {
            return Verdict::Over;
        }
        if self.current().is_some_and(|turn| una < turn.end) {
            return Verdict::Wait;
        }
        if self.gating == Gating::Streaming && !patience.target_closed {
            return self.streamed(next, patience, now);
        }
        if patience.target_closed || self.is_answered(wanted, next.is_reset, patience.longer) {
            return Verdict::Over;
        }
        if let Some(end) = self.learned_end(wanted, patience) {
            return Verdict::Learned(end);
        }
        let stalls_at = self.stalls_at(next, patience, now);
        if stalls_at.is_some_and(|at| now >= at) {
            return Verdict::Streaming;
        }
        let answered = self.step.answer.bytes > 0;
        let verdict =
            if answered || wanted.is_none() || self.asked_nothing(wanted) || self.is_even() {
                self.silence(wanted, patience, now)
            } else {
                self.absence(next, patience, now)
            };
        match (verdict, stalls_at) {
            (Verdict::At(at), Some(stalls_at)) => Verdict::At(at.min(stalls_at)),
            (verdict, _) => verdict,
        }
    }

    /// Whether there are signs that either side speaks unasked.
    pub(crate) fn seems_unasked(&self) -> bool {
        let signs = self.queue.signs();
        let are_there = signs.are_there()
            || self.silences.are_there()
            || signs.overtakes() && self.is_between();
        are_there && !self.is_ungated()
    }

    /// Whether the answer to the current turn may have come before it was there: the target has said so much beyond its share of the
    /// turn before that it is nearly what the client has seen of the online server since. That was asked for before it, in other
    /// words: this turn only says something in the middle of an answer, as an acknowledgement of settings in HTTP/2 does.
    #[inline]
    pub(crate) fn is_overtaken(&self) -> bool {
        let carried = self.step.carried;
        (carried.bytes > 0 || carried.uneven) && self.step.answer.bytes == 0 && self.carries_most()
    }

    fn carries_most(&self) -> bool {
        let turns = self.current().zip(self.queue.get(1));
        turns.is_some_and(|(turn, next)| {
            // What was on its way already is known to be for this one.
            let early = u64::from(turn.early);
            let wanted = u64::from(next.cause.ahead_of(turn.cause)).saturating_sub(early);
            let carried = self.step.carried;
            let most = match carried.uneven {
                true => 0,
                false => early + wanted - wanted / u64::from(OWED_PART),
            };
            wanted > 0 && u64::from(carried.bytes) >= most && !self.is_ungated()
        })
    }

    /// What it means if the target says nothing of the current turn.
    #[inline]
    pub(crate) fn absence_means(&self) -> Absence {
        if self.is_overtaken() {
            Absence::Overtaken
        } else if self.queue.is_unprompted() && !self.is_ungated() {
            Absence::Unprompted
        } else {
            Absence::Slowness
        }
    }

    /// Whether the target has said less than the client had seen, by more than a response of its own may be shorter.
    fn owes(&self, next: Next) -> bool {
        next.cause.is_some_and(|cause| {
            let wanted = cause.ahead_of(self.step.cause);
            cause.ahead_of(self.step.target_at) > wanted / OWED_PART
        })
    }

    /// When a turn has waited for long enough of a flow in which either side speaks unasked. Where all that speaks for it is a client
    /// that goes on while responses are on their way, as one does that pipelines, the target must have said as much as that
    /// client had seen: it is not just slow.
    fn stalls_at(&self, next: Next, patience: &Patience<'_>, now: Instant) -> Option<Instant> {
        let is_cut_off = self.step.answer.bytes > 0 && self.step.tail == Tail::No;
        if !patience.unasked || is_cut_off || patience.has_hole {
            return None;
        }
        if !self.queue.signs().are_of_pauses() && self.owes(next) {
            return None;
        }
        let acknowledged_at = self.step.acknowledged_at.unwrap_or(now);
        let is_slow = self.queue.signs().has_streams() && self.owes(next);
        let stall = if is_slow { SLOW_STALL } else { UNASKED_STALL };
        Some(acknowledged_at.max(next.captured) + stall)
    }

    /// N, the bytes that the client had seen of the response before it went on; unknown for an end that is not in
    /// the stream, where what was observed so far stands in.
    pub(super) fn wanted(&self, next: Next) -> Option<u64> {
        match (next.cause, self.current()) {
            (Some(next), _) => Some(u64::from(next.ahead_of(self.step.cause))),
            (None, Some(turn)) if turn.online.bytes > 0 => Some(turn.online.bytes),
            (None, _) => None,
        }
    }

    /// By how much R is less than N, in bytes.
    pub(super) fn missing(&self, next: Next) -> u32 {
        let missing = self
            .wanted(next)
            .map_or(0, |wanted| wanted.saturating_sub(self.received()));
        u32::try_from(missing).unwrap_or(u32::MAX)
    }

    /// Whether there is no response to wait for: the current turn was never sent, or there is none and no greeting either.
    fn waits_for_nothing(&self, wanted: Option<u64>) -> bool {
        match self.current() {
            Some(_) => self.fate().is_some(),
            None => match self.gating {
                Gating::InStep => wanted.is_none_or(|wanted| wanted == 0),
                Gating::Never => true,
                Gating::Streaming | Gating::Told => false,
            },
        }
    }

    /// Whether the target has answered as the online server did: R has reached N, and the last segment looks like the end. What is
    /// still owed of the turns before is waited for as well, as long as there is hope. After a RST of the client the rest of
    /// the response is wanted by nobody.
    fn is_answered(&self, wanted: Option<u64>, is_reset: bool, longer: u32) -> bool {
        let Some(wanted) = wanted else {
            return false;
        };
        if wanted == 0 {
            return true;
        }
        let Some(beyond) = self.received().checked_sub(wanted) else {
            return false;
        };
        let looks_whole = match self.step.tail {
            Tail::No => false,
            // Of one that is longer than the online server's more may follow.
            Tail::Full => beyond == 0,
            Tail::Short => beyond < u64::from(longer),
        };
        is_reset || looks_whole && beyond >= self.doubt.waited_for()
    }

    /// How the response has ended, if this was its end: the last segment must look like it.
    pub(super) fn end(&self, wanted: Option<u64>) -> Option<End> {
        self.end_of(self.received(), wanted)
    }

    /// The same of one of `received` bytes.
    pub(super) fn end_of(&self, received: u64, wanted: Option<u64>) -> Option<End> {
        if self.step.tail == Tail::No || self.step.answer.bytes == 0 {
            return None;
        }
        let missing = wanted?.cast_signed() - received.cast_signed();
        Some(End {
            received: u32::try_from(received).unwrap_or(u32::MAX),
            missing: missing.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            tails: NonZeroU8::new(self.step.tails).unwrap_or(NonZeroU8::MIN),
            is_exact: false,
        })
    }

    /// The end that the response seems to have while it is not known what its client goes on with.
    pub(super) fn end_so_far(&self) -> Option<End> {
        let wanted = match (self.current(), self.queue.get(1)) {
            (Some(turn), Some(next)) => u64::from(next.cause.ahead_of(turn.cause)),
            (Some(turn), None) => turn.online.bytes,
            (None, _) => return None,
        };
        self.end(Some(wanted))
    }

    /// The response's end, where the target's responses are known to end like this.
    fn learned_end(&self, wanted: Option<u64>, patience: &Patience<'_>) -> Option<End> {
        if patience.has_hole || patience.is_held || self.doubt.checks > 0 {
            return None;
        }
        let at_once = self.is_at_once(patience.trips);
        // Of a response that is longer than the online server's nothing refutes a belief: from where its length alone does not end
        // it, only silence does.
        let end = self.end(wanted).filter(|end| end.missing > 0)?;
        patience.habits.believe(end, at_once)
    }

    /// Whether the online server's response came without a pause.
    pub(super) fn is_at_once(&self, trips: Duration) -> bool {
        self.online_pause() <= trips.max(PATIENCE_MAX / 500)
    }

    /// How long the online server has paused inside its response.
    fn online_pause(&self) -> Duration {
        let pause = self.current().map_or(0, |turn| turn.online_pause);
        Duration::from_micros(100 * u64::from(pause))
    }

    /// Whether what the client had seen before it went on was on its way already: nothing shows that the online server has
    /// answered this turn at all.
    fn asked_nothing(&self, wanted: Option<u64>) -> bool {
        self.current()
            .is_some_and(|turn| wanted.is_some_and(|wanted| wanted <= u64::from(turn.early)))
    }

    /// Whether the target has said in sum, to the byte, what the online server had said at one of the turns that wait, or with one of
    /// the pieces of its answer to that, or has said by now: then the answer to the current turn has come for another, as where several
    /// requests are under way at a time. A target whose answers have other lengths may only happen to have.
    pub(super) fn is_even(&self) -> bool {
        if !self.is_between() {
            return false;
        }
        let at = self.step.target_at;
        let mut waiting = (1..=WAITING_LOOKED_AT).map_while(|index| self.queue.get(index));
        at == self.queue.online_end() || waiting.any(|turn| turn.has_piece_end(at))
    }

    /// Whether the target has said in sum as much as the client had seen, and no more than the online server has said.
    fn is_between(&self) -> bool {
        let at = self.step.target_at;
        let is_late = self.doubt.is_open() && self.doubt.why == Why::TimedOut;
        !is_late
            && at <= self.queue.online_end()
            && self.queue.get(1).is_some_and(|next| at >= next.cause)
    }

    /// Since when the target is silent, having answered something or having had nothing to answer.
    pub(super) fn silent_since(&self, now: Instant) -> Instant {
        let step = &self.step;
        if step.answer.bytes > 0 {
            return step.answer.last.max(step.heard);
        }
        let acknowledged_at = step.acknowledged_at.unwrap_or(now);
        acknowledged_at.max(step.carried.last).max(step.heard)
    }

    /// The target has said something, or need not say anything: silence ends the turn.
    fn silence(&self, wanted: Option<u64>, patience: &Patience<'_>, now: Instant) -> Verdict {
        let answered = self.step.answer.bytes > 0;
        let short = wanted.is_some_and(|wanted| self.received() < wanted);
        let quiet = self.quiet(patience);
        let cut_off = answered && short && (self.step.tail == Tail::No || patience.has_hole);
        let at = self.silent_since(now) + if cut_off { CUT_OFF } else { quiet };
        if now < at {
            Verdict::At(at)
        } else if patience.is_held {
            Verdict::At(now + quiet)
        } else {
            Verdict::Quiet
        }
    }

    /// How long a silence has to be: longer where the online server has paused in this response as well, and where it is to be found
    /// out whether something is still to come.
    fn quiet(&self, patience: &Patience<'_>) -> Duration {
        let trips = patience.trips.min(PATIENCE_MAX);
        if self.step.answer.bytes == 0 {
            return patience.habits.quiet().min(QUIET_SETTLED).max(trips);
        }
        let paused = (self.online_pause() * 4).min(PATIENCE_MAX);
        let quiet = patience.habits.quiet().max(trips).max(paused);
        match self.doubt.why {
            _ if self.doubt.checks == 0 => quiet,
            // A silence that is long enough for anything is for this as well.
            Why::Guess => (patience.habits.quiet() * 2).min(QUIET_MAX).max(quiet),
            // Longer than a response takes here, or this turn's own could come behind a late one, which looks like it.
            Why::TimedOut => (quiet * 2).max(self.latency() * 2).min(PATIENCE_MAX),
        }
    }

    /// How long the first byte of the response has taken.
    fn latency(&self) -> Duration {
        let left = self.departures.front_last();
        let times = self.step.answer.first.zip(left);
        times.map_or(Duration::ZERO, |(first, left)| first.since(left))
    }

    /// The target has said nothing although the online server has. What stands behind a hole is a response too, of which the
    /// target will send the beginning again.
    fn absence(&self, next: Next, patience: &Patience<'_>, now: Instant) -> Verdict {
        let since = self
            .step
            .acknowledged_at
            .unwrap_or(now)
            .max(next.captured)
            .max(self.step.heard);
        let (stall, verdict) = match patience.absence {
            _ if patience.has_hole || patience.is_held => (Duration::MAX, Verdict::TimedOut),
            Absence::Slowness => (Duration::MAX, Verdict::TimedOut),
            Absence::Overtaken => (OVERTAKEN_STALL, Verdict::Overtaken),
            Absence::Unprompted => (SLOW_STALL, Verdict::Streaming),
        };
        let at = since + stall.min(patience.response_timeout);
        if now < at {
            Verdict::At(at)
        } else if stall < patience.response_timeout {
            verdict
        } else {
            Verdict::TimedOut
        }
    }
}
