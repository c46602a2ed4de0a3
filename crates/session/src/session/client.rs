//! What the client's segments do to a session, after its flow was told.

use super::Session;
use super::outcome::Cause;
use crate::context::Context;
use crate::event::Outcome;
use crate::flow::News;
use crate::flow::stream::Piece;

impl Session {
    /// The client has sent `piece`, which has changed the flow like this.
    pub(crate) fn on_client(&mut self, news: &News, piece: Piece<'_>, ctx: &mut Context<'_>) {
        if let Some(number) = news.grew {
            self.playing_mut(ctx.flow).on_grown(number);
        }
        if self.turns.torn().is_some() {
            let skipped = self.playing_mut(ctx.flow).skip_torn();
            ctx.shared.counters.bytes_skipped += skipped;
            ctx.shared.counters.left_out_cut_off_bytes += skipped;
        }
        if let Some(start) = news.began {
            self.on_turn_began(start, piece, ctx);
        }
        if news.over_budget {
            self.give_up(Outcome::Shed, ctx);
        } else if news.unreplayable {
            self.give_up(Outcome::Unreplayable, ctx);
        }
        if news.filtered > 0 {
            self.count_filtered(news.filtered, ctx);
        }
        if let Some(lost) = news.lost {
            self.count_unseen(lost, ctx);
        }
        self.advance(ctx);
        self.open_window(ctx);
    }

    /// Turns have begun, the latest at `start` of the stream, with this segment as nearly always.
    fn on_turn_began(&mut self, start: u64, piece: Piece<'_>, ctx: &mut Context<'_>) {
        if let Some(outcome) = self.fate_of_new(ctx.now) {
            while let Some(fate) = self.turns.fate().filter(|fate| *fate != outcome) {
                self.end(Cause::Lost(fate), ctx);
            }
            self.playing_mut(ctx.flow).doom(outcome);
        }
        if self.sibling.is_none() {
            // One of a flow's sessions looks at its turns for all.
            let client = &ctx.flow.key().client.addr;
            ctx.shared
                .echoes
                .on_turn(client, self.rule, piece.bytes, piece.stamp);
        }
        if ctx.shared.echoes.hold_end().is_some() && ctx.held_until().is_some() {
            self.turns.put_ceiling(start);
        }
    }
}
