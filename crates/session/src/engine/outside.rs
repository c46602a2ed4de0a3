//! What is told of flows that have no session: every byte of them is counted, once per session that they would have had, either
//! in a turn that was missed or among what was left out for a reason.

use wire::flow::{Addr, Endpoint, FlowKey};
use wire::seq::{ClientSeq, OnlineSeq};

use super::Engine;
use crate::config::{Join, RuleId};
use crate::event::{Event, Outcome, TurnEnded};
use crate::holes::Holes;
use crate::limits::{JOINS_REFUSED_MAX, START_GRACE};
use crate::nursery::Infant;
use crate::running::{LastAnswer, Running, Seen, Why};
use crate::time::Instant;

/// A copied flow whose session ended before the flow did.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) flow: FlowKey,
    pub(crate) why: Why,
    /// Where the client's bytes end that are accounted for.
    pub(crate) next: ClientSeq,
    /// What the online server had acknowledged.
    pub(crate) acknowledged: Option<ClientSeq>,
    /// What its client had seen of the online server when it began its last turn.
    pub(crate) seen: OnlineSeq,
    /// Where all of the client's bytes were copied: the cause of its last turn, and how that was answered.
    pub(crate) whole: Option<(OnlineSeq, LastAnswer)>,
    /// What of the bytes before that has not come.
    pub(crate) holes: Holes,
    /// Whether its client had said nothing yet.
    pub(crate) unbegun: bool,
    /// Whether the online server spoke before the client.
    pub(crate) greeted: bool,
}

