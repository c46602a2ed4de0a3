//! What the programs record of the packets that pass, and what the engines get and send.

use std::cmp::Reverse;

use session::{Event, Instant};
use wire::segment::Segment;
use wire::tcp::{COPY_MARK, Flags};

use crate::forge::{self, Forged};
use crate::packet::{self, headers};
use crate::setting::{START, let_in};
use crate::watch;
use crate::world::{Arrival, World};

/// Calls of `on_timeout` until nothing is due any more.
const TIMEOUTS_AT_ONCE_MAX: u32 = 1000;
/// The router that says where a path is narrow.
const ROUTER: [u8; 4] = [10, 0, 0, 9];
/// How long the first bytes of a stream are that a SYN carries.
const SYN_DATA_LEN: usize = 20;

impl World {
    /// The next packet arrives where it goes.
    pub(crate) fn arrive(&mut self) {
        let Some(Reverse((_, _, arrival, stamp, packet))) = self.underway.pop() else {
            return;
        };
        let (now, stamp) = (self.instant(), Instant::from_nanos(stamp));
        match arrival {
            Arrival::Online => self.on_reached_online(packet),
            Arrival::ClientsMerged => {
                for packet in self.capture_merge.flush() {
                    self.enter_online(&packet);
                }
            }
            Arrival::Client => {
                self.client_stack.push(packet);
                self.run_clients();
            }
            Arrival::Target => self.on_reached_target(packet),
            Arrival::Reply => self.on_reached_engine(packet),
            Arrival::RepliesMerged => {
                for packet in self.reply_merge.flush() {
                    self.record(
                        Arrival::ReplyRecord,
                        packet::beginning(&packet, self.plan.recorded_len()),
                    );
                }
            }
            Arrival::TooBig => self.record(Arrival::TooBigRecord, &packet),
            Arrival::ClientRecord => {
                if stamp.as_nanos() < self.captured_until {
                    self.oracle.on_recorded(&packet);
                }
                self.engine.on_client_packet(now, stamp, &packet);
                self.on_input();
            }
            Arrival::OnlineRecord => {
                self.engine.on_online_packet(now, stamp, &packet);
                self.on_input();
            }
            Arrival::ReplyRecord => {
                self.trace.packet(self.now, "target -> engine", &packet);
                self.oracle.on_reply(self.now, &packet);
                self.engine.on_target_packet(now, stamp, &packet);
                self.on_input();
            }
            Arrival::ForgedReplyRecord => {
                self.trace.packet(self.now, "forged -> engine", &packet);
                self.engine.on_target_packet(now, stamp, &packet);
                self.on_input();
            }
            Arrival::TooBigRecord => {
                self.trace.note(self.now, "too big -> engine");
                self.engine.on_too_big(now, &packet);
                self.on_input();
            }
        }
    }

    fn on_input(&mut self) {
        self.inputs += 1;
        self.run_engine();
    }

    /// A client's packet is at the online server's interface.
    fn on_reached_online(&mut self, packet: Vec<u8>) {
        let Some(hold) = self.plan.network.offload else {
            self.enter_online(&packet);
            return;
        };
        let waits = self.capture_merge.is_empty();
        for packet in self.capture_merge.push(packet) {
            self.enter_online(&packet);
        }
        if waits && !self.capture_merge.is_empty() {
            self.send(self.now + hold, Arrival::ClientsMerged, 0, vec![]);
        }
    }

    /// A client's packet, merged with others or not, passes `capture` and enters the online server's TCP.
    fn enter_online(&mut self, packet: &[u8]) {
        self.trace.packet(self.now, "client -> online", packet);
        self.oracle.on_client(self.now, packet);
        let segment = Segment::parse(packet, 0).ok();
        if segment.is_some_and(|segment| !segment.is_pure_ack() && !segment.is_copy()) {
            self.record(Arrival::ClientRecord, packet);
            self.forge_client(packet);
        }
        let mut packet = packet.to_vec();
        if let Some(segment) = packet::valid(&packet) {
            if segment.flags.contains(Flags::SYN) {
                // As if the server did not know TCP Fast Open (RFC 7413).
                packet.truncate(usize::from(segment.payload_offset));
            }
            packet::edit(&mut packet, |_| ());
        }
        for packet in let_in(packet, &mut self.online, &mut self.online_stack) {
            self.online_stack.push(packet);
        }
        self.run_online();
    }

