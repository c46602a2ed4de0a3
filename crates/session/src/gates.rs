//! How sessions stand before the gates of their targets: who may send, who waits, who is tried.
//!
//! A session that has to wait keeps the ticket that its gate gave it; a number in a queue whose ticket is another's is of a
//! session that has gone. Only this file writes to [`Session::held`].

use wire::flow::Addr;
use wire::segment::Segment;
use wire::seq::LocalSeq;
use wire::tcp::Flags;

use crate::context::{Context, SessionId};
use crate::engine::Engine;
use crate::event::Outcome;
use crate::gate::{Due, Held, Need, News, Pass, Reply};
use crate::session::{After, Session, State};
use crate::time::Instant;

/// Most sessions of a lane that are asked whether they have something to say that a target answers, at a time.
const ASKED_MAX: usize = 64;

impl Engine {
    /// Whether session `id`, which wants to send, may. Where it may not it waits, or ends.
    pub(crate) fn pass_gate(&mut self, id: SessionId, now: Instant) -> bool {
        let Some(session) = self.sessions.wake(id) else {
            return false;
        };
        let client = session.flow.client.addr;
        let shared = &mut self.shared;
        let target = &mut shared.targets[shared.target_of[usize::from(session.rule.0)]];
        if !target.gate.is_open(&client) && !session.wants_to_send() {
            // A probe must not be wasted on a session that has changed its mind.
            target.gate.on_changed_mind(&client, now);
            return false;
        }
        if shared.config.prove_path && !target.gate.is_open(&client) {
            session.leave_unanswered();
        }
        let mut news = News {
            counters: &mut shared.counters,
            events: &mut shared.events,
        };
        match target
            .gate
            .pass(&client, id, session.need(), now, &mut news)
        {
            Pass::Yes => true,
            Pass::Hold(ticket) => {
                (session.queued, session.held) = (true, Some(ticket));
                false
            }
            Pass::Full => {
                self.with(id, now, |session, ctx| session.give_up(Outcome::Shed, ctx));
                false
            }
        }
    }

    /// The lane of a client, or any lane, of a target opened, or might have: its sessions try again.
    pub(crate) fn let_in(&mut self, target: usize, client: Option<&Addr>) {
        for held in self.shared.targets[target].gate.take_released(client) {
            self.release(held);
        }
    }

    /// Takes a session from those that wait. Returns whether it is still there.
    fn release(&mut self, held: Held) -> bool {
        let waits = self
            .sessions
            .wake(held.id)
            .filter(|session| session.held == Some(held.ticket));
        let Some(session) = waits else {
            return false;
        };
        session.held = None;
        self.ready.push_back(held.id);
        true
    }

    /// Does what is due at the gates.
    pub(crate) fn on_gates_due(&mut self, now: Instant) {
        for target in 0..self.shared.targets.len() {
            loop {
                let shared = &mut self.shared;
                let mut news = News {
                    counters: &mut shared.counters,
                    events: &mut shared.events,
                };
                match shared.targets[target].gate.expire(now, &mut news) {
                    None => break,
                    Some(Due::Try(lane)) => self.try_one(target, lane),
                    Some(Due::Failed(id)) => {
                        self.with(id, now, Session::on_probe_failed);
                    }
                }
            }
        }
    }

    /// Lets one session of a lane ask: it is the probe. Where none of the next few has a question, one of them is let say
    /// what it has to say, but for where that would reach a real client.
    fn try_one(&mut self, target: usize, lane: u32) {
        let prove = self.shared.config.prove_path;
        for asked in 0..=ASKED_MAX {
            let Some(held) = self.shared.targets[target].gate.take_held(lane) else {
                return;
            };
            let session = self.sessions.get(held.id);
            let Some(session) = session.filter(|session| session.held == Some(held.ticket)) else {
                self.shared.targets[target].gate.on_gone(lane);
                continue;
            };
            let waits_on = match session.need() {
                _ if !session.wants_to_send() => false,
                Need::Answer => false,
                Need::Reset if prove => false,
                Need::Nothing if prove => true,
                Need::Reset | Need::Nothing => asked < ASKED_MAX,
            };
            if waits_on {
                self.shared.targets[target].gate.put_back(lane, held);
            } else if self.release(held) {
                return;
            }
        }
    }

