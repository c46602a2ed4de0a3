//! Where the client's bytes become turns and payload.

use super::captured::Captured;
use super::messages::Message;
use super::payload::Payload;
use super::stream::Piece;
use super::{Flow, News};
use crate::arena::Arena;
use crate::encrypted;
use crate::time::Instant;

/// Takes bytes that are in order.
pub(super) struct Taker<'a> {
    pub(super) captured: &'a mut Captured,
    pub(super) payload: &'a mut Payload,
    /// Whether the stream is known from its first byte on.
    pub(super) from_start: bool,
    pub(super) news: News,
}

impl Taker<'_> {
    #[inline(always)]
    pub(super) fn take(&mut self, arena: &mut Arena, piece: Piece<'_>) {
        let start = self.captured.end();
        if self.captured.on_bytes(&piece) {
            arena.charge(Flow::TURN_BYTES);
            self.news.began = Some(start);
            self.news.unreplayable |= encrypted::is_client_hello(piece.bytes);
        } else if self.news.began.is_none() {
            self.news.grew = Some(self.captured.count() - 1);
        }
        self.news.unreplayable |= self.from_start && encrypted::is_early(start, piece.bytes);
        self.keep(start, &piece, arena);
    }

    /// Bytes of a message as the target is to get them; `begins` is the message where these are its first.
    #[cold]
    pub(super) fn take_message(
        &mut self,
        arena: &mut Arena,
        piece: &Piece<'_>,
        begins: Option<Message>,
        began_at: Instant,
    ) {
        let start = self.captured.end();
        if self.captured.on_message_bytes(piece, begins, began_at) {
            arena.charge(Flow::TURN_BYTES);
            self.news.began = Some(start);
        } else if self.news.began.is_none() {
            self.news.grew = Some(self.captured.count() - 1);
        }
        self.keep(start, piece, arena);
    }

    #[inline(always)]
    fn keep(&mut self, start: u64, piece: &Piece<'_>, arena: &mut Arena) {
        if !self.news.over_budget {
            let kept = self.payload.append(start, piece.bytes, arena);
            self.news.over_budget = kept.is_err();
        }
    }
}
