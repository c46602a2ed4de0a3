//! How much the target may send: the window that a session advertises.
//!
//! A client that reads slowly closes its window to the online server, and nothing of that reaches the copy: an open window
//! would have the target pour whole responses into the online host. So the target may send what the online server has sent
//! in this turn, and some slack ([`crate::Config::reply_slack`]). Beyond that:
//!
//! - While the online server's response goes on, or waits for its client, the window stays closed.
//! - Once it is complete, the rest of a longer response of the target comes at a rate of its own ([`Inflow::excess`]), or a
//!   later turn would never get its answer.
//! - Where the budget of response bytes is spent, no window is opened any further.
//!
//! Not here: what the window is as a number of TCP, which is in [`crate::connection`].
//!
//! [`Inflow::excess`]: crate::inflow::Inflow::excess

use super::Session;
use crate::connection::Arrival;
use crate::context::Context;
use crate::limits::{ONLINE_SILENCE, RTO_MIN, WINDOW_RETRY, WINDOW_TOLD_MAX};
use crate::time::Instant;
use crate::turns::Next;

/// Whether the online server's response to the current turn is complete.
enum Online {
    /// It is, as far as anybody can tell.
    Complete,
    /// It counts as complete if nothing comes until then.
    Until(Instant),
    /// It is not.
    GoesOn,
}

impl Session {
    /// How many more bytes the target may send, by the flow and by the budget of response bytes.
    pub(super) fn allowance(&self, ctx: &mut Context<'_>) -> u32 {
        self.turns
            .allowance(ctx.shared.config.reply_slack)
            .min(ctx.shared.inflow.available(ctx.now))
    }

    /// Whether a segment may end where it does because the target was not allowed to send more, as far as it knew: it may have
    /// sent the segment, or the one byte with which it asks for a closed window, before it was told of a wider one.
    pub(super) fn is_cut_by_window(&self, arrival: &Arrival, ctx: &Context<'_>) -> bool {
        let (known, end) = (self.pacing.known, arrival.end);
        if self.pacing.told > 0
            && end <= known + 1
            && known.ahead_of(end) < u32::from(self.connection.receive_mss())
        {
            return true;
        }
        arrival.room < u32::from(self.connection.receive_mss())
            && self
                .connection
                .is_narrowed(self.turns.allowance(ctx.shared.config.reply_slack))
    }

    /// Whether it is our window that keeps the target silent, which will be opened: that is no end of a response.
    pub(crate) fn holds_target_back(&self, next: Next) -> bool {
        next.saw_all && self.is_closed_to_target()
    }

    /// With less than this of its window left a target may be kept from sending.
    fn low_water(&self, reply_slack: u32) -> u32 {
        (reply_slack / 8).max(2 * u32::from(self.connection.receive_mss()))
    }

    /// Sees to it that a window that is nearly closed is opened as soon as it may be: the target may have nothing to send
    /// that would be acknowledged.
    #[inline(always)]
    pub(crate) fn open_window(&mut self, ctx: &mut Context<'_>) {
        if !self.has_open_window(ctx.shared.config.reply_slack) {
            self.open_narrow_window(ctx);
        }
    }

    /// Whether the window is wide enough, and nothing about it is under way: so it is nearly always.
    #[inline(always)]
    pub(super) fn has_open_window(&self, reply_slack: u32) -> bool {
        self.pacing.is_idle() && self.connection.window() >= self.low_water(reply_slack)
    }

    #[inline(never)]
    fn open_narrow_window(&mut self, ctx: &mut Context<'_>) {
        if self.pacing.told > 0 && self.pacing.at.is_some() {
            // Under way, and told again by its own timer.
            return;
        }
        self.pacing.at = None;
        let connected = self.connection.is_synchronized();
        if connected && self.connection.window() < self.low_water(ctx.shared.config.reply_slack) {
            self.widen_window(ctx);
        }
    }

    fn widen_window(&mut self, ctx: &mut Context<'_>) {
        if self.connection.is_finished() {
            return;
        }
        let slack = ctx.shared.config.reply_slack;
        if let Some(wait) = ctx.shared.inflow.spent_for(ctx.now) {
            ctx.shared.counters.replies_over_budget += 1;
            self.pacing.at = Some(ctx.now + wait);
            return;
        }
        let mss = self.connection.receive_mss().max(self.connection.mss());
        let step = (2 * u32::from(mss)).min(slack / 4);
        // Too little to be told of is as good as nothing.
        if !self
            .connection
            .would_open(self.turns.allowance(slack), step)
        {
            self.open_beyond(ctx);
        }
        let allowance = self.allowance(ctx);
        if self.connection.would_open(allowance, step) {
            self.pacing.known = self.connection.window_end();
            self.connection.acknowledge();
            self.tell_again(ctx);
        }
    }

    /// Whether the target may not send even one more segment of the size that it sends.
    pub(super) fn is_closed_to_target(&self) -> bool {
        self.connection.window() < u32::from(self.connection.receive_mss())
    }

    /// The time has come to open a window, or to say once more that it is open: nobody acknowledges an acknowledgement, and a
    /// target's own probe may be a minute away.
    pub(crate) fn on_window_timer(&mut self, ctx: &mut Context<'_>) {
        if self.pacing.told == 0 {
            self.open_window(ctx);
        } else if self.pacing.told < WINDOW_TOLD_MAX {
            self.connection.acknowledge();
            self.tell_again(ctx);
        } else {
            self.pacing.on_used();
            self.open_window(ctx);
        }
    }

    fn tell_again(&mut self, ctx: &Context<'_>) {
        self.pacing.at = Some(ctx.now + RTO_MIN * (1 << self.pacing.told));
        self.pacing.told += 1;
    }

    /// The target has sent more than the online server: it goes on where that one has nothing more to say.
    fn open_beyond(&mut self, ctx: &mut Context<'_>) {
        match self.online(ctx) {
            Online::GoesOn => {}
            Online::Until(at) => self.pacing.at = Some(at),
            Online::Complete => {
                let granted = ctx
                    .shared
                    .inflow
                    .excess(ctx.shared.config.reply_slack, ctx.now);
                // Looked at again in any case: one grant may not be enough. Where turns do not wait, a target may have sent far more
                // than the online server, and its own probe of a closed window is outside of it and opens nothing.
                self.pacing.at = Some(ctx.now + WINDOW_RETRY);
                ctx.shared.counters.reply_bytes_excess += u64::from(granted);
                self.turns.grant(granted);
            }
        }
    }

    fn online(&self, ctx: &Context<'_>) -> Online {
        let flow = &ctx.flow;
        let next = self.playing(flow).next();
        if flow.is_online_closed() || next.is_some_and(|next| next.saw_all) {
            return Online::Complete;
        }
        if flow.is_online_blocked() {
            return Online::GoesOn;
        }
        let at = flow.online_at() + ONLINE_SILENCE;
        if ctx.now >= at {
            Online::Complete
        } else {
            Online::Until(at)
        }
    }

    /// Notes of the current turn whether its target has filled the window, and so was kept from sending more.
    pub(crate) fn note_pace(&mut self, ctx: &mut Context<'_>) {
        let allowance = self.turns.allowance(ctx.shared.config.reply_slack);
        let full = self.is_closed_to_target();
        let mut held = || {
            self.connection.is_narrowed(allowance) || ctx.shared.inflow.spent_for(ctx.now).is_some()
        };
        if full && held() && self.turns.note_paced() {
            ctx.shared.counters.turns_paced += 1;
        }
    }
}
