//! How sessions are opened: who may have one, and how many at a time.

use protocol::Opening;
use wire::flow::FlowKey;
use wire::segment::Segment;
use wire::tcp::Flags;

use super::Engine;
use crate::config::{RuleId, Source};
use crate::flow::Flow;
use crate::flow::advertised::Advertised;
use crate::id::{FlowId, SessionId};
use crate::running::Why;
use crate::session::{Beginning, Session};
use crate::time::Instant;

/// Of a second.
const NANOS: u64 = 1_000_000_000;

impl Engine {
    /// Opens the sessions of a flow: one per rule and copy, which log in as `opening` says where the flow's own beginning was not seen.
    /// Returns the flow, or why there is none; nothing where no rule asks for one.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        flow: FlowKey,
        beginning: Beginning,
        mut rules: Vec<RuleId>,
        opening: Option<Opening>,
    ) -> Result<FlowId, Option<Why>> {
        let joined = matches!(beginning, Beginning::Joined(..));
        if rules.is_empty() {
            return Err(None);
        }
        if self.shared.config.source == Source::Clients {
            // A client of the other address family has no address that the target could answer to.
            let named = self.weight_of(rules.iter().copied());
            let v4 = flow.client.addr.is_v4();
            let all = &self.shared.config.rules;
            rules.retain(|rule| all[usize::from(rule.0)].target.addr.is_v4() == v4);
            let foreign = named - self.weight_of(rules.iter().copied());
            self.shared.counters.sessions_foreign += u64::from(foreign);
        }
        if rules.is_empty() {
            return Err(Some(Why::Foreign));
        }
        if self.is_ours(&flow) {
            self.shared.counters.flows_from_target += 1;
            return Err(Some(Why::FromTarget));
        }
        if let Beginning::Handshake(handshake, _) = beginning
            && handshake.is_subflow
        {
            // What the client says is cut into pieces that travel by several paths: none of them means anything alone.
            self.shared.counters.left_out_subflows += u64::from(self.weight(&flow));
            return Err(Some(Why::Subflow));
        }
        let sessions = self.weight_of(rules.iter().copied());
        if !self.may_open(now, sessions.into()) {
            return Err(Some(Why::Shed));
        }
        self.nursery.remove(&flow);
        let advertised = match beginning {
            Beginning::Handshake(syn, _) => syn.advertised,
            Beginning::Joined(..) => Advertised::unknown(),
        };
        let (first, cause) = match beginning {
            Beginning::Handshake(syn, online_isn) => (syn.isn + 1, online_isn + 1),
            Beginning::Joined(first, cause, _) => (first, cause),
        };
        let mut new = Flow::new(flow, first, cause, joined, now);
        *new.advertised() = advertised;
        let modules = &self.shared.config.rules;
        let module = rules
            .first()
            .and_then(|rule| modules[usize::from(rule.0)].module.as_ref());
        if let Some(module) = module {
            new.read_by(module, opening, &self.shared.config);
        }
        let id = self.flows.insert(new);
        self.by_flow.insert(&flow, id);
        self.unconfirmed += u32::from(!joined);
        for rule in rules {
            for copy in 0..self.copies_of(rule) {
                self.insert(now, rule, id, beginning, copy == 0);
                self.shared.counters.sessions_joined += u64::from(joined);
            }
        }
        Ok(id)
    }

    /// Whether a flow comes from a target, or from where our own sessions come: what is copied would cause it, for ever. Where
    /// a host talks to itself the address says nothing.
    fn is_ours(&self, flow: &FlowKey) -> bool {
        let client = &flow.client;
        if client.addr == flow.server.addr || client.addr.is_loopback() {
            return false;
        }
        let config = &self.shared.config;
        let is_source = match &config.source {
            Source::Clients => false,
            Source::Pool {
                ranges,
                excluded_ports,
            } => {
                ranges.iter().any(|range| range.contains(client))
                    && !excluded_ports.contains(&client.port)
            }
        };
        let mut targets = config.rules.iter().map(|rule| &rule.target.addr);
        is_source || targets.any(|target| *target == client.addr)
    }

    pub(crate) fn may_open(&mut self, now: Instant, copies: u64) -> bool {
        let config = &self.shared.config;
        let crowded = self.live + copies > u64::from(config.sessions_max)
            || self.shared.arena.used() > config.payload_bytes_max / 8 * 7;
        if crowded || !self.admitting {
            return false;
        }
        let Some(max) = config.sessions_per_second_max else {
            return true;
        };
        let second = now.as_nanos() / NANOS;
        if self.rate.0 != second {
            self.rate = (second, 0);
        }
        let copies = u32::try_from(copies).unwrap_or(u32::MAX);
        if self.rate.1.saturating_add(copies) > max {
            return false;
        }
        self.rate.1 += copies;
        true
    }

    /// From when on `sessions_per_second_max` has room for the sessions that a client's packet, or the online server's, may open: `now`, or
    /// the next second where those of this one are spent. For who can wait, as a file can: live clients cannot. Where a flow has more
    /// sessions than a second allows there is never room, and nothing to wait for.
    #[must_use]
    pub fn room_from(&self, now: Instant, packet: &[u8], is_client: bool) -> Instant {
        let Some(max) = self.shared.config.sessions_per_second_max else {
            return now;
        };
        let second = now.as_nanos() / NANOS;
        let spent = match self.rate {
            (of, spent) if of == second => spent,
            _ => 0,
        };
        if spent == 0 {
            return now;
        }
        let Ok(segment) = Segment::parse(packet, 0) else {
            return now;
        };
        let (source, destination) = (segment.source, segment.destination);
        let (client, server) = if is_client {
            (source, destination)
        } else {
            (destination, source)
        };
        let flow = FlowKey { client, server };
        // A port that is used again is a flow that is new, whatever is still known of the old one.
        if self.flow_of(&flow).is_some() && !segment.flags.contains(Flags::SYN) {
            return now;
        }
        let wanted = self.weight(&flow);
        if wanted > max || spent.saturating_add(wanted) <= max {
            return now;
        }
        Instant::from_nanos((second + 1) * NANOS)
    }

    pub(crate) fn insert(
        &mut self,
        now: Instant,
        rule: RuleId,
        number: FlowId,
        beginning: Beginning,
        leads: bool,
    ) {
        let Some(flow) = self.flows.wake(number) else {
            return;
        };
        let sibling = flow.head;
        let ctx = self.known.lend(&mut self.shared, rule, now, flow);
        let id: SessionId = self.sessions.insert(|id| {
            let mut session = Session::new(id, rule, number, beginning, &ctx);
            (session.sibling, session.leads) = (sibling, leads);
            session
        });
        ctx.flow.add(id);
        self.live += 1;
        self.shared.counters.sessions_begun += 1;
        self.with(id, now, Session::connect);
    }
}
