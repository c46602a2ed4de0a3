//! The gate before a target: whether frames may be sent to it now, and for which clients.
//!
//! A target that does not answer at all must neither stall the others (its frames wait in the kernel for a neighbour
//! that is not there) nor, with the clients' own addresses, have its replies reach real clients. So a gate has
//! [lanes](lane). With a reply pool there is one, open from the start. With the clients' own addresses there is one for each
//! network that clients come from (IPv4 /24, IPv6 /64), because the target's routes decide network by network where its
//! replies go; each starts shut and is opened by a proof of its own. Through a shut lane one session at a time may go, as a
//! probe.
//!
//! A proof is a *word*: a segment without SYN in answer to one of our sessions. A SYN-ACK is none, since a firewall that sees one
//! direction lets SYN and SYN-ACK pass and nothing after them.
//!
//! **Invariant:** at most one probe is under way in a lane, and before any lane of a target is open, at most one in all.

mod asking;
mod lane;
mod lanes;
mod refusals;

use wire::flow::{Addr, Endpoint};
use wire::hash::FlowHash;

use crate::event::Event;
use crate::id::SessionId;
use crate::limits::{HELD_MAX, PROBE_INTERVAL, PROBES_MAX};
use crate::time::Instant;
pub(crate) use asking::{Due, Held, Need, News, Pass, Reply, Ticket};
use lane::{Lane, State};
use lanes::{LaneId, Lanes};
use refusals::Refusals;

/// The gate of one target.
#[derive(Debug)]
pub(crate) struct Gate {
    target: Endpoint,
    /// Whether lanes are the clients' networks, start shut and have to be proven.
    prove: bool,
    channel: bool,
    route: bool,
    lanes: Lanes,
    /// Probes under way.
    probes: u32,
    /// Probes that failed in a row, whosever; and when the next may leave while no lane is open.
    strikes: u32,
    probe_at: Instant,
    refusals: Refusals,
}

impl Gate {
    /// A gate that is open from the start, or opens network by network (`prove`).
    pub(crate) fn new(target: Endpoint, prove: bool, hash: FlowHash) -> Self {
        Self {
            target,
            prove,
            channel: true,
            route: true,
            lanes: Lanes::new(hash),
            probes: 0,
            strikes: 0,
            probe_at: Instant::default(),
            refusals: Refusals::default(),
        }
    }

    /// Whether a frame of a session from `client` may leave without any further question, as nearly all may: through an open
    /// lane whose target answers. Of one that may not this says nothing; [`Gate::pass`] does.
    #[inline]
    pub(crate) fn passes(&mut self, client: &Addr, now: Instant) -> bool {
        if self.is_closed() {
            return false;
        }
        let Some(id) = self.find(client) else {
            return false;
        };
        let lane = self.lanes.get_mut(id);
        let passes = lane.state == State::Open && lane.fails(self.prove, now).is_none();
        if passes {
            lane.used_at = now;
        }
        passes
    }

    /// A session from `client` asks to send one frame; where it has to wait, it does so as `asks`, whose ticket no session has that
    /// waits at any gate.
    pub(crate) fn pass(
        &mut self,
        client: &Addr,
        asks: Held,
        need: Need,
        now: Instant,
        news: &mut News<'_>,
    ) -> Pass {
        let Some(lane) = self.enter(client, now, news) else {
            news.counters.sessions_held_out += 1;
            return Pass::Full;
        };
        if self.may_send(lane, asks.id, need, now, news) {
            return Pass::Yes;
        }
        let held = self.lanes.get(lane).held.len();
        if held >= HELD_MAX {
            news.counters.sessions_held_out += 1;
            return Pass::Full;
        }
        self.hold(lane, asks);
        self.arm(lane, now);
        Pass::Hold
    }

    fn may_send(
        &mut self,
        id: LaneId,
        session: SessionId,
        need: Need,
        now: Instant,
        news: &mut News<'_>,
    ) -> bool {
        if self.is_closed() {
            return false;
        }
        if self.lanes.get(id).state == State::Open {
            let Some(why) = self.lanes.get(id).fails(self.prove, now) else {
                return true;
            };
            news.counters.targets_suspended += 1;
            self.shut(id, now + PROBE_INTERVAL);
            if why == lane::Why::OneSided {
                self.tell(id, true, news);
            }
            return false;
        }
        if need == Need::Reset && self.prove {
            return true;
        }
        if self.lanes.get_mut(id).is_probe(session) {
            return true;
        }
        let State::Shut { probe, next_at } = self.lanes.get(id).state else {
            return false;
        };
        // With a reply pool what nobody answers leaves one by one, where nobody has anything better to say.
        let may_try = need == Need::Answer || !self.prove;
        if !may_try || probe.is_some() || now < next_at.max(self.probe_at()) {
            return false;
        }
        if self.probes >= self.probes_max() {
            return false;
        }
        if need != Need::Answer {
            self.lanes.get_mut(id).wait_until(now + PROBE_INTERVAL);
            return true;
        }
        self.lanes.get_mut(id).begin_probe(session, now);
        self.probes += 1;
        self.arm(id, now);
        true
    }

