//! Whose packet it is: a client's to a service, or the online server's. The rules decide, as in a live run.

use wire::flow::{Addr, Endpoint, FlowKey};
use wire::segment::Segment;
use wire::tcp::Flags;

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A client of a service.
    Client,
    /// The online server.
    Online,
}

/// The online ends of the rules; [`Addr::UNSPECIFIED`] means any address.
#[derive(Clone, Debug)]
pub(crate) struct Services(Vec<Endpoint>);

impl Services {
    pub(crate) const fn new(services: Vec<Endpoint>) -> Self {
        Self(services)
    }

    /// Whether an endpoint is one of them.
    pub(crate) fn has(&self, endpoint: &Endpoint) -> bool {
        self.0.iter().any(|service| {
            service.port == endpoint.port
                && (service.addr == Addr::UNSPECIFIED || service.addr == endpoint.addr)
        })
    }

    /// Whose packet it is and of which flow; `None` where no rule speaks of it. `is_known` says whether a flow was seen before, which
    /// decides where both ends look like a service.
    pub(crate) fn side_of(
        &self,
        segment: &Segment,
        is_known: impl Fn(&FlowKey) -> bool,
    ) -> Option<(Side, FlowKey)> {
        let as_client = FlowKey {
            client: segment.source,
            server: segment.destination,
        };
        let as_online = FlowKey {
            client: segment.destination,
            server: segment.source,
        };
        let side = match (self.has(&segment.destination), self.has(&segment.source)) {
            (false, false) => return None,
            (true, false) => Side::Client,
            (false, true) => Side::Online,
            (true, true) if segment.flags.contains(Flags::SYN.with(Flags::ACK)) => Side::Online,
            (true, true) if segment.flags.contains(Flags::SYN) => Side::Client,
            (true, true) if is_known(&as_online) && !is_known(&as_client) => Side::Online,
            (true, true) => Side::Client,
        };
        Some(match side {
            Side::Client => (side, as_client),
            Side::Online => (side, as_online),
        })
    }
}
