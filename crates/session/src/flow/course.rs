//! What a protocol module's two readers of a flow have found so far: which messages the client has sent, and which of them the
//! online server has answered.

use core::time::Duration;
use std::collections::VecDeque;

use protocol::{Expect, Part, Patch, Requests, Responses, Said, Why};
use wire::seq::{Online, OnlineSeq};

use super::captured::Captured;
use super::messages::{Message, Messages};
use super::stream::Piece;
use super::taking::Taker;
use crate::arena::Arena;
use crate::event::Counters;
use crate::limits::MESSAGES_AWAITED_MAX;
use crate::ordered::Ordered;
use crate::time::Instant;

/// A message whose response is awaited from the online server.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    /// The turn that it is, or its rest; `None` of one that was filtered out, and of one whose rest has not come yet.
    turn: Option<u64>,
    /// Its rest, which has come although nothing is recorded yet of the online server that asks for it.
    rest: Option<u64>,
    /// Where the online server has asked for its rest.
    asked_at: Option<OnlineSeq>,
    /// Whether there is no response to it.
    is_mute: bool,
}

/// What both readers work on.
#[derive(Debug)]
pub(super) struct Course {
    awaited: VecDeque<Awaited>,
    /// Where responses of the online server have ended that its client had not seen by its last word, and how many messages
    /// were answered there.
    ends: VecDeque<(OnlineSeq, u64)>,
    /// Up to where the online server's bytes were told.
    at: OnlineSeq,
    /// How many messages the client had seen answered.
    seen: u64,
    /// What the client had seen of the online server's bytes by its last word.
    pub(super) cause: OnlineSeq,
    /// Up to where bytes of the online server are missing that the client had seen by its last word, and since when.
    missing: Option<(OnlineSeq, Instant)>,
    /// The message that has begun and of which no byte has been taken yet.
    begins: Option<Message>,
    /// When the first byte came of what the reader holds.
    pub(super) began_at: Option<Instant>,
    /// Whether the message that is being read was filtered out.
    is_filtered: bool,
    /// Whether its bytes are left out here, and not by its reader.
    is_dropped: bool,
    /// Whether the message in which the flow has left its module is counted as one that was filtered out.
    pub(super) has_counted: bool,
    /// Whether the flow has left its module.
    pub(super) has_left: bool,
    /// What the client had said before its flow left the module, and is to be copied with its next word.
    pub(super) late: Vec<u8>,
    tally: Tally,
}

/// What a module has counted and the engine has not.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    messages: u64,
    online_lost: u64,
    left_upgraded: u64,
    left_unknown: u64,
    left_unread: u64,
    uncompared: u64,
}

