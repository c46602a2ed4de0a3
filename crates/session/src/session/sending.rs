//! What a session sends, and how far it may.

use core::time::Duration;

use super::{Life, Session};
use crate::arena::Arena;
use crate::connection::{self, Kind, Reach, Surroundings};
use crate::context::Context;
use crate::flow::Flow;
use crate::flow::payload::Payload;
use crate::limits::REST_AFTER;
use crate::time::Instant;
use crate::turns::Turns;

/// The bytes of the stream that are kept.
struct Kept<'a> {
    payload: &'a Payload,
    /// What was sent already, of the stream.
    sent: u64,
    arena: &'a Arena,
    /// Where turns are messages: the session's, and where its connection began.
    told: Option<(&'a Turns, u64)>,
}

impl Kept<'_> {
    /// A login, which stands before the stream, or bytes of messages, some of which have another value at this target.
    #[cold]
    fn copy_told(&self, turns: &Turns, base: u64, offset: u64, into: &mut [u8]) {
        match turns.entry().filter(|entry| !entry.is_open()) {
            Some(entry) => entry.copy_out(offset - base, into),
            None => {
                self.payload.copy_out(self.arena, offset, into);
                turns.patch(offset, into);
            }
        }
    }
}

impl connection::Payload for Kept<'_> {
    fn segment_end(&self, offset: u64, end: u64) -> u64 {
        self.payload.segment_end(offset, end, self.sent)
    }

    #[inline(always)]
    fn copy_out(&self, offset: u64, into: &mut [u8]) {
        match self.told {
            None => self.payload.copy_out(self.arena, offset, into),
            Some((turns, base)) => self.copy_told(turns, base, offset, into),
        }
    }
}

impl Session {
    /// Whether [`Session::transmit`] would write something.
    pub(crate) fn wants_to_send(&self, flow: &Flow) -> bool {
        self.connection.wants_to_send(|| self.reach(flow))
    }

    /// Whether its first SYN is what it wants to send.
    pub(crate) fn is_opening(&self) -> bool {
        self.connection.is_first_syn_due()
    }

    /// How far may be sent: FIN takes the position after the last byte.
    pub(crate) fn reach(&self, flow: &Flow) -> Reach {
        let stream_end = flow.end();
        let limit = match self.life {
            Life::Closing { .. } => stream_end + 1,
            _ if self.is_entering() => self.login_end(),
            _ => self.playing(flow).limit(stream_end),
        };
        let limit = match self.served_end(flow) {
            Some(served) if served < stream_end => limit.min(served),
            _ => limit,
        };
        Reach { limit, stream_end }
    }

    /// The same for a frame: how far exactly makes no difference where all is sent that there is.
    #[inline(always)]
    fn reach_of_frame(&self, flow: &Flow) -> Reach {
        let stream_end = flow.end();
        if matches!(self.life, Life::Connected) && self.connection.has_sent_all(stream_end) {
            let limit = stream_end;
            return Reach { limit, stream_end };
        }
        self.reach(flow)
    }

    /// Sees to it that a closed window of the target is probed where bytes wait for it to open.
    pub(crate) fn probe_window(&mut self, flow: &Flow, now: Instant) {
        if self.connection.is_window_closed() {
            let reach = self.reach(flow);
            self.connection.probe_window(reach, now);
        }
    }

    /// Where the bytes end that the online server has acknowledged, where only those may leave.
    fn served_end(&self, flow: &Flow) -> Option<u64> {
        self.confirmed_only.then(|| {
            let acknowledged = flow.stream().acknowledged();
            let unserved = acknowledged.map(|served| flow.stream().next().ahead_of(served));
            if flow.is_read() {
                // What a module makes of the client's bytes stands elsewhere: the latest message is served with its last byte.
                let latest = flow.captured().latest().map_or(0, |turn| turn.start);
                return if unserved == Some(0) {
                    flow.end()
                } else {
                    latest
                };
            }
            unserved.map_or(0, |bytes| flow.end().saturating_sub(u64::from(bytes)))
        })
    }

    /// Whether the current turn waits for the online server's acknowledgement of its bytes, and for nothing else: a firewall
    /// may have dropped them.
    pub(crate) fn awaits_confirmation(&self, flow: &Flow) -> bool {
        let served = self.served_end(flow).filter(|served| *served < flow.end());
        served.is_some_and(|served| self.connection.una() >= served)
    }

