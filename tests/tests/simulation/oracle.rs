//! What the engine ought to know, kept as naively as can be: the clients' flows, and what either end of a connection to the target
//! has sent and acknowledged.

use std::collections::HashMap;
use std::ops::Range;

use wire::segment::Segment;
use wire::tcp::Flags;

use crate::client::Client;
use crate::flow::{self, Flow};
use crate::packet::captured;
use crate::server::PORT;
use crate::stack::SECOND;

/// Silence after which a response that was cut off counts as complete, in nanoseconds.
pub(crate) const CUT_OFF: u64 = 4 * SECOND;

/// One connection from the engine to the target.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) port: u16,
    /// The window scale that the SYN offered; the target's TCP takes whatever is offered.
    scale: u8,
    iss: u32,
    target_isn: Option<u32>,
    /// Bytes that the target's TCP has sent.
    pub(crate) sent: u32,
    /// The same when the latest segment reached it.
    pub(crate) sent_before: u32,
    /// Bytes whose acknowledgement has reached the engine while it had the connection.
    pub(crate) acknowledged: u32,
    /// Up to where its bytes had left, been acknowledged and been answered when: offsets and times grow.
    departed: Vec<(u32, u64)>,
    acknowledged_at: Vec<(u32, u64)>,
    heard_until: Vec<(u32, u64)>,
    /// What the target had acknowledged when it said something new, and when that has reached the engine.
    said: Vec<(u32, u64)>,
    /// Which of its bytes have reached the engine, and when something last did.
    heard: Vec<bool>,
    heard_at: u64,
    /// Whether the target was silent for so long in the middle of a response that the engine took what there was for all.
    cut_off: bool,
    /// Most that the target has been allowed to send, in bytes.
    allowed: u32,
    /// Whether something of what the target had said was missing when all faults ended: its TCP may take long to send it again.
    pub(crate) is_late: bool,
    closed: bool,
    /// Whether the target has closed: its connection is given up then, and what it acknowledges behind that nobody counts.
    ended: bool,
    /// Whether its target's answer to the SYN has reached the engine.
    pub(crate) accepted: bool,
}

impl Life {
    /// Whether a response was cut off until `now`. From then on it is open which bytes answer which turn.
    pub(crate) fn is_cut_off(&self, now: u64) -> bool {
        let silent = now >= self.heard_at + CUT_OFF;
        self.cut_off
            || silent && self.heard.iter().filter(|heard| **heard).count() < self.sent as usize
    }

    /// Whether a segment of the target begins behind all that it may send: smoltcp takes its window from old segments as well.
    fn is_beyond(&self, segment: &Segment) -> bool {
        let start = |isn: u32| segment.seq.wrapping_sub(isn.wrapping_add(1));
        let start = self.target_isn.map_or(0, start);
        start < 1 << 30 && start > self.allowed
    }

    fn hear(&mut self, now: u64, segment: &Segment) {
        self.cut_off = self.is_cut_off(now);
        self.heard_at = now;
        let Some(isn) = self.target_isn else {
            return;
        };
        let start = segment.seq.wrapping_sub(isn.wrapping_add(1)) as usize;
        let end = start + segment.sequence_len() as usize;
        if end <= self.sent as usize && !segment.flags.intersects(Flags::SYN.with(Flags::RST)) {
            self.heard.resize(self.heard.len().max(end), false);
            self.heard[start..end].fill(true);
            let from = self.heard_until.last().map_or(0, |(end, _)| *end);
            let new = self.heard[from as usize..].iter();
            let new = new.take_while(|heard| **heard).count();
            if new > 0 {
                self.heard_until.push((from + new as u32, now));
                let acknowledged = segment.ack.wrapping_sub(self.iss.wrapping_add(1));
                self.said.push((acknowledged, now));
            }
        }
    }

    /// When the byte at `offset` of the client's stream first left.
    pub(crate) fn departed_at(&self, offset: u32) -> Option<u64> {
        after(&self.departed, offset)
    }

    /// When the engine knew that the target had got the `len` first bytes of the client.
    pub(crate) fn acknowledged_at(&self, len: u32) -> Option<u64> {
        reached(&self.acknowledged_at, len)
    }

    /// The longest pause of the target between these of its bytes, as the engine saw it.
    pub(crate) fn pause(&self, range: Range<u32>) -> u64 {
        flow::pause(&self.heard_until, range)
    }

    /// Whether nothing new of the target has reached the engine in this time that it has said when it had more of the client's stream
    /// than this.
    pub(crate) fn is_silent(&self, time: Range<u64>, acknowledged: u32) -> bool {
        let mut said = self.said.iter();
        !said.any(|(had, at)| time.contains(at) && *had > acknowledged)
    }

