//! Where the client's bytes become turns and payload.

use super::{After, Life};
use crate::arena::{Arena, Chain};
use crate::boundaries::Boundaries;
use crate::encrypted;
use crate::stream::Piece;
use crate::time::Instant;
use crate::turns::Turns;

/// Takes bytes that are in order into turns and payload.
pub(crate) struct Taker<'a> {
    pub(crate) turns: &'a mut Turns,
    pub(crate) data: &'a mut Chain,
    pub(crate) data_start: &'a mut u64,
    pub(crate) boundaries: &'a mut Boundaries,
    pub(crate) stream_end: &'a mut u64,
    pub(crate) life: Life,
    pub(crate) now: Instant,
    pub(crate) over_budget: bool,
    pub(crate) unreplayable: bool,
    pub(crate) skipped: u64,
    pub(crate) at_start: bool,
    /// Where in the stream the latest turn begins that began with these bytes.
    pub(crate) began: Option<u64>,
}

impl Taker<'_> {
    pub(crate) fn take(&mut self, arena: &mut Arena, piece: Piece<'_>) {
        let start = *self.stream_end;
        let end = start + piece.bytes.len() as u64;
        *self.stream_end = end;
        if self.turns.is_torn(piece.cause) {
            self.skipped += piece.bytes.len() as u64;
            return;
        }
        if self.turns.on_bytes(start, end, piece.cause, piece.stamp) {
            arena.charge(Turns::TURN_BYTES);
            self.began = Some(start);
            match self.life {
                Life::Dead(outcome) | Life::Leaving(After::Dead(outcome)) => {
                    self.turns.doom_last(outcome);
                }
                Life::Detached { retry_at, outcome }
                | Life::Leaving(After::Detached { retry_at, outcome })
                    if self.now < retry_at =>
                {
                    self.turns.doom_last(outcome);
                }
                _ => {}
            }
            self.unreplayable |= encrypted::is_client_hello(piece.bytes);
        }
        self.unreplayable |= self.at_start && encrypted::is_early(start, piece.bytes);
        if self.turns.keeps_bytes() {
            if self.data.is_empty() {
                *self.data_start = start;
            } else {
                self.boundaries.push(start);
            }
            self.over_budget |= arena.append(self.data, piece.bytes).is_err();
        }
    }
}
