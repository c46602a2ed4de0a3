//! A flow whose rule asks for a protocol module: its client's bytes become messages, the online server's bytes responses.
//!
//! A turn is then one message, and departs when the target has answered as many as its client had seen answered. What a module
//! filters out is no turn. Where a module cannot read what is said, the flow leaves it, and goes on in turns as any other.

use core::time::Duration;
use std::sync::Arc;

use protocol::{Module, Opening, Requests, Responses};
use wire::seq::{Online, OnlineSeq};

use super::Room;
use super::captured::Captured;
use super::course::Course;
use super::read::Place;
use super::stream::{End, EndOfStream, Piece};
use super::taking::Taker;
use crate::arena::Arena;
use crate::config::Config;
use crate::event::Counters;
use crate::ordered::Ordered;
use crate::running::LastAnswer;
use crate::time::Instant;

/// A module at work on one flow.
#[derive(Debug)]
pub(crate) struct Reading {
    module: Arc<Module>,
    requests: Requests,
    /// The online server's bytes.
    online: Ordered<Online>,
    /// Their reader, once it is known what they are.
    responses: Option<Responses>,
    course: Course,
    /// Where the online server's stream ends.
    closed_at: Option<OnlineSeq>,
    /// How many of the client's bytes were read.
    read: u64,
    /// How long bytes of the online server that its client has seen are waited for.
    grace: Duration,
}

impl Reading {
    /// Nothing was read yet; the online server's next byte is `online`. Its bytes may be recorded later than its client's word that had seen
    /// them, by [`Config::gap_grace`].
    pub(crate) fn new(module: Arc<Module>, online: OnlineSeq, config: &Config) -> Self {
        let digests = config.digests.as_ref();
        let responses = |protocol| Responses::new(protocol).digesting(digests);
        Self {
            requests: Requests::new(&module),
            online: Ordered::new(online),
            responses: module.protocol().map(responses),
            course: Course::new(online),
            closed_at: None,
            read: 0,
            grace: config.gap_grace,
            module,
        }
    }

    /// The same of a flow whose beginning was not seen: messages follow.
    pub(super) fn unseen(
        module: Arc<Module>,
        online: OnlineSeq,
        opening: &Opening,
        config: &Config,
    ) -> Self {
        let responses = Responses::unseen(opening.protocol());
        Self {
            requests: Requests::unseen(&module, opening),
            responses: Some(responses.digesting(config.digests.as_ref())),
            ..Self::new(module, online, config)
        }
    }

