//! Turns that are messages: what a protocol module has said of each.

use std::collections::VecDeque;

use protocol::Expect;

/// What is known of one message that is copied, or of what follows of one that has paused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    /// It departs once so many of the flow's messages are answered, counted from the first: its client had seen as many
    /// responses.
    pub(crate) needs: u64,
    /// What its response looks like; `None` of what follows of a message.
    pub(crate) expect: Option<Expect>,
}

impl Message {
    /// Whether it is the rest of the message before it, which had paused.
    pub(crate) fn is_rest(&self) -> bool {
        self.expect.is_none()
    }
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
    /// Turns from this number on are none: the flow has left its module.
    pub(crate) left_at: Option<u64>,
}

impl Messages {
    /// A message begins as the turn behind those that there are.
    pub(super) fn push(&mut self, message: Message) {
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

    /// Messages before this number are needed by nobody any more.
    pub(super) fn forget_before(&mut self, number: u64) {
        while self.first < number && self.kept.pop_front().is_some() {
            self.first += 1;
        }
    }
}