impl Course {
    /// Nothing was read yet; the online server's next byte is `online`.
    pub(super) fn new(online: OnlineSeq) -> Self {
        Self {
            awaited: VecDeque::new(),
            ends: VecDeque::new(),
            at: online,
            seen: 0,
            cause: online,
            missing: None,
            begins: None,
            began_at: None,
            is_filtered: false,
            is_dropped: false,
            has_counted: false,
            has_left: false,
            late: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// What was counted since it was asked last.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        let tally = core::mem::take(&mut self.tally);
        counters.module_messages += tally.messages;
        counters.module_online_lost += tally.online_lost;
        counters.module_left_upgraded += tally.left_upgraded;
        counters.module_left_unknown += tally.left_unknown;
        counters.module_left_unread += tally.left_unread;
        counters.module_uncompared += tally.uncompared;
    }

    /// The turn that the online server's byte at `at` answers, where everything before it was told.
    pub(super) fn answers_at(&self, at: OnlineSeq) -> Option<u64> {
        let front = self.awaited.front().filter(|_| self.at == at);
        front.and_then(|it| it.turn)
    }

    /// The client had seen the online server's bytes up to `cause`. Returns how many messages were answered by then.
    pub(super) fn see(&mut self, cause: OnlineSeq) -> u64 {
        if self.cause < cause {
            self.cause = cause;
        }
        while let Some((end, answered)) = self.ends.front()
            && *end <= cause
        {
            self.seen = *answered;
            self.ends.pop_front();
        }
        self.seen
    }

    /// The client speaks at `now`, and has seen the online server's bytes up to `cause`. Those of them that are missing for longer than
    /// `grace` will not come: where records have no total order they may come later than their client's word.
    pub(super) fn lose_missing(
        &mut self,
        online: &mut Ordered<Online>,
        (cause, now): (OnlineSeq, Instant),
        grace: Duration,
        taker: &mut Taker<'_>,
    ) {
        if online.is_lost() || self.awaited.is_empty() || !online.lacks_before(cause) {
            self.missing = None;
            return;
        }
        let known = self.missing.filter(|(at, _)| online.lacks_before(*at));
        let (_, since) = *self.missing.insert(known.unwrap_or((cause, now)));
        if now.since(since) >= grace {
            self.missing = None;
            online.lose();
            self.go_deaf(taker);
        }
    }

    /// It is not known any more which responses the online server has sent: each message waits for all before it.
    pub(super) fn go_deaf(&mut self, taker: &mut Taker<'_>) {
        if self.has_left {
            return;
        }
        self.tally.online_lost += 1;
        taker.captured.messages_mut().is_deaf = true;
    }

    pub(super) fn on_part(
        &mut self,
        part: &Part<'_>,
        piece: &Piece<'_>,
        responses: &mut Option<Responses>,
        arena: &mut Arena,
        taker: &mut Taker<'_>,
    ) {
        match part {
            Part::Begin(head) => {
                self.tally.messages += 1;
                let expect = head.expect;
                let digests = taker.captured.messages().and_then(Messages::digests);
                let new = || Responses::new(expect.protocol()).digesting(digests);
                responses.get_or_insert_with(new).expect(expect);
                // What names a statement that the target was not asked to prepare would name another one there.
                let is_known = |it: Patch| {
                    let messages = taker.captured.messages();
                    messages.is_some_and(|messages| messages.preparer(it.statement).is_some())
                };
                let is_dropped = head.copied && !head.patch.is_none_or(is_known);
                let is_copied = head.copied && !is_dropped;
                (self.is_filtered, self.is_dropped) = (!is_copied, is_dropped);
                let turn = is_copied.then(|| taker.captured.count());
                if self.awaited.len() == MESSAGES_AWAITED_MAX {
                    self.awaited.pop_front();
                    self.go_deaf(taker);
                }
                self.awaited.push_back(Awaited {
                    turn,
                    rest: None,
                    asked_at: None,
                    is_mute: matches!(expect, Expect::Nothing(_)),
                });
                if is_copied {
                    self.begins = Some(self.message(expect, head.patch, taker.captured));
                }
                self.pass_mute(taker.captured);
            }
            Part::Asks(_) | Part::Bytes(_) if self.is_dropped => {}
            Part::Asks(asked) => taker.captured.messages_mut().ask(asked),
            Part::Bytes(bytes) if self.has_left => {
                taker.take(arena, Piece { bytes, ..*piece });
            }
            Part::Bytes(bytes) => {
                let piece = Piece { bytes, ..*piece };
                let began_at = self.began_at.unwrap_or(piece.stamp);
                taker.take_message(arena, &piece, self.begins.take(), began_at);
            }
            Part::Opening(opening) => {
                let from = taker.captured.count();
                taker
                    .captured
                    .messages_mut()
                    .open(from, (**opening).clone());
            }
            Part::Pause => self.pause(taker.captured),
            Part::End => {
                self.is_dropped = false;
                taker.captured.messages_mut().grows = false;
                self.began_at = Some(piece.stamp);
                if core::mem::take(&mut self.is_filtered) {
                    taker.news.filtered += 1;
                }
            }
            Part::Leave(why) => self.leave(*why, taker),
        }
    }

    /// A message that begins now.
    fn message(&self, expect: Expect, patch: Option<Patch>, captured: &Captured) -> Message {
        let is_deaf = captured.messages().is_some_and(|it| it.is_deaf);
        let is_unknown = is_deaf || self.missing.is_some();
        let needs = if is_unknown {
            captured.count()
        } else {
            self.seen
        };
        Message {
            needs,
            expect: Some(expect),
            patch,
        }
    }

    /// What follows is the rest of a message, for which the online server has asked.
    fn pause(&mut self, captured: &mut Captured) {
        let number = captured.count();
        self.begins = Some(Message {
            needs: number,
            expect: None,
            patch: None,
        });
        let Some(latest) = self.awaited.back_mut() else {
            return;
        };
        match latest.asked_at.take() {
            Some(at) => {
                if let Some(turn) = latest.turn.replace(number) {
                    self.answered(turn + 1, at, captured);
                }
            }
            None => latest.rest = Some(number),
        }
    }

    /// What there is no response to is answered with what stands before it.
    fn pass_mute(&mut self, captured: &mut Captured) {
        while let Some(first) = self.awaited.front().filter(|it| it.is_mute) {
            if let Some(turn) = first.turn {
                self.answered(turn + 1, self.at, captured);
            }
            self.awaited.pop_front();
        }
    }

    fn leave(&mut self, why: Why, taker: &mut Taker<'_>) {
        (self.has_left, self.is_dropped) = (true, false);
        match why {
            Why::Upgraded => self.tally.left_upgraded += 1,
            Why::Unknown => self.tally.left_unknown += 1,
            _ => self.tally.left_unread += 1,
        }
        self.has_counted = core::mem::take(&mut self.is_filtered);
        taker.news.filtered += u32::from(self.has_counted);
        taker.captured.leave_messages();
    }

    /// The online server has said this.
    pub(super) fn on_said(
        &mut self,
        said: &Said,
        piece: &Piece<'_>,
        requests: &mut Requests,
        arena: &mut Arena,
        taker: &mut Taker<'_>,
    ) {
        if self.has_left {
            return;
        }
        let captured = &mut *taker.captured;
        match said {
            Said::Bytes(bytes) => {
                self.at += *bytes;
                if let Some(turn) = self.awaited.front().and_then(|it| it.turn)
                    && let Some(turn) = captured.get_mut(turn)
                {
                    turn.add_online(*bytes, piece.stamp);
                }
            }
            Said::Unasked(bytes) => self.at += *bytes,
            Said::Ready => {
                let at = self.at;
                if let Some(first) = self.awaited.front_mut() {
                    match (first.rest.take(), first.turn) {
                        (Some(rest), Some(turn)) => {
                            first.turn = Some(rest);
                            self.answered(turn + 1, at, captured);
                        }
                        _ => first.asked_at = Some(at),
                    }
                }
            }
            Said::Digested(digest) => {
                if let Some(turn) = self.awaited.front().and_then(|it| it.turn) {
                    let is_kept = captured
                        .messages_mut()
                        .answer(turn, (**digest).clone(), arena);
                    self.tally.uncompared += u64::from(!is_kept);
                }
            }
            Said::End(verdict) => {
                if let Some(first) = self.awaited.pop_front()
                    && let Some(turn) = first.turn
                {
                    self.answered(first.rest.unwrap_or(turn) + 1, self.at, captured);
                    if let Some(statement) = verdict.statement {
                        captured.messages_mut().prepare(statement, turn);
                    }
                }
                self.pass_mute(captured);
            }
            Said::Opened(Some(key)) => captured.messages_mut().cancel_key = Some(key.clone()),
            Said::Left | Said::Asked(_) | Said::Opened(None) | Said::Closes => {}
            Said::Lost => self.go_deaf(taker),
        }
        requests.hear(said, &mut |part| match part {
            Part::Bytes(bytes) => self.late.extend_from_slice(bytes),
            part => self.on_part(&part, piece, &mut None, arena, taker),
        });
    }

    /// Messages before number `count` are answered by what the online server has said up to `at`.
    fn answered(&mut self, count: u64, at: OnlineSeq, captured: &mut Captured) {
        captured.messages_mut().heard = count;
        if self.ends.len() == MESSAGES_AWAITED_MAX {
            self.ends.pop_front();
        }
        self.ends.push_back((at, count));
    }
}
