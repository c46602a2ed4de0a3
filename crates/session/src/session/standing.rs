//! How a session stands before the gate of its target: what it asks, and what it tells the gate.

use wire::segment::Segment;
use wire::seq::LocalSeq;
use wire::tcp::Flags;

use super::{After, Life, Session};
use crate::context::Context;
use crate::event::Outcome;
use crate::flow::Flow;
use crate::gate::{Need, News, Reply};

impl Session {
    /// What it wants to send.
    pub(crate) fn need(&self, flow: &Flow) -> Need {
        match self.life {
            Life::Leaving(_) if self.connection.leaves_by_reset() => Need::Reset,
            // It is not there any more to take the answer.
            Life::Leaving(_) => Need::Nothing,
            _ if self.connection.is_synchronized()
                && !self.connection.wants_answer(|| self.reach(flow)) =>
            {
                Need::Nothing
            }
            _ => Need::Answer,
        }
    }

    /// A last FIN, whose answer may go astray and is not waited for, is a RST.
    pub(crate) fn leave_unanswered(&mut self) {
        self.connection.leave_unanswered();
    }

    /// The gate hears of a reply. Returns whether that opened the session's lane.
    pub(crate) fn tell_gate(&self, segment: &Segment, ctx: &mut Context<'_>) -> bool {
        let is_connecting = self.connection.is_opening();
        let reply = match segment.flags {
            flags if flags.contains(Flags::SYN) && is_connecting => Reply::Accepts,
            flags if flags.contains(Flags::SYN) => Reply::AcceptsAgain,
            // Anybody can guess that much of a reset.
            flags
                if flags.contains(Flags::RST)
                    && is_connecting
                    && LocalSeq::new(segment.ack) != self.connection.iss() + 1 =>
            {
                return false;
            }
            _ => Reply::Word,
        };
        let mut news = News {
            counters: &mut ctx.shared.counters,
            events: &mut ctx.shared.events,
        };
        let client = &ctx.flow.key().client.addr;
        ctx.target.gate.on_reply(client, reply, ctx.now, &mut news)
    }

    /// Where its lane is not open yet, a connection that has just been accepted asks for a word at once: its client may
    /// not speak for long.
    pub(crate) fn knock(&mut self, segment: &Segment, ctx: &Context<'_>) {
        let is_accepted = segment.flags.contains(Flags::SYN)
            && self.life == Life::Connected
            && self.connection.is_synchronized();
        self.accepted |= is_accepted;
        if is_accepted && !ctx.target.gate.is_open(&ctx.flow.key().client.addr) {
            self.connection.knock();
        }
    }

    /// The lane has given up to wait for this session's answer. A connection that is not there yet is taken back before
    /// the target sends its SYN-ACK again, to whom it may concern, and made anew when it is asked next.
    pub(crate) fn on_probe_failed(&mut self, ctx: &mut Context<'_>) {
        if ctx.shared.config.prove_path && self.connection.awaits_answer_to_syn() {
            let then = After::Detached {
                retry_at: ctx.now,
                outcome: Outcome::Refused,
            };
            // Where no connection ever stood, a greeting is still to be waited for.
            self.opened &= self.accepted;
            self.part(Flags::RST, then, ctx);
        }
    }
}
