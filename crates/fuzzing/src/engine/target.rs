//! The targets' ends of the sessions' connections. They remember what the engine sent and what it was told, and judge
//! each frame by it.

use core::time::Duration;

use wire::checksum::pseudo_header;
use wire::flow::{Endpoint, FlowKey};
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;
use wire::tcp::{Flags, Options};

use session::Instant;

use super::content;
use super::talk::Talk;

/// For so long two sequence numbers can be told apart: the clock that new ones come from is half around its circle after 2.4 hours.
const NUMBERS_AGE: Duration = Duration::from_secs(3600);

/// A SYN that came back and what followed, until the next SYN of the same endpoint.
pub(super) struct Connection {
    pub(super) local: FlowKey,
    pub(super) iss: u32,
    /// Our own initial sequence number.
    pub(super) isn: u32,
    /// What the SYN offered.
    pub(super) offered: Options,
    /// Whether a SYN-ACK was sent that the engine must believe.
    pub(super) answered: bool,
    /// Whether timestamps were agreed on.
    pub(super) timestamps: bool,
    /// The latest TSval of the engine.
    pub(super) timestamp: u32,
    /// What was received: sequence number `iss + 1` on.
    pub(super) stream: Vec<u8>,
    /// Whose bytes these are, once there are enough to tell.
    origin: Option<(usize, u32)>,
    /// How much of `stream` has been compared with it.
    traced: usize,
    /// Whether a FIN was received, which stands after `stream`.
    pub(super) fin: bool,
    /// How much of `stream` (and FIN) we have acknowledged, at most.
    pub(super) acknowledged: u32,
    /// The highest position (see `stream`) that any window of ours has allowed.
    edge: i64,
    shift: u8,
    /// How many of our own bytes, and FIN, we have sent in order.
    pub(super) next: u32,
    /// The highest of our positions that any segment of ours reached.
    reached: i64,
    /// The last frame: sequence number and length of its payload.
    pub(super) last: (u32, u16),
    /// When it came.
    heard: Instant,
    /// What we say, where a protocol module reads it.
    pub(super) talk: Option<&'static Talk>,
}

impl Connection {
    fn new(segment: &Segment, options: Options) -> Self {
        let local = FlowKey {
            client: segment.source,
            server: segment.destination,
        };
        Self {
            local,
            iss: segment.seq,
            isn: segment.seq ^ 0x2aaa_aaaa,
            offered: options,
            answered: false,
            timestamps: false,
            timestamp: options.timestamps.map_or(0, |timestamps| timestamps.value),
            stream: Vec::new(),
            origin: None,
            traced: 0,
            fin: false,
            acknowledged: 0,
            edge: 0,
            shift: 0,
            next: 0,
            reached: 0,
            last: (segment.seq, 0),
            heard: Instant::default(),
            talk: None,
        }
    }

    /// Everything that was received, FIN included.
    pub(super) fn received(&self) -> u32 {
        self.stream.len() as u32 + u32::from(self.fin)
    }

    /// The first sequence number that the engine has not used.
    fn end(&self) -> u32 {
        self.iss.wrapping_add(1).wrapping_add(self.received())
    }

    /// Bytes of `stream` that were acknowledged.
    pub(super) fn bytes_acknowledged(&self) -> u64 {
        u64::from(self.acknowledged).min(self.stream.len() as u64)
    }

    /// Bytes that the target has sent, at most, FIN included.
    pub(super) fn bytes_answered(&self) -> u64 {
        self.reached.max(0).cast_unsigned()
    }

    /// A segment of ours goes to the engine.
    fn note(&mut self, segment: &Segment, options: &Options) {
        let flags = segment.flags;
        let acknowledged = segment.ack.wrapping_sub(self.iss).wrapping_sub(1);
        if flags.contains(Flags::RST) {
            if flags.contains(Flags::ACK) && self.answered && acknowledged <= self.received() {
                self.acknowledged = self.acknowledged.max(acknowledged);
            }
            return;
        }
        if flags.contains(Flags::SYN) {
            if flags.contains(Flags::ACK) && acknowledged == 0 {
                if !self.answered {
                    self.answered = true;
                    self.isn = segment.seq;
                    self.timestamps =
                        self.offered.timestamps.is_some() && options.timestamps.is_some();
                }
                self.shift = self.shift.max(options.window_scale.unwrap_or(0));
                self.edge = self.edge.max(i64::from(segment.window));
            }
            return;
        }
        let first = segment.seq.wrapping_sub(self.isn).wrapping_sub(1);
        let fin = i64::from(flags.contains(Flags::FIN));
        let last = i64::from(first.cast_signed()) + i64::from(segment.payload_len) + fin;
        self.reached = self.reached.max(last);
        if flags.contains(Flags::ACK) && self.answered {
            let position = i64::from(acknowledged.cast_signed());
            if position <= i64::from(self.received()) {
                let position = u32::try_from(position).unwrap_or(0);
                self.acknowledged = self.acknowledged.max(position);
                let window = i64::from(segment.window) << self.shift;
                // An old acknowledgement may bring its window late.
                self.edge = self.edge.max(i64::from(self.acknowledged) + window);
            }
        }
    }

