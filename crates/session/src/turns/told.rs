//! Turns that are messages, where a protocol module reads what the target says: which of them each byte answers, and when an answer
//! is complete, is told and not guessed.
//!
//! A message departs when the target has answered as many as its client had seen answered. So several may be under way, as they
//! were at the online server, and each has its own answer.

use core::ops::{Deref, DerefMut};
use std::collections::VecDeque;

use protocol::{Responses, Said};
use wire::seq::{Target, TargetSeq};

use super::{Carried, Gating, Playing, Turns};
use crate::flow::messages::{Message, Messages};
use crate::flow::turn::Answer;
use crate::limits::CONTINUE_WAIT;
use crate::ordered::Ordered;
use crate::time::Instant;

/// What a module knows of the target's side of a session.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The target's bytes on this connection; `None` before the first.
    stream: Option<Ordered<Target>>,
    /// Their reader, once something is awaited.
    responses: Option<Responses>,
    /// Messages before this number are answered.
    done: u64,
    /// What was said to the messages from number `first` on.
    answers: VecDeque<Answer>,
    first: u64,
    /// The message to which the target has asked for the rest.
    asked: Option<u64>,
    /// The message whose response was complete before its rest was asked for.
    ended: Option<u64>,
    /// Whether the target speaks another protocol by now.
    has_left: bool,
}

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
    pub(crate) fn tell(&mut self) {
        if self.gating == Gating::InStep {
            self.gating = Gating::Told;
            self.told = Some(Box::default());
        }
    }

    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        self.gating == Gating::Told
    }

    /// Whether the answer to the front is complete.
    fn is_done(&self) -> bool {
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

    /// The front's rest follows although the target has not asked for it: what it says next answers that.
    pub(crate) fn skip_to_rest(&mut self) {
        let front = self.front;
        if let Some(told) = &mut self.told {
            told.done = told.done.max(front + 1);
        }
    }

    /// What the target has said of the front so far; what it said of those before it is forgotten.
    fn told_answer(&mut self) -> Option<Answer> {
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
        if turn.online.bytes == 0 || (next.is_none() && !ends) {
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

    /// Lets go of the messages that may leave. Returns whether the target can take them: not where it speaks another protocol by
    /// now, and the online server does not.
    pub(crate) fn let_go_of_messages(&mut self, messages: &Messages) -> bool {
        self.let_go = self.let_go.max(self.front);
        while self
            .queue
            .get((self.let_go - self.front) as usize)
            .is_some()
        {
            let (done, number) = (self.done(), self.let_go);
            let Some(message) = messages.get(number) else {
                // It is none: the flow has left its module.
                return true;
            };
            let may_leave = message.needs <= done || message.is_rest() && self.is_asked(number);
            if !may_leave {
                return true;
            }
            if self.told.as_ref().is_some_and(|told| told.has_left) {
                return false;
            }
            self.let_go += 1;
            self.await_response(number, message);
        }
        true
    }

    /// Whether the target has asked for a message's rest.
    fn is_asked(&self, rest: u64) -> bool {
        let told = self.told.as_ref();
        told.is_some_and(|told| told.asked.is_some_and(|asked| asked + 1 == rest))
    }

    fn await_response(&mut self, number: u64, message: &Message) {
        let Some(told) = &mut self.told else {
            return;
        };
        match message.expect {
            Some(expect) => {
                if let Some(protocol) = expect.protocol() {
                    let new = || Responses::new(protocol);
                    told.responses.get_or_insert_with(new).expect(expect);
                }
            }
            // Its response is that of the message before, unless that was complete already.
            None if told.ended == Some(number.wrapping_sub(1)) => told.done = number + 1,
            None if told.asked == Some(number.wrapping_sub(1)) => told.done = told.done.max(number),
            None => {}
        }
    }

    /// The target has sent `len` bytes from `seq` on, of which `bytes` were recorded; before them it had sent all up to `before`.
    /// Returns whether it can still be read.
    pub(crate) fn on_told(
        &mut self,
        messages: &Messages,
        (seq, before): (TargetSeq, TargetSeq),
        len: u32,
        bytes: &[u8],
        stamp: Instant,
    ) -> bool {
        let (front, let_go) = (self.front, self.let_go);
        let Some(told) = &mut self.told else {
            return false;
        };
        let Told {
            stream,
            responses: Some(responses),
            ..
        } = &mut **told
        else {
            return true;
        };
        let mut stream = stream.take().unwrap_or_else(|| Ordered::new(before));
        let mut responses = core::mem::replace(responses, Responses::new(responses.protocol()));
        let mut is_readable = true;
        stream.on_segment(seq, len, bytes, &mut |bytes| {
            responses.push(bytes, &mut |said| {
                is_readable &= told.on_said(&said, messages, (front, let_go), stamp);
            });
        });
        is_readable &= !stream.is_lost();
        (told.stream, told.responses) = (Some(stream), Some(responses));
        self.take_told_answer();
        is_readable
    }

    /// The target has closed.
    pub(crate) fn on_told_end(&mut self, messages: &Messages, stamp: Instant) {
        let (front, let_go) = (self.front, self.let_go);
        if let Some(told) = &mut self.told
            && let Some(mut responses) = told.responses.take()
        {
            responses.close(&mut |said| {
                told.on_said(&said, messages, (front, let_go), stamp);
            });
            told.responses = Some(responses);
        }
        self.take_told_answer();
    }

    fn take_told_answer(&mut self) {
        if self.current
            && let Some(answer) = self.told_answer()
        {
            self.step.answer = answer;
        }
    }
}

impl Told {
    /// The target has said this of the first message that is not answered. Returns whether it can still be read.
    fn on_said(
        &mut self,
        said: &Said,
        messages: &Messages,
        (front, let_go): (u64, u64),
        stamp: Instant,
    ) -> bool {
        let at = self.done;
        match said {
            Said::Bytes(bytes) => {
                let first = self.first;
                if let Some(index) = at.checked_sub(first).filter(|_| front <= at && at < let_go) {
                    let index = index as usize;
                    if self.answers.len() <= index {
                        self.answers.resize(index + 1, Answer::default());
                    }
                    self.answers[index].add(*bytes, stamp);
                }
            }
            Said::Unasked(_) | Said::Asked(_) | Said::Opened(_) => {}
            Said::Ready => {
                self.asked = Some(at);
                if messages.get(at + 1).is_some_and(Message::is_rest) {
                    self.done = at + 1;
                }
            }
            Said::End(_) => self.end(messages),
            Said::Left => {
                self.end(messages);
                self.has_left = true;
            }
            Said::Lost => return false,
        }
        true
    }

    /// The response to the first message that is not answered is complete.
    fn end(&mut self, messages: &Messages) {
        let first = self.done;
        self.done += 1;
        if !messages.get(first).is_some_and(Message::is_rest) {
            self.ended = Some(first);
        }
    }
}