    /// A frame was sent that wants an answer. Mere acknowledgements do not: thousands of sessions that have acknowledged
    /// their responses and wait for their clients are not a target that is silent.
    pub(crate) fn on_asked(&mut self, client: &Addr, is_syn: bool, now: Instant) {
        if let Some(lane) = self.find(client) {
            self.lanes.get_mut(lane).on_asked(is_syn, now);
        }
    }

    /// The target answered a session from `client`. Returns whether this opened the lane.
    pub(crate) fn on_reply(
        &mut self,
        client: &Addr,
        reply: Reply,
        now: Instant,
        news: &mut News<'_>,
    ) -> bool {
        let known = self.find(client);
        let Some(id) = known.or_else(|| self.enter(client, now, news)) else {
            return false;
        };
        let lane = self.lanes.get_mut(id);
        lane.used_at = now;
        lane.on_reply(reply, now);
        if reply != Reply::Word {
            return false;
        }
        if !core::mem::replace(&mut lane.proven, true) {
            news.counters.paths_proven += 1;
        }
        if lane.state == State::Open {
            return false;
        }
        let was_dark = self.lanes.open() == 0;
        self.probes -= u32::from(self.lanes.get_mut(id).open(now));
        self.strikes = 0;
        self.lanes.count_open(1);
        self.arm(id, now);
        if was_dark {
            self.reconsider(now);
        }
        true
    }

    /// The target is back: networks that were proven before it went are tried again at once.
    fn reconsider(&mut self, now: Instant) {
        for id in self.lanes.ids() {
            if self.lanes.get_mut(id).reconsider(now) {
                self.arm(id, now);
            }
        }
    }

    /// The target refused a connection.
    pub(crate) fn on_refusal(&mut self, now: Instant) {
        self.refusals.on_refusal(now);
    }

    /// The target accepted a connection.
    pub(crate) fn on_accept(&mut self) {
        self.refusals = Refusals::default();
    }

    /// Until when the target would refuse another connection, as far as is known.
    pub(crate) fn refuses_until(&self, now: Instant) -> Option<Instant> {
        self.refusals.until(now)
    }

    /// Whether replies can arrive at all (the channel of assistant mode).
    pub(crate) fn set_channel(&mut self, connected: bool, now: Instant) {
        self.channel = connected;
        self.begin_anew(now);
    }

    /// Whether there is a route to the target.
    pub(crate) fn set_route(&mut self, exists: bool, now: Instant) {
        self.route = exists;
        self.begin_anew(now);
    }

    /// Nothing that was known before holds, but for what a network has failed to prove so far: a channel that comes and
    /// goes must not have its clients asked again and again.
    fn begin_anew(&mut self, now: Instant) {
        for id in self.lanes.ids() {
            if self.prove {
                if self.lanes.get(id).state == State::Open {
                    self.shut(id, now);
                }
            } else if self.lanes.get(id).state != State::Open {
                self.probes -= u32::from(self.lanes.get_mut(id).open(now));
                self.lanes.count_open(1);
            }
            self.lanes.get_mut(id).forget_silence(now);
            self.arm(id, now);
        }
    }

    /// Whether nothing may be sent, not even a probe: no route, or reports cannot arrive.
    pub(crate) fn is_closed(&self) -> bool {
        !(self.channel && self.route)
    }

    /// Whether frames of sessions from `client` pass now.
    pub(crate) fn is_open(&self, client: &Addr) -> bool {
        let lane = self.find(client).map(|lane| self.lanes.get(lane).state);
        !self.is_closed() && lane.map_or(!self.prove, |state| state == State::Open)
    }

