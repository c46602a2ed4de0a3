//! A thread that follows something in the kernel: what watchers of routes, addresses and exits have in common.
//!
//! What the kernel's messages say is not looked at: on each of them, and from time to time, the kernel is asked anew.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use futures_util::{Stream, StreamExt as _};
use process::rights;
use rtnetlink::{Handle, MulticastGroup};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::{Error, clock, netlink};

/// How long messages are gathered before the kernel is asked, at least: one `ip` command makes several.
const SETTLE_MIN: Duration = Duration::from_millis(20);
/// How long they are gathered in proportion to the CPU time that asking takes: where messages never end (a router with a full
/// table) and there is much to ask, the thread still uses a tenth of a core at most. Where others have the processor meanwhile,
/// that is no work of this thread's, and a change is not told later for it.
const REST_PER_WORK: u32 = 9;

/// What is followed, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// The name of the thread.
    pub(crate) name: &'static str,
    /// What it follows, in words.
    pub(crate) what: &'static str,
    /// The messages that something has changed.
    pub(crate) groups: &'static [MulticastGroup],
    /// How often the kernel is asked though no message came.
    pub(crate) ask_every: Duration,
    /// Changes that may wait for their reader.
    pub(crate) room: usize,
}

/// The running thread; dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Follower<T> {
    changes: Receiver<T>,
    /// Its end is the signal; nothing is ever sent.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Follower<T> {
    /// Starts to follow. `ask` asks the kernel and tells what has changed; a channel that is full must not hold it.
    ///
    /// # Errors
    ///
    /// Where the messages cannot be subscribed to.
    pub(crate) fn start(
        subject: Subject,
        ask: impl AsyncFnMut(&Handle, &Sender<T>) + Send + 'static,
    ) -> Result<Self, Error> {
        let (sender, changes) = bounded(subject.room);
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = bounded(1);
        let no_thread = |cause| Error::Refused {
            what: format!("start the thread that follows {}", subject.what),
            cause,
        };
        let thread = thread::Builder::new()
            .name(subject.name.into())
            .spawn(move || {
                // The kernel tells everybody what it tells here.
                rights::keep_only(rights::NOTHING);
                run(subject, ask, &sender, stopped, &ready);
            })
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
}

impl<T> Follower<T> {
    /// Where the changes arrive.
    pub(crate) const fn changes(&self) -> &Receiver<T> {
        &self.changes
    }
}

impl<T> Drop for Follower<T> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run<T>(
    subject: Subject,
    ask: impl AsyncFnMut(&Handle, &Sender<T>),
    changes: &Sender<T>,
    stopped: oneshot::Receiver<()>,
    ready: &Sender<Result<(), Error>>,
) {
    let runtime = match netlink::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async move {
        let connected = rtnetlink::new_multicast_connection(subject.groups);
        let (connection, handle, messages) = match connected {
            Ok(connected) => connected,
            Err(cause) => return drop(ready.send(Err(Error::Socket { cause }))),
        };
        let connection = tokio::spawn(connection);
        let _ = ready.send(Ok(()));
        tokio::select! {
            () = follow(subject.ask_every, ask, &handle, messages, changes) => {}
            _ = stopped => {}
        }
        connection.abort();
    });
}

async fn follow<T, M>(
    ask_every: Duration,
    mut ask: impl AsyncFnMut(&Handle, &Sender<T>),
    handle: &Handle,
    mut messages: impl Stream<Item = M> + Unpin,
    changes: &Sender<T>,
) {
    loop {
        let before = clock::thread_cpu();
        ask(handle, changes).await;
        let worked = clock::thread_cpu().saturating_sub(before);
        match timeout(ask_every, messages.next()).await {
            Ok(None) => return,
            Ok(Some(_)) => settle(&mut messages, worked).await,
            Err(_) => {}
        }
    }
}

/// Waits a moment, the longer the more work there was, and forgets what came meanwhile.
async fn settle<M>(messages: &mut (impl Stream<Item = M> + Unpin), worked: Duration) {
    sleep(SETTLE_MIN.max(worked * REST_PER_WORK)).await;
    while let Ok(Some(_)) = timeout(Duration::ZERO, messages.next()).await {}
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use crossbeam_channel::{Sender, bounded};
    use futures_util::stream;
    use rtnetlink::Handle;

    use super::{REST_PER_WORK, follow};
    use crate::netlink;

    #[test]
    fn who_waits_for_the_processor_does_not_rest_for_it() {
        const AWAY: Duration = Duration::from_millis(300);
        let (changes, told) = bounded(2);
        netlink::runtime().unwrap().block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            let connection = tokio::spawn(connection);
            // Others have the processor while the kernel is asked.
            let ask = async |_: &Handle, changes: &Sender<Instant>| {
                changes.send(Instant::now()).unwrap();
                thread::sleep(AWAY);
            };
            let one_message = stream::iter([()]);
            follow(AWAY, ask, &handle, one_message, &changes).await;
            connection.abort();
        });
        let (first, second) = (told.recv().unwrap(), told.recv().unwrap());
        assert!(second - first < AWAY * REST_PER_WORK);
    }
}
