//! What a capture holds, gathered packet by packet in memory that does not grow with it.

use std::collections::{BTreeMap, HashMap, HashSet};

use capture::Packet;
use wire::flow::{Addr, Endpoint};
use wire::segment::Segment;

use super::connection::{Connection, Course, Shape};
use super::connections::{Connections, Key};

/// Addresses that are kept of a port.
const SERVERS_MAX: usize = 16;
/// Endpoints that are remembered to serve, because somebody was seen to open a connection to them.
const KNOWN_MAX: usize = 65_536;
/// VLANs and virtual networks that are told apart.
const NETWORKS_MAX: usize = 4096;

/// What was seen at one port of servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    /// Connections of each server, up to so many servers.
    pub(super) servers: BTreeMap<Addr, u64>,
    /// Whether there were more.
    pub(super) has_more_servers: bool,
    pub(super) connections: u64,
    pub(super) whole: u64,
    pub(super) without_beginning: u64,
    pub(super) requests_only: u64,
    pub(super) responses_only: u64,
    pub(super) encrypted: u64,
    pub(super) requests: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) cut: u64,
    pub(super) bad: u64,
}

/// What a capture holds.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) services: HashMap<u16, Service>,
    pub(super) networks: HashSet<u32>,
    /// Connections that were counted before they ended, because too many were open.
    pub(super) counted_early: u64,
    pub(super) time: Time,
    connections: Connections,
    /// Who serves.
    known: HashSet<Endpoint>,
}

/// The stamps of packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Time {
    /// Of the first and the last one, in nanoseconds since the epoch.
    pub(super) range: Option<(u64, u64)>,
    /// Packets that are earlier than the one before them.
    pub(super) back: u64,
    /// The longest time without a packet, in nanoseconds.
    pub(super) gap_ns: u64,
    last_ns: u64,
}

impl Time {
    /// Takes the stamp of a packet.
    pub(super) fn take(&mut self, at_ns: u64) {
        let Some((first, last)) = &mut self.range else {
            self.range = Some((at_ns, at_ns));
            self.last_ns = at_ns;
            return;
        };
        self.back += u64::from(at_ns < self.last_ns);
        self.gap_ns = self.gap_ns.max(at_ns.saturating_sub(*last));
        (*first, *last) = ((*first).min(at_ns), (*last).max(at_ns));
        self.last_ns = at_ns;
    }
}

impl Survey {
    /// Takes a TCP packet.
    pub(super) fn take(&mut self, packet: &Packet<'_>) {
        // It is well-formed: that is what was promised of it.
        let Ok(segment) = Segment::parse(packet.bytes, 0) else {
            return;
        };
        if self.networks.len() < NETWORKS_MAX {
            self.networks.insert(packet.network);
        }
        let (key, from) = Key::of(packet.network, segment.source, segment.destination);
        let goes_on = self
            .connections
            .get(&key)
            .is_some_and(|known| !known.is_followed_by(from, &segment));
        if !goes_on {
            self.begin(key);
        }
        if let Some(connection) = self.connections.get(&key) {
            connection.take(from, &segment, packet);
        }
    }

    fn begin(&mut self, key: Key) {
        if self.connections.is_full() {
            let silent: Vec<(Key, Connection)> = self.connections.make_room().collect();
            let is_open = |(_, it): &&(Key, Connection)| !it.is_over();
            self.counted_early += silent.iter().filter(is_open).count() as u64;
            self.fold(silent);
        }
        if let Some(before) = self.connections.begin(key) {
            self.fold(vec![(key, before)]);
        }
    }

    /// Counts what is still followed.
    pub(super) fn finish(&mut self) {
        let all = self.connections.drain().collect();
        self.fold(all);
    }

    /// Counts connections, those first whose beginning says who serves.
    fn fold(&mut self, connections: Vec<(Key, Connection)>) {
        let (begun, others): (Vec<_>, Vec<_>) = connections
            .into_iter()
            .partition(|(_, connection)| connection.has_beginning());
        for (key, connection) in begun.into_iter().chain(others) {
            let client = connection.client(&key.ends, |end| self.known.contains(end));
            let server = key.ends[1 - client];
            if connection.has_beginning() && self.known.len() < KNOWN_MAX {
                self.known.insert(server);
            }
            let service = self.services.entry(server.port).or_default();
            service.count(server.addr, &connection.course(client));
        }
    }
}

impl Service {
    fn count(&mut self, server: Addr, course: &Course) {
        if self.servers.len() < SERVERS_MAX || self.servers.contains_key(&server) {
            *self.servers.entry(server).or_default() += 1;
        } else {
            self.has_more_servers = true;
        }
        self.connections += 1;
        *match course.shape {
            Shape::Whole => &mut self.whole,
            Shape::WithoutBeginning => &mut self.without_beginning,
            Shape::RequestsOnly => &mut self.requests_only,
            Shape::ResponsesOnly => &mut self.responses_only,
        } += 1;
        self.encrypted += u64::from(course.is_encrypted);
        self.requests += course.requests;
        self.request_bytes += course.request_bytes;
        self.response_bytes += course.response_bytes;
        self.cut += course.cut;
        self.bad += course.bad;
    }
}
