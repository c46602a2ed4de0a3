//! A packet of a file in, cues out: what the engine is to be given, from whom, and when. In which order is [`order`]'s.

mod order;

use capture::Packet;
use wire::flow::{Endpoint, FlowKey};
use wire::segment::Segment;
use wire::seq::ClientSeq;
use wire::tcp::Flags;

use crate::census::Census;
use crate::cue::{Counts, Cue};
use crate::flows::{Flows, Found, Id};
use crate::renaming::rename;
use crate::schedule::Schedule;
use crate::sides::{Services, Side};
use crate::synthesis;
use crate::waiting::{Held, Waiting};

/// Bytes of the online server's packets that are handed on behind the headers, of services whose packets nobody wants whole: what
/// `--sample-bytes` may ask for.
pub const SAMPLE_LEN_MAX: usize = 128;

/// Plays a file.
#[derive(Debug)]
pub struct Player {
    services: Services,
    /// Those whose answers are handed on whole.
    whole: Services,
    schedule: Schedule,
    /// Which part of the file is played, in its own time.
    part: std::ops::Range<u64>,
    flows: Flows,
    waiting: Waiting,
    counts: Counts,
    census: Census,
    /// Whether the file has the clients' side alone.
    is_one_sided: bool,
    flows_open: u32,
    scratch: Vec<u8>,
}

/// A packet on its way through.
struct Seen<'a> {
    id: Id,
    segment: Segment,
    at_ns: u64,
    own_ns: u64,
    missing: u32,
    bytes: &'a [u8],
}

impl Player {
    /// Plays what belongs to these services, in `part` of the file: nanoseconds of its own time.
    #[must_use]
    pub fn new(services: Vec<Endpoint>, schedule: Schedule, part: std::ops::Range<u64>) -> Self {
        Self {
            services: Services::new(services),
            whole: Services::new(Vec::new()),
            schedule,
            part,
            flows: Flows::default(),
            waiting: Waiting::default(),
            counts: Counts::default(),
            census: Census::default(),
            is_one_sided: false,
            flows_open: 0,
            scratch: Vec::new(),
        }
    }

    /// Of these services the online server's packets are handed on with all the payload that the file has.
    #[must_use]
    pub fn with_whole_answers_of(self, services: Vec<Endpoint>) -> Self {
        Self {
            whole: Services::new(services),
            ..self
        }
    }

    /// The file has the clients' side alone: the other one is made from what they acknowledge.
    pub const fn has_one_side(&mut self) {
        self.is_one_sided = true;
    }

    /// What became of the packets so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Which ports have packets that belong to no rule.
    #[must_use]
    pub const fn census(&self) -> &Census {
        &self.census
    }

    /// What became of the file's time.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Whose packet it would be; for a look at a file before it is played.
    #[must_use]
    pub fn side_of(&self, packet: &Packet<'_>) -> Option<Side> {
        let segment = Segment::parse(packet.bytes, 0).ok()?;
        let known = |key: &FlowKey| self.flows.is_known(key);
        self.services.side_of(&segment, known).map(|(side, _)| side)
    }