    /// A frame of the engine that is not a SYN. Returns how many bytes in it are new.
    fn receive(&mut self, segment: &Segment, options: &Options, payload: &[u8]) -> u64 {
        assert!(
            segment.flags.contains(Flags::ACK),
            "{segment:?} acknowledges nothing"
        );
        assert!(self.answered, "{segment:?} comes before the SYN-ACK");
        if let Some(timestamps) = options.timestamps {
            self.timestamp = timestamps.value;
        }
        if segment.flags.contains(Flags::RST) {
            return 0;
        }
        assert_eq!(
            options.timestamps.is_some(),
            self.timestamps,
            "{segment:?}: timestamps as agreed (RFC 7323 section 3.2)"
        );
        let ours = segment.ack.wrapping_sub(self.isn).wrapping_sub(1);
        assert!(
            i64::from(ours) <= self.reached,
            "{segment:?} acknowledges {ours} of {} bytes",
            self.reached
        );
        for (left, right) in options.sack.as_slice() {
            let (left, right) = (
                left.wrapping_sub(self.isn).wrapping_sub(1),
                right.wrapping_sub(self.isn).wrapping_sub(1),
            );
            assert!(
                ours < left && left < right && i64::from(right) <= self.reached,
                "{segment:?}: SACK block {left}..{right} after {ours} of {} bytes",
                self.reached
            );
        }
        let before = self.stream.len();
        self.take(segment, payload);
        (self.stream.len() - before) as u64
    }

    fn take(&mut self, segment: &Segment, payload: &[u8]) {
        let start_of_stream = self.iss.wrapping_add(1);
        if payload.is_empty() && segment.seq.wrapping_add(1) == start_of_stream {
            // A keep-alive probe, right behind the handshake.
            return;
        }
        let start = segment.seq.wrapping_sub(self.iss).wrapping_sub(1) as usize;
        let end = start + payload.len();
        assert!(
            start <= self.received() as usize,
            "{segment:?} starts at byte {start}, {} were sent before",
            self.stream.len()
        );
        if !payload.is_empty() {
            // One byte beyond it is a probe of a window that is closed.
            assert!(
                i64::try_from(end).is_ok_and(|end| end <= self.edge + 1),
                "{segment:?} ends at byte {end}, the window at {}",
                self.edge
            );
        }
        let known = (self.stream.len() - start.min(self.stream.len())).min(payload.len());
        let (again, new) = payload.split_at(known);
        assert!(
            self.stream[start.min(self.stream.len())..].starts_with(again),
            "{segment:?} differs from what was sent before"
        );
        assert!(
            new.is_empty() || !self.fin,
            "{segment:?} brings bytes after the FIN"
        );
        self.stream.extend_from_slice(new);
        if segment.flags.contains(Flags::FIN) {
            assert_eq!(
                end,
                self.stream.len(),
                "{segment:?}: FIN stands after the last byte"
            );
            self.fin = true;
        }
    }
}

/// All connections of all targets.
pub(super) struct Targets {
    pub(super) connections: Vec<Connection>,
    /// Whether clients say what `content` makes them say.
    pub(super) telling: bool,
    /// When what comes next comes.
    pub(super) now: Instant,
    /// Of connections that are gone.
    acknowledged: u64,
    answered: u64,
    /// Bytes sent for the first time.
    pub(super) received: u64,
    /// What they say, where a protocol module reads it.
    talk: Option<&'static Talk>,
}

impl Targets {
    pub(super) fn new(talk: Option<&'static Talk>) -> Self {
        Self {
            talk,
            connections: Vec::new(),
            telling: true,
            now: Instant::default(),
            acknowledged: 0,
            answered: 0,
            received: 0,
        }
    }

    /// Bytes that targets have acknowledged.
    pub(super) fn bytes_acknowledged(&self) -> u64 {
        let live = self.connections.iter().map(Connection::bytes_acknowledged);
        self.acknowledged + live.sum::<u64>()
    }

