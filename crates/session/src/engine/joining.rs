//! Flows that were open before anybody looked, of a protocol with logins: joined between two messages, outside of a transaction, by
//! sessions that log in by themselves ([`protocol::joining`]).
//!
//! What both sides say during a trial is held, so that a flow which may be joined is from the trial's first byte on. What cannot be held, or was no
//! beginning, is counted among what was left out, as of any flow that runs without a session.

use protocol::Opening;
use protocol::joining::Finding;
use wire::flow::FlowKey;
use wire::segment::Segment;
use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::Flags;

use super::Engine;
use super::trials::{Candidate, Held};
use crate::config::{Join, RuleId};
use crate::id::FlowId;
use crate::limits::{TRIAL_AGE, TRIALS_MAX};
use crate::nursery::Infant;
use crate::running::{Running, Why};
use crate::session::Beginning;
use crate::time::Instant;

/// What became of a segment of a client.
pub(crate) enum Tried {
    /// The flow is joined, before this segment.
    Opened(FlowId),
    /// It is held.
    Held,
    /// The flow runs on without a session.
    Passes,
}

impl Engine {
    /// The rules that join a flow by a trial, and how its sessions log in.
    fn joined_by_trial(&self, flow: &FlowKey) -> Option<(Vec<RuleId>, Opening)> {
        let rules: Vec<RuleId> = self
            .rules_of(flow)
            .filter(|rule| self.join_of(*rule) != Join::Never)
            .collect();
        let first = usize::from(rules.first()?.0);
        let module = self.shared.config.rules[first].module.as_ref()?;
        module.joins.clone().map(|opening| (rules, opening))
    }

    /// A client's segment of a flow that runs without a session.
    pub(crate) fn try_client(
        &mut self,
        (now, stamp): (Instant, Instant),
        flow: FlowKey,
        (segment, packet): (&Segment, &[u8]),
        running: &mut Running,
    ) -> Tried {
        let Some((rules, opening)) = self.joined_by_trial(&flow) else {
            return Tried::Passes;
        };
        let payload = segment.payload(packet).unwrap_or_default();
        let (seq, cause) = (ClientSeq::new(segment.seq), OnlineSeq::new(segment.ack));
        let known = self.joining.candidates.get_mut(&flow);
        if let Some(candidate) = known {
            let is_next = seq == candidate.next;
            let goes_on = is_next && !segment.flags.contains(Flags::RST);
            if goes_on
                && cause == candidate.online.next()
                && let Some(opening) = candidate.is_ready.take()
            {
                self.joining.remove(&flow);
                let timestamps = segment.options(packet).timestamps.is_some();
                let beginning = Beginning::Joined(seq, cause, timestamps);
                return self.join(now, flow, (beginning, rules, *opening), running);
            }
            if seq + payload.len() as u32 <= candidate.next {
                // It came before.
                return if candidate.held.is_some() {
                    Tried::Held
                } else {
                    Tried::Passes
                };
            }
            if !goes_on {
                self.end_trial(&flow, running);
            }
        }
        let is_probe = payload.len() == 1 && !segment.flags.contains(Flags::PSH);
        if !self.joining.candidates.contains_key(&flow) {
            let begins = running.is_joinable() && running.may_begin_at(seq) && !is_probe;
            if !begins || !self.has_room_for_trial(now) {
                return Tried::Passes;
            }
            let candidate = Candidate::new(&opening, seq, cause, now);
            self.joining.candidates.insert(flow, candidate);
        }
        self.go_on_with_client(
            now,
            flow,
            payload,
            running,
            Held {
                is_client: true,
                stamp,
                packet: packet.into(),
            },
        )
    }

    fn go_on_with_client(
        &mut self,
        now: Instant,
        flow: FlowKey,
        payload: &[u8],
        running: &mut Running,
        packet: Held,
    ) -> Tried {
        let Some(candidate) = self.joining.candidates.get_mut(&flow) else {
            return Tried::Passes;
        };
        if candidate.is_ready.take().is_some() {
            candidate.held = Some(Vec::new());
        }
        candidate.at = now;
        let was_held = candidate.held.is_some();
        candidate.next += payload.len() as u32;
        let fails = candidate.trial.client(payload) == Finding::Fails;
        let is_held = self.joining.hold(&flow, packet);
        if fails {
            self.end_trial(&flow, running);
        } else if !is_held {
            self.let_go(&flow, running);
        }
        if was_held { Tried::Held } else { Tried::Passes }
    }

    /// A segment of the online server with payload, of a flow that runs without a session. Returns whether it is taken account of.
    pub(crate) fn try_online(
        &mut self,
        (now, stamp): (Instant, Instant),
        flow: FlowKey,
        (segment, packet): (&Segment, &[u8]),
    ) -> bool {
        let Some(candidate) = self.joining.candidates.get_mut(&flow) else {
            return false;
        };
        candidate.at = now;
        let (seq, ack) = (OnlineSeq::new(segment.seq), ClientSeq::new(segment.ack));
        let bytes = segment.payload(packet).unwrap_or_default();
        let (trial, mut found) = (&mut candidate.trial, Finding::Waits);
        candidate
            .online
            .on_segment(seq, segment.payload_len.into(), bytes, &mut |bytes| {
                let latest = trial.server(bytes);
                if found != Finding::Fails && latest != Finding::Waits {
                    found = latest;
                }
            });
        // Whoever has answered has seen what was said.
        let is_early = found != Finding::Waits && ack < candidate.next;
        if candidate.online.is_lost() || is_early {
            found = Finding::Fails;
        }
        let was_held = candidate.held.is_some();
        let is_held = was_held
            && self.joining.hold(
                &flow,
                Held {
                    is_client: false,
                    stamp,
                    packet: packet.into(),
                },
            );
        self.on_found(now, flow, found, is_held);
        was_held
    }

