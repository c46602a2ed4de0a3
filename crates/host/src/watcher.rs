//! A thread that follows the ways to all targets: on every change of a route, address, rule or link it asks again.
//!
//! What the messages say is not looked at: the kernel's own answer to "how would you go there" is the only one that
//! counts, and a message lost to overrun is then no loss.

use std::net::IpAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use futures_util::{Stream, StreamExt as _};
use rtnetlink::MulticastGroup;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::{Error, Route, netlink, route};

/// The way to a target is another one now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteChange {
    /// The target.
    pub target: IpAddr,
    /// Its way from now on.
    pub route: Route,
}

/// The running thread; dropping it ends the thread.
#[derive(Debug)]
pub struct RouteWatcher {
    changes: Receiver<RouteChange>,
    /// Its end is the signal; nothing is ever sent.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RouteWatcher {
    /// How long messages are gathered before the kernel is asked, at least: one `ip` command makes several.
    pub const SETTLE_MIN: Duration = Duration::from_millis(20);
    /// How long they are gathered in proportion to the time that asking takes: where messages never end (a router with a
    /// full table) and targets are many, the thread still uses a tenth of a core at most.
    const REST_PER_WORK: u32 = 9;
    /// How often the kernel is asked though no message came: a path MTU that was discovered, or has expired, makes none.
    pub const ASK_EVERY: Duration = Duration::from_secs(5);

    /// Starts to follow the ways to `targets`. The first change for each target is its way at the start.
    ///
    /// # Errors
    ///
    /// Where the messages cannot be subscribed to.
    pub fn start(targets: Vec<IpAddr>) -> Result<Self, Error> {
        // Room for all targets to change at once. Where the reader is later than that, a change is told another time.
        let (sender, changes) = bounded(targets.len().max(1) * 2);
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = bounded(1);
        let thread = thread::Builder::new()
            .name("routes".into())
            .spawn(move || run(targets, &sender, stopped, &ready))
            .map_err(|cause| Error::Refused {
                what: "start the thread that follows routes".into(),
                cause,
            })?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self {
                changes,
                stop: Some(stop),
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(error),
            Err(gone) => Err(Error::Refused {
                what: "start the thread that follows routes".into(),
                cause: std::io::Error::other(gone),
            }),
        }
    }

    /// Where the changes arrive.
    #[must_use]
    pub fn changes(&self) -> &Receiver<RouteChange> {
        &self.changes
    }
}

impl Drop for RouteWatcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const GROUPS: [MulticastGroup; 8] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Nexthop,
];

fn run(
    targets: Vec<IpAddr>,
    changes: &Sender<RouteChange>,
    stopped: oneshot::Receiver<()>,
    ready: &Sender<Result<(), Error>>,
) {
    let runtime = match netlink::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async move {
        let (connection, handle, messages) = match rtnetlink::new_multicast_connection(&GROUPS) {
            Ok(connected) => connected,
            Err(cause) => return drop(ready.send(Err(Error::Socket { cause }))),
        };
        let connection = tokio::spawn(connection);
        let _ = ready.send(Ok(()));
        let known = targets.into_iter().map(|target| (target, None)).collect();
        tokio::select! {
            () = follow(handle, messages, known, changes) => {}
            _ = stopped => {}
        }
        connection.abort();
    });
}

async fn follow<M>(
    handle: rtnetlink::Handle,
    mut messages: impl Stream<Item = M> + Unpin,
    mut known: Vec<(IpAddr, Option<Route>)>,
    changes: &Sender<RouteChange>,
) {
    loop {
        let asked = Instant::now();
        for (target, last) in &mut known {
            // A question that fails is asked again after the next message.
            let Ok(route) = route::ask(&handle, *target).await else {
                continue;
            };
            if last.as_ref() == Some(&route) {
                continue;
            }
            let change = RouteChange {
                target: *target,
                route: route.clone(),
            };
            // A channel that is full must not keep the thread from ending.
            if changes.try_send(change).is_ok() {
                *last = Some(route);
            }
        }
        let worked = asked.elapsed();
        match timeout(RouteWatcher::ASK_EVERY, messages.next()).await {
            Ok(None) => return,
            Ok(Some(_)) => settle(&mut messages, worked).await,
            Err(_) => {}
        }
    }
}

/// Waits a moment, the longer the more work there was, and forgets what came meanwhile.
pub(crate) async fn settle<M>(messages: &mut (impl Stream<Item = M> + Unpin), worked: Duration) {
    sleep(RouteWatcher::SETTLE_MIN.max(worked * RouteWatcher::REST_PER_WORK)).await;
    while let Ok(Some(_)) = timeout(Duration::ZERO, messages.next()).await {}
}
