//! How much of the responses that a protocol module reads has come with their packets.
//!
//! Of a rule that has a module whole responses are recorded and reported; a part of one may be missing all the same: a packet longer than
//! a record, or than a frame of intercept's socket, or one for which its channel had no room. What was lost altogether is not counted
//! here, for nobody knows of it: a ring that was full says so itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use wire::flow::{Addr, Endpoint};
use wire::segment::Segment;

use crate::plan::Plan;

/// Payload bytes of one side's responses, retransmissions included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    /// That came.
    pub(crate) seen: u64,
    /// That the packets' headers speak of, and that did not come with them.
    pub(crate) missing: u64,
}

/// Both sides of those rules.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    whose: Arc<Whose>,
    pub(crate) online: Bytes,
    pub(crate) target: Bytes,
}

#[derive(Debug)]
struct Whose {
    services: BTreeSet<Endpoint>,
    targets: BTreeSet<Endpoint>,
}

impl Payload {
    /// Nothing counted yet; `None` for a run without modules, which is to pay nothing for this.
    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        let whose = Whose {
            services: plan.whole_services(),
            targets: plan.whole_targets(),
        };
        plan.wants_whole_responses().then(|| Self {
            whose: Arc::new(whose),
            online: Bytes::default(),
            target: Bytes::default(),
        })
    }

    /// Counts a packet of the online server, or what of it was recorded.
    pub(crate) fn of_online(&mut self, packet: &[u8]) {
        let services = &self.whose.services;
        let is_ours = |server: &Endpoint| {
            let any = Endpoint::new(Addr::UNSPECIFIED, server.port);
            services.contains(server) || services.contains(&any)
        };
        self.online.count(packet, is_ours);
    }

    /// The same of a target.
    pub(crate) fn of_target(&mut self, packet: &[u8]) {
        let targets = &self.whose.targets;
        self.target.count(packet, |server| targets.contains(server));
    }
}

impl Bytes {
    fn count(&mut self, packet: &[u8], is_ours: impl FnOnce(&Endpoint) -> bool) {
        // What is no segment is the engine's to count.
        let Ok(segment) = Segment::parse(packet, 0) else {
            return;
        };
        if segment.payload_len == 0 || !is_ours(&segment.source) {
            return;
        }
        let there = packet.len().saturating_sub(segment.payload_offset.into());
        let seen = there.min(segment.payload_len.into()) as u64;
        self.seen += seen;
        self.missing += u64::from(segment.payload_len) - seen;
    }

    /// Those of both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            seen: self.seen + other.seen,
            missing: self.missing + other.missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use wire::ethernet;
    use wire::flow::{Addr, Endpoint};
    use wire::tcp::{Flags, Header, Options};

    use super::{Bytes, Payload, Whose};

    const fn endpoint(last: u8, port: u16) -> Endpoint {
        Endpoint::new(Addr::v4([10, 0, 0, last]), port)
    }

    fn packet(source: Endpoint, payload: usize) -> Vec<u8> {
        let header = Header {
            source,
            destination: endpoint(9, 4711),
            seq: 1,
            ack: 2,
            flags: Flags::ACK,
            window: 3,
            urgent: 0,
            options: Options::default(),
        };
        let mut frame = vec![0; header.payload_offset() + payload];
        assert!(header.emit(&mut frame));
        frame.split_off(ethernet::HEADER_LEN)
    }

    #[test]
    fn what_came_and_what_did_not_are_counted_of_rules_with_a_module_alone() {
        let mut payload = Payload {
            whose: Arc::new(Whose {
                services: BTreeSet::from([endpoint(1, 80), Endpoint::new(Addr::UNSPECIFIED, 81)]),
                targets: BTreeSet::from([endpoint(2, 80)]),
            }),
            online: Bytes::default(),
            target: Bytes::default(),
        };
        for (server, kept) in [
            (endpoint(1, 80), 1000),
            (endpoint(7, 81), 300),
            (endpoint(3, 80), 0),
        ] {
            payload.of_online(&packet(server, 1000)[..40 + kept]);
        }
        payload.of_online(&packet(endpoint(1, 80), 0));
        payload.of_online(b"no packet");
        for server in [endpoint(2, 80), endpoint(1, 80)] {
            let padded = [packet(server, 3), vec![0; 7]].concat();
            payload.of_target(&padded);
        }
        let bytes = |seen, missing| Bytes { seen, missing };
        assert_eq!(payload.online, bytes(1300, 700));
        assert_eq!(payload.target, bytes(3, 0));
        assert_eq!(payload.online.and(payload.target), bytes(1303, 700));
    }
}
