//! A connection that carries no data: it proves that a target answers, and leaves the target nothing.
//!
//! No byte that the target's application could read is ever sent. What is sent after the handshake stands before the
//! connection's first byte: every TCP acknowledges it and throws it away (RFC 9293 section 3.10.7.4).

use wire::flow::FlowKey;
use wire::segment::Segment;
use wire::tcp::{Flags, Options};

use crate::connection::{Change, Connection, Offer, Payload, Reach, Surroundings};
use crate::context::Clock;
use crate::event::Counters;
use crate::time::Instant;

/// Nothing but the FIN, which stands at the stream's first position, may be sent.
const BEFORE_FIN: Reach = Reach {
    limit: 0,
    stream_end: 0,
};
const WITH_FIN: Reach = Reach {
    limit: 1,
    stream_end: 0,
};

/// What a segment of the target says to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nothing: it answers something else, or stands in no window.
    None,
    /// It takes the connection.
    Accepted,
    /// It refuses the connection: nobody listens, or somebody refuses in its name.
    Refused,
    /// It has reset the connection that it had taken.
    Reset,
    /// It has answered what was sent after the handshake, or speaks by itself.
    Answered,
}

/// A connection that carries no data.
#[derive(Debug)]
pub struct Probe {
    connection: Connection,
    /// The longest packet that the way out takes, in bytes from the IP header on.
    mtu: u16,
    /// How many bytes the target may send before they are acknowledged.
    window: u16,
    reach: Reach,
    /// Whether the last word, a RST, is to be sent.
    owes_reset: bool,
    closed: bool,
}

impl Probe {
    /// A connection from `flow.client` to `flow.server`, whose SYN is due. `unix_nanos` gives its ISN, as it does a session's: one
    /// that comes later from the same endpoint is beyond it.
    #[must_use]
    pub fn new(flow: FlowKey, unix_nanos: u64, mtu: u16, window: u16) -> Self {
        let offer = Offer {
            mss: u16::MAX,
            window_scale: None,
            sack: true,
            timestamps: false,
        };
        let mut connection = Connection::new(flow, offer);
        let clock = Clock::new(unix_nanos, Instant::default());
        let iss = clock.isn(Instant::default(), &flow, None);
        connection.open(iss, 0, mtu, window);
        Self {
            connection,
            mtu,
            window,
            reach: BEFORE_FIN,
            owes_reset: false,
            closed: false,
        }
    }

    /// From where to where it goes.
    #[must_use]
    pub fn flow(&self) -> &FlowKey {
        self.connection.local()
    }

    /// Whether the target has taken the connection, and neither side ends it.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.connection.is_synchronized() && self.reach.limit == BEFORE_FIN.limit && !self.closed
    }

    /// Whether the target keeps nothing of it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed || self.connection.ends(0) == (true, true)
    }

    /// The longest packet that both ends take, in bytes from the IP header on.
    #[must_use]
    pub fn longest(&self) -> u16 {
        self.connection.mss() + self.connection.headers_len()
    }

    /// The SYN is to be sent once more, where it was sent and has no answer.
    pub fn repeat_syn(&mut self) {
        self.connection.repeat_syn();
    }

    /// The target is to be asked for a word, by a keep-alive probe.
    pub fn ask(&mut self) {
        if self.is_established() {
            self.connection.knock();
        }
    }

    /// Ends it as a client does: by a FIN.
    pub fn finish(&mut self) {
        if self.is_established() {
            self.reach = WITH_FIN;
        }
    }

    /// Ends it at once, whatever the target knows of it.
    pub fn reset(&mut self) {
        if !self.is_closed() {
            self.owes_reset = self.connection.leave(Flags::RST);
            self.closed = true;
        }
    }

    /// A segment of the target, by its headers.
    pub fn on_segment(&mut self, segment: &Segment, options: &Options, now: Instant) -> Word {
        let flow = self.connection.local();
        if segment.source != flow.server || segment.destination != flow.client {
            return Word::None;
        }
        if self.closed {
            // The target did not get the last word where it says something.
            self.owes_reset |=
                !segment.flags.contains(Flags::RST) && self.connection.leaves_by_reset();
            return Word::None;
        }
        let (reach, mtu) = (self.reach, self.mtu);
        let mut uncounted = Counters::default();
        let effects = self
            .connection
            .on_segment(segment, options, now, reach, mtu, &mut uncounted);
        match effects.change {
            Change::Accepted => return Word::Accepted,
            Change::Refused | Change::Reset => {
                self.connection.close();
                self.closed = true;
                return if effects.change == Change::Reset {
                    Word::Reset
                } else {
                    Word::Refused
                };
            }
            Change::None if !effects.accepted => return Word::None,
            Change::None => {}
        }
        if let Some(arrival) = effects.arrival {
            // Whoever speaks first is heard out.
            self.connection.acknowledge();
            if arrival.fin && self.reach.limit == BEFORE_FIN.limit {
                self.reset();
            }
        }
        Word::Answered
    }

    /// Writes the next frame that is due; returns its length in bytes.
    pub fn transmit(&mut self, now: Instant, frame: &mut [u8]) -> Option<usize> {
        if self.closed && !core::mem::take(&mut self.owes_reset) {
            return None;
        }
        let (around, reach) = (self.around(now), self.reach);
        let mut uncounted = Counters::default();
        let sent = self
            .connection
            .transmit(&around, reach, &Nothing, &mut uncounted, frame)?;
        Some(sent.frame_len)
    }

    /// Writes bytes that are older than the connection, in a packet of `packet_len` bytes from the IP header on: an acknowledgement
    /// comes back where it arrives. Returns the frame's length; `None` where there is no connection, or the packet has no room for
    /// its headers.
    pub fn transmit_old(
        &mut self,
        packet_len: u16,
        now: Instant,
        frame: &mut [u8],
    ) -> Option<usize> {
        let len = packet_len.checked_sub(self.connection.headers_len())?;
        let around = self.around(now);
        self.is_established()
            .then(|| self.connection.transmit_old(len, &around, frame))?
    }

    fn around(&self, now: Instant) -> Surroundings {
        Surroundings {
            now,
            timestamp: 0,
            mtu: self.mtu,
            allowance: self.window.into(),
        }
    }
}

/// A stream of no bytes.
struct Nothing;

impl Payload for Nothing {
    fn segment_end(&self, _offset: u64, end: u64) -> u64 {
        end
    }

    fn copy_out(&self, _offset: u64, into: &mut [u8]) {
        debug_assert!(into.is_empty(), "only the FIN is sent");
    }
}