impl Engine {
    /// The rules that copy a flow: those that name its service and have it in their sample.
    pub(crate) fn rules_of(&self, flow: &FlowKey) -> impl Iterator<Item = RuleId> + '_ {
        self.rules_for(flow).filter(self.is_sampled(flow))
    }

    /// The rules that name a flow's service: by its address, or where none does, by its port alone.
    pub(crate) fn rules_for(&self, flow: &FlowKey) -> impl Iterator<Item = RuleId> + '_ {
        let any = Endpoint::new(Addr::UNSPECIFIED, flow.server.port);
        let rules = &self.shared.config.rules;
        let server = if rules.iter().any(|rule| rule.online == flow.server) {
            flow.server
        } else {
            any
        };
        let named = move |index: &RuleId| rules[usize::from(index.0)].online == server;
        (0..)
            .zip(rules)
            .map(|(index, _)| RuleId(index))
            .filter(named)
    }

    /// How many sessions a flow has, where it is copied.
    pub(crate) fn weight(&self, flow: &FlowKey) -> u32 {
        self.weight_of(self.rules_of(flow))
    }

    /// The same by these rules.
    pub(crate) fn weight_of(&self, rules: impl Iterator<Item = RuleId>) -> u32 {
        rules
            .map(|rule| u32::from(self.copies_of(rule)))
            .fold(0, u32::saturating_add)
    }

    /// Why a flow of whose handshake one side was not seen is not copied: right after the start that side was seen by nobody yet.
    pub(crate) fn why_unmet(&self, now: Instant) -> Why {
        let early = self
            .first_packet_at
            .is_none_or(|first| now.since(first) < START_GRACE);
        if early { Why::OpenBefore } else { Why::Missed }
    }

    /// Remembers a flow that runs without a session.
    pub(crate) fn put_running(&mut self, now: Instant, flow: FlowKey, running: Running) {
        if running.weight > 0 {
            self.put_infant(now, flow, Infant::Running(running));
        }
    }

    /// A flow that was copied has lost its session: what it asks before it is joined again is missed, or left out for the reason
    /// that it was not copied for.
    pub(crate) fn put_lost(&mut self, now: Instant, lost: Lost) {
        let weight = self.weight(&lost.flow);
        let mut running = Running::new(lost.why, weight)
            .answered(lost.acknowledged)
            .greeted(lost.greeted)
            .having_seen(lost.seen)
            .with_holes(lost.holes);
        running = match lost.whole {
            Some((cause, _)) if lost.unbegun => running.unbegun(lost.next, cause),
            Some((cause, answer)) => running.copied_up_to(lost.next, cause, answer),
            None => running.seen_up_to(lost.next),
        };
        match self.nursery.get(&lost.flow, now) {
            // Its port is used again already, and the answer to that is still to come, or has come.
            Some(Infant::Syn(handshake, _, before)) => {
                let answered = handshake.online_isn.is_some();
                *before = (!answered && weight > 0).then(|| Box::new(Infant::Running(running)));
            }
            _ => self.put_running(now, lost.flow, running),
        }
    }

    /// A turn was answered online of which no byte was captured: it is a turn all the same, once per copy.
    pub(crate) fn count_unseen(&mut self, flow: &FlowKey) {
        self.miss(flow, true, 0);
    }

    fn miss(&mut self, flow: &FlowKey, begins_turn: bool, bytes: u32) {
        let rules: Vec<RuleId> = self.rules_of(flow).collect();
        let bytes = u64::from(bytes);
        for rule in rules {
            for _ in 0..self.copies_of(rule) {
                let event = if begins_turn {
                    let unseen = TurnEnded::unseen(rule, Outcome::Missed);
                    Event::TurnEnded(TurnEnded { bytes, ..unseen })
                } else {
                    Event::MissedBytes { rule, bytes }
                };
                self.shared.events.push_back(event);
            }
        }
    }

    /// Counts what the client has sent in a flow that has no session and gets none now.
    pub(crate) fn account(&mut self, flow: &FlowKey, running: &mut Running, seen: Seen) {
        if seen.bytes == 0 {
            return;
        }
        let weight = u64::from(running.weight);
        let bytes = u64::from(seen.bytes) * weight;
        self.shared.counters.bytes_skipped += u64::from(seen.bytes);
        if seen.elsewhere {
            // Whose they are nobody knows, as with those that are far from a stream that is copied.
            self.shared.counters.left_out_unordered_bytes += bytes;
            return;
        }
        if running.why == Why::Missed {
            self.miss(flow, seen.begins_turn, seen.bytes);
        }
        let never = running.why == Why::OpenBefore && self.joins_none(flow);
        let counters = &mut self.shared.counters;
        match running.why {
            Why::Missed => {}
            Why::OpenBefore if running.is_encrypted() => {
                counters.left_out_unreplayable_bytes += bytes;
            }
            Why::OpenBefore => counters.left_out_open_before_bytes += bytes,
            Why::Encrypted => counters.left_out_unreplayable_bytes += bytes,
            Why::Shed => {
                counters.sessions_shed += if seen.begins_turn { weight } else { 0 };
                counters.left_out_shed_bytes += bytes;
            }
            Why::Foreign => counters.left_out_foreign_bytes += bytes,
            Why::FromTarget => counters.left_out_from_target_bytes += bytes,
            Why::Subflow => counters.left_out_subflow_bytes += bytes,
        }
        counters.left_out_open_before_flows += u64::from(running.is_told_now(never, seen.boundary));
    }

    /// Whether no rule of a flow's service takes flows that were open before.
    fn joins_none(&self, flow: &FlowKey) -> bool {
        self.rules_of(flow)
            .all(|rule| self.join_of(rule) == Join::Never)
    }

    /// Which flows a rule joins. One that joins all of them goes on with those that stand alone where its target has ended several
    /// that the online server did not, and with none where it has not answered them either.
    pub(crate) fn join_of(&self, rule: RuleId) -> Join {
        let rule = usize::from(rule.0);
        match self.shared.config.rules[rule].join {
            Join::Always if self.known.rules[rule].joins_unanswered >= JOINS_REFUSED_MAX => {
                Join::Never
            }
            Join::Always if self.known.rules[rule].joins_refused >= JOINS_REFUSED_MAX => {
                Join::Standalone
            }
            join => join,
        }
    }
}