    /// When [`Gate::expire`] has something to say.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.lanes.next_due()
    }

    /// The next thing that is due at `now`.
    pub(crate) fn expire(&mut self, now: Instant, news: &mut News<'_>) -> Option<Due> {
        while let Some(id) = self.lanes.pop_due(now) {
            let State::Shut { probe, next_at } = self.lanes.get(id).state else {
                continue;
            };
            let Some(probe) = probe else {
                if self.lanes.get(id).waiting() == 0 {
                    continue;
                }
                if now < next_at.max(self.probe_at()) || self.probes >= self.probes_max() {
                    self.arm(id, now);
                    continue;
                }
                // Should the one that is tried change its mind, the next is.
                self.lanes.arm(id, Some(now + PROBE_INTERVAL));
                return Some(Due::Try(id));
            };
            self.on_failure(id, now, news);
            return Some(Due::Failed(probe.session));
        }
        None
    }

    fn on_failure(&mut self, id: LaneId, now: Instant, news: &mut News<'_>) {
        news.counters.probes_failed += 1;
        self.probes -= 1;
        self.strikes = self.strikes.saturating_add(1);
        self.probe_at = now + lane::pause(self.strikes);
        let is_long = self.lanes.get_mut(id).fail_probe(self.prove, now);
        if self.prove && is_long {
            let heard = self.lanes.get(id).heard;
            self.tell(id, heard, news);
        }
        self.arm(id, now);
    }

    /// Who is to be tried next in a lane; to be asked again where the session is gone.
    pub(crate) fn take_held(&mut self, lane: LaneId) -> Option<Held> {
        self.lanes.get_mut(lane).held.pop_front()
    }

    /// Who was taken is gone.
    pub(crate) fn on_gone(&mut self, lane: LaneId) {
        let lane = self.lanes.get_mut(lane);
        lane.gone = lane.gone.saturating_sub(1);
    }

    /// It is not to be tried now: it waits on.
    pub(crate) fn put_back(&mut self, lane: LaneId, held: Held) {
        self.hold(lane, held);
    }

    /// All that wait for a lane that is open now, or, with no address, for any.
    pub(crate) fn take_released(&mut self, client: Option<&Addr>) -> Vec<Held> {
        let mut released = Vec::new();
        if self.is_closed() {
            return released;
        }
        let lanes: Vec<LaneId> = match client {
            Some(client) => self.find(client).into_iter().collect(),
            None => self.lanes.ids().collect(),
        };
        for id in lanes {
            let lane = self.lanes.get_mut(id);
            if lane.state == State::Open {
                released.extend(lane.held.drain(..));
                lane.gone = 0;
            }
        }
        released
    }

    /// A session that could have been a probe had nothing to say.
    pub(crate) fn on_changed_mind(&mut self, client: &Addr, now: Instant) {
        if let Some(lane) = self.find(client) {
            self.arm(lane, now);
        }
    }

    /// Session `id` from `client` is gone. A probe that it was proves nothing any more.
    pub(crate) fn on_left(
        &mut self,
        client: &Addr,
        id: SessionId,
        now: Instant,
        news: &mut News<'_>,
    ) {
        if let Some(lane) = self.find(client)
            && self.lanes.get(lane).probe() == Some(id)
        {
            self.on_failure(lane, now, news);
        }
    }

    /// One that waited is gone. Where many that waited are, they are forgotten: `is_waiting` tells who is not.
    pub(crate) fn on_left_waiting(
        &mut self,
        client: &Addr,
        now: Instant,
        is_waiting: impl Fn(&Held) -> bool,
    ) {
        if let Some(lane) = self.find(client) {
            self.lanes.get_mut(lane).forget_one(is_waiting);
            self.arm(lane, now);
        }
    }

    /// How many wait, those included that are gone and not forgotten.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        let lanes = self.lanes.ids().map(|id| self.lanes.get(id).held.len());
        lanes.sum()
    }

    #[inline(always)]
    fn find(&self, client: &Addr) -> Option<LaneId> {
        // With a reply pool there is one lane; a hash for each frame would be for nothing.
        if !self.prove {
            return self.lanes.first();
        }
        self.lanes.find(&lanes::network(client))
    }

    /// The lane of a client, made where there is none; `None` where there is no room for it.
    fn enter(&mut self, client: &Addr, now: Instant, news: &mut News<'_>) -> Option<LaneId> {
        if let Some(id) = self.find(client) {
            self.lanes.get_mut(id).used_at = now;
            return Some(id);
        }
        let network = lanes::network(client);
        let lane = Lane::new(network, *client, !self.prove, now);
        let (id, forgotten) = self.lanes.insert(lane)?;
        news.counters.prefixes_forgotten += u64::from(forgotten);
        Some(id)
    }

    fn shut(&mut self, id: LaneId, next_at: Instant) {
        self.lanes.get_mut(id).shut(next_at);
        self.lanes.count_open(-1);
    }

    fn hold(&mut self, lane: LaneId, held: Held) {
        self.lanes.get_mut(lane).held.push_back(held);
    }

    /// Sees to it that [`Gate::expire`] is called for a lane when something is due there.
    fn arm(&mut self, id: LaneId, now: Instant) {
        let lane = self.lanes.get(id);
        let due = match lane.state {
            State::Open => None,
            State::Shut {
                probe: Some(probe), ..
            } => Some(probe.until),
            _ if lane.waiting() == 0 || self.is_closed() => None,
            State::Shut { next_at, .. } => {
                let at = next_at.max(self.probe_at());
                // All probes are under way: one of them ends within this time.
                let full = self.probes >= self.probes_max();
                Some(if full {
                    at.max(now + PROBE_INTERVAL)
                } else {
                    at
                })
            }
        };
        self.lanes.arm(id, due);
    }

    /// Before this time no probe leaves, whatever its lane says: a target of which no lane is open may be missing all its
    /// routes, and its clients are many.
    fn probe_at(&self) -> Instant {
        if self.prove && self.lanes.open() == 0 {
            self.probe_at
        } else {
            Instant::default()
        }
    }

    /// How many probes may be under way.
    fn probes_max(&self) -> u32 {
        if self.lanes.open() == 0 {
            1
        } else {
            PROBES_MAX
        }
    }

    fn tell(&mut self, id: LaneId, heard: bool, news: &mut News<'_>) {
        let lane = self.lanes.get_mut(id);
        if !core::mem::replace(&mut lane.told, true) {
            news.events.push_back(Event::PathUnproven {
                target: self.target,
                client: lane.client,
                accepts: heard,
            });
        }
    }
}

#[cfg(test)]
mod tests;
