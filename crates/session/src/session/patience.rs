//! What the release rule is told of a session besides its turns.

use super::Session;
use crate::context::Context;
use crate::flow::turn::Turn;
use crate::standalone;
use crate::turns::{Absence, Next, Patience};

impl Session {
    /// Whether either side may speak unasked, and what it means if the target says nothing: neither matters where the next turn
    /// needs nothing that came before it.
    pub(super) fn unasked(&mut self, ctx: &mut Context<'_>) -> (bool, Absence) {
        let playing = self.playing(ctx.flow);
        let (unasked, absence) = (playing.seems_unasked(), playing.absence_means());
        if (unasked || absence != Absence::Slowness) && self.is_unasked(ctx) {
            (unasked, absence)
        } else {
            (false, Absence::Slowness)
        }
    }

    /// With how much patience the response to the current turn is waited for before `next` departs.
    pub(crate) fn patience<'a>(
        &self,
        next: Next,
        unasked: bool,
        absence: Absence,
        ctx: &'a Context<'_>,
    ) -> Patience<'a> {
        Patience {
            unasked,
            absence,
            habits: &ctx.rule.habits,
            // A target whose window is full pauses for a round trip in the middle of a response.
            trips: self.connection.round_trip().unwrap_or_default() * 2,
            has_hole: self.connection.has_hole(),
            response_timeout: ctx.rule.tuning.response_timeout,
            target_closed: self.connection.is_finished(),
            // An acknowledgement that opens the window does not pass a gate that wants a question.
            is_held: self.holds_target_back(next)
                && ctx.target.gate.is_open(&ctx.flow.key().client.addr),
            is_shut: self.is_closed_to_target(),
            longer: ctx.shared.config.reply_slack / 2,
        }
    }

    /// Whether either side may speak unasked in this flow, of which there are signs: not where the next turn needs nothing that
    /// came before it, since such protocols answer each request.
    #[cold]
    pub(super) fn is_unasked(&mut self, ctx: &mut Context<'_>) -> bool {
        let next = self.playing(ctx.flow).waiting();
        if next.is_some_and(|turn| turn.start == 0) {
            // What it asks for may be a WebSocket.
            return false;
        }
        if next.is_some_and(|turn| self.stands_alone(turn, ctx)) {
            self.turns.on_standalone();
            ctx.flow.on_standalone();
            return false;
        }
        true
    }

    pub(super) fn stands_alone(&self, turn: &Turn, ctx: &Context<'_>) -> bool {
        let mut first = [0; standalone::LEN];
        let payload = ctx.flow.payload();
        standalone::stands_alone(payload.peek(&ctx.shared.arena, turn.start, &mut first))
    }

    /// Whether it may turn out to, once more of it has come.
    pub(super) fn may_stand_alone(&self, turn: &Turn, ctx: &Context<'_>) -> bool {
        let mut first = [0; standalone::LEN];
        let payload = ctx.flow.payload();
        standalone::may_stand_alone(payload.peek(&ctx.shared.arena, turn.start, &mut first))
    }
}
