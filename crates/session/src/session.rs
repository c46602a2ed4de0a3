//! One session: the player of a captured flow on a connection to the target.
//!
//! | module | holds |
//! |---|---|
//! | `client` | what the client's segments do to it |
//! | `online` | what the online server's segments do to it |
//! | `replies` | what the target's segments and the timers do to it |
//! | `advance` | what may depart, and what is over |
//! | `outcome`, `ending` | how turns end: the table, and what follows |
//! | `told` | the same, where a protocol module reads the flow |
//! | `login` | its own login, where the protocol has one |
//! | `closing`, `losing` | what becomes of a connection that is over, in order or not |
//! | `sending` | what is sent, and how far |
//! | `window`, `pacing` | how much the target may send |
//! | `resting` | what is kept of one that is silent |
//!
//! ```text
//!              connect                           client's end released
//!  Detached -----------> Connected --------------------------------------> Closing ---> Closed
//!     ^                      | refused, silent, closed or reset               (FIN both ways)
//!     +----------------------+ by the target
//! ```

mod advance;
mod client;
mod closing;
mod ending;
mod login;
mod losing;
mod online;
mod outcome;
pub(crate) mod pacing;
mod patience;
mod replies;
pub(crate) mod resting;
mod sending;
mod standing;
mod told;
mod window;

use wire::flow::FlowKey;
use wire::seq::{ClientSeq, LocalSeq, OnlineSeq, TargetSeq};

use crate::config::RuleId;
use crate::connection::{Connection, Offer, Tail};
use crate::context::Context;
use crate::event::{Event, Outcome};
use crate::flow::Flow;
use crate::gate::Ticket;
use crate::id::FlowId;
use crate::id::SessionId;
use crate::limits::{LOGIN_ROOM, OFFERED_MSS_MIN, WINDOW_SCALE};
use crate::nursery::Handshake;
use crate::time::Instant;
use crate::turns::entry::Entry;
use crate::turns::{Playing, Turns};
use crate::wheel::Armed;
use pacing::Pacing;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// There is no connection. The next turn opens one, unless it comes before `retry_at`: then it ends as `outcome`.
    Detached { retry_at: Instant, outcome: Outcome },
    /// The clients' own addresses: an older session still uses this one's.
    Parked,
    /// There is a connection, or one is being made.
    Connected,
    /// Our FIN may leave once everything before it has; `is_last` says that the target's has come already.
    Closing { since: Instant, is_last: bool },
    /// One last segment, a FIN or a RST, is to be sent; the connection is not waited for.
    Leaving(After),
    /// Nothing is copied: every turn ends as this.
    Dead(Outcome),
    /// To be removed.
    Closed,
}

/// What a session is after its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next turn opens another connection: see [`Life::Detached`].
    Detached { retry_at: Instant, outcome: Outcome },
    /// Every turn ends as this.
    Dead(Outcome),
    /// Nothing.
    Closed,
}

impl From<After> for Life {
    fn from(after: After) -> Self {
        match after {
            After::Detached { retry_at, outcome } => Self::Detached { retry_at, outcome },
            After::Dead(outcome) => Self::Dead(outcome),
            After::Closed => Self::Closed,
        }
    }
}

/// What a flow begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beginning {
    /// Its handshake was seen.
    Handshake(Handshake, OnlineSeq),
    /// It was joined at this byte, when the client had seen the online server's bytes up to the second.
    Joined(ClientSeq, OnlineSeq, bool),
}

/// Where a session stands in its flow, as the engine knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stock {
    /// From here on the flow keeps the stream for it.
    pub(crate) kept: u64,
    /// The number of its first turn that has not ended.
    pub(crate) front: u64,
    /// How many turns its flow has had.
    pub(crate) count: u64,
}

