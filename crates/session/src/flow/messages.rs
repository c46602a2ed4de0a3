//! Turns that are messages: what a protocol module has said of each.

use std::collections::{HashMap, VecDeque};

use std::sync::Arc;

use protocol::{Asked, CancelKey, Digest, Digests, Expect, Opening, Patch};
use wire::seq::OnlineSeq;

use super::captured::Captured;
use super::compared::Comparing;
use super::stream::Piece;
use super::turn::{Answer, Turn};
use crate::arena::Arena;
use crate::limits::{LOGIN_ROOM, OPENINGS_MAX, STATEMENTS_MAX};
use crate::time::Instant;

/// What is known of one message that is copied, or of what follows of one that has paused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    /// It departs once so many of the flow's messages are answered, counted from the first: its client had seen as many
    /// responses.
    pub(crate) needs: u64,
    /// What its response looks like; `None` of what follows of a message.
    pub(crate) expect: Option<Expect>,
    /// What of its bytes has another value at the target.
    pub(crate) patch: Option<Patch>,
}

impl Message {
    /// Whether there is no response to it.
    pub(crate) fn is_mute(&self) -> bool {
        matches!(self.expect, Some(Expect::Nothing(_)))
    }

    /// Whether it is the rest of the message before it, which had paused.
    pub(crate) fn is_rest(&self) -> bool {
        self.expect.is_none()
    }
}

/// How a client has opened its connection, from a message on.
#[derive(Clone, Debug)]
pub(crate) struct Reopened {
    /// The message's number.
    pub(crate) from: u64,
    pub(crate) opening: Arc<Opening>,
}

/// The messages of a flow, by the numbers of their turns.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    /// The number of the first one that is kept.
    first: u64,
    kept: VecDeque<Message>,
    /// Messages before this number have their complete response from the online server.
    pub(crate) heard: u64,
    /// Whether it is not known which responses the online server has sent.
    pub(crate) is_deaf: bool,
    /// Whether the latest message has not ended.
    pub(crate) grows: bool,
    /// The messages that have prepared statements, by the online server's numbers of those.
    prepared: HashMap<u32, u64>,
    /// How the client has opened its connection, where each session has to do so as well: once, and again where it has changed its user.
    openings: VecDeque<Reopened>,
    /// What cancels the client's statements at the online server, where that has told it.
    pub(crate) cancel_key: Option<CancelKey>,
    /// Whether sessions log in.
    pub(crate) logs_in: bool,
    /// Whether the client has changed its user more often than a session can follow.
    pub(crate) is_reopened: bool,
    /// Turns from this number on are none: the flow has left its module.
    pub(crate) left_at: Option<u64>,
    /// Where responses are compared.
    comparing: Option<Comparing>,
}

impl Messages {
    /// A message begins as the turn behind those that there are.
    pub(super) fn push(&mut self, message: Message) {
        if let Some(comparing) = &mut self.comparing {
            comparing.push(&message);
        }
        self.kept.push_back(message);
    }

    /// Whether there has been a message.
    pub(crate) fn is_begun(&self) -> bool {
        self.first > 0 || !self.kept.is_empty()
    }

    /// Message `number`.
    pub(crate) fn get(&self, number: u64) -> Option<&Message> {
        let index = number.checked_sub(self.first)?;
        self.kept.get(usize::try_from(index).ok()?)
    }

    /// The online server has given `statement` as its number to what message `turn` has prepared.
    pub(super) fn prepare(&mut self, statement: u32, turn: u64) {
        if self.prepared.len() < STATEMENTS_MAX || self.prepared.contains_key(&statement) {
            self.prepared.insert(statement, turn);
        }
    }

    /// The client has opened its connection so, from message `from` on.
    pub(super) fn open(&mut self, from: u64, opening: Opening) {
        self.is_reopened |= self.openings.len() == OPENINGS_MAX;
        if !self.is_reopened {
            let opening = Arc::new(opening);
            self.openings.push_back(Reopened { from, opening });
        }
    }

    /// How the client had opened its connection before it said message `number`.
    pub(crate) fn opening_of(&self, number: u64) -> Option<&Reopened> {
        self.openings.iter().rev().find(|it| it.from <= number)
    }

    /// Whether message `number` is the first that was said after the client had opened its connection, or changed its user.
    pub(crate) fn is_first(&self, number: u64) -> bool {
        self.openings.iter().any(|it| it.from == number)
    }

    /// The message that has prepared what the online server calls by this number.
    pub(crate) fn preparer(&self, statement: u32) -> Option<u64> {
        self.prepared.get(&statement).copied()
    }

