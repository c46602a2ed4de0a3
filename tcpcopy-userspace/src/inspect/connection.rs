//! One TCP connection as a capture shows it: who opened it, what each end said, and in how many requests.
//!
//! A request is what it is for the engine: client bytes before which the client has seen no more than before the ones in front of
//! them. The client's own acknowledgement numbers say so, also where the responses are not in the file.

use capture::{Packet, Sum};
use session::encrypted::{is_early, is_record};
use wire::flow::Endpoint;
use wire::segment::Segment;
use wire::tcp::Flags;

/// One end of a connection, and what it sent.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    packets: u64,
    /// Bytes of payload on the wire, each once.
    bytes: u64,
    /// Sequence number of its SYN.
    opened: Option<u32>,
    /// Sequence number behind the last byte that is known.
    next: Option<u32>,
    /// What the other end had been acknowledged when the last bytes were sent.
    seen: Option<u32>,
    /// How often it spoke.
    turns: u64,
    has_closed: bool,
    is_encrypted: bool,
}

/// A connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    ends: [End; 2],
    /// Which end has opened it, where its beginning is in the file.
    client: Option<usize>,
    /// Which end was the first to say anything.
    first: Option<usize>,
    is_reset: bool,
    cut: u64,
    bad: u64,
}

/// What a connection came to, seen from its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) shape: Shape,
    pub(super) requests: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) is_encrypted: bool,
    pub(super) cut: u64,
    pub(super) bad: u64,
}

/// How much of a connection is in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// Both directions, from its SYN on.
    #[default]
    Whole,
    /// Both directions, and it was open before.
    WithoutBeginning,
    /// What the client sent alone.
    RequestsOnly,
    /// What the server sent alone.
    ResponsesOnly,
}

impl Connection {
    /// Whether a segment opens another connection of the same addresses and ports.
    pub(super) fn is_followed_by(&self, from: usize, segment: &Segment) -> bool {
        if !segment.flags.contains(Flags::SYN) || segment.flags.contains(Flags::ACK) {
            return false;
        }
        match self.ends[from].opened {
            Some(opened) => opened != segment.seq,
            // A SYN may come late in the file; one behind payload or an end is another's.
            None => self.first.is_some() || self.is_over(),
        }
    }

    /// Whether nothing more is to come.
    pub(super) fn is_over(&self) -> bool {
        self.is_reset || self.ends.iter().all(|end| end.has_closed)
    }

    /// Takes a packet that one end has sent.
    pub(super) fn take(&mut self, from: usize, segment: &Segment, packet: &Packet<'_>) {
        self.cut += u64::from(packet.missing > 0);
        self.bad += u64::from(packet.sum == Sum::Bad);
        self.is_reset |= segment.flags.contains(Flags::RST);
        let end = &mut self.ends[from];
        end.packets += 1;
        end.has_closed |= segment.flags.contains(Flags::FIN);
        if segment.flags.contains(Flags::SYN) {
            let is_answer = segment.flags.contains(Flags::ACK);
            self.client = Some(if is_answer { 1 - from } else { from });
            end.opened = Some(segment.seq);
            end.next = Some(segment.seq.wrapping_add(1));
        }
        let payload = segment.payload(packet.bytes).unwrap_or_default();
        if !payload.is_empty() || packet.missing > 0 {
            self.first = self.first.or(Some(from));
            end.say(segment, payload, packet.missing);
        }
    }

    /// Which end is the client: who opened it; else the one whose peer is known to serve, the one with the higher port, or who
    /// spoke first.
    pub(super) fn client(&self, ends: &[Endpoint; 2], serves: impl Fn(&Endpoint) -> bool) -> usize {
        let known = [serves(&ends[0]), serves(&ends[1])];
        match self.client {
            Some(client) => client,
            None if known[0] != known[1] => usize::from(known[0]),
            None if ends[0].port != ends[1].port => usize::from(ends[0].port < ends[1].port),
            None => self.first.unwrap_or(0),
        }
    }

    /// Whether its beginning is in the file.
    pub(super) fn has_beginning(&self) -> bool {
        self.client.is_some()
    }

    /// What it came to, where this end is the client.
    pub(super) fn course(&self, client: usize) -> Course {
        let (asking, answering) = (&self.ends[client], &self.ends[1 - client]);
        let shape = match (asking.packets, answering.packets) {
            (0, _) => Shape::ResponsesOnly,
            (_, 0) => Shape::RequestsOnly,
            _ if asking.opened.is_none() => Shape::WithoutBeginning,
            _ => Shape::Whole,
        };
        Course {
            shape,
            requests: asking.turns,
            request_bytes: asking.bytes,
            response_bytes: answering.bytes,
            is_encrypted: asking.is_encrypted || answering.is_encrypted,
            cut: self.cut,
            bad: self.bad,
        }
    }
}

impl End {
    /// Takes payload, of which `missing` bytes are not in the file.
    fn say(&mut self, segment: &Segment, payload: &[u8], missing: u32) {
        // A packet has at most 65,535 bytes.
        let len = (payload.len() as u32).wrapping_add(missing);
        let end = segment.seq.wrapping_add(len);
        let new = match self.next {
            Some(next) => end.wrapping_sub(next).cast_signed().max(0).cast_unsigned(),
            None => len,
        };
        if new == 0 {
            // Said before.
            return;
        }
        self.is_encrypted |= match self.opened {
            Some(opened) => {
                let offset = segment.seq.wrapping_sub(opened).wrapping_sub(1);
                is_early(offset.into(), payload)
            }
            None => self.bytes == 0 && is_record(payload),
        };
        self.next = Some(end);
        self.bytes += u64::from(new.min(len));
        let is_later = |seen| segment.ack.wrapping_sub(seen).cast_signed() > 0;
        if self.seen.is_none_or(is_later) {
            self.seen = Some(segment.ack);
            self.turns += 1;
        }
    }
}
