//! What the online server's segments do to a session: they say what was served, how it was answered, and how the
//! connection that is copied ended.

use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::Flags;

use super::{Life, Session};
use crate::context::Context;
use crate::limits::CONNECTION_DISTANCE_MAX;
use crate::stream::End;
use crate::time::Instant;

impl Session {
    /// Whether numbers of the online server cannot be this connection's.
    pub(crate) fn is_elsewhere(&self, seq: OnlineSeq, ack: ClientSeq) -> bool {
        let far = |distance: i32| distance.unsigned_abs() > CONNECTION_DISTANCE_MAX;
        far(seq - self.turns.online_end()) && far(ack - self.input.next())
    }

    /// A segment of the online server to the client.
    pub(crate) fn on_online(
        &mut self,
        seq: OnlineSeq,
        ack: ClientSeq,
        flags: Flags,
        len: u32,
        stamp: Instant,
        ctx: &mut Context<'_>,
    ) {
        (self.active_at, self.captured_at) = (ctx.now, ctx.now);
        let distance = (seq - self.turns.online_end()).unsigned_abs();
        if flags.contains(Flags::RST) && distance > CONNECTION_DISTANCE_MAX {
            // About an older connection of the same client's port, to a segment of it that came late.
            return;
        }
        self.online_closed |= flags.intersects(Flags::FIN.with(Flags::RST));
        if flags.contains(Flags::RST) {
            // Whatever the client was told last, its connection is gone.
            self.turns.on_online_reset();
            self.input.finish(End::Replaced, None, stamp, ctx.arena);
            self.advance(ctx);
            return;
        }
        self.input.on_acknowledged(ack);
        if len == 0 && seq < self.turns.online_end() {
            // A probe of a closed window (RFC 9293 section 3.8.6.1) says that there is more; a keep-alive probe looks the same.
            self.pacing.on_online_probe();
        }
        if len > 0 {
            self.pacing.on_online_payload(stamp);
            self.confirmed = true;
            let distance = i64::from(ack - self.input.next());
            let acknowledged = self.stream_end.saturating_add_signed(distance);
            let before = self.turns.online_end();
            let pushes = flags.contains(Flags::PSH);
            let answered = self
                .turns
                .on_online_bytes(acknowledged, seq + len, len, pushes, stamp);
            ctx.sample_online(self.id, seq, before, answered);
        }
        self.follow_target_close(ctx);
        self.watch_holes(ctx);
        let closing = matches!(self.life, Life::Closing { .. });
        let doomed = self.turns.front().is_some_and(|turn| turn.fate.is_some());
        if doomed || closing && self.turns.current().is_some() {
            self.advance(ctx);
        }
        if len > 0 {
            self.open_window(ctx);
        }
    }

    /// A segment of the client says by how much its data's sequence numbers are ahead of the connection's (Multipath TCP). Where that
    /// has changed, data is missing that took another path: it is a hole that can never be filled.
    pub(crate) fn on_mapping(&mut self, shift: u32, ctx: &mut Context<'_>) {
        if self.input.on_mapping(shift) {
            self.end_input_at_gap(ctx);
            self.advance(ctx);
        }
    }

    /// The client's 4-tuple now belongs to a newer connection.
    pub(crate) fn on_replaced(&mut self, ctx: &mut Context<'_>) {
        self.input.finish(End::Replaced, None, ctx.now, ctx.arena);
        self.advance(ctx);
    }
}