    /// What was counted since it was asked last is counted by the engine.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        self.course.count(counters);
    }

    /// How many of the client's bytes were read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// How far the client has come; `None` where the flow has left its module, and its turns tell that.
    pub(super) fn place(&self) -> Option<Place> {
        let passes = self.course.has_left && !self.requests.is_barred();
        let is_known = self.requests.is_between() && !self.requests.is_barred();
        (!passes).then_some(Place {
            cause: self.course.cause,
            answer: match is_known {
                // Where a message ends is read, and not guessed from its answer.
                true => LastAnswer::Whole,
                false => LastAnswer::None,
            },
            unbegun: self.read == 0,
        })
    }

    /// How many of them are in no turn yet: the end of their message has not come.
    pub(super) fn held_len(&self) -> u64 {
        (self.requests.held_len() + self.course.late.len()) as u64
    }

    /// Whether what the online server says is told to nobody else: turns are messages.
    pub(super) fn is_told(&self) -> bool {
        self.responses.is_some() && !self.course.has_left
    }

    /// The turn that the online server's byte at `at` answers, where everything before it was told.
    pub(super) fn answers_at(&self, at: OnlineSeq) -> Option<u64> {
        self.course.answers_at(at)
    }

    /// How many messages the client had seen answered when it had seen the online server's bytes up to `cause`; all of them where that is
    /// not known.
    pub(super) fn seen_by(&mut self, cause: OnlineSeq, captured: &Captured) -> u64 {
        let is_deaf = captured.messages().is_some_and(|it| it.is_deaf);
        let seen = self.course.see(cause);
        if is_deaf { captured.count() } else { seen }
    }

    /// The client's next bytes.
    #[cold]
    pub(super) fn take(&mut self, arena: &mut Arena, piece: &Piece<'_>, taker: &mut Taker<'_>) {
        let course = &mut self.course;
        self.read += piece.bytes.len() as u64;
        let went_on = course.cause < piece.cause;
        course.see(piece.cause);
        let at = (piece.cause, piece.stamp);
        course.lose_missing(&mut self.online, at, self.grace, taker);
        if self.requests.is_between() {
            course.began_at = None;
        }
        course.began_at.get_or_insert(piece.stamp);
        if !course.late.is_empty() {
            let bytes = &core::mem::take(&mut course.late);
            taker.take(arena, Piece { bytes, ..*piece });
        }
        let was_barred = self.requests.is_barred();
        let responses = &mut self.responses;
        self.requests
            .push(&self.module, piece.bytes, went_on, &mut |part| {
                course.on_part(&part, piece, responses, arena, taker);
            });
        // What is not copied because it cannot be judged is counted by what its client says between two answers.
        let is_new = if was_barred {
            went_on
        } else {
            !core::mem::take(&mut self.course.has_counted)
        };
        taker.news.filtered += u32::from(self.requests.is_barred() && is_new);
    }

    /// The client has reset its connection, having seen the online server's bytes up to `cause`: what of them is missing does not come any more
    /// as far as it matters.
    #[cold]
    pub(super) fn on_client_reset(&mut self, cause: OnlineSeq, taker: &mut Taker<'_>) {
        self.course.see(cause);
        let (course, now) = (&mut self.course, Instant::default());
        course.lose_missing(&mut self.online, (cause, now), Duration::ZERO, taker);
    }

    /// A segment of the client was taken, with which its side may have ended.
    #[cold]
    pub(super) fn on_client_segment(
        &mut self,
        end: Option<EndOfStream>,
        stamp: Instant,
        room: &mut Room<'_>,
        taker: &mut Taker<'_>,
    ) {
        if end.is_some_and(|end| end.end == End::Fin) {
            self.on_client_end(stamp, room.arena, taker);
        }
        self.course.count(room.counters);
    }

    /// The client has closed: what is held of a message that has not ended passes as bytes.
    fn on_client_end(&mut self, stamp: Instant, arena: &mut Arena, taker: &mut Taker<'_>) {
        let (course, responses) = (&mut self.course, &mut self.responses);
        let piece = Piece {
            bytes: &[],
            cause: course.cause,
            stamp,
        };
        self.requests.close(&mut |part| {
            course.on_part(&part, &piece, responses, arena, taker);
        });
    }

    /// The online server has sent `len` bytes from `seq` on, of which `bytes` were recorded.
    pub(super) fn on_online(
        &mut self,
        (seq, len): (OnlineSeq, u32),
        bytes: &[u8],
        stamp: Instant,
        arena: &mut Arena,
        taker: &mut Taker<'_>,
    ) {
        let was_lost = self.online.is_lost();
        let Some(responses) = &mut self.responses else {
            return;
        };
        let (course, requests) = (&mut self.course, &mut self.requests);
        let online = &mut self.online;
        online.on_segment(seq, len, bytes, &mut |bytes| {
            let piece = Piece {
                bytes: &[],
                cause: course.cause,
                stamp,
            };
            responses.push(bytes, &mut |said| {
                course.on_said(&said, &piece, requests, arena, taker);
            });
        });
        if self.online.is_lost() && !was_lost {
            self.course.go_deaf(taker);
        }
        self.end_online(stamp, arena, taker);
    }

    /// The online server has closed, behind its byte `at`.
    pub(super) fn on_online_end(
        &mut self,
        at: OnlineSeq,
        stamp: Instant,
        arena: &mut Arena,
        taker: &mut Taker<'_>,
    ) {
        self.closed_at = Some(at);
        self.end_online(stamp, arena, taker);
    }

    fn end_online(&mut self, stamp: Instant, arena: &mut Arena, taker: &mut Taker<'_>) {
        let is_there = self.closed_at == Some(self.online.next()) && !self.online.is_lost();
        let Some(responses) = self.responses.as_mut().filter(|_| is_there) else {
            return;
        };
        self.closed_at = None;
        let (course, requests) = (&mut self.course, &mut self.requests);
        let piece = Piece {
            bytes: &[],
            cause: course.cause,
            stamp,
        };
        responses.close(&mut |said| {
            course.on_said(&said, &piece, requests, arena, taker);
        });
    }
}
