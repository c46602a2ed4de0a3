//! What the online server's segments do to a session, after its flow was told: they say what was served, how it was answered, and
//! how the connection that is copied ended.

use super::{Life, Session};
use crate::context::Context;
use crate::flow::Heard;

impl Session {
    /// The online server has sent a segment to the client.
    pub(crate) fn on_online(&mut self, heard: &Heard, ctx: &mut Context<'_>) {
        let answered = match *heard {
            Heard::Nothing => return,
            Heard::Reset => return self.advance(ctx),
            Heard::Segment(answered) => answered,
        };
        let (seq, len) = (answered.seq, answered.len);
        if len > 0 {
            self.turns.on_online_bytes(answered.before, seq + len);
            let turn = answered
                .turn
                .filter(|(number, _)| *number >= self.turns.number());
            ctx.sample_online(self.id, seq, answered.before, turn.map(|(_, start)| start));
        }
        self.follow_target_close(ctx);
        let closing = matches!(self.life, Life::Closing { .. });
        if self.turns.fate().is_some() || closing && self.playing(ctx.flow).current().is_some() {
            self.advance(ctx);
        }
        if len > 0 {
            self.open_window(ctx);
        }
    }
}
