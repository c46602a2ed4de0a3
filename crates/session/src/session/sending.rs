//! What a session sends, and how far it may.

use core::time::Duration;

use super::{Life, Session};
use crate::arena::{Arena, Chain};
use crate::boundaries::Boundaries;
use crate::connection::{Kind, Payload, Reach, Surroundings};
use crate::context::Context;
use crate::time::Instant;

/// The bytes of the stream that are kept.
struct Kept<'a> {
    data: &'a Chain,
    data_start: u64,
    boundaries: &'a Boundaries,
    arena: &'a Arena,
}

impl Payload for Kept<'_> {
    fn segment_end(&self, offset: u64, end: u64) -> u64 {
        end.min(self.boundaries.after(offset).unwrap_or(end))
    }

    fn copy_out(&self, offset: u64, into: &mut [u8]) {
        let at = (offset - self.data_start) as usize;
        self.arena.copy_out(self.data, at, into);
    }
}

impl Session {
    /// Whether [`Session::transmit`] would write something.
    pub(crate) fn wants_to_send(&self) -> bool {
        self.connection.wants_to_send(|| self.reach())
    }

    /// Whether its first SYN is what it wants to send.
    pub(crate) fn is_opening(&self) -> bool {
        self.connection.is_first_syn_due()
    }

    /// How far may be sent: FIN takes the position after the last byte.
    pub(crate) fn reach(&self) -> Reach {
        let limit = match self.life {
            Life::Closing { .. } => self.stream_end + 1,
            _ => self.turns.limit(self.stream_end),
        };
        let limit = match self.served_end() {
            Some(served) if served < self.stream_end => limit.min(served),
            _ => limit,
        };
        Reach {
            limit,
            stream_end: self.stream_end,
        }
    }

    /// Sees to it that a closed window of the target is probed where bytes wait for it to open.
    pub(crate) fn probe_window(&mut self, now: Instant) {
        if self.connection.is_window_closed() {
            let reach = self.reach();
            self.connection.probe_window(reach, now);
        }
    }

    /// Where the bytes end that the online server has acknowledged, where only those may leave.
    fn served_end(&self) -> Option<u64> {
        self.confirmed_only.then(|| {
            let next = self.input.next();
            let unserved = self
                .input
                .acknowledged()
                .map(|served| next.ahead_of(served));
            unserved.map_or(0, |bytes| self.stream_end.saturating_sub(u64::from(bytes)))
        })
    }

    /// Whether the current turn waits for the online server's acknowledgement of its bytes, and for nothing else: a firewall
    /// may have dropped them.
    pub(crate) fn awaits_confirmation(&self) -> bool {
        let served = self.served_end().filter(|served| *served < self.stream_end);
        served.is_some_and(|served| self.connection.una() >= served)
    }

    /// What the segments of its connection depend on besides.
    fn surroundings(&self, ctx: &mut Context<'_>) -> Surroundings {
        Surroundings {
            now: ctx.now,
            timestamp: ctx.clock.timestamp(ctx.now),
            mtu: ctx.target.path.mtu(ctx.now),
            allowance: self.allowance(ctx),
        }
    }

    /// Writes the next segment into `frame` and returns the frame's length in bytes.
    pub(crate) fn transmit(&mut self, ctx: &mut Context<'_>, frame: &mut [u8]) -> Option<usize> {
        let (reach, around) = (self.reach(), self.surroundings(ctx));
        let kept = Kept {
            data: &self.data,
            data_start: self.data_start,
            boundaries: &self.boundaries,
            arena: &*ctx.arena,
        };
        let sent = self
            .connection
            .transmit(&around, reach, &kept, ctx.counters, frame);
        if let Life::Leaving(then) = self.life {
            self.settle(then, ctx);
            self.advance(ctx);
        }
        let sent = sent?;
        let (new, end) = sent.new;
        if new < end {
            self.turns.on_sent(new, end, ctx.now);
        }
        self.boundaries.pass(end);
        // Nobody is left to take an answer to a last segment, and to an acknowledgement there is none.
        if matches!(sent.kind, Kind::Syn | Kind::Question) {
            let client = &self.flow.client.addr;
            ctx.target
                .gate
                .on_asked(client, sent.kind == Kind::Syn, ctx.now);
        }
        Some(sent.frame_len)
    }

    /// The earliest time at which something is due, but for a delayed acknowledgement.
    pub(crate) fn deadline(&self, idle_timeout: Duration) -> Instant {
        let due = [
            self.connection.timer_due(),
            self.release_at,
            self.gap_at,
            self.pacing.due(),
            self.closed_at(),
        ];
        let idle = self.active_at + idle_timeout;
        due.into_iter().flatten().fold(idle, Ord::min)
    }
}