    /// Gives `take` what follows from a packet. `now_ns` is the time since the start, for a file that is played as fast as can be.
    ///
    /// Returns whether the part that was asked for may go on: `false` behind its end.
    pub fn play(
        &mut self,
        packet: &Packet<'_>,
        now_ns: u64,
        take: &mut dyn FnMut(Cue<'_>),
    ) -> bool {
        let own_ns = self.schedule.own_time(packet.at_ns);
        if !self.part.contains(&own_ns) {
            self.counts.outside += 1;
            return own_ns < self.part.end;
        }
        while let Some(held) = self.waiting.overdue(own_ns) {
            self.release(&held, own_ns, now_ns, take);
        }
        let Some(segment) = as_sent(packet.bytes, packet.missing) else {
            self.counts.malformed += 1;
            return true;
        };
        if segment.is_copy() {
            self.counts.copies += 1;
            return true;
        }
        let flows = &self.flows;
        let Some((side, key)) = self.services.side_of(&segment, |key| flows.is_known(key)) else {
            self.counts.unmatched += 1;
            self.census.note(&segment);
            return true;
        };
        let whose = (side, packet.network, key);
        let id = match self.flows.find(whose, &segment, packet.at_ns) {
            Found::Known(id) => id,
            Found::Aliased(id) => {
                self.counts.aliased += 1;
                id
            }
            Found::NoPort => {
                self.counts.unaliased += 1;
                return true;
            }
            Found::Again => {
                self.counts.again += 1;
                return true;
            }
        };
        let seen = Seen {
            id,
            segment,
            at_ns: packet.at_ns,
            own_ns,
            missing: packet.missing,
            bytes: packet.bytes,
        };
        match side {
            Side::Client => {
                self.counts.clients += 1;
                self.client(&seen, packet.sum, now_ns, take);
            }
            Side::Online => {
                self.counts.online += 1;
                self.online(&seen, now_ns, take);
            }
        }
        true
    }

    /// The file is at its end: what waits for others waits no more.
    pub fn end(&mut self, now_ns: u64, take: &mut dyn FnMut(Cue<'_>)) {
        while let Some(held) = self.waiting.pop() {
            let own_ns = held.own_ns;
            self.release(&held, own_ns, now_ns, take);
        }
    }

    /// The file begins anew, with connections of its own.
    pub fn rewind(&mut self) {
        self.schedule.rewind();
        self.flows.clear();
        self.flows_open = 0;
    }

    /// When what stands at this time of the file is due.
    fn due(&self, own_ns: u64, now_ns: u64) -> u64 {
        let played_ns = own_ns.saturating_sub(self.part.start);
        self.schedule.due(played_ns).unwrap_or(now_ns)
    }

    fn hand_on_client(&mut self, seen: &Seen<'_>, now_ns: u64, take: &mut dyn FnMut(Cue<'_>)) {
        let due_ns = self.due(seen.own_ns, now_ns);
        let Seen { id, segment, .. } = seen;
        let opens = segment.flags.contains(Flags::SYN);
        if opens {
            self.flows.open(id, ClientSeq::new(segment.seq));
        }
        let Some(flow) = self.flows.get_mut(id) else {
            return;
        };
        self.flows_open = flow.follow(segment, self.flows_open);
        let key = aliased(id, flow.alias);
        let cue = Cue {
            side: Side::Client,
            flow: key,
            due_ns,
            stamp_ns: due_ns,
            flows_open: self.flows_open,
            packet: &[],
        };
        let (made, is_one_sided) = (&mut self.counts.made, self.is_one_sided);
        let mut make = |packet: &[u8], take: &mut dyn FnMut(Cue<'_>)| {
            *made += 1;
            let side = Side::Online;
            take(Cue {
                side,
                packet,
                ..cue
            });
        };
        if is_one_sided {
            synthesis::before(flow, &key, segment, |packet| make(packet, take));
        }
        if segment.is_pure_ack() {
            self.counts.pure_acks += 1;
            return;
        }
        self.counts.cut += u64::from(seen.missing > 0);
        self.counts.cut_bytes += u64::from(seen.missing);
        flow.say(segment);
        if segment.payload_len > 0 {
            flow.asked = Some((seen.at_ns, due_ns));
        }
        let packet = if flow.alias.is_some() {
            rename(
                seen.bytes,
                segment,
                Side::Client,
                flow.alias,
                &mut self.scratch,
            );
            &self.scratch
        } else {
            seen.bytes
        };
        take(Cue { packet, ..cue });
        if is_one_sided && segment.flags.contains(Flags::FIN) {
            synthesis::acknowledgement(flow, &key, |packet| make(packet, take));
        }
    }

    fn hand_on_online(&mut self, seen: &Seen<'_>, now_ns: u64, take: &mut dyn FnMut(Cue<'_>)) {
        let due_ns = self.due(seen.own_ns, now_ns);
        let Seen {
            id, segment, bytes, ..
        } = seen;
        let Some(flow) = self.flows.get_mut(id) else {
            return;
        };
        flow.answer(segment);
        let stamp_ns = flow.asked.map_or(due_ns, |(at_ns, stamp_ns)| {
            stamp_ns.saturating_add(seen.at_ns.saturating_sub(at_ns))
        });
        let kept = if self.whole.has(&segment.source) {
            usize::from(segment.payload_len)
        } else {
            SAMPLE_LEN_MAX
        };
        let len = usize::from(segment.payload_offset) + kept;
        let bytes = bytes.get(..len).unwrap_or(bytes);
        let packet = if seen.missing > 0 || flow.alias.is_some() {
            rename(bytes, segment, Side::Online, flow.alias, &mut self.scratch);
            synthesis::lengthen(&mut self.scratch, seen.missing);
            &self.scratch
        } else {
            bytes
        };
        let flows_open = self.flows_open;
        take(Cue {
            side: Side::Online,
            flow: aliased(id, flow.alias),
            due_ns,
            stamp_ns,
            flows_open,
            packet,
        });
    }
}

impl<'a> Seen<'a> {
    /// A packet that waited, as it was seen; it is a segment, or it would not have been held.
    fn of(held: &'a Held) -> Option<Self> {
        Some(Self {
            id: held.id,
            segment: as_sent(&held.bytes, held.missing)?,
            at_ns: held.at_ns,
            own_ns: held.own_ns,
            missing: held.missing,
            bytes: &held.bytes,
        })
    }
}

/// The segment of a packet as it was on the wire: what is missing of its payload was said all the same, and what comes next
/// stands behind it.
fn as_sent(bytes: &[u8], missing: u32) -> Option<Segment> {
    let mut segment = Segment::parse(bytes, 0).ok()?;
    let missing = u16::try_from(missing).unwrap_or(u16::MAX);
    segment.payload_len = segment.payload_len.saturating_add(missing);
    Some(segment)
}

/// The addresses and ports that a flow is replayed under.
fn aliased(id: &Id, alias: Option<u16>) -> FlowKey {
    let address = id.key.client.addr;
    let client = alias.map_or(id.key.client, |port| Endpoint::new(address, port));
    FlowKey { client, ..id.key }
}

#[cfg(test)]
mod tests;