impl Stock {
    /// How many of its turns are open.
    pub(crate) fn open(self) -> u64 {
        self.count.saturating_sub(self.front)
    }
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) rule: RuleId,
    /// The captured flow.
    pub(crate) flow: FlowId,
    /// The next session of the same flow: another copy, another rule.
    pub(crate) sibling: Option<SessionId>,
    pub(crate) life: Life,
    /// Whether it is the first of its flow's copies by its rule, by which the flow is counted.
    pub(crate) leads: bool,
    /// Whether bytes wait for the online server's acknowledgement before they leave.
    confirmed_only: bool,
    pub(crate) turns: Turns,
    /// What the engine has taken account of.
    pub(crate) stock: Stock,
    /// Whether turns ended of which no byte was captured.
    unseen: bool,

    pub(crate) connection: Connection,
    /// Where the latest segment ended that looked like the end of a response.
    tail: Option<(TargetSeq, Tail)>,
    pacing: Pacing,

    /// When the release of the next turn is to be decided anew.
    pub(crate) release_at: Option<Instant>,
    /// When its target last said something.
    active_at: Instant,
    /// Whether it has had a connection.
    opened: bool,
    /// Whether the target has accepted one.
    pub(crate) accepted: bool,
    /// Whether the target has answered a turn on the latest connection.
    answered: bool,
    /// Why it was given up, with all that the flow still says.
    pub(crate) given_up: Option<Outcome>,
    reconnects: u8,
    refusals: u8,

    pub(crate) armed: Armed,
    /// The latest time that an acknowledgement was delayed to.
    pub(crate) acknowledges_at: Option<Instant>,
    /// Whether it stands in the engine's queue of sessions that may have something to send.
    pub(crate) queued: bool,
    /// Its ticket, where it waits at the gate.
    pub(crate) held: Option<Ticket>,
}

impl Session {
    /// A session of `flow` without a connection yet; see [`Session::connect`].
    pub(crate) fn new(
        id: SessionId,
        rule: RuleId,
        flow: FlowId,
        beginning: Beginning,
        ctx: &Context<'_>,
    ) -> Self {
        let offer = match beginning {
            Beginning::Handshake(syn, _) => Offer {
                mss: syn.mss.unwrap_or(OFFERED_MSS_MIN).max(OFFERED_MSS_MIN),
                window_scale: syn.window_scale.map(|shift| shift.min(WINDOW_SCALE)),
                sack: syn.sack_permitted,
                timestamps: syn.timestamps,
            },
            Beginning::Joined(_, _, timestamps) => Offer {
                mss: u16::MAX,
                window_scale: Some(WINDOW_SCALE),
                sack: true,
                timestamps,
            },
        };
        let local = FlowKey {
            client: ctx.flow.key().client,
            server: ctx.target.endpoint,
        };
        let mut turns = Turns::new(
            ctx.flow.captured().last_cause(),
            !ctx.shared.config.wait_for_responses,
        );
        if ctx.flow.is_read() {
            let messages = ctx.flow.captured().messages();
            turns.tell(messages.is_some_and(|it| it.logs_in));
        }
        let was_met = matches!(beginning, Beginning::Handshake(syn, _) if syn.online_isn.is_some());
        Self {
            id,
            rule,
            flow,
            sibling: None,
            leads: true,
            life: Life::Detached {
                retry_at: ctx.now,
                outcome: Outcome::Refused,
            },
            confirmed_only: ctx.shared.config.confirmed,
            turns: turns.begun(was_met),
            stock: Stock::default(),
            unseen: false,
            connection: Connection::new(local, offer),
            tail: None,
            pacing: Pacing::default(),
            release_at: None,
            active_at: ctx.now,
            opened: false,
            accepted: false,
            answered: false,
            given_up: None,
            reconnects: 0,
            refusals: 0,
            armed: Armed::default(),
            acknowledges_at: None,
            queued: false,
            held: None,
        }
    }

    /// Opens a connection that begins with the front turn (or with the stream's next byte).
    pub(crate) fn connect(&mut self, ctx: &mut Context<'_>) {
        let last = self.opened.then(|| self.connection.seq_sent() + 1);
        self.connect_after(last, ctx);
    }

