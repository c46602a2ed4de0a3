//! Where the client's bytes become turns and payload.

use super::captured::Captured;
use super::payload::Payload;
use super::stream::Piece;
use super::{Flow, News};
use crate::arena::Arena;
use crate::encrypted;

/// Takes bytes that are in order.
pub(super) struct Taker<'a> {
    pub(super) captured: &'a mut Captured,
    pub(super) payload: &'a mut Payload,
    /// Whether the stream is known from its first byte on.
    pub(super) from_start: bool,
    pub(super) news: News,
}

impl Taker<'_> {
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
        if !self.news.over_budget {
            let kept = self.payload.append(start, piece.bytes, arena);
            self.news.over_budget = kept.is_err();
        }
    }
}
