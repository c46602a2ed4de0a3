//! What a session needs from its engine while it handles one input: the shared tables of the worker, lent for the
//! length of a call.

use std::collections::VecDeque;

use protocol::Credentials;
use protocol::login::Seeds;
use wire::flow::{Endpoint, FlowKey};
use wire::seq::{LocalSeq, OnlineSeq, TargetSeq};

use crate::arena::Arena;
use crate::config::Config;
use crate::echo::Echoes;
use crate::event::{Counters, Event};
use crate::flow::Flow;
use crate::gate::{Gate, Ticket};
pub(crate) use crate::id::SessionId;
use crate::index::Index;
use crate::inflow::Inflow;
use crate::path::Path;
use crate::pool::{Lease, Pool};
use crate::sample::Sampler;
use crate::time::Instant;
use crate::tuning::RuleTuning;
use crate::turns::Habits;

/// What is known of a target, and shared by all sessions to it.
#[derive(Debug)]
pub(crate) struct TargetState {
    pub(crate) endpoint: Endpoint,
    pub(crate) gate: Gate,
    /// `None` with the clients' own addresses.
    pub(crate) pool: Option<Pool>,
    pub(crate) path: Path,
}

/// The clocks that a session's numbers come from. Both go on where a run before stopped, because they derive from the
/// wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Wall clock minus monotonic clock, in nanoseconds.
    offset: u64,
}

impl Clock {
    pub(crate) fn new(unix_nanos: u64, now: Instant) -> Self {
        Self {
            offset: unix_nanos.wrapping_sub(now.as_nanos()),
        }
    }

    /// TSval: milliseconds (RFC 7323 section 5.4 asks for 1 ms to 1 s).
    pub(crate) fn timestamp(self, now: Instant) -> u32 {
        (now.as_nanos().wrapping_add(self.offset) / 1_000_000) as u32
    }

    /// An ISN by RFC 6528: a clock of 4 us plus a hash of the connection, and beyond whatever was sent before from
    /// the same endpoint. The hash is not keyed: it spreads connections, it keeps no secret.
    pub(crate) fn isn(self, now: Instant, flow: &FlowKey, last: Option<LocalSeq>) -> LocalSeq {
        let ticks = (now.as_nanos().wrapping_add(self.offset) / 4_000) as u32;
        let isn = LocalSeq::new(ticks.wrapping_add(flow.hash(0x6973_6e00)));
        last.map_or(isn, |last| isn.max(last + 1))
    }
}

/// What all sessions of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Until when everything that was seen has been taken: where a worker had to wait for its processor, later than that a target may
    /// well have spoken. A silence is measured up to here, and not up to now.
    pub(crate) seen: Instant,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) arena: Arena,
    pub(crate) counters: Counters,
    pub(crate) events: VecDeque<Event>,
    pub(crate) by_local: Index,
    /// Sources of clients that came free, and what was last sent from them.
    pub(crate) unparked: Vec<(FlowKey, LocalSeq)>,
    pub(crate) samples: Option<Box<Sampler>>,
    /// Whether an event says that the online server has sent something.
    pub(crate) tells_of_online: bool,
    pub(crate) inflow: Inflow,
    pub(crate) echoes: Echoes,
    /// What is known of users' passwords, and what logins have found out.
    pub(crate) credentials: Credentials,
    pub(crate) seeds: Seeds,
    /// The latest ticket of a session that waits at a gate.
    pub(crate) ticket: Ticket,
}

/// What is known of a rule, and shared by all sessions by it.
#[derive(Debug)]
pub(crate) struct RuleState {
    pub(crate) habits: Habits,
    /// What may change while the engine runs.
    pub(crate) tuning: RuleTuning,
    /// Its target.
    pub(crate) target: usize,
    /// How many joined flows its target has ended where the online server went on.
    pub(crate) joins_refused: u32,
    /// How many connections of joined flows in a row its target has ended before it had answered any of their turns;
    /// of a flow's copies only the first counts.
    pub(crate) joins_unanswered: u32,
}

/// Everything that is lent: few references, since it is made for each input.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    /// The session's flow.
    pub(crate) flow: &'a mut Flow,
    pub(crate) shared: &'a mut Shared,
    pub(crate) rule: &'a mut RuleState,
    pub(crate) target: &'a mut TargetState,
    /// The clients' own addresses: whether another session uses this one's.
    pub(crate) source_taken: bool,
}

impl Context<'_> {
    /// Until when no turn may depart that has not departed yet, where that is so now.
    #[inline]
    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.shared.echoes.held_until(self.now)
    }

    /// A source for a new connection of `client`'s flow, or `None` where there is none now.
    pub(crate) fn lease(&mut self, client: Endpoint) -> Option<Lease> {
        match &mut self.target.pool {
            Some(pool) => {
                let (lease, is_astray) = pool.allocate_for(&client.addr)?;
                self.shared.counters.sessions_astray += u64::from(is_astray);
                Some(lease)
            }
            None => (!self.source_taken).then_some(Lease {
                endpoint: client,
                last_seq: None,
            }),
        }
    }

    /// Gives a session's source back.
    pub(crate) fn release(&mut self, id: SessionId, flow: FlowKey, last_seq: LocalSeq) {
        self.shared.by_local.remove(&flow, id);
        match &mut self.target.pool {
            Some(pool) => pool.free(flow.client, last_seq),
            None => self.shared.unparked.push((flow, last_seq)),
        }
    }
}

impl Context<'_> {
    /// The online server sent payload from `seq` on; its bytes up to `before` were known, and those behind answer the turn
    /// that begins at `answered`.
    #[inline]
    pub(crate) fn sample_online(
        &mut self,
        id: SessionId,
        seq: OnlineSeq,
        before: OnlineSeq,
        answered: Option<u64>,
    ) {
        if let Some(samples) = self.shared.samples.as_deref_mut() {
            samples.on_online(id, seq, answered.map(|turn| (turn, before)));
        }
    }

    /// The target sent payload from `seq` on; where its response begins, unless it had begun before.
    #[inline]
    pub(crate) fn sample_target(
        &mut self,
        id: SessionId,
        seq: TargetSeq,
        begins: Option<TargetSeq>,
    ) {
        if let Some(samples) = self.shared.samples.as_deref_mut() {
            samples.on_target(id, seq, begins);
        }
    }

    /// The session begins another connection.
    pub(crate) fn restart_sample(&mut self, id: SessionId) {
        if let Some(samples) = self.shared.samples.as_deref_mut() {
            samples.restart(id);
        }
    }
}
