//! Turns that are messages, where a protocol module reads what the target says: which of them each byte answers, and when an answer
//! is complete, is told and not guessed.
//!
//! A message departs when the target has answered as many as its client had seen answered. So several may be under way, as they
//! were at the online server, and each has its own answer.

use core::ops::{Deref, DerefMut};
use std::sync::Arc;

use protocol::{Digest, Digests, Opened, Protocol, Responses};

use super::entry::Entry;
use super::hearing::Told;
use super::{Carried, Gating, Playing, Turns};
use crate::flow::messages::{Messages, Reopened};
use crate::flow::turn::Answer;
use crate::limits::CONTINUE_WAIT;
use crate::time::Instant;

/// Whether the front of the turns is over, where they are messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its answer is complete.
    Answered,
    /// The target does not ask for the rest of it, which follows all the same.
    Unasked,
    /// The target has closed before its answer was complete.
    Closed,
    /// The response timeout has passed.
    TimedOut,
    /// Ask again at this time.
    At(Instant),
    /// Only another event can tell.
    Wait,
}

impl Turns {
    /// A protocol module tells what the target says.
    pub(crate) fn tell(&mut self, logs_in: bool) {
        if self.gating == Gating::InStep {
            self.gating = Gating::Told;
            self.told = Some(Box::new(Told {
                entry: Entry::first(logs_in),
                ..Told::default()
            }));
        }
    }

    /// The session's own login, where turns are messages.
    pub(crate) fn entry(&self) -> Option<&Entry> {
        self.told.as_ref().map(|told| &told.entry)
    }

    /// The same, to go on with it.
    pub(crate) fn entry_mut(&mut self) -> Option<&mut Entry> {
        self.told.as_mut().map(|told| &mut told.entry)
    }

    /// The login that begins is the one before this message.
    pub(crate) fn log_in_before(&mut self, from: u64) {
        if let Some(told) = &mut self.told {
            told.opened_from = Some(from);
        }
    }

    /// The login is over: what the target says next is read as responses.
    pub(crate) fn enter(
        &mut self,
        protocol: Protocol,
        opened: &Opened,
        digests: Option<&Arc<Digests>>,
    ) {
        if let Some(told) = &mut self.told {
            let responses = Responses::opened(protocol, opened);
            told.responses = Some(responses.digesting(digests));
        }
    }

    /// What has another value at this target, of `into`, which stands at `offset` of the stream.
    pub(crate) fn patch(&self, offset: u64, into: &mut [u8]) {
        let patches = self.told.iter().flat_map(|told| &told.patches);
        for (at, bytes) in patches {
            for (at, byte) in (*at..).zip(bytes) {
                let index = at
                    .checked_sub(offset)
                    .and_then(|at| usize::try_from(at).ok());
                if let Some(slot) = index.and_then(|index| into.get_mut(index)) {
                    *slot = *byte;
                }
            }
        }
    }

    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        self.gating == Gating::Told
    }

    /// Whether the answer to the front is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.told
            .as_ref()
            .is_some_and(|told| told.done > self.front)
    }

    /// Messages before this number are answered, or have ended otherwise.
    pub(crate) fn done(&self) -> u64 {
        let done = self.told.as_ref().map_or(0, |told| told.done);
        done.max(self.front)
    }

    /// Whether the target has said something of the front already.
    pub(crate) fn has_begun_answer(&mut self) -> bool {
        self.told_answer().is_some_and(|answer| answer.bytes > 0)
    }

    /// A new connection: nothing is awaited on it yet.
    pub(super) fn tell_anew(&mut self) {
        let front = self.front;
        if let Some(told) = &mut self.told {
            **told = Told {
                done: front,
                first: front,
                entry: Entry::first(told.entry.logs_in()),
                ..Told::default()
            };
            self.let_go = front;
        }
    }

    /// Whether the answer to the turn before the front was complete.
    pub(crate) fn has_answered_front(&self) -> bool {
        self.told
            .as_ref()
            .is_some_and(|told| told.done >= self.front)
    }

    /// What the target's answer to the turn before the front is compared by, and which turn that is.
    pub(crate) fn take_digest(&mut self) -> Option<(u64, Option<Box<Digest>>)> {
        let last = self.front.checked_sub(1)?;
        let told = self.told.as_mut()?;
        while told.digests.front().is_some_and(|(turn, _)| *turn < last) {
            told.digests.pop_front();
        }
        let is_its = |(turn, _): &mut (u64, Box<Digest>)| *turn == last;
        let digest = told.digests.pop_front_if(is_its);
        Some((last, digest.map(|(_, digest)| digest)))
    }

    /// The front's rest follows although the target has not asked for it: what it says next answers that.
    pub(crate) fn skip_to_rest(&mut self) {
        let front = self.front;
        if let Some(told) = &mut self.told {
            told.done = told.done.max(front + 1);
        }
    }

    /// What the target has said of the front so far; what it said of those before it is forgotten.
    pub(super) fn told_answer(&mut self) -> Option<Answer> {
        let front = self.front;
        let told = self.told.as_mut()?;
        while told.first < front {
            told.answers.pop_front();
            told.first += 1;
        }
        Some(told.answers.front().copied().unwrap_or_default())
    }
}

