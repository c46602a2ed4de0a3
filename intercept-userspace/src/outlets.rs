//! A worker's view of the connections: one growing batch of reports for each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::record::WHOLE_FRAME_LEN_MAX;
use channel::{Batch, Report};
use wire::flow::{Endpoint, FlowKey};

use crate::connection::Connection;
use crate::router::{ConnectionId, Router};

/// A batch of this length goes to the writer however busy that is, in bytes.
pub(crate) const BATCH_LEN: usize = 16_384;
/// Batches grow, rather than go, while this many wait for the writer.
const WAITING_MAX: usize = 4;

/// Where a report went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routed {
    /// To the connection that announced the flow.
    Owner,
    /// To all that subscribed to the target: nobody has announced the flow.
    Subscribers,
    /// Nowhere: nobody subscribed to the target, or several did and nobody announced the flow.
    Nobody,
}

/// A worker's outlets.
#[derive(Debug)]
pub(crate) struct Outlets {
    router: Arc<Router>,
    version: Option<u64>,
    /// By the slot of the connection.
    outlets: Vec<Option<Outlet>>,
    /// Slots of those that subscribed to a target.
    subscribers: HashMap<Endpoint, Vec<u16>>,
    /// Slots of outlets with something in their batch.
    filled: Vec<u16>,
}

#[derive(Debug)]
struct Outlet {
    id: ConnectionId,
    connection: Arc<Connection>,
    /// Targets whose replies it asks for as a whole.
    whole: Arc<HashSet<Endpoint>>,
    payload_max: usize,
    batch: Batch,
}

impl Outlets {
    /// No outlets yet.
    pub(crate) fn new(router: Arc<Router>) -> Self {
        Self {
            router,
            version: None,
            outlets: Vec::new(),
            subscribers: HashMap::new(),
            filled: Vec::new(),
        }
    }

    /// Notices connections that came and went; gives whether any did. To be called before each look at the socket, so
    /// that those that went are forgotten though no packet comes.
    pub(crate) fn refresh(&mut self) -> bool {
        if !self.router.changed(&mut self.version) {
            return false;
        }
        self.flush(true);
        self.subscribers.clear();
        let mut outlets = Vec::new();
        for subscriber in self.router.subscribers() {
            let slot = usize::from(subscriber.id.slot);
            for target in subscriber.targets.iter() {
                let slots = self.subscribers.entry(*target).or_default();
                slots.push(subscriber.id.slot);
            }
            if outlets.len() <= slot {
                outlets.resize_with(slot + 1, || None);
            }
            outlets[slot] = Some(Outlet {
                id: subscriber.id,
                connection: subscriber.connection,
                whole: subscriber.whole,
                payload_max: subscriber.payload_max.into(),
                batch: Batch::new(),
            });
        }
        self.outlets = outlets;
        true
    }

    /// Puts a report into the batch, or batches, of whom it is for.
    pub(crate) fn route(&mut self, flow: &FlowKey, report: &Report<'_>) -> Routed {
        if self.route_to_owner(flow, report) {
            return Routed::Owner;
        }
        // The packet may be younger than our knowledge: its connection may have come between two looks.
        if self.refresh() && self.route_to_owner(flow, report) {
            return Routed::Owner;
        }
        // Where one connection wants a target's replies they can be nobody else's. Of several each gets what it announced, and segments
        // without payload: by the answers to probes, which are not announced, each of them proves its path.
        let slots = match self.subscribers.get(&flow.server) {
            Some(slots) if slots.len() == 1 || is_empty(report) => slots,
            _ => return Routed::Nobody,
        };
        for slot in slots {
            if let Some(outlet) = outlet(&mut self.outlets, *slot) {
                // A segment with payload comes here before its session was announced, and where nobody else could announce it.
                let payload_max = outlet.payload_of(&flow.server, report);
                outlet.put(report, payload_max, &mut self.filled);
            }
        }
        Routed::Subscribers
    }

    /// Whether the flow was announced, by a connection that we know.
    fn route_to_owner(&mut self, flow: &FlowKey, report: &Report<'_>) -> bool {
        let Some(owner) = self.router.owner(flow) else {
            return false;
        };
        match outlet(&mut self.outlets, owner.slot) {
            Some(outlet) if outlet.id == owner => {
                let payload_max = outlet.payload_of(&flow.server, report);
                outlet.put(report, payload_max, &mut self.filled);
                true
            }
            _ => false,
        }
    }