    /// What the segments of its connection depend on besides.
    #[inline(always)]
    fn surroundings(&self, ctx: &mut Context<'_>) -> Surroundings {
        Surroundings {
            now: ctx.now,
            timestamp: ctx.shared.clock.timestamp(ctx.now),
            mtu: ctx.target.path.mtu(ctx.now),
            allowance: self.allowance(ctx),
        }
    }

    /// Whether a mere acknowledgement is all that there is to say, as after most responses.
    #[inline(always)]
    pub(crate) fn only_acknowledges(&self, flow: &Flow) -> bool {
        matches!(self.life, Life::Connected) && self.connection.only_acknowledges(flow.end())
    }

    /// Writes that acknowledgement. It changes nothing that the session waits for.
    #[inline(always)]
    pub(crate) fn transmit_acknowledgement(
        &mut self,
        ctx: &mut Context<'_>,
        frame: &mut [u8],
    ) -> Option<usize> {
        let around = self.surroundings(ctx);
        let sent = self.connection.transmit_acknowledgement(&around, frame)?;
        ctx.shared.counters.segments_sent += 1;
        Some(sent.frame_len)
    }

    /// Writes the next segment into `frame` and returns the frame's length in bytes.
    #[inline(always)]
    pub(crate) fn transmit(&mut self, ctx: &mut Context<'_>, frame: &mut [u8]) -> Option<usize> {
        let (reach, around) = (self.reach_of_frame(ctx.flow), self.surroundings(ctx));
        let kept = Kept {
            payload: ctx.flow.payload(),
            sent: self.connection.sent(),
            arena: &ctx.shared.arena,
            told: self
                .turns
                .is_told()
                .then(|| (&self.turns, self.connection.base())),
        };
        let sent = self
            .connection
            .transmit(&around, reach, &kept, &mut ctx.shared.counters, frame);
        if let Life::Leaving(then) = self.life {
            self.settle(then, ctx);
            self.advance(ctx);
        }
        let sent = sent?;
        let (new, end) = sent.new;
        if new < end {
            self.playing_mut(ctx.flow).on_sent(new, end, ctx.now);
            ctx.flow.on_sent(end);
        }
        // Nobody is left to take an answer to a last segment, and to an acknowledgement there is none.
        if matches!(sent.kind, Kind::Syn | Kind::Question) {
            let client = &ctx.flow.key().client.addr;
            ctx.target
                .gate
                .on_asked(client, sent.kind == Kind::Syn, ctx.now);
        }
        Some(sent.frame_len)
    }

    /// The earliest time at which something is due, but for a delayed acknowledgement.
    #[inline]
    pub(crate) fn deadline(&self, flow: &Flow, idle_timeout: Duration) -> Instant {
        (self.active_at(flow) + idle_timeout)
            .or_earlier(self.connection.timer_due())
            .or_earlier(self.release_at)
            .or_earlier(flow.gap_at())
            .or_earlier(self.pacing.due())
            .or_earlier(self.closed_at(flow))
    }

    /// Whether a connected session has nothing to send, or stands in the queue already.
    #[inline(always)]
    pub(crate) fn is_silent(&self, flow: &Flow) -> bool {
        self.queued || self.connection.has_said_all(flow.end())
    }

    /// Whether an input has left nothing to be done but, where it is not [silent](Self::is_silent), to send, now or as a delayed
    /// acknowledgement: the session is asked early enough as it is. Most inputs move its times only to later ones. Where this says no, the engine finds out what
    /// there is.
    #[inline(always)]
    pub(crate) fn is_settled(&self, flow: &Flow, idle_timeout: Duration) -> bool {
        let soon = self.active_at(flow) + REST_AFTER;
        let due = Instant::nanos_or_never(self.connection.timer_due())
            .min(Instant::nanos_or_never(self.release_at))
            .min(Instant::nanos_or_never(flow.gap_at()))
            .min(Instant::nanos_or_never(self.pacing.due()))
            .min(soon.as_nanos());
        matches!(self.life, Life::Connected)
            && !self.connection.is_window_closed()
            && Instant::nanos_or_never(self.armed.next()) <= due
            && idle_timeout >= REST_AFTER
    }
}