impl<T: Deref<Target = Turns>> Playing<'_, T> {
    /// Whether the answer to the current turn is complete, where that is told; `None` where it is not.
    pub(crate) fn told_done(&self) -> Option<bool> {
        (self.gating == Gating::Told).then(|| self.current().is_some() && self.is_done())
    }

    /// Whether the front may be sent.
    pub(crate) fn is_let_go(&self) -> bool {
        self.front().is_some() && self.let_go > self.front
    }

    /// Whether a message was said as another user than the session's.
    pub(super) fn is_others(&self, number: u64, messages: &Messages) -> bool {
        let from = self.told.as_ref().and_then(|told| told.opened_from);
        let opening = messages.opening_of(number);
        from.is_some() && opening.is_some_and(|it| Some(it.from) != from)
    }

    /// Whether the front has to wait for a login as another user; everything before it is over.
    pub(crate) fn is_behind_another_login(&self, messages: &Messages) -> bool {
        let waits = self.current().is_none() && self.front().is_some();
        waits && self.is_others(self.front, messages)
    }

    /// How the client had opened its connection before it said the front, or will say it.
    pub(crate) fn opening<'m>(&self, messages: &'m Messages) -> Option<&'m Reopened> {
        messages.opening_of(self.front)
    }

    /// Whether a connection may begin with the front: a login stands before it.
    pub(crate) fn is_behind_a_login(&self, messages: &Messages) -> bool {
        messages.is_first(self.front)
    }

    /// Whether the flow has left its module, and the front with it.
    pub(crate) fn has_left(&self, messages: &Messages) -> bool {
        messages.left_at.is_some_and(|at| at <= self.front)
    }

    /// Whether the current message is over; `closed` says that the target has closed, `ends` that the client has,
    /// and `is_over` that nothing more comes of the online server.
    pub(crate) fn message_standing(
        &self,
        messages: &Messages,
        una: u64,
        (closed, ends, is_over): (bool, bool, bool),
        response_timeout: core::time::Duration,
        now: Instant,
    ) -> Standing {
        let Some(turn) = self.current() else {
            return Standing::Wait;
        };
        let next = self.queue.get(1);
        let is_growing = messages.grows && next.is_none();
        let is_whole = una >= turn.end && !is_growing;
        if self.is_done() && is_whole {
            // What the online server has said of it is to be known as well.
            let is_heard = messages.is_deaf || messages.heard > self.front;
            return if is_heard || is_over {
                Standing::Answered
            } else {
                Standing::Wait
            };
        }
        if closed && (next.is_some() || ends) {
            return Standing::Closed;
        }
        if una < turn.end {
            return Standing::Wait;
        }
        let Some(since) = self.step.acknowledged_at.map(|at| at.max(self.step.heard)) else {
            return Standing::Wait;
        };
        let rest = messages.get(self.front + 1).filter(|next| next.is_rest());
        if rest.is_some() && self.step.answer.bytes == 0 {
            let at = since + CONTINUE_WAIT;
            return if now >= at {
                Standing::Unasked
            } else {
                Standing::At(at)
            };
        }
        let is_answered = turn.online.bytes > 0 || messages.is_deaf;
        if !is_answered || (next.is_none() && !ends) {
            return Standing::Wait;
        }
        let at = since + response_timeout;
        if now >= at {
            Standing::TimedOut
        } else {
            Standing::At(at)
        }
    }
}

impl<T: DerefMut<Target = Turns>> Playing<'_, T> {
    /// Releases the front message, of which the target may have said something already.
    pub(crate) fn release_message(&mut self, una: u64, now: Instant) {
        self.release(una, now);
        if let Some(answer) = self.told_answer() {
            self.step.answer = answer;
            self.step.carried = Carried::default();
        }
    }

    /// Nobody tells any more what the target says: the flow has left its module, where it `is_in_step`, or the target's bytes could
    /// not be read on.
    pub(crate) fn untell(&mut self, is_in_step: bool) {
        let is_new = self.front == 0 && !self.current && is_in_step;
        self.told = None;
        self.let_go = self.let_go.max(self.front + u64::from(self.current));
        self.gating = if is_new {
            Gating::InStep
        } else {
            Gating::Streaming
        };
        let online_end = self.queue.online_end();
        let waiting = self.waiting().map(|turn| turn.cause);
        self.step.target_at = match waiting {
            Some(cause) if is_in_step => cause,
            _ => self.step.target_at.min(online_end),
        };
    }
}
