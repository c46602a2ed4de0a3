//! What the doctor of a tcpcopy asks: whether replies come by here, and what would become of them without us.
//!
//! Only subscribed connections may ask, and what they hear is about this host's routing alone, nobody's traffic.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use abi::counter::Counter;
use aya::maps::{MapData, PerCpuArray};
use channel::inspection::{Fate, Inspected};
use host::{Netlink, Route};
use wire::flow::Addr;

use crate::forwarding;

/// How long an answer takes at least: an answer costs some netlink requests, and a peer may ask again and again.
const ANSWER_MIN: Duration = Duration::from_millis(20);

/// Sees what `sink` counts, and asks the kernel the rest.
pub(crate) struct Witness {
    /// What the replies come in by.
    pub(crate) interface: String,
    pub(crate) counters: PerCpuArray<MapData, u64>,
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness")
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

impl Witness {
    /// Answers. Blocks the calling thread, which is the asking connection's own.
    pub(crate) fn inspect(
        &self,
        addresses: impl Iterator<Item = Addr>,
        subscribers: usize,
    ) -> Inspected {
        std::thread::sleep(ANSWER_MIN);
        let matched = programs::counters::total(&self.counters, Counter::SinkMatched);
        let netlink = Netlink::open();
        let fate = |address: Addr| {
            let route = netlink
                .as_ref()
                .ok()
                .and_then(|netlink| host::route::get(netlink, IpAddr::from(address)).ok());
            match route {
                Some(Route::Unreachable { .. }) => Fate::Dropped,
                Some(Route::Local { .. }) => Fate::Own,
                // Where the kernel does not say, the worse is to be feared.
                Some(Route::Device { .. }) | None => Fate::SentOn,
            }
        };
        Inspected {
            forwards: !forwarding::enabled(&self.interface).is_empty(),
            matched: matched.unwrap_or(0),
            subscribers: u32::try_from(subscribers).unwrap_or(u32::MAX),
            fates: addresses.map(fate).collect(),
        }
    }
}
