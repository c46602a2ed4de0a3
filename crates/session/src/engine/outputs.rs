//! What an engine does by itself when a time has come, and the frames that it sends.

use super::Engine;
use super::holds::has_to_wait;
use super::tables::settle;
use crate::id::SessionId;
use crate::session::Life;
use crate::time::Instant;
use crate::wheel::Entry;

impl Engine {
    /// Does what is due at `now`; to be called when [`Engine::next_timeout`] has passed, and everything that has arrived was taken.
    pub fn on_timeout(&mut self, now: Instant) {
        self.shared.seen = now;
        if self.shared.echoes.due().is_some_and(|due| due <= now) {
            self.on_watch_due(now);
        }
        while let Some(Entry { session, at }) = self.timers.due_acknowledgement(now) {
            // One that rests has no acknowledgement to send.
            if let Some(session) = self.sessions.get_mut(session)
                && session.acknowledges_at == Some(at)
            {
                session.connection.on_acknowledgement_due(now);
                // Nothing else has become of it, so that it is not settled.
                if !session.queued && session.connection.owes_acknowledgement() {
                    session.queued = true;
                    self.ready.push_back(session.id);
                }
            }
        }
        if self.timers.pass(now) {
            self.on_wheel_due(now);
        }
        if self.trickle_due().is_some_and(|due| due <= now) {
            self.on_trickle_due(now);
        }
        if self.gates_due().is_some_and(|due| due <= now) {
            self.on_gates_due(now);
        }
    }

    #[inline(never)]
    fn on_wheel_due(&mut self, now: Instant) {
        let mut due = core::mem::take(&mut self.due);
        self.timers.expire(now, &mut due);
        for Entry { session, at } in due.drain(..) {
            if self.sessions.fire(session, at) {
                self.on_session_due(session, now);
            }
        }
        self.due = due;
    }

    /// Something may be due for a session, or for its flow.
    fn on_session_due(&mut self, id: SessionId, now: Instant) {
        let number = self.sessions.flow(id);
        if let Some(number) = number
            && let Some(flow) = self.flows.get(number)
            && flow.gap_at().is_some_and(|at| at <= now)
        {
            self.on_gap_due(number, now);
        }
        if self.arm_anew(id, now) {
            self.rest(id, now);
            return;
        }
        let idle_timeout = self.shared.config.idle_timeout;
        let idle = self.with(id, now, |session, ctx| {
            // Being idle is the last of its deadlines.
            let is_due = session.deadline(ctx.flow, idle_timeout) <= now;
            if is_due {
                session.on_deadline(ctx);
            }
            is_due && session.is_idle(ctx)
        });
        if idle == Some(true) {
            self.on_idle(id, now);
        }
        self.rest(id, now);
    }

    /// When [`Engine::on_timeout`] wants to be called next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let never = Instant::from_nanos(u64::MAX);
        let next = never
            .or_earlier(self.timers.next())
            .or_earlier(self.gates_due())
            .or_earlier(self.trickle_due())
            .or_earlier(self.shared.echoes.due());
        (next < never).then_some(next)
    }

    /// Writes the next frame, from its Ethernet header on, into `frame` and returns its length in bytes.
    /// `frame` must hold the largest MTU of all routes plus an Ethernet header, or 1514 bytes, whichever is less;
    /// segments are never larger than the buffer.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, frame: &mut [u8]) -> Option<usize> {
        let id = self.ready.pop_front()?;
        let others = self.ready.len();
        // Nearly always the first of them can.
        let sent = self.transmit_of(id, now, frame);
        if sent.is_some() || others == 0 {
            return sent;
        }
        self.transmit_another(others, now, frame)
    }

    /// A session that wants to send and cannot, into this frame, must not hold up the others or the caller.
    #[cold]
    fn transmit_another(&mut self, others: usize, now: Instant, frame: &mut [u8]) -> Option<usize> {
        for _ in 0..others {
            let id = self.ready.pop_front()?;
            let sent = self.transmit_of(id, now, frame);
            if sent.is_some() {
                return sent;
            }
        }
        None
    }

    /// Writes the next frame of a session that stood in the queue, if it may send one. A function of its own, so that what it
    /// needs is made ready for it alone.
    #[inline(never)]
    fn transmit_of(&mut self, id: SessionId, now: Instant, frame: &mut [u8]) -> Option<usize> {
        let session = self.sessions.wake(id)?;
        if session.held.is_some() {
            // Its number stood here for a session that is gone; this one waits at the gate.
            return None;
        }
        if session.is_opening() && has_to_wait(&self.shared.echoes, &mut self.trickle, now) {
            // It stays queued, so that it stands there once.
            self.unopened.push(id);
            return None;
        }
        session.queued = false;
        let is_last = matches!(session.life, Life::Leaving(_));
        let flow = self.flows.wake(session.flow)?;
        let client = flow.key().client.addr;
        let mut ctx = self.known.lend(&mut self.shared, session.rule, now, flow);
        if !is_last && ctx.target.gate.passes(&client, now) {
            // As nearly all do. It is connected, and ends no turn.
            if session.only_acknowledges(ctx.flow) {
                return session.transmit_acknowledgement(&mut ctx, frame);
            }
            let sent = session.transmit(&mut ctx, frame);
            let idle_timeout = self.shared.config.idle_timeout;
            let (ready, timers) = (&mut self.ready, &mut self.timers);
            settle(session, flow, now, idle_timeout, ready, timers);
            return sent;
        }
        self.transmit_asking(id, now, is_last, frame)
    }

    /// The same of a session that has to ask the gate, or that sends its last segment.
    #[inline(never)]
    fn transmit_asking(
        &mut self,
        id: SessionId,
        now: Instant,
        is_last: bool,
        frame: &mut [u8],
    ) -> Option<usize> {
        if !self.pass_gate(id, now) {
            return None;
        }
        // But for a last segment, after which there is no connection, what it needs stays as it is.
        self.lend_to(id, now, is_last, |session, ctx| {
            session.transmit(ctx, frame)
        })?
    }
}