    /// Hands batches to the writers: all of them, or those whose writer keeps up. Gives whether any is left.
    pub(crate) fn flush(&mut self, all: bool) -> bool {
        self.filled.retain(|slot| {
            let Some(outlet) = outlet(&mut self.outlets, *slot) else {
                return false;
            };
            let hold = !all && outlet.connection.waiting() >= WAITING_MAX;
            if !hold {
                outlet.offer();
            }
            hold
        });
        !self.filled.is_empty()
    }
}

/// Whether a segment carries no payload, as the answers to a probe.
fn is_empty(report: &Report<'_>) -> bool {
    report.packet_len as usize <= report.headers.len()
}

fn outlet(outlets: &mut [Option<Outlet>], slot: u16) -> Option<&mut Outlet> {
    outlets.get_mut(usize::from(slot))?.as_mut()
}

impl Outlet {
    /// How many payload bytes it gets of a reply of this target that is for it. While much waits for it these are a sample's: the
    /// headers of what comes are worth more to it than the payload of what came, and it sees what is missing.
    fn payload_of(&self, target: &Endpoint, report: &Report<'_>) -> usize {
        if self.whole.is_empty() || !self.whole.contains(target) {
            return self.payload_max;
        }
        let totals = &self.connection.totals;
        if self.connection.is_behind() {
            totals.cut.fetch_add(1, Ordering::Relaxed);
            return self.payload_max;
        }
        let there = report.headers.len() + report.payload.len();
        if there < report.packet_len as usize
            && totals.too_long.fetch_add(1, Ordering::Relaxed) == 0
        {
            say_too_long(report.packet_len);
        }
        usize::MAX
    }

    fn put(&mut self, report: &Report<'_>, payload_max: usize, filled: &mut Vec<u16>) {
        if self.batch.is_empty() {
            self.batch.reuse(Vec::with_capacity(FIRST_LEN));
            if !filled.contains(&self.id.slot) {
                filled.push(self.id.slot);
            }
        }
        // Another connection may have asked for more, and this one for none.
        let report = &Report {
            payload: &report.payload[..report.payload.len().min(payload_max)],
            ..*report
        };
        // A report that does not fit into an empty batch does not exist.
        if !self.batch.push(report) {
            self.offer();
            self.batch.push(report);
        }
        if self.batch.bytes_len() >= BATCH_LEN {
            self.offer();
        }
    }

    fn offer(&mut self) {
        let count = self.batch.len();
        if count > 0 {
            self.connection.offer(self.batch.take(), count);
        }
    }
}

/// Says what a packet means whose payload is not there although it is wanted; the first one of a connection alone.
fn say_too_long(packet_len: u32) {
    tracing::warn!(
        finding = "payload-too-long",
        "a reply of {packet_len} bytes was taken without its payload, which a protocol module of tcpcopy wants: it is longer than a frame \
         of an AF_XDP socket. Where the interface merges packets on the way in, switch that off (ethtool -K IFACE gro off lro off); \
         else its MTU is more than {} bytes",
        WHOLE_FRAME_LEN_MAX - wire::ethernet::HEADER_LEN
    );
}

