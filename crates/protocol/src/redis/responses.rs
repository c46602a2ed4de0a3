//! A server's side: one value answers one command, but for what is published, and for what is said of subscriptions.

use std::collections::VecDeque;

use crate::expect::{AwaitedRedis as Awaited, Subscription};
use crate::redis::AWAITED_MAX;
use crate::redis::value::{Behind, Event, Reader};
use crate::said::{Said, Verdict};

/// Reads responses.
#[derive(Debug, Default)]
pub struct Responses {
    reader: Reader,
    /// What is awaited, and how often one after the other.
    awaited: VecDeque<(Awaited, u32)>,
    /// How many channels the first that is awaited has been told about.
    confirmed: u32,
    /// Subscriptions of each kind.
    subscribed: [i64; 3],
    /// Whether what is said of them came as pushes (RESP3): an array is a reply then.
    has_pushes: bool,
    /// Bytes of the value that is read, while it is not known what it is.
    pending: usize,
    what: What,
    is_over: bool,
    overflowed: bool,
}

/// What the value that is read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum What {
    #[default]
    Open,
    /// A reply to the first command that is awaited.
    Reply,
    /// What is said of one channel that the first command that is awaited names.
    Confirmation(Subscription),
    /// It answers nothing, but says something of a channel.
    Note(Subscription),
    Unasked,
}

impl Responses {
    pub(crate) fn expect(&mut self, awaited: Awaited) {
        let is_full = self.awaited.len() >= AWAITED_MAX;
        match self.awaited.back_mut() {
            Some((last, times)) if *last == awaited && *times < u32::MAX => *times += 1,
            _ if is_full => self.overflowed = true,
            _ => self.awaited.push_back((awaited, 1)),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        let mut bytes = bytes;
        while !bytes.is_empty() && !self.is_over {
            if self.overflowed {
                return self.lose(tell);
            }
            let (len, event) = match self.reader.push(bytes) {
                Ok(read) => read,
                Err(Behind(len)) => {
                    self.pending += len;
                    if self.what != What::Open {
                        self.tell_pending(tell);
                    }
                    return self.lose(tell);
                }
            };
            bytes = &bytes[len..];
            self.pending += len;
            if self.what == What::Open {
                self.what = self.tell_apart(event);
            }
            if self.what != What::Open {
                self.tell_pending(tell);
            }
            if event == Event::End {
                self.end(tell);
            }
        }
    }

    /// What the value is, as far as that can be told.
    fn tell_apart(&self, event: Event) -> What {
        let may_be_published = match (event, self.reader.kind()) {
            (Event::More, _) => return What::Open,
            (_, b'>') => true,
            (_, b'*') => {
                self.subscribed != [0; 3] && !self.has_pushes || self.asks_for_subscriptions()
            }
            _ => false,
        };
        if !may_be_published {
            return self.reply();
        }
        let subscription = match self.reader.first() {
            _ if event == Event::Kind => return What::Open,
            b"subscribe" | b"unsubscribe" => Subscription::Channels,
            b"psubscribe" | b"punsubscribe" => Subscription::Patterns,
            b"ssubscribe" | b"sunsubscribe" => Subscription::Shards,
            b"message" | b"pmessage" | b"smessage" => return What::Unasked,
            _ if self.reader.kind() == b'>' => return What::Unasked,
            _ => return self.reply(),
        };
        if self.asks_for_subscriptions() {
            What::Confirmation(subscription)
        } else {
            What::Note(subscription)
        }
    }

    fn reply(&self) -> What {
        if self.awaited.is_empty() {
            What::Unasked
        } else {
            What::Reply
        }
    }

    fn asks_for_subscriptions(&self) -> bool {
        matches!(
            self.awaited.front(),
            Some((Awaited::Confirmations(_) | Awaited::UntilNone(_), _))
        )
    }

    fn tell_pending(&mut self, tell: &mut dyn FnMut(Said)) {
        let mut left = core::mem::take(&mut self.pending);
        while left > 0 {
            let part = u32::try_from(left).unwrap_or(u32::MAX);
            tell(match self.what {
                What::Reply | What::Confirmation(_) => Said::Bytes(part),
                What::Open | What::Note(_) | What::Unasked => Said::Unasked(part),
            });
            left -= part as usize;
        }
    }

    /// A value has ended.
    fn end(&mut self, tell: &mut dyn FnMut(Said)) {
        let what = core::mem::take(&mut self.what);
        let is_answered = match what {
            What::Reply => {
                if let Some((Awaited::Reset, _)) = self.awaited.front() {
                    self.subscribed = [0; 3];
                }
                true
            }
            What::Confirmation(subscription) => {
                self.note(subscription);
                self.confirmed += 1;
                match self.awaited.front() {
                    Some((Awaited::Confirmations(channels), _)) => self.confirmed >= *channels,
                    Some((Awaited::UntilNone(of), _)) => self.subscribed[*of as usize] <= 0,
                    _ => false,
                }
            }
            What::Note(subscription) => {
                self.note(subscription);
                false
            }
            What::Open | What::Unasked => false,
        };
        let is_error = matches!(self.reader.kind(), b'-' | b'!');
        self.reader.next();
        if is_answered {
            self.pop();
            tell(Said::End(Verdict {
                is_error,
                ..Verdict::default()
            }));
        }
    }

    /// The server says how many subscriptions there are now: of channels and patterns in sum, of shards apart.
    fn note(&mut self, subscription: Subscription) {
        self.has_pushes = self.reader.kind() == b'>';
        let Some(sum) = self.reader.third() else {
            return;
        };
        let others = match subscription {
            Subscription::Channels => self.subscribed[Subscription::Patterns as usize],
            Subscription::Patterns => self.subscribed[Subscription::Channels as usize],
            Subscription::Shards => 0,
        };
        self.subscribed[subscription as usize] = sum.saturating_sub(others).max(0);
    }

    fn pop(&mut self) {
        self.confirmed = 0;
        if let Some((_, times)) = self.awaited.front_mut() {
            *times -= 1;
            if *times == 0 {
                self.awaited.pop_front();
            }
        }
    }

    fn lose(&mut self, tell: &mut dyn FnMut(Said)) {
        self.is_over = true;
        tell(Said::Lost);
    }

    pub(crate) fn close(&mut self, tell: &mut dyn FnMut(Said)) {
        if !self.is_over && !self.reader.is_between() {
            self.lose(tell);
        }
        self.is_over = true;
    }
}
