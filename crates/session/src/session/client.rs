//! What the client's segments do to a session.

use wire::seq::ClientSeq;
use wire::tcp::Flags;

use super::Session;
use super::taker::Taker;
use crate::context::Context;
use crate::event::Outcome;
use crate::stream::Piece;

impl Session {
    /// A segment of the client, its checksum verified.
    pub(crate) fn on_client(
        &mut self,
        seq: ClientSeq,
        flags: Flags,
        piece: Piece<'_>,
        ctx: &mut Context<'_>,
    ) {
        (self.active_at, self.captured_at) = (ctx.now, ctx.now);
        self.confirmed = true;
        if flags.contains(Flags::RST) {
            // A RST without ACK answers a segment that came after the client's socket was closed: what the client had
            // seen before is not in it.
            let cause = flags.contains(Flags::ACK).then_some(piece.cause);
            if self.input.is_reset_behind_hole(seq) {
                self.end_input_at_gap(ctx);
            } else {
                self.input.on_reset(seq, cause, piece.stamp, ctx.arena);
            }
        } else {
            let mut taker = Taker {
                turns: &mut self.turns,
                data: &mut self.data,
                data_start: &mut self.data_start,
                boundaries: &mut self.boundaries,
                stream_end: &mut self.stream_end,
                life: self.life,
                now: ctx.now,
                over_budget: false,
                unreplayable: false,
                skipped: 0,
                at_start: self.client_isn.is_some(),
                began: None,
            };
            let fin = flags.contains(Flags::FIN);
            self.input.on_segment(
                seq,
                fin,
                piece,
                ctx.arena,
                ctx.counters,
                &mut |arena, piece| {
                    taker.take(arena, piece);
                },
            );
            let (over_budget, unreplayable) = (taker.over_budget, taker.unreplayable);
            let began = taker.began;
            ctx.counters.bytes_skipped += taker.skipped;
            ctx.counters.left_out_cut_off_bytes += taker.skipped;
            if !piece.bytes.is_empty() {
                self.turns.on_client(flags.contains(Flags::PSH));
            }
            if let Some(start) = began {
                self.on_turn_began(start, piece, ctx);
            }
            if over_budget {
                self.give_up(Outcome::Shed, ctx);
            } else if unreplayable {
                self.give_up(Outcome::Unreplayable, ctx);
            }
        }
        self.watch_holes(ctx);
        self.advance(ctx);
        self.open_window(ctx);
    }

    /// A turn begins at `start` of the stream, with this segment as nearly always.
    fn on_turn_began(&mut self, start: u64, piece: Piece<'_>, ctx: &mut Context<'_>) {
        if self.sibling.is_none() {
            // One of a flow's sessions looks at its turns for all.
            let client = &self.flow.client.addr;
            ctx.echoes
                .on_turn(client, self.rule, piece.bytes, piece.stamp);
        }
        if start == 0 {
            self.turns.on_beginning(piece.bytes);
        }
        if ctx.echoes.hold_end().is_some() && ctx.held_until().is_some() {
            self.turns.put_ceiling(start);
        }
    }

    pub(crate) fn watch_holes(&mut self, ctx: &Context<'_>) {
        if !self.input.has_acknowledged_hole() {
            self.gap_at = None;
        } else if self.gap_at.is_none() {
            self.gap_at = Some(ctx.now + ctx.config.gap_grace);
        }
    }
}
