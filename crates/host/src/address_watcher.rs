//! A thread that follows the addresses of this host.
//!
//! As with routes, what the messages say is not looked at: on each of them the kernel is asked for all addresses.

use std::net::IpAddr;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use futures_util::{Stream, StreamExt as _};
use rtnetlink::MulticastGroup;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::watcher::settle;
use crate::{Error, RouteWatcher, address, netlink};

/// The running thread; dropping it ends the thread.
#[derive(Debug)]
pub struct AddressWatcher {
    changes: Receiver<Vec<IpAddr>>,
    /// Its end is the signal; nothing is ever sent.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AddressWatcher {
    /// Starts to follow the addresses. The first change is what they are at the start.
    ///
    /// # Errors
    ///
    /// Where the messages cannot be subscribed to.
    pub fn start() -> Result<Self, Error> {
        let (sender, changes) = bounded(1);
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = bounded(1);
        let no_thread = |cause| Error::Refused {
            what: "start the thread that follows addresses".into(),
            cause,
        };
        let thread = thread::Builder::new()
            .name("addresses".into())
            .spawn(move || run(&sender, stopped, &ready))
            .map_err(no_thread)?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self {
                changes,
                stop: Some(stop),
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(error),
            Err(gone) => Err(no_thread(std::io::Error::other(gone))),
        }
    }

    /// Where the changes arrive: each time all addresses, sorted.
    #[must_use]
    pub fn changes(&self) -> &Receiver<Vec<IpAddr>> {
        &self.changes
    }
}

impl Drop for AddressWatcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const GROUPS: [MulticastGroup; 2] = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];

fn run(
    changes: &Sender<Vec<IpAddr>>,
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
        tokio::select! {
            () = follow(handle, messages, changes) => {}
            _ = stopped => {}
        }
        connection.abort();
    });
}

async fn follow<M>(
    handle: rtnetlink::Handle,
    mut messages: impl Stream<Item = M> + Unpin,
    changes: &Sender<Vec<IpAddr>>,
) {
    let mut known = None;
    loop {
        let asked = Instant::now();
        // A question that fails is asked again after the next message.
        if let Ok(own) = address::ask(&handle).await {
            let mut all: Vec<IpAddr> = own.iter().map(|own| own.address).collect();
            all.sort_unstable();
            all.dedup();
            // Where the reader is late, the change is told another time.
            if known.as_ref() != Some(&all) && changes.try_send(all.clone()).is_ok() {
                known = Some(all);
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