    /// Messages before this number are needed by nobody any more.
    pub(super) fn forget_before(&mut self, number: u64, arena: &mut Arena) {
        let passed = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let count = passed.min(self.kept.len());
        self.kept.drain(..count);
        self.first += count as u64;
        if let Some(comparing) = &mut self.comparing {
            comparing.forget_first(count, arena);
        }
        while self.openings.get(1).is_some_and(|it| it.from <= number) {
            self.openings.pop_front();
        }
    }

    /// The message that has begun asks for this.
    pub(super) fn ask(&mut self, asked: &Asked<'_>) {
        if let Some(comparing) = &mut self.comparing {
            comparing.ask(asked);
        }
    }

    /// The online server has answered message `number`. Returns whether that can be compared.
    pub(super) fn answer(&mut self, number: u64, digest: Digest, arena: &mut Arena) -> bool {
        match (&mut self.comparing, number.checked_sub(self.first)) {
            (Some(comparing), Some(index)) => comparing.answer(index as usize, digest, arena),
            _ => true,
        }
    }

    /// What message `number` asks for, and the online server's answer, where responses are compared and once it is complete.
    pub(crate) fn answered(&self, number: u64) -> Option<(Arc<Asked<'static>>, Arc<Digest>)> {
        let index = number.checked_sub(self.first)?;
        self.comparing.as_ref()?.get(index as usize)
    }

    /// By what responses are compared, if they are.
    pub(crate) fn digests(&self) -> Option<&Arc<Digests>> {
        self.comparing.as_ref().map(|it| &it.digests)
    }
}

impl Captured {
    /// A protocol module reads the flow from now on.
    pub(super) fn read_messages(&mut self, logs_in: bool, digests: Option<&Arc<Digests>>) {
        self.messages = Some(Box::new(Messages {
            logs_in,
            comparing: digests.map(Comparing::new),
            ..Messages::default()
        }));
        if logs_in {
            self.end = LOGIN_ROOM;
        }
    }

    /// Where the stream begins.
    pub(crate) fn origin(&self) -> u64 {
        let logs_in = self.messages.as_ref().is_some_and(|it| it.logs_in);
        if logs_in { LOGIN_ROOM } else { 0 }
    }

    /// What a protocol module has said of the turns, where one reads the flow.
    #[inline]
    pub(crate) fn messages(&self) -> Option<&Messages> {
        self.messages.as_deref()
    }

    /// The same, to change it; where none reads the flow, nothing is kept of the change.
    pub(super) fn messages_mut(&mut self) -> &mut Messages {
        self.messages.get_or_insert_default()
    }

    /// The flow leaves its module: what its client says next is a turn that is no message.
    pub(super) fn leave_messages(&mut self) {
        let count = self.count;
        let messages = self.messages_mut();
        (messages.left_at, messages.grows) = (Some(count), false);
        self.sealed = true;
    }

    /// Bytes of a message as the target is to get them; `begins` is the message where these are its first, and `began_at` when its
    /// client's first ones came. Returns whether they begin a new turn.
    pub(super) fn on_message_bytes(
        &mut self,
        piece: &Piece<'_>,
        begins: Option<Message>,
        began_at: Instant,
    ) -> bool {
        let start = self.end;
        self.end += piece.bytes.len() as u64;
        let Some(message) = begins else {
            if let Some(last) = &mut self.latest {
                last.end = self.end;
                last.captured_last = piece.stamp;
            }
            return false;
        };
        let messages = self.messages_mut();
        messages.push(message);
        messages.grows = true;
        self.push(Turn {
            start,
            end: self.end,
            cause: piece.cause,
            captured_first: began_at,
            captured_last: piece.stamp,
            online: Answer::default(),
            online_reset: false,
            online_pause: 0,
            online_piece: 0,
            early: 0,
            amid: false,
            rest: 0,
        });
        true
    }

    /// What was said of messages before this number is needed no more; the rest of a message asks for what stands before it.
    #[cold]
    pub(super) fn forget_messages(&mut self, number: u64, arena: &mut Arena) {
        if let Some(messages) = &mut self.messages {
            messages.forget_before(number, arena);
        }
    }

    /// Turn `number`, to add to it what the online server has said.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Turn> {
        match self.count.checked_sub(number)? {
            0 => None,
            1 => self.latest.as_mut(),
            behind => {
                let index = (self.earlier.len() as u64 + 1).checked_sub(behind)?;
                self.earlier.get_mut(usize::try_from(index).ok()?)
            }
        }
    }

    /// The online server has sent bytes up to `end`; which turns they answer is told otherwise.
    pub(super) fn on_online_end(&mut self, end: OnlineSeq) {
        if self.online_end < end {
            self.online_end = end;
        }
    }
}