    fn on_found(&mut self, now: Instant, flow: FlowKey, found: Finding, is_held: bool) {
        let mut running = self.running_of(now, &flow);
        match found {
            Finding::Waits if is_held => return,
            Finding::Waits => self.let_go(&flow, &mut running),
            Finding::Fails => self.end_trial(&flow, &mut running),
            Finding::Joins(opening) if is_held => {
                self.join_where_it_began(now, flow, *opening, running);
                return;
            }
            Finding::Joins(opening) | Finding::Next(opening) => {
                self.let_go(&flow, &mut running);
                if let Some(candidate) = self.joining.candidates.get_mut(&flow) {
                    candidate.goes_on(Some(opening));
                }
            }
            Finding::Inside => {
                self.let_go(&flow, &mut running);
                if let Some(candidate) = self.joining.candidates.get_mut(&flow) {
                    candidate.goes_on(None);
                }
            }
        }
        self.put_running(now, flow, running);
    }

    fn running_of(&mut self, now: Instant, flow: &FlowKey) -> Running {
        match self.nursery.get(flow, now) {
            Some(Infant::Running(running)) => running.clone(),
            _ => Running::new(Why::OpenBefore, self.weight(flow)),
        }
    }

    /// Joins a flow at the first byte of its trial, and tells it what both sides have said since.
    fn join_where_it_began(
        &mut self,
        now: Instant,
        flow: FlowKey,
        opening: Opening,
        mut running: Running,
    ) {
        let rules = self.joined_by_trial(&flow).map(|(rules, _)| rules);
        let held = self.joining.remove(&flow);
        let first = held.iter().find(|it| it.is_client);
        let first = first.and_then(|it| Some((it, Segment::parse(&*it.packet, 0).ok()?)));
        let (Some((it, segment)), Some(rules)) = (first, rules) else {
            return;
        };
        let (seq, cause) = (ClientSeq::new(segment.seq), OnlineSeq::new(segment.ack));
        let timestamps = segment.options(&it.packet).timestamps.is_some();
        let beginning = Beginning::Joined(seq, cause, timestamps);
        match self.join(now, flow, (beginning, rules, opening), &mut running) {
            Tried::Opened(_) => self.play_held(now, &held),
            Tried::Held | Tried::Passes => {
                self.account_held(&flow, &held, &mut running);
                self.put_running(now, flow, running);
            }
        }
    }

    /// Takes packets that were held, as if they came now. They were counted when they came.
    fn play_held(&mut self, now: Instant, held: &[Held]) {
        let (counters, sights) = (self.shared.counters, self.sights.clone());
        for it in held {
            if it.is_client {
                self.on_client_packet(now, it.stamp, &it.packet);
            } else {
                self.on_online_packet(now, it.stamp, &it.packet);
            }
        }
        self.shared.counters.client_packets = counters.client_packets;
        self.shared.counters.online_packets = counters.online_packets;
        self.sights = sights;
    }

    fn join(
        &mut self,
        now: Instant,
        flow: FlowKey,
        (beginning, rules, opening): (Beginning, Vec<RuleId>, Opening),
        running: &mut Running,
    ) -> Tried {
        match self.open(now, flow, beginning, rules, Some(opening)) {
            Ok(opened) => {
                let holes = running.clone().into_holes();
                self.tell(opened, now, |flow, _| flow.inherit(holes));
                Tried::Opened(opened)
            }
            Err(why) => {
                running.why = why.unwrap_or(running.why);
                Tried::Passes
            }
        }
    }

    /// What is held of a flow is taken account of as of one that runs without a session; its trial goes on.
    fn let_go(&mut self, flow: &FlowKey, running: &mut Running) {
        let held = self.joining.take_held(flow);
        self.account_held(flow, &held, running);
    }

    /// A flow's trial is over, and what is held of it is taken account of.
    pub(crate) fn end_trial(&mut self, flow: &FlowKey, running: &mut Running) {
        let held = self.joining.remove(flow);
        self.account_held(flow, &held, running);
    }

    /// The same where the flow is over, or is another one from now on.
    pub(crate) fn end_trial_of(&mut self, now: Instant, flow: &FlowKey) {
        if self.joining.candidates.contains_key(flow) {
            let mut running = self.running_of(now, flow);
            self.end_trial(flow, &mut running);
            if let Some(Infant::Running(known)) = self.nursery.get(flow, now) {
                *known = running;
            }
        }
    }

    /// Ends all trials that were begun so long ago.
    pub(crate) fn end_trials(&mut self, now: Instant, age: core::time::Duration) {
        let old = self.joining.candidates.iter();
        let old = old.filter(|(_, it)| now.since(it.at) >= age);
        let old: Vec<FlowKey> = old.map(|(flow, _)| *flow).collect();
        for flow in old {
            self.end_trial_of(now, &flow);
        }
    }

    fn account_held(&mut self, flow: &FlowKey, held: &[Held], running: &mut Running) {
        for it in held {
            let Ok(segment) = Segment::parse(&*it.packet, 0) else {
                continue;
            };
            if it.is_client {
                self.pass_by(flow, (&segment, &it.packet), running);
            } else {
                let (seq, ack) = (OnlineSeq::new(segment.seq), ClientSeq::new(segment.ack));
                self.hear_online(flow, seq, ack, running);
            }
        }
    }

    fn has_room_for_trial(&mut self, now: Instant) -> bool {
        if self.joining.candidates.len() >= TRIALS_MAX {
            self.end_trials(now, TRIAL_AGE);
        }
        let has_room = self.joining.candidates.len() < TRIALS_MAX;
        self.shared.counters.joins_given_up += u64::from(!has_room);
        has_room
    }
}