    fn on_reached_target(&mut self, packet: Vec<u8>) {
        self.trace.packet(self.now, "engine -> target", &packet);
        if let Some(segment) = packet::valid(&packet) {
            self.oracle.on_reached_target(&segment);
        }
        for packet in let_in(packet, &mut self.target, &mut self.target_stack) {
            self.target_stack.push(packet);
        }
        self.run_target();
    }

    /// A reply is where it is taken: at `capture`, behind receive offload, or at `sink`, before it.
    fn on_reached_engine(&mut self, packet: Vec<u8>) {
        let hold = self.plan.network.offload;
        let Some(hold) = hold.filter(|_| self.links.report.is_none()) else {
            self.record(
                Arrival::ReplyRecord,
                packet::beginning(&packet, self.plan.recorded_len()),
            );
            return;
        };
        let waits = self.reply_merge.is_empty();
        for packet in self.reply_merge.push(packet) {
            self.record(
                Arrival::ReplyRecord,
                packet::beginning(&packet, self.plan.recorded_len()),
            );
        }
        if waits && !self.reply_merge.is_empty() {
            self.send(self.now + hold, Arrival::RepliesMerged, 0, vec![]);
        }
    }

    /// A program makes a record, and a ring or the channel takes it to the engine, or not.
    pub(crate) fn record(&mut self, arrival: Arrival, packet: &[u8]) {
        let ring = self.plan.ring.clone();
        let online = arrival == Arrival::OnlineRecord;
        let lost = match arrival {
            Arrival::ClientRecord => self.has_fault(ring.capture_lost),
            Arrival::OnlineRecord => self.has_fault(ring.observe_lost),
            _ if self.links.report.is_some() => {
                self.report(arrival, packet);
                return;
            }
            _ => self
                .links
                .reply_ring
                .send(self.now, packet.to_vec())
                .is_empty(),
        };
        if lost || self.now < START + self.plan.capture_from {
            self.records_lost += 1;
            self.trace.packet(self.now, "record lost", packet);
            self.oracle.on_record_lost(packet);
            return;
        }
        // Without one total order `observe` comes later, but never sooner: what `capture` took is read first.
        let (ring, from, delay) = match ring.observe_delay {
            Some(delay) if online => (1, self.record_at[0].max(self.now), delay),
            _ => (0, self.now, ring.delay),
        };
        let at = from + self.random.range(0, delay);
        self.record_at[ring] = self.record_at[ring].max(at);
        self.send(self.record_at[ring], arrival, self.now, packet.to_vec());
    }

    /// Whether something goes wrong that does in `percent` of 100 cases, as long as anything does.
    fn has_fault(&mut self, percent: u64) -> bool {
        self.random.percent(percent) && self.calm.is_none()
    }

    /// `intercept` reports what it took. The channel keeps the order, and stamps are those of the arrival.
    fn report(&mut self, arrival: Arrival, packet: &[u8]) {
        let arrivals = match &mut self.links.report {
            Some(path) if self.channel_up => path.send(self.now, packet.to_vec()),
            _ => vec![],
        };
        if arrivals.is_empty() {
            self.records_lost += 1;
            self.trace.packet(self.now, "report lost", packet);
        }
        for (at, packet) in arrivals {
            self.send(at, arrival, at, packet);
        }
    }

    /// What a client sends is changed to what few clients send.
    pub(crate) fn make_odd(&mut self, packet: &mut Vec<u8>) {
        let Ok(segment) = Segment::parse(&packet[..], 0) else {
            return;
        };
        if self.plan.oddities.syn_data && segment.flags.contains(Flags::SYN) {
            let port = segment.source.port;
            let mut clients = self.clients.iter().rev();
            let client = clients.find(|client| client.port == port && client.has_opened());
            if let Some(client) = client {
                let len = client.stream.len().min(SYN_DATA_LEN);
                packet.extend_from_slice(&client.stream[..len]);
                packet::edit(packet, |_| ());
            }
        } else if segment.payload_len > 0 && self.random.percent(self.plan.oddities.urgent) {
            let at = self.random.pick(&[1, COPY_MARK]);
            packet::edit(packet, |tcp| {
                tcp.set_urg(true);
                tcp.set_urgent_at(at);
            });
        }
    }

