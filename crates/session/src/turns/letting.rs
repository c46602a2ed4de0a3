//! Which messages may leave for the target, and what becomes of them then: numbers of statements are replaced, and their responses
//! awaited.

use core::ops::DerefMut;

use protocol::{Expect, Responses};

use super::{Playing, Turns};
use crate::flow::messages::{Message, Messages};
use crate::limits::CLOSE_WAIT;
use crate::time::Instant;

/// Whether the target can take what its client says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// It can take the messages that were let go.
    Them,
    /// It speaks another protocol by now, and the online server does not.
    OtherWords,
    /// It would take it for something else than it is.
    Nothing,
    /// It is about to close: they go to the next connection, which is waited for until then.
    NoMore(Instant),
}

impl<T: DerefMut<Target = Turns>> Playing<'_, T> {
    /// Until when the target's end is waited for, where it has said that it takes nothing more on this connection and has not closed
    /// it yet.
    fn closes_at(&self, is_finished: bool, now: Instant) -> Option<Instant> {
        let at = self.told.as_ref()?.closes_at? + CLOSE_WAIT;
        (!is_finished && now < at).then_some(at)
    }

    /// Lets go of the messages that may leave, where the connection is not finished. Returns whether the target can take them.
    pub(crate) fn let_go_of_messages(
        &mut self,
        messages: &Messages,
        is_finished: bool,
        now: Instant,
    ) -> Takes {
        self.let_go = self.let_go.max(self.front);
        while self
            .queue
            .get((self.let_go - self.front) as usize)
            .is_some()
        {
            let (done, number) = (self.done(), self.let_go);
            let Some(message) = messages.get(number) else {
                // It is none: the flow has left its module.
                return Takes::Them;
            };
            let may_leave = message.needs <= done || message.is_rest() && self.is_asked(number);
            if !may_leave {
                return Takes::Them;
            }
            if let Some(at) = self.closes_at(is_finished, now) {
                return Takes::NoMore(at);
            }
            if self.told.as_ref().is_some_and(|told| told.has_left) {
                return Takes::OtherWords;
            }
            if self.is_others(number, messages) {
                return Takes::Them;
            }
            if message.is_rest() && self.is_unwanted(number, messages) {
                return Takes::Nothing;
            }
            self.let_go += 1;
            self.patch_message(number, message, messages);
            self.await_response(number, message, messages);
        }
        Takes::Them
    }

    /// Whether the target has answered a message without having asked for its rest, which it would take for something else.
    fn is_unwanted(&self, rest: u64, messages: &Messages) -> bool {
        let before = rest.wrapping_sub(1);
        let expect = messages.get(before).and_then(|it| it.expect);
        let has_ended = self
            .told
            .as_ref()
            .is_some_and(|told| told.ended == Some(before));
        has_ended && expect.is_some_and(Expect::drops_unasked_rest)
    }

    /// A message carries the online server's number of a statement: the target's takes its place. One that the target has not
    /// prepared gets 0, which no server gives; the largest number means the latest statement to MariaDB.
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
        let bytes = statement.unwrap_or(0).to_le_bytes();
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
                let new = || Responses::new(expect.protocol()).digesting(messages.digests());
                told.responses.get_or_insert_with(new).expect(expect);
            }
            // Its response is that of the message before, unless that was complete already.
            None if told.ended == Some(number.wrapping_sub(1)) => told.done = number + 1,
            None if told.asked == Some(number.wrapping_sub(1)) => told.done = told.done.max(number),
            None => {}
        }
        told.pass_mute(let_go, messages);
    }
}
