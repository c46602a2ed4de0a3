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
//! Not here: what the window is as a number of TCP, which is [`crate::receive::ReceiveHalf::open`].
//!
//! [`Inflow::excess`]: crate::inflow::Inflow::excess

use wire::seq::TargetSeq;

use crate::context::Context;
use crate::limits::{ONLINE_SILENCE, RTO_MIN, WINDOW_RETRY, WINDOW_TOLD_MAX};
use crate::receive::EDGE_STEP_MIN;
use crate::session::{Session, State};
use crate::time::Instant;
use crate::turns::Next;

/// When a session's window is to be looked at, and what it depends on.
#[derive(Debug)]
pub(crate) struct Pacing {
    /// When a window that is nearly closed may be opened, or the target is told again that it is open ...
    at: Option<Instant>,
    /// ... and how often it has been told without sending anything.
    told: u8,
    /// Where its window had ended before it was told.
    told_from: TargetSeq,
    /// When the online server last sent payload.
    online_at: Instant,
    /// Whether it has probed the window of its client since: it has more to say.
    online_blocked: bool,
}

impl Pacing {
    /// Nothing is to be looked at; the online server counts as having spoken at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            at: None,
            told: 0,
            told_from: TargetSeq::new(0),
            online_at: now,
            online_blocked: false,
        }
    }

    /// When [`Session::on_window_timer`] wants to be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.at
    }

    /// Whether nothing would be lost by forgetting it.
    pub(crate) fn is_idle(&self) -> bool {
        self.at.is_none()
    }

    /// Whether a segment that ends at `end` may end there for want of room in a window that has been opened since, and in which
    /// less than `largest` was left.
    pub(crate) fn was_closed(&self, end: TargetSeq, largest: u16) -> bool {
        self.told > 0 && self.told_from.ahead_of(end) < u32::from(largest)
    }

    /// The online server has sent payload.
    pub(crate) fn on_online_payload(&mut self, stamp: Instant) {
        (self.online_at, self.online_blocked) = (stamp, false);
    }

    /// The online server asks whether its client's window has opened.
    pub(crate) fn on_online_probe(&mut self) {
        self.online_blocked = true;
    }

    /// The target has sent something: it knows of the window.
    pub(crate) fn on_used(&mut self) {
        if self.told > 0 {
            (self.told, self.at) = (0, None);
        }
    }
}

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
    /// What a SYN says of the window, which no scale is applied to (RFC 7323 section 2.2).
    pub(crate) fn syn_window(&self, ctx: &Context<'_>) -> u16 {
        u16::try_from(ctx.config.reply_slack).unwrap_or(u16::MAX)
    }

    /// What the window field of a header says, and what the target may send from then on.
    pub(crate) fn window(&mut self, ctx: &mut Context<'_>) -> u16 {
        let allowance = self.turns.allowance(ctx.config.reply_slack);
        self.receive
            .open(allowance.min(ctx.inflow.available(ctx.now)))
    }

    /// Whether a segment that ends at `end` may end there because the target was not allowed to send more.
    pub(crate) fn is_cut_by_window(&self, end: TargetSeq, ctx: &Context<'_>) -> bool {
        let room = self.receive.room_after(end);
        room < u32::from(self.receive_mss)
            && self
                .receive
                .is_narrowed(self.turns.allowance(ctx.config.reply_slack))
    }

    /// Whether it is our window that keeps the target silent, which will be opened: that is no end of a response.
    pub(crate) fn holds_target_back(&self, next: Next) -> bool {
        next.saw_all && self.receive.window() < u32::from(self.receive_mss)
    }

    /// With less than this of its window left a target may be kept from sending.
    fn low_water(&self, ctx: &Context<'_>) -> u32 {
        (ctx.config.reply_slack / 4).max(2 * u32::from(self.receive_mss))
    }

    /// Sees to it that a window that is nearly closed is opened as soon as it may be: the target may have nothing to send
    /// that would be acknowledged.
    pub(crate) fn open_window(&mut self, ctx: &mut Context<'_>) {
        if self.pacing.told > 0 && self.pacing.at.is_some() {
            // Under way, and told again by its own timer.
            return;
        }
        self.pacing.at = None;
        let slack = ctx.config.reply_slack;
        let connected = matches!(self.state, State::Established | State::Closing { .. });
        let low = self.low_water(ctx);
        if self.receive.window() >= low || !connected || self.receive.is_finished() {
            return;
        }
        if let Some(wait) = ctx.inflow.spent_for(ctx.now) {
            ctx.counters.replies_over_budget += 1;
            self.pacing.at = Some(ctx.now + wait);
            return;
        }
        if self.turns.allowance(slack) < low {
            self.open_beyond(ctx);
        }
        let step = 2 * u32::from(self.receive_mss).max(u32::from(self.send.mss()));
        let allowance = self
            .turns
            .allowance(slack)
            .min(ctx.inflow.available(ctx.now));
        if self
            .receive
            .would_open(allowance, step.min(slack / 4).max(EDGE_STEP_MIN))
        {
            self.ack_due = true;
            self.pacing.told_from = self.receive.nxt() + self.receive.window();
            self.tell_again(ctx);
        }
    }

    /// The time has come to open a window, or to say once more that it is open: nobody acknowledges an acknowledgement, and a
    /// target's own probe may be a minute away.
    pub(crate) fn on_window_timer(&mut self, ctx: &mut Context<'_>) {
        if self.pacing.told == 0 {
            self.open_window(ctx);
        } else if self.pacing.told < WINDOW_TOLD_MAX {
            self.ack_due = true;
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
        match self.online(ctx.now) {
            Online::GoesOn => {}
            Online::Until(at) => self.pacing.at = Some(at),
            Online::Complete => {
                let granted = ctx.inflow.excess(ctx.config.reply_slack, ctx.now);
                // Looked at again in any case: one grant may not be enough. Where turns do not wait, a target may have sent far more
                // than the online server, and its own probe of a closed window is outside of it and opens nothing.
                self.pacing.at = Some(ctx.now + WINDOW_RETRY);
                ctx.counters.reply_bytes_excess += u64::from(granted);
                self.turns.grant(granted);
            }
        }
    }

    fn online(&self, now: Instant) -> Online {
        if self.online_closed || self.turns.next().is_some_and(|next| next.saw_all) {
            return Online::Complete;
        }
        if self.pacing.online_blocked {
            return Online::GoesOn;
        }
        let at = self.pacing.online_at + ONLINE_SILENCE;
        if now >= at {
            Online::Complete
        } else {
            Online::Until(at)
        }
    }

    /// Notes of the current turn whether its target has filled the window, and so was kept from sending more.
    pub(crate) fn note_pace(&mut self, ctx: &mut Context<'_>) {
        let allowance = self.turns.allowance(ctx.config.reply_slack);
        let full = self.receive.window() < u32::from(self.receive_mss);
        let mut held =
            || self.receive.is_narrowed(allowance) || ctx.inflow.spent_for(ctx.now).is_some();
        if full && held() && self.turns.note_paced() {
            ctx.counters.turns_paced += 1;
        }
    }
}
