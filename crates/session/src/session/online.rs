//! What the online server's segments do to a session, after its flow was told: they say what was served, how it was answered, and
//! how the connection that is copied ended.

use super::{Life, Session};
use crate::context::Context;
use crate::flow::{Answered, Heard};

impl Session {
    /// Whether a segment of the online server can change nothing of the session but how much its target may send: it waits neither
    /// for the online server's word nor for a wider window.
    #[inline(always)]
    pub(crate) fn only_counts_online(&self, reply_slack: u32) -> bool {
        matches!(self.life, Life::Connected)
            && !self.confirmed_only
            && self.turns.fate().is_none()
            && !self.connection.is_finished()
            && !self.turns.is_told()
            && self.has_open_window(reply_slack)
    }

    /// What the target may send grows by what the online server has sent.
    #[inline(always)]
    pub(crate) fn count_online(&mut self, answered: &Answered) {
        if answered.len > 0 {
            let end = answered.seq + answered.len;
            self.turns.on_online_bytes(answered.before, end);
        }
    }

    /// The online server has sent a segment to the client.
    pub(crate) fn on_online(&mut self, heard: &Heard, ctx: &mut Context<'_>) {
        let answered = match *heard {
            Heard::Nothing => return,
            Heard::Reset => return self.advance(ctx),
            Heard::Segment(answered) => answered,
        };
        let (seq, len) = (answered.seq, answered.len);
        self.count_online(&answered);
        if len > 0 {
            let turn = answered
                .turn
                .filter(|(number, _)| *number >= self.turns.number());
            ctx.sample_online(self.id, seq, answered.before, turn.map(|(_, start)| start));
        }
        self.follow_target_close(ctx);
        let closing = matches!(self.life, Life::Closing { .. });
        if self.turns.is_told()
            || self.turns.fate().is_some()
            || closing && self.playing(ctx.flow).current().is_some()
        {
            self.advance(ctx);
        }
        if len > 0 {
            self.open_window(ctx);
        }
    }
}