    /// When something is due at a gate.
    pub(crate) fn gates_due(&self) -> Option<Instant> {
        let targets = self.shared.targets.iter();
        targets.filter_map(|target| target.gate.next_due()).min()
    }

    /// A session is gone.
    pub(crate) fn leave_gate(&mut self, session: &Session, now: Instant) {
        let client = session.flow.client.addr;
        let shared = &mut self.shared;
        let gate = &mut shared.targets[shared.target_of[usize::from(session.rule.0)]].gate;
        let mut news = News {
            counters: &mut shared.counters,
            events: &mut shared.events,
        };
        gate.on_left(&client, session.id, now, &mut news);
        if session.held.is_none() {
            return;
        }
        let sessions = &self.sessions;
        let is_waiting = |held: &Held| {
            sessions
                .get(held.id)
                .is_some_and(|session| session.held == Some(held.ticket))
        };
        gate.on_left_waiting(&client, now, is_waiting);
    }
}

impl Session {
    /// What it wants to send.
    pub(crate) fn need(&self) -> Need {
        match self.state {
            State::Parting { with, .. } if with.contains(Flags::RST) => Need::Reset,
            // It is not there any more to take the answer.
            State::Parting { .. } => Need::Nothing,
            State::Established | State::Closing { .. } => {
                let data = self
                    .send
                    .sendable(self.send_limit(), u32::from(self.send.mss()));
                if data.is_some() || self.knocks {
                    Need::Answer
                } else {
                    Need::Nothing
                }
            }
            _ => Need::Answer,
        }
    }

    /// A last FIN, whose answer may go astray and is not waited for, is a RST.
    fn leave_unanswered(&mut self) {
        if let State::Parting { with, .. } = &mut self.state
            && with.contains(Flags::FIN)
        {
            *with = Flags::RST.with(Flags::ACK);
        }
    }

    /// The gate hears of a reply. Returns whether that opened the session's lane.
    pub(crate) fn tell_gate(&self, segment: &Segment, ctx: &mut Context<'_>) -> bool {
        let is_connecting = matches!(self.state, State::SynSent { .. });
        let reply = match segment.flags {
            flags if flags.contains(Flags::SYN) && is_connecting => Reply::Accepts,
            flags if flags.contains(Flags::SYN) => Reply::AcceptsAgain,
            // Anybody can guess that much of a reset.
            flags
                if flags.contains(Flags::RST)
                    && is_connecting
                    && LocalSeq::new(segment.ack) != self.send.iss() + 1 =>
            {
                return false;
            }
            _ => Reply::Word,
        };
        let mut news = News {
            counters: ctx.counters,
            events: ctx.events,
        };
        let client = &self.flow.client.addr;
        ctx.target.gate.on_reply(client, reply, ctx.now, &mut news)
    }

    /// Where its lane is not open yet, a connection that has just been accepted asks for a word at once: its client may
    /// not speak for long.
    pub(crate) fn knock(&mut self, segment: &Segment, ctx: &Context<'_>) {
        let is_accepted = segment.flags.contains(Flags::SYN) && self.state == State::Established;
        self.accepted |= is_accepted;
        self.knocks |= is_accepted && !ctx.target.gate.is_open(&self.flow.client.addr);
    }

    /// The lane has given up to wait for this session's answer. A connection that is not there yet is taken back before
    /// the target sends its SYN-ACK again, to whom it may concern, and made anew when it is asked next.
    pub(crate) fn on_probe_failed(&mut self, ctx: &mut Context<'_>) {
        if ctx.config.prove_path && matches!(self.state, State::SynSent { due: false }) {
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
