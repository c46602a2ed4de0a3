//! What the doctor of a tcpcopy asks: whether replies come by here, and what would become of them without us.
//!
//! Only subscribed connections may ask, and what they hear is about this host's routing alone, nobody's traffic. The thread that
//! hears them may ask the kernel nothing, so another one does it: it is in the network namespace that the replies come in by.

use std::net::IpAddr;
use std::thread::Builder;
use std::time::Duration;

use abi::counter::Counter;
use aya::maps::{MapData, PerCpuArray};
use channel::inspection::{Fate, Inspected};
use crossbeam_channel::{Receiver, Sender, bounded};
use host::{Netlink, Route};
use process::rights;
use wire::flow::Addr;

use crate::error::Unusable;
use crate::forwarding;
use crate::router::CONNECTIONS_MAX;

/// How long an answer takes at least: an answer costs some netlink requests, and a peer may ask again and again.
const ANSWER_MIN: Duration = Duration::from_millis(20);
/// How long a peer's thread waits for one: for all others that may have asked before, and then some.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// What is asked, by how many subscribers, and where the answer goes.
type Question = (Vec<Addr>, usize, Sender<Inspected>);

/// Who answers; the thread ends with this.
#[derive(Debug)]
pub(crate) struct Witness(Sender<Question>);

impl Witness {
    /// Starts the thread, in the network namespace of the calling one. It sees what `sink` counts, and asks the kernel the rest.
    pub(crate) fn start(
        interface: String,
        counters: PerCpuArray<MapData, u64>,
    ) -> Result<Self, Unusable> {
        let (ask, questions) = bounded(CONNECTIONS_MAX);
        let serve = move || {
            rights::keep_only(rights::MAPS);
            serve(&questions, &interface, &counters);
        };
        let thread = Builder::new().name("witness".into()).spawn(serve);
        thread.map(|_| Self(ask)).map_err(|cause| Unusable::Start {
            what: "a thread",
            cause,
        })
    }

    /// Answers, or does not where too many ask. Blocks the calling thread, which is the asking connection's own.
    pub(crate) fn inspect(
        &self,
        addresses: impl Iterator<Item = Addr>,
        subscribers: usize,
    ) -> Option<Inspected> {
        let (answer, answered) = bounded(1);
        let question = (addresses.collect(), subscribers, answer);
        self.0.try_send(question).ok()?;
        answered.recv_timeout(WAIT_MAX).ok()
    }
}

fn serve(questions: &Receiver<Question>, interface: &str, counters: &PerCpuArray<MapData, u64>) {
    for (addresses, subscribers, answer) in questions {
        std::thread::sleep(ANSWER_MIN);
        let matched = programs::counters::total(counters, Counter::SinkMatched);
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
        let inspected = Inspected {
            forwards: !forwarding::enabled(interface).is_empty(),
            matched: matched.unwrap_or(0),
            subscribers: u32::try_from(subscribers).unwrap_or(u32::MAX),
            fates: addresses.into_iter().map(fate).collect(),
        };
        // Whoever asked may have waited too long.
        let _ = answer.send(inspected);
    }
}
