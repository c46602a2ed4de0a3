//! How sessions stand before the gates of their targets: who may send, who waits, who is tried.
//!
//! A session that has to wait keeps the ticket that its gate gave it; a number in a queue whose ticket is another's is of a
//! session that has gone. Only this file writes to [`Session::held`].

use wire::flow::Addr;

use super::Engine;
use crate::event::Outcome;
use crate::gate::{Due, Held, Need, News, Pass};
use crate::id::SessionId;
use crate::session::Session;
use crate::time::Instant;

/// Most sessions of a lane that are asked whether they have something to say that a target answers, at a time.
const ASKED_MAX: usize = 64;

impl Engine {
    /// Whether session `id`, which wants to send, may. Where it may not it waits, or ends.
    pub(crate) fn pass_gate(&mut self, id: SessionId, now: Instant) -> bool {
        let Some(session) = self.sessions.wake(id) else {
            return false;
        };
        let Some(flow) = self.flows.get(session.flow) else {
            return false;
        };
        let client = flow.key().client.addr;
        let shared = &mut self.shared;
        let target = self.known.target_mut(session.rule);
        if !target.gate.is_open(&client) && !session.wants_to_send(flow) {
            // A probe must not be wasted on a session that has changed its mind.
            target.gate.on_changed_mind(&client, now);
            return false;
        }
        if shared.config.prove_path && !target.gate.is_open(&client) {
            session.leave_unanswered();
        }
        // One number for all gates: a session that is gone must not be taken for one of another target in the same place.
        let ticket = shared.ticket.checked_add(1).unwrap_or(1);
        let asks = Held { id, ticket };
        let mut news = News {
            counters: &mut shared.counters,
            events: &mut shared.events,
        };
        match target
            .gate
            .pass(&client, asks, session.need(flow), now, &mut news)
        {
            Pass::Yes => true,
            Pass::Hold => {
                shared.ticket = ticket;
                (session.queued, session.held) = (true, Some(ticket));
                if self.finished > 0 {
                    // There will be no time to wait for it.
                    self.with(id, now, Session::leave_unsent);
                }
                false
            }
            Pass::Full => {
                let number = session.flow;
                if flow.sessions > 1 {
                    self.with(id, now, |session, ctx| session.give_up(Outcome::Shed, ctx));
                } else {
                    self.shed_flow(number, now);
                }
                false
            }
        }
    }

    /// The lane of a client, or any lane, of a target opened, or might have: its sessions try again.
    pub(crate) fn let_in(&mut self, target: usize, client: Option<&Addr>) {
        for held in self.known.targets[target].gate.take_released(client) {
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
        for target in 0..self.known.targets.len() {
            loop {
                let shared = &mut self.shared;
                let mut news = News {
                    counters: &mut shared.counters,
                    events: &mut shared.events,
                };
                match self.known.targets[target].gate.expire(now, &mut news) {
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
            let Some(held) = self.known.targets[target].gate.take_held(lane) else {
                return;
            };
            let session = self.sessions.get(held.id);
            let Some(session) = session.filter(|session| session.held == Some(held.ticket)) else {
                self.known.targets[target].gate.on_gone(lane);
                continue;
            };
            let Some(flow) = self.flows.get(session.flow) else {
                continue;
            };
            let waits_on = match session.need(flow) {
                _ if !session.wants_to_send(flow) => false,
                Need::Answer => false,
                Need::Reset if prove => false,
                Need::Nothing if prove => true,
                Need::Reset | Need::Nothing => asked < ASKED_MAX,
            };
            if waits_on {
                self.known.targets[target].gate.put_back(lane, held);
            } else if self.release(held) {
                return;
            }
        }
    }

    /// When something is due at a gate.
    pub(crate) fn gates_due(&self) -> Option<Instant> {
        let targets = self.known.targets.iter();
        targets.filter_map(|target| target.gate.next_due()).min()
    }

    /// A session is gone.
    pub(crate) fn leave_gate(&mut self, session: &Session, now: Instant) {
        let Some(flow) = self.flows.get(session.flow) else {
            return;
        };
        let client = flow.key().client.addr;
        let shared = &mut self.shared;
        let gate = &mut self.known.target_mut(session.rule).gate;
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