    /// When the `len` first bytes of the target had reached the engine.
    pub(crate) fn heard_at(&self, len: u32) -> Option<u64> {
        reached(&self.heard_until, len)
    }
}

/// When something that grows went beyond `offset`.
fn after(steps: &[(u32, u64)], offset: u32) -> Option<u64> {
    let index = steps.partition_point(|(end, _)| *end <= offset);
    steps.get(index).map(|(_, at)| *at)
}

/// When something that grows had come to `len`.
fn reached(steps: &[(u32, u64)], len: u32) -> Option<u64> {
    len.checked_sub(1)
        .map_or(Some(0), |last| after(steps, last))
}

/// All that is watched.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// The flows of each client port, one after the other.
    flows: HashMap<u16, Vec<Flow>>,
    pub(crate) lives: Vec<Life>,
}

impl Oracle {
    /// A client's packet, at `capture`'s place.
    pub(crate) fn on_client(&mut self, now: u64, packet: &[u8]) {
        let Some(segment) = captured(packet) else {
            return;
        };
        let flows = self.flows.entry(segment.source.port).or_default();
        let syn = segment.flags.contains(Flags::SYN);
        if syn && flows.iter().all(|flow| flow.isn != Some(segment.seq)) {
            flows.push(Flow::default());
        }
        // A SYN that comes late is of the connection that it began, which may not be the latest of its port.
        let is_its = |flow: &Flow| {
            let is_new = flow.isn.is_none_or(|isn| isn == segment.seq);
            if syn {
                is_new
            } else {
                flow.is_near(segment.seq)
            }
        };
        if let Some(flow) = flows.iter_mut().rev().find(|flow| is_its(flow)) {
            flow.on_client(now, &segment);
        }
    }

    /// A record of a client's or of the online server's packet is lost.
    pub(crate) fn on_record_lost(&mut self, packet: &[u8]) {
        let Ok(segment) = Segment::parse(packet, 0) else {
            return;
        };
        let [here, there] = [segment.source.port, segment.destination.port];
        let (port, seq) = if there == PORT {
            (here, segment.seq)
        } else {
            (there, segment.ack)
        };
        let flows = self.flows.get_mut(&port);
        let mut latest = flows.into_iter().flatten().rev();
        if let Some(flow) = latest.find(|flow| flow.is_near(seq)) {
            flow.lost_record = true;
        }
    }

    /// Somebody speaks in the name of the latest client of its port.
    pub(crate) fn on_forged(&mut self, packet: &[u8]) {
        if let Some(segment) = captured(packet)
            && let Some(flow) = self
                .flows
                .get_mut(&segment.source.port)
                .and_then(|it| it.last_mut())
        {
            flow.on_forged(&segment);
        }
    }

    /// An engine is given a client's packet.
    pub(crate) fn on_recorded(&mut self, packet: &[u8]) {
        let Some(segment) = captured(packet) else {
            return;
        };
        let flows = self.flows.get_mut(&segment.source.port);
        let mut latest = flows.into_iter().flatten().rev();
        if let Some(flow) = latest.find(|flow| flow.is_near(segment.seq)) {
            flow.on_recorded(&segment);
        }
    }

    /// How many different bytes of clients engines were given.
    pub(crate) fn recorded(&self) -> u64 {
        let flows = self.flows.values().flatten();
        flows.map(Flow::recorded).sum()
    }

    /// The sequence numbers of the SYN of the latest connection from a port, and after all that it has sent.
    pub(crate) fn range(&self, port: u16) -> Option<(u32, u32)> {
        let flow = self.flows.get(&port)?.last()?;
        let isn = flow.isn?;
        let end = isn.wrapping_add(1 + flow.extent() as u32);
        Some((isn, end))
    }

    /// What is known of a client's connection.
    pub(crate) fn flow(&self, client: &Client) -> Option<&Flow> {
        self.flows.get(&client.port)?.get(client.generation)
    }

    /// The online server's segment, at `observe`'s place.
    pub(crate) fn on_online(&mut self, now: u64, packet: &[u8]) {
        if let Ok(segment) = Segment::parse(packet, 0) {
            let flows = self.flows.entry(segment.destination.port).or_default();
            let mut latest = flows.iter_mut().rev();
            if let Some(flow) = latest.find(|flow| flow.is_near(segment.ack)) {
                flow.on_online(now, &segment);
            }
        }
    }

    fn life(&mut self, port: u16) -> Option<&mut Life> {
        self.lives.iter_mut().rev().find(|life| life.port == port)
    }