/// Bytes that a batch begins with: a few reports, for most batches of a quiet target are short.
const FIRST_LEN: usize = 512;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Read as _;
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use crossbeam_channel::Receiver;

    use channel::{Decoder, Report, ToTcpcopy};
    use wire::flow::{Addr, Endpoint, FlowKey};

    use super::{BATCH_LEN, Outlets, Routed, WAITING_MAX};
    use crate::connection::{Connection, Outgoing};
    use crate::router::{Router, Wanted};

    const TARGET: Endpoint = Endpoint::new(Addr::v4([192, 0, 2, 1]), 80);
    const OTHER: Endpoint = Endpoint::new(Addr::v4([192, 0, 2, 2]), 80);

    fn flow(port: u16, server: Endpoint) -> FlowKey {
        FlowKey {
            client: Endpoint::new(Addr::v4([10, 0, 0, 7]), port),
            server,
        }
    }

    fn headers() -> Wanted {
        Wanted {
            targets: HashSet::from([TARGET]),
            ..Wanted::default()
        }
    }

    fn report(stamp_ns: u64) -> Report<'static> {
        Report {
            stamp_ns,
            packet_len: 1500,
            headers: &[7; 52],
            payload: &[],
        }
    }

    /// Stamps of the reports that were written to the peer, and of those that wait for the writer.
    fn stamps(mut peer: &TcpStream, queue: &Receiver<Outgoing>) -> Vec<u64> {
        let mut decoder = Decoder::new();
        peer.set_nonblocking(true).unwrap();
        let mut written = Vec::new();
        let _ = peer.read_to_end(&mut written);
        decoder.push(&written).unwrap();
        let mut stamps = Vec::new();
        loop {
            while let Some(frame) = decoder.next_frame().unwrap() {
                let Ok(ToTcpcopy::Reports(reports)) = ToTcpcopy::parse(frame) else {
                    panic!("not reports")
                };
                stamps.extend(reports.iter().map(|report| report.stamp_ns));
            }
            match queue.try_recv() {
                Ok(Outgoing::Reports { frame, .. }) => decoder.push(&frame).unwrap(),
                Ok(_) => {}
                Err(_) => return stamps,
            }
        }
    }

    #[test]
    fn reports_go_to_the_owner_or_to_all_subscribers_or_nowhere() {
        let router = Arc::new(Router::new([TARGET, OTHER]));
        let mut outlets = Outlets::new(Arc::clone(&router));
        outlets.refresh();
        assert_eq!(outlets.route(&flow(1, TARGET), &report(0)), Routed::Nobody);

        let (a, peer_a, queue_a) = Connection::for_test();
        let (b, peer_b, queue_b) = Connection::for_test();
        let id_a = router.subscribe(headers(), &a, || ()).unwrap();
        let _ = router.subscribe(headers(), &b, || ()).unwrap();
        router.open(flow(1, TARGET), id_a);
        // Without a refresh: who came since the last one is known all the same.
        assert_eq!(outlets.route(&flow(1, TARGET), &report(1)), Routed::Owner);
        // Nobody's: it is told to nobody, but what carries nothing to all.
        assert_eq!(outlets.route(&flow(2, TARGET), &report(9)), Routed::Nobody);
        let answer = Report {
            packet_len: report(2).headers.len() as u32,
            ..report(2)
        };
        assert_eq!(
            outlets.route(&flow(2, TARGET), &answer),
            Routed::Subscribers
        );
        assert_eq!(outlets.route(&flow(1, OTHER), &report(3)), Routed::Nobody);
        assert!(!outlets.flush(false));
        assert_eq!(stamps(&peer_a, &queue_a), [1, 2]);
        assert_eq!(stamps(&peer_b, &queue_b), [2]);

        router.unsubscribe(id_a, &HashSet::from([flow(1, TARGET)]));
        outlets.refresh();
        assert_eq!(
            outlets.route(&flow(1, TARGET), &report(4)),
            Routed::Subscribers
        );
        outlets.flush(true);
        assert_eq!(stamps(&peer_b, &queue_b), [4]);
        assert!(stamps(&peer_a, &queue_a).is_empty());
    }

    #[test]
    fn payload_goes_to_those_alone_who_ask_and_no_more_than_they_ask_for() {
        let router = Arc::new(Router::new([TARGET]));
        let mut outlets = Outlets::new(Arc::clone(&router));
        let connections: Vec<_> = [0, 4, 128]
            .into_iter()
            .enumerate()
            .map(|(number, payload_max)| {
                let (connection, peer, queue) = Connection::for_test();
                let wanted = Wanted {
                    payload_max,
                    ..headers()
                };
                let id = router.subscribe(wanted, &connection, || ()).unwrap();
                router.open(flow(number as u16, TARGET), id);
                (peer, queue)
            })
            .collect();
        let report = Report {
            payload: b"secret",
            ..report(1)
        };
        for number in 0..3 {
            outlets.route(&flow(number, TARGET), &report);
        }
        outlets.flush(true);
        let expected: [&[u8]; 3] = [b"", b"secr", b"secret"];
        for ((mut peer, _queue), expected) in connections.iter().map(|(p, q)| (p, q)).zip(expected)
        {
            peer.set_nonblocking(true).unwrap();
            let mut written = Vec::new();
            let _ = peer.read_to_end(&mut written);
            assert_eq!(
                written.windows(3).any(|three| three == b"sec"),
                !expected.is_empty()
            );
            let mut decoder = Decoder::new();
            decoder.push(&written).unwrap();
            let frame = decoder.next_frame().unwrap().unwrap();
            let Ok(ToTcpcopy::Reports(reports)) = ToTcpcopy::parse(frame) else {
                panic!("not reports")
            };
            assert!(reports.iter().map(|report| report.payload).eq([expected]));
        }
    }

    /// Payloads of the reports that wait for the writer or were written.
    fn payloads(mut peer: &TcpStream, queue: &Receiver<Outgoing>) -> Vec<usize> {
        let mut decoder = Decoder::new();
        peer.set_nonblocking(true).unwrap();
        let mut bytes = Vec::new();
        let _ = peer.read_to_end(&mut bytes);
        let mut lengths = Vec::new();
        let mut take = |bytes: &[u8]| {
            for part in bytes.chunks(4096) {
                decoder.push(part).unwrap();
                while let Some(frame) = decoder.next_frame().unwrap() {
                    let Ok(ToTcpcopy::Reports(reports)) = ToTcpcopy::parse(frame) else {
                        panic!("not reports")
                    };
                    lengths.extend(reports.iter().map(|report| report.payload.len()));
                }
            }
        };
        take(&bytes);
        while let Ok(outgoing) = queue.try_recv() {
            if let Outgoing::Reports { frame, .. } = outgoing {
                take(&frame);
            }
        }
        lengths
    }

    fn whole(stamp_ns: u64) -> Report<'static> {
        Report {
            payload: &[b'x'; 1448],
            ..report(stamp_ns)
        }
    }

    #[test]
    fn whole_replies_go_to_whom_they_are_for_and_who_asked_for_them() {
        let router = Arc::new(Router::new([TARGET, OTHER]));
        let mut outlets = Outlets::new(Arc::clone(&router));
        let (asks, peer, queue) = Connection::for_test();
        let wanted = Wanted {
            targets: HashSet::from([TARGET, OTHER]),
            whole: HashSet::from([TARGET]),
            payload_max: 16,
        };
        let id = router.subscribe(wanted, &asks, || ()).unwrap();
        router.open(flow(1, TARGET), id);
        router.open(flow(1, OTHER), id);
        for flow in [flow(1, TARGET), flow(1, OTHER), flow(2, TARGET)] {
            outlets.route(&flow, &whole(1));
        }
        outlets.flush(true);
        // The third one was not announced, as yet perhaps, and can be nobody else's.
        assert_eq!(payloads(&peer, &queue), [1448, 16, 1448]);
        assert_eq!(asks.totals.cut.load(Ordering::Relaxed), 0);

        let (other, other_peer, other_queue) = Connection::for_test();
        let _ = router.subscribe(headers(), &other, || ()).unwrap();
        let routed = outlets.route(&flow(2, TARGET), &whole(1));
        assert_eq!(routed, Routed::Nobody, "whose it is nobody knows");
        outlets.route(&flow(1, TARGET), &whole(1));
        outlets.flush(true);
        assert_eq!(payloads(&peer, &queue), [1448]);
        assert_eq!(payloads(&other_peer, &other_queue), [0; 0]);
    }

    #[test]
    fn who_is_behind_gets_headers_before_payload_and_that_is_counted() {
        let router = Arc::new(Router::new([TARGET]));
        let mut outlets = Outlets::new(Arc::clone(&router));
        let (asks, peer, queue) = Connection::for_test();
        let wanted = Wanted {
            targets: HashSet::from([TARGET]),
            whole: HashSet::from([TARGET]),
            payload_max: 0,
        };
        let id = router.subscribe(wanted, &asks, || ()).unwrap();
        router.open(flow(1, TARGET), id);
        // Something waits, so nothing is written past it.
        asks.control(Outgoing::Control(Vec::new()));
        for n in 0..4000 {
            outlets.route(&flow(1, TARGET), &whole(n));
        }
        outlets.flush(true);
        let lengths = payloads(&peer, &queue);
        let cut = lengths.iter().filter(|len| **len == 0).count();
        assert_eq!(lengths.len(), 4000, "none is lost");
        assert!((1000..3500).contains(&cut), "{cut}");
        assert_eq!(asks.totals.cut.load(Ordering::Relaxed), cut as u64);
        assert_eq!(asks.totals.lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn batches_grow_while_the_writer_is_behind_but_not_beyond_their_length() {
        let router = Arc::new(Router::new([TARGET]));
        let mut outlets = Outlets::new(Arc::clone(&router));
        let (a, peer, queue) = Connection::for_test();
        router.subscribe(headers(), &a, || ()).unwrap();
        outlets.refresh();
        // Something waits, so nothing is written past it.
        a.control(Outgoing::Control(Vec::new()));
        let first = WAITING_MAX as u64 - 1;
        for n in 0..first {
            outlets.route(&flow(1, TARGET), &report(n));
            assert!(!outlets.flush(false));
        }
        assert_eq!(queue.len(), WAITING_MAX);
        // Bytes of a report with these headers.
        const REPORT_LEN: usize = 15 + 52;
        // Two whole batches, and a third that is a report short of one.
        let more = 3 * BATCH_LEN.div_ceil(REPORT_LEN) as u64 - 4;
        for n in 0..more {
            outlets.route(&flow(1, TARGET), &report(first + n));
            assert!(outlets.flush(false) || queue.len() > WAITING_MAX);
        }
        assert_eq!(queue.len(), WAITING_MAX + 2);
        assert!(!outlets.flush(true));
        let all: Vec<u64> = (0..first + more).collect();
        assert_eq!(stamps(&peer, &queue), all);
    }
}