    /// Bytes that targets have sent, FINs included.
    pub(super) fn bytes_answered(&self) -> u64 {
        let live = self.connections.iter().map(Connection::bytes_answered);
        self.answered + live.sum::<u64>()
    }

    /// A target's packet goes to the engine, whoever made it.
    pub(super) fn note(&mut self, headers: &[u8]) {
        let Ok(segment) = Segment::parse(headers, 0) else {
            return;
        };
        let local = FlowKey {
            client: segment.destination,
            server: segment.source,
        };
        if let Some(connection) = self.find(&local) {
            connection.note(&segment, &segment.options(headers));
        }
    }

    fn find(&mut self, local: &FlowKey) -> Option<&mut Connection> {
        self.connections
            .iter_mut()
            .find(|connection| connection.local == *local)
    }

    /// A packet of the engine, from its IP header on. `reused` says whether its endpoint remembers what was sent from it
    /// before; `copies` whether a flow may go to a target.
    pub(super) fn receive(
        &mut self,
        packet: &[u8],
        reused: bool,
        copies: impl Fn(usize, Endpoint) -> bool,
    ) -> FlowKey {
        let segment = Segment::parse(packet, 0).expect("a frame is a segment");
        let (tcp, payload) = (
            segment.tcp(packet).expect("a whole segment"),
            segment.payload(packet).expect("a whole segment"),
        );
        assert_eq!(
            usize::from(segment.payload_offset) + payload.len(),
            packet.len(),
            "nothing follows {segment:?}"
        );
        let (from, to) = (&segment.source.addr, &segment.destination.addr);
        let pseudo = pseudo_header(from, to, PROTOCOL_TCP, tcp.len() as u16);
        assert_eq!(pseudo.bytes(tcp).finish(), 0, "checksum of {segment:?}");
        assert!(segment.is_copy(), "{segment:?} carries no mark");
        let local = FlowKey {
            client: segment.source,
            server: segment.destination,
        };
        let options = segment.options(packet);
        if segment.flags.contains(Flags::SYN) {
            self.begin(&segment, options, reused);
            return local;
        }
        if segment.flags == Flags::RST {
            // For a connection that the target has left over: it is not ours.
            return local;
        }
        let (telling, now) = (self.telling, self.now);
        let connection = self.find(&local).expect("a connection that was opened");
        let new = connection.receive(&segment, &options, payload);
        if telling {
            trace(connection, copies);
        }
        connection.last = (segment.seq, segment.payload_len);
        connection.heard = now;
        self.received += new;
        local
    }

    fn begin(&mut self, segment: &Segment, options: Options, reused: bool) {
        assert_eq!(
            (segment.flags, segment.payload_len),
            (Flags::SYN, 0),
            "a SYN is alone"
        );
        let new = Connection {
            heard: self.now,
            talk: self.talk,
            ..Connection::new(segment, options)
        };
        let at = self
            .connections
            .iter()
            .position(|connection| connection.local == new.local);
        let Some(at) = at else {
            self.connections.push(new);
            return;
        };
        let old = &mut self.connections[at];
        // The clients' own addresses have no memory: there a number may come back with the next connection.
        if old.iss == new.iss && (reused || !old.answered) {
            assert!(
                old.stream.is_empty() && !old.fin,
                "{segment:?} after its connection was open"
            );
            (old.timestamp, old.heard) = (new.timestamp, new.heard);
            return;
        }
        if reused && self.now.since(old.heard) < NUMBERS_AGE {
            assert!(
                new.iss.wrapping_sub(old.end()).cast_signed() >= 0,
                "{segment:?} must exceed {}, which was sent before",
                old.end()
            );
        }
        self.acknowledged += old.bytes_acknowledged();
        self.answered += old.bytes_answered();
        *old = new;
    }
}

/// What a connection carries must be what a client said, and one whose rule names that target.
fn trace(connection: &mut Connection, copies: impl Fn(usize, Endpoint) -> bool) {
    let stream = &connection.stream;
    if let Some((flow, first)) = connection.origin {
        for (at, byte) in stream.iter().enumerate().skip(connection.traced) {
            let said = content::byte(flow, first.wrapping_add(at as u32));
            assert_eq!(*byte, said, "byte {at} of what flow {flow} said");
        }
        connection.traced = stream.len();
    } else if stream.len() >= content::TELLING_LEN {
        let origin = content::origin(stream);
        let (flow, _) = origin.expect("bytes that a client said");
        assert!(
            copies(flow, connection.local.server),
            "flow {flow} is not copied to {}",
            connection.local.server
        );
        (connection.origin, connection.traced) = (origin, stream.len());
    }
}
