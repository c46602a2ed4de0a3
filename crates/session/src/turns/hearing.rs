//! What the target says, where a protocol module reads it: which message each byte answers, and when an answer is complete.

use core::ops::DerefMut;
use std::collections::{HashMap, VecDeque};

use protocol::{Digest, Responses, Said};
use wire::seq::{Target, TargetSeq};

use super::entry::Entry;
use super::{Playing, Turns};
use crate::flow::messages::{Message, Messages};
use crate::flow::turn::Answer;
use crate::limits::STATEMENTS_MAX;
use crate::ordered::Ordered;
use crate::time::Instant;

/// What a module knows of the target's side of a session.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The target's bytes on this connection; `None` before the first.
    pub(super) stream: Option<Ordered<Target>>,
    /// Their reader, once something is awaited.
    pub(super) responses: Option<Responses>,
    /// Messages before this number are answered.
    pub(super) done: u64,
    /// What was said to the messages from number `first` on.
    pub(super) answers: VecDeque<Answer>,
    pub(super) first: u64,
    /// What complete answers are compared by, with the numbers of their messages.
    pub(super) digests: VecDeque<(u64, Box<Digest>)>,
    /// The message to which the target has asked for the rest.
    pub(super) asked: Option<u64>,
    /// The message whose response was complete before its rest was asked for.
    pub(super) ended: Option<u64>,
    /// When the target said that it takes nothing more on this connection.
    pub(super) closes_at: Option<Instant>,
    /// Whether the target speaks another protocol by now.
    pub(super) has_left: bool,
    /// The session's own login, where the protocol has one.
    pub(super) entry: Entry,
    /// The first message that may be said after that login.
    pub(super) opened_from: Option<u64>,
    /// The target's numbers of prepared statements, by the messages that have prepared them.
    pub(super) prepared: HashMap<u64, u32>,
    /// Bytes of the stream that have another value at this target.
    pub(super) patches: VecDeque<(u64, [u8; 4])>,
}

impl<T: DerefMut<Target = Turns>> Playing<'_, T> {
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
            Said::Closes => self.closes_at = Some(stamp),
            Said::Digested(digest) => {
                if front <= at && at < let_go {
                    self.digests.push_back((at, digest.clone()));
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
    pub(super) fn pass_mute(&mut self, let_go: u64, messages: &Messages) {
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
