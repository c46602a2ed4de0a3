//! A thread that follows the ways to all targets: on every change of a route, address, rule or link it asks again.
//!
//! What the messages say is not looked at: the kernel's own answer to "how would you go there" is the only one that
//! counts, and a message lost to overrun is then no loss.

use std::net::IpAddr;
use std::time::Duration;

use crossbeam_channel::Receiver;
use rtnetlink::MulticastGroup;

use crate::follower::{Follower, Subject};
use crate::{Error, Route, route};

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
pub struct RouteWatcher(Follower<RouteChange>);

const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Nexthop,
];

impl RouteWatcher {
    /// How often the kernel is asked though no message came: a path MTU that was discovered, or has expired, makes none.
    pub const ASK_EVERY: Duration = Duration::from_secs(5);

    /// Starts to follow the ways to `targets`. The first change for each target is its way at the start.
    ///
    /// # Errors
    ///
    /// Where the messages cannot be subscribed to.
    pub fn start(targets: Vec<IpAddr>) -> Result<Self, Error> {
        let routes = Subject {
            name: "routes",
            what: "routes",
            groups: GROUPS,
            ask_every: Self::ASK_EVERY,
            // For all targets to change at once. Where the reader is later than that, a change is told another time.
            room: targets.len().max(1) * 2,
        };
        let mut known: Vec<(IpAddr, Option<Route>)> =
            targets.into_iter().map(|target| (target, None)).collect();
        let follower = Follower::start(routes, async move |handle, changes| {
            for (target, last) in &mut known {
                // A question that fails is asked again after the next message.
                let Ok(route) = route::ask(handle, *target).await else {
                    continue;
                };
                if last.as_ref() == Some(&route) {
                    continue;
                }
                let change = RouteChange {
                    target: *target,
                    route: route.clone(),
                };
                if changes.try_send(change).is_ok() {
                    *last = Some(route);
                }
            }
        })?;
        Ok(Self(follower))
    }

    /// Where the changes arrive.
    #[must_use]
    pub fn changes(&self) -> &Receiver<RouteChange> {
        self.0.changes()
    }
}