    /// The same where the source last sent `last`. A pool remembers that itself; nobody does for the clients' own
    /// addresses, but what has just been sent from them must not be sent again with another meaning.
    pub(crate) fn connect_after(&mut self, last: Option<LocalSeq>, ctx: &mut Context<'_>) {
        if let Some(retry_at) = ctx.target.gate.refuses_until(ctx.now) {
            ctx.shared.counters.sessions_withheld += 1;
            self.doom_waiting(Outcome::Refused, ctx);
            let outcome = Outcome::Refused;
            self.life = Life::Detached { retry_at, outcome };
            return;
        }
        let Some(lease) = ctx.lease(ctx.flow.key().client) else {
            if ctx.target.pool.is_none() {
                self.life = Life::Parked;
            } else {
                let collided = Outcome::Collision;
                // Once per session, however many of its turns find no port.
                let again =
                    matches!(self.life, Life::Detached { outcome, .. } if outcome == collided);
                ctx.shared.counters.sessions_collided += u64::from(!again);
                self.doom_waiting(collided, ctx);
                let (retry_at, outcome) = (ctx.now, collided);
                self.life = Life::Detached { retry_at, outcome };
            }
            return;
        };
        let logs_in = self.turns.entry().is_some_and(Entry::logs_in);
        let base = self.unplayed(ctx.flow) - if logs_in { LOGIN_ROOM } else { 0 };
        self.connection.set_source(lease.endpoint);
        let last = lease.last_seq.or(last);
        let iss = ctx.shared.clock.isn(ctx.now, self.connection.local(), last);
        let window = u16::try_from(ctx.shared.config.reply_slack).unwrap_or(u16::MAX);
        let mtu = ctx.target.path.mtu(ctx.now);
        self.connection.open(iss, base, mtu, window);
        ctx.restart_sample(self.id);
        (self.release_at, self.tail) = (None, None);
        if self.opened || base > 0 && !logs_in {
            self.playing_mut(ctx.flow).begin_anew();
        }
        self.opened = true;
        self.answered = false;
        self.life = Life::Connected;
        ctx.shared.by_local.insert(self.connection.local(), self.id);
        ctx.shared.events.push_back(Event::SessionOpened {
            rule: self.rule,
            flow: *self.connection.local(),
        });
    }

    /// From our source to the target; the source means something only while there is a connection.
    pub(crate) fn local(&self) -> &FlowKey {
        self.connection.local()
    }

    /// Whether there is a connection, and with it a source that is in use.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(
            self.life,
            Life::Connected | Life::Closing { .. } | Life::Leaving(_)
        )
    }

    /// Forgets the connection and gives its source back.
    fn disconnect(&mut self, ctx: &mut Context<'_>) {
        if self.is_connected() {
            let local = *self.connection.local();
            ctx.release(self.id, local, self.connection.seq_sent() + 1);
            ctx.shared.events.push_back(Event::SessionClosed {
                rule: self.rule,
                flow: local,
                without_turn: self.is_without_turn(ctx.flow),
            });
        }
        self.connection.close();
    }

    /// Its turns, together with what was captured of them.
    pub(crate) fn playing<'t, 'a>(&'t self, flow: &'a Flow) -> Playing<'a, &'t Turns> {
        self.turns.of(flow.captured())
    }

    /// The same, to change them.
    fn playing_mut<'t, 'a>(&'t mut self, flow: &'a Flow) -> Playing<'a, &'t mut Turns> {
        self.turns.of_mut(flow.captured())
    }

    /// Whether the flow had nothing to copy.
    pub(crate) fn is_without_turn(&self, flow: &Flow) -> bool {
        flow.captured().count() == 0 && !self.unseen
    }

    /// Where the first turn begins that is to be sent, or may have to be sent again.
    fn unplayed(&self, flow: &Flow) -> u64 {
        let first = self.playing(flow).first_kept();
        first.map_or(flow.end(), |turn| turn.start)
    }

    /// From here on the stream is still of use.
    #[inline(always)]
    pub(crate) fn keeps_from(&self, flow: &Flow) -> u64 {
        match self.life {
            Life::Connected | Life::Closing { .. } if self.is_entering() => self.unplayed(flow),
            Life::Connected | Life::Closing { .. } => self.connection.una().min(flow.end()),
            _ => self.keeps_unconnected(flow),
        }
    }

    fn keeps_unconnected(&self, flow: &Flow) -> u64 {
        match self.life {
            Life::Detached { .. } | Life::Parked | Life::Leaving(After::Detached { .. }) => {
                self.unplayed(flow)
            }
            _ => flow.end(),
        }
    }

    /// How a turn ends that begins now, if it will not be sent.
    fn fate_of_new(&self, now: Instant) -> Option<Outcome> {
        match self.life {
            Life::Dead(outcome) | Life::Leaving(After::Dead(outcome)) => Some(outcome),
            Life::Detached { retry_at, outcome }
            | Life::Leaving(After::Detached { retry_at, outcome })
                if now < retry_at =>
            {
                Some(outcome)
            }
            _ => None,
        }
    }

    /// Whether it has no use for what the client says next.
    pub(crate) fn is_deaf(&self, flow: &Flow, now: Instant) -> bool {
        self.fate_of_new(now).is_some() && self.keeps_from(flow) == flow.end()
    }

    /// When anybody last said something.
    pub(crate) fn active_at(&self, flow: &Flow) -> Instant {
        self.active_at.max(flow.active_at())
    }
}
