//! Turns that are messages, where a protocol module reads what the target says: which of them each byte answers, and when an answer
//! is complete, is told and not guessed.
//!
//! A message departs when the target has answered as many as its client had seen answered. So several may be under way, as they
//! were at the online server, and each has its own answer.

use core::ops::{Deref, DerefMut};
use std::collections::{HashMap, VecDeque};

use protocol::{Opened, Protocol, Responses, Said};
use wire::seq::{Target, TargetSeq};

use super::entry::Entry;
use super::{Carried, Gating, Playing, Turns};
use crate::flow::messages::{Message, Messages};
use crate::flow::turn::Answer;
use crate::limits::{CONTINUE_WAIT, STATEMENTS_MAX};
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
    /// The session's own login, where the protocol has one.
    entry: Entry,
    /// The target's numbers of prepared statements, by the messages that have prepared them.
    prepared: HashMap<u64, u32>,
    /// Bytes of the stream that have another value at this target.
    patches: VecDeque<(u64, [u8; 4])>,
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

    /// The login is over: what the target says next is read as responses.
    pub(crate) fn enter(&mut self, protocol: Protocol, opened: &Opened) {
        if let Some(told) = &mut self.told {
            told.responses = Some(Responses::opened(protocol, opened));
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
            self.patch_message(number, message, messages);
            self.await_response(number, message, messages);
        }
        true
    }

    /// A message carries the online server's number of a statement: the target's takes its place. One that the target has not
    /// prepared gets a number that no server gives.
    fn patch_message(&mut self, number: u64, message: &Message, messages: &Messages) {
        let Some(patch) = message.patch else {
            return;
        };
        let turn = self
            .queue
            .get((number - self.front) as usize)
            .map(|turn| turn.start);
        let front = self.queue.front().map_or(0, |turn| turn.start);
        let (Some(told), Some(start)) = (&mut self.told, turn) else {
            return;
        };
        let preparer = messages.preparer(patch.statement);
        let statement = preparer.and_then(|turn| told.prepared.get(&turn).copied());
        let bytes = statement.unwrap_or(u32::MAX).to_le_bytes();
        while told.patches.front().is_some_and(|(at, _)| *at < front) {
            told.patches.pop_front();
        }
        told.patches.push_back((start + u64::from(patch.at), bytes));
    }

    /// Whether the target has asked for a message's rest.
    fn is_asked(&self, rest: u64) -> bool {
        let told = self.told.as_ref();
        told.is_some_and(|told| told.asked.is_some_and(|asked| asked + 1 == rest))
    }

    fn await_response(&mut self, number: u64, message: &Message, messages: &Messages) {
        let let_go = self.let_go;
        let Some(told) = &mut self.told else {
            return;
        };
        match message.expect {
            Some(expect) => {
                let new = || Responses::new(expect.protocol());
                told.responses.get_or_insert_with(new).expect(expect);
            }
            // Its response is that of the message before, unless that was complete already.
            None if told.ended == Some(number.wrapping_sub(1)) => told.done = number + 1,
            None if told.asked == Some(number.wrapping_sub(1)) => told.done = told.done.max(number),
            None => {}
        }
        told.pass_mute(let_go, messages);
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
        if told.responses.is_none() && !told.entry.takes() {
            return true;
        }
        let mut stream = told.stream.take().unwrap_or_else(|| Ordered::new(before));
        let mut is_readable = true;
        stream.on_segment(seq, len, bytes, &mut |bytes| {
            if told.entry.takes() {
                is_readable &= told.entry.on_target(bytes);
            } else {
                is_readable &= told.read(bytes, messages, (front, let_go), stamp);
            }
        });
        is_readable &= !stream.is_lost();
        told.stream = Some(stream);
        self.take_told_answer();
        is_readable
    }

    /// What the target has said behind its login. Returns whether it can be read.
    pub(crate) fn on_told_rest(
        &mut self,
        messages: &Messages,
        rest: &[u8],
        stamp: Instant,
    ) -> bool {
        let places = (self.front, self.let_go);
        let told = self.told.as_mut();
        told.is_none_or(|told| told.read(rest, messages, places, stamp))
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
    /// The target's next bytes, behind its login. Returns whether they can be read.
    fn read(
        &mut self,
        bytes: &[u8],
        messages: &Messages,
        places: (u64, u64),
        stamp: Instant,
    ) -> bool {
        let Some(mut responses) = self.responses.take() else {
            return true;
        };
        let mut is_readable = true;
        responses.push(bytes, &mut |said| {
            is_readable &= self.on_said(&said, messages, places, stamp);
        });
        self.responses = Some(responses);
        is_readable
    }

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
            Said::Unasked(_) => {}
            Said::Ready => {
                self.asked = Some(at);
                if messages.get(at + 1).is_some_and(Message::is_rest) {
                    self.done = at + 1;
                }
            }
            Said::End(verdict) => {
                if let Some(statement) = verdict.statement
                    && self.prepared.len() < STATEMENTS_MAX
                {
                    self.prepared.insert(at, statement);
                }
                self.end(messages);
                self.pass_mute(let_go, messages);
            }
            Said::Asked(_) | Said::Opened(_) => {}
            Said::Left => {
                self.end(messages);
                self.has_left = true;
            }
            Said::Lost => return false,
        }
        true
    }

    /// What there is no response to is over with what stands before it, once it may be sent.
    fn pass_mute(&mut self, let_go: u64, messages: &Messages) {
        while self.done < let_go && messages.get(self.done).is_some_and(Message::is_mute) {
            self.done += 1;
        }
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