    /// How many connections have never heard from the target that it had accepted them.
    pub(crate) fn unanswered(&self) -> usize {
        self.lives.iter().filter(|life| !life.accepted).count()
    }

    /// The latest connection from a port.
    pub(crate) fn latest(&self, port: u16) -> Option<usize> {
        self.lives.iter().rposition(|life| life.port == port)
    }

    /// A frame leaves the engine.
    pub(crate) fn on_engine(&mut self, now: u64, segment: &Segment, packet: &[u8]) {
        let port = segment.source.port;
        let new = self.life(port).is_none_or(|life| life.iss != segment.seq);
        if segment.flags.contains(Flags::SYN) && new {
            self.lives.push(Life {
                port,
                scale: segment.options(packet).window_scale.unwrap_or(0),
                iss: segment.seq,
                target_isn: None,
                sent: 0,
                sent_before: 0,
                acknowledged: 0,
                departed: vec![],
                acknowledged_at: vec![],
                heard_until: vec![],
                said: vec![],
                heard: vec![],
                heard_at: 0,
                cut_off: false,
                allowed: 0,
                is_late: false,
                closed: false,
                ended: false,
                accepted: false,
            });
        }
        if let Some(allowed) = self.allowed(segment)
            && let Some(life) = self.life(port)
        {
            life.allowed = life.allowed.max(allowed);
        }
        if segment.payload_len > 0
            && let Some(life) = self.life(port)
        {
            let start = segment.seq.wrapping_sub(life.iss.wrapping_add(1));
            let end = start.wrapping_add(u32::from(segment.payload_len));
            if life.departed.last().is_none_or(|(known, _)| *known < end) {
                life.departed.push((end, now));
            }
        }
    }

    /// Most that the target has been allowed to send on the connection of a segment that acknowledges something.
    pub(crate) fn allowed(&self, segment: &Segment) -> Option<u32> {
        let mut lives = self.lives.iter().rev();
        let life = lives.find(|life| life.port == segment.source.port)?;
        let acknowledged = segment.ack.wrapping_sub(life.target_isn?.wrapping_add(1));
        let window = u32::from(segment.window) << life.scale;
        (acknowledged < 1 << 30).then(|| acknowledged + window)
    }

    /// Most that the online server has sent to any client.
    pub(crate) fn online_sent_max(&self) -> u32 {
        let flows = self.flows.values().flatten();
        flows.map(Flow::online_sent).max().unwrap_or(0)
    }

    /// All faults are over.
    pub(crate) fn on_calm(&mut self) {
        for life in &mut self.lives {
            let heard = life.heard_until.last().map_or(0, |(end, _)| *end);
            life.is_late = !life.closed && heard < life.sent;
        }
    }

    /// The engine has forgotten a connection.
    pub(crate) fn on_closed(&mut self, port: u16) {
        if let Some(life) = self.life(port) {
            life.closed = true;
        }
    }

    /// A segment of the engine reaches the target.
    pub(crate) fn on_reached_target(&mut self, segment: &Segment) {
        if let Some(life) = self.life(segment.source.port) {
            life.sent_before = life.sent;
        }
    }

    /// A segment leaves the target.
    pub(crate) fn on_target(&mut self, segment: &Segment) {
        let Some(life) = self.life(segment.destination.port) else {
            return;
        };
        if segment.flags.contains(Flags::SYN) {
            life.target_isn = Some(segment.seq);
        } else if let Some(isn) = life.target_isn
            && !segment.flags.contains(Flags::RST)
        {
            let end = segment.seq.wrapping_add(segment.sequence_len());
            let sent = end.wrapping_sub(isn.wrapping_add(1));
            if sent < 1 << 30 {
                life.sent = life.sent.max(sent);
            }
        }
    }

    /// A reply reaches the engine.
    pub(crate) fn on_reply(&mut self, now: u64, packet: &[u8]) {
        let Ok(segment) = Segment::parse(packet, 0) else {
            return;
        };
        if let Some(life) = self.life(segment.destination.port)
            && segment.flags.contains(Flags::ACK)
            && !life.closed
        {
            life.accepted |= segment.flags.contains(Flags::SYN);
            life.hear(now, &segment);
            let acknowledged = segment.ack.wrapping_sub(life.iss.wrapping_add(1));
            // What lies beyond our window is dropped, and says nothing (RFC 9293 section 3.10.7.4).
            if acknowledged < 1 << 30 && !life.is_beyond(&segment) {
                if acknowledged > life.acknowledged {
                    life.acknowledged_at.push((acknowledged, now));
                }
                if !life.ended {
                    life.acknowledged = life.acknowledged.max(acknowledged);
                }
            }
            life.ended |= segment.flags.contains(Flags::FIN);
        }
    }
}
