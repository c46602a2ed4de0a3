//! A thread that follows the addresses of this host.

use std::net::IpAddr;

use crossbeam_channel::Receiver;
use rtnetlink::MulticastGroup;

use crate::follower::{Follower, Subject};
use crate::{Error, RouteWatcher, address};

/// The running thread; dropping it ends the thread.
#[derive(Debug)]
pub struct AddressWatcher(Follower<Vec<IpAddr>>);

const ADDRESSES: Subject = Subject {
    name: "addresses",
    what: "addresses",
    groups: &[MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr],
    ask_every: RouteWatcher::ASK_EVERY,
    room: 1,
};

impl AddressWatcher {
    /// Starts to follow the addresses. The first change is what they are at the start.
    ///
    /// # Errors
    ///
    /// Where the messages cannot be subscribed to.
    pub fn start() -> Result<Self, Error> {
        let mut known = None;
        let follower = Follower::start(ADDRESSES, async move |handle, changes| {
            // A question that fails is asked again after the next message.
            let Ok(own) = address::ask(handle).await else {
                return;
            };
            let mut all: Vec<IpAddr> = own.iter().map(|own| own.address).collect();
            all.sort_unstable();
            all.dedup();
            // Where the reader is late, the change is told another time.
            if known.as_ref() != Some(&all) && changes.try_send(all.clone()).is_ok() {
                known = Some(all);
            }
        })?;
        Ok(Self(follower))
    }

    /// Where the changes arrive: each time all addresses, sorted.
    #[must_use]
    pub fn changes(&self) -> &Receiver<Vec<IpAddr>> {
        self.0.changes()
    }
}