    /// Somebody speaks in the name of the client that has just spoken.
    fn forge_client(&mut self, packet: &[u8]) {
        if !self.has_fault(self.plan.oddities.forged_clients) {
            return;
        }
        // Before the handshake is over even the online server can only guess whose word counts.
        if let Some(segment) = packet::valid(packet)
            && !segment.flags.contains(Flags::SYN)
            && let Some(range) = self.oracle.range(segment.source.port)
        {
            let forged = forge::of_client(packet, range, &mut self.random);
            self.trace.packet(self.now, "forged -> online", &forged);
            self.oracle.on_forged(&forged);
            self.forged += 1;
            self.record(Arrival::ClientRecord, &forged);
        }
    }

    /// Somebody speaks in the name of the target that has just been spoken to.
    fn forge_reply(&mut self, packet: &[u8]) {
        if !self.has_fault(self.plan.oddities.forged_replies) {
            return;
        }
        match forge::about(packet, self.plan.host(ROUTER), &mut self.random) {
            Some(Forged::Reply(forged)) => {
                self.record(Arrival::ForgedReplyRecord, headers(&forged));
            }
            Some(Forged::TooBig(forged)) => self.record(Arrival::TooBigRecord, &forged),
            None => return,
        }
        self.forged += 1;
    }

    pub(crate) fn run_engine(&mut self) {
        let now = self.instant();
        let mut calls = 0;
        while self.engine.next_timeout().is_some_and(|at| at <= now) {
            self.engine.on_timeout(now);
            calls += 1;
            assert!(calls < TIMEOUTS_AT_ONCE_MAX, "a timer stays due at {now:?}");
            self.transmit();
        }
        self.transmit();
        self.hear();
    }

    /// What the engine tells.
    fn hear(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            self.trace.event(self.now, &event);
            match event {
                Event::TurnEnded(ended) => {
                    self.ended.push(ended);
                    self.ended_at.push(self.now);
                }
                Event::SessionClosed { flow, .. } => self.oracle.on_closed(flow.client.port),
                Event::MissedBytes { bytes, .. } => self.missed_bytes += bytes,
                Event::SessionOpened { .. }
                | Event::PathUnproven { .. }
                | Event::OnlineSent { .. }
                | Event::Compared(_)
                | Event::LoginFailed { .. } => {}
            }
        }
    }

    fn transmit(&mut self) {
        let mut frame = [0; 1514];
        let mut burst = 0;
        while let Some(len) = self.engine.poll_transmit(self.instant(), &mut frame) {
            // The SYN that leaves may be of a connection that has waited for the end of another.
            self.hear();
            burst += 1;
            assert!(burst < 10_000, "frames without end");
            self.frames += 1;
            let packet = frame[14..len].to_vec();
            let segment = Segment::parse(&packet[..], 0).expect("the engine sends whole segments");
            assert!(segment.is_copy(), "a copy without its mark");
            assert!(packet::valid(&packet).is_some(), "a wrong checksum");
            assert!(
                packet.len() <= usize::from(self.route_mtu),
                "larger than the MTU"
            );
            self.trace.packet(self.now, "engine ->", &packet);
            self.oracle.on_engine(self.now, &segment, &packet);
            let ends = segment.flags.intersects(Flags::SYN.with(Flags::RST));
            if segment.flags.contains(Flags::ACK) && !ends {
                watch::on_window(self, &segment);
                self.forge_reply(&packet);
            }
            self.leave_for_target(packet);
        }
    }

    /// A segment of the engine's sets out, and may be too big on its way.
    fn leave_for_target(&mut self, packet: Vec<u8>) {
        if let Some((mtu, tells)) = self.plan.network.narrow
            && packet.len() > usize::from(mtu)
        {
            self.trace.packet(self.now, "too big", &packet);
            if tells {
                let message = packet::too_big(&packet, self.plan.host(ROUTER), mtu);
                let arrivals = self.links.to_engine.send(self.now, message);
                self.send_all(arrivals, Arrival::TooBig);
            }
            return;
        }
        let arrivals = self.links.to_target.send(self.now, packet);
        self.send_all(arrivals, Arrival::Target);
    }
}
