//! How a worker tells the connections to `intercept` which sessions it has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Sender, TrySendError};
use process::Waker;
use wire::flow::FlowKey;

/// Most announcements that wait for one connection's thread.
pub(crate) const ANNOUNCEMENTS_MAX: usize = 1 << 16;

/// A session comes or goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Announcement {
    Open(FlowKey),
    Close(FlowKey),
}

/// A worker's way to the connections' threads.
///
/// Nothing is lost where a thread is late (it connects, or `intercept` reads slowly): what its queue has no room for is kept
/// here, the latest word on each flow. An end above all must arrive, for `intercept` keeps a flow until it hears of one.
#[derive(Debug)]
pub(crate) struct Announcer {
    connections: Vec<Outlet>,
    late: Arc<AtomicU64>,
}

/// One connection's thread.
#[derive(Debug)]
struct Outlet {
    queue: Sender<Announcement>,
    waker: Arc<Waker>,
    /// Whether something was put into the queue since the thread was woken.
    is_dirty: bool,
    /// Flows whose latest announcement found the queue full. A flow that opens and closes meanwhile is none of them, so there
    /// are at most as many as the worker has sessions and as it had when the queue became full.
    owed: BTreeMap<FlowKey, Owed>,
}

/// What a connection is still to be told of a flow.
#[derive(Clone, Copy, Debug)]
struct Owed {
    /// Whether the flow is open as far as the connection has been told.
    told: bool,
    /// Whether it is.
    is_open: bool,
}

impl Announcer {
    pub(crate) fn new(
        connections: Vec<(Sender<Announcement>, Arc<Waker>)>,
        late: Arc<AtomicU64>,
    ) -> Self {
        let outlet = |(queue, waker)| Outlet {
            queue,
            waker,
            is_dirty: false,
            owed: BTreeMap::new(),
        };
        Self {
            connections: connections.into_iter().map(outlet).collect(),
            late,
        }
    }

    /// Announces a session; to be followed by [`Announcer::flush`] before its first segment leaves.
    pub(crate) fn open(&mut self, flow: FlowKey) {
        self.announce(flow, true);
    }

    /// Announces the end of a session.
    pub(crate) fn close(&mut self, flow: FlowKey) {
        self.announce(flow, false);
    }

    /// Hands over what had to wait as far as there is room now, and wakes the threads where there is something for them.
    pub(crate) fn flush(&mut self) {
        for outlet in &mut self.connections {
            outlet.catch_up();
            if std::mem::take(&mut outlet.is_dirty) {
                outlet.waker.wake();
            }
        }
    }

    /// Whether something waits for room in a queue: then [`Announcer::flush`] is to be called soon, whatever else happens.
    pub(crate) fn is_behind(&self) -> bool {
        self.connections
            .iter()
            .any(|outlet| !outlet.owed.is_empty())
    }

    fn announce(&mut self, flow: FlowKey, is_open: bool) {
        for outlet in &mut self.connections {
            if !outlet.announce(flow, is_open) {
                // The session does not wait for it: intercept gives replies of unknown sessions to everybody who subscribed to
                // their target.
                self.late.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Outlet {
    /// Gives `false` where the announcement has to wait.
    fn announce(&mut self, flow: FlowKey, is_open: bool) -> bool {
        if let Some(owed) = self.owed.get_mut(&flow) {
            owed.is_open = is_open;
            if owed.told == is_open {
                self.owed.remove(&flow);
            }
            return true;
        }
        let is_queued = self.put(flow, is_open);
        if !is_queued {
            let told = !is_open;
            self.owed.insert(flow, Owed { told, is_open });
        }
        is_queued
    }

    fn catch_up(&mut self) {
        while let Some((flow, owed)) = self.owed.pop_first() {
            if !self.put(flow, owed.is_open) {
                self.owed.insert(flow, owed);
                return;
            }
        }
    }

    /// Gives `false` where the queue is full. A thread that is gone, at the end of a run, needs no announcements.
    fn put(&mut self, flow: FlowKey, is_open: bool) -> bool {
        let announcement = if is_open {
            Announcement::Open(flow)
        } else {
            Announcement::Close(flow)
        };
        self.is_dirty = true;
        !matches!(
            self.queue.try_send(announcement),
            Err(TrySendError::Full(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use crossbeam_channel::{Receiver, bounded};
    use process::Waker;
    use wire::flow::{Addr, Endpoint, FlowKey};

    use super::{Announcement, Announcer};

    fn flow(port: u16) -> FlowKey {
        FlowKey {
            client: Endpoint::new(Addr::v4([10, 0, 0, 1]), port),
            server: Endpoint::new(Addr::v4([10, 0, 0, 2]), 80),
        }
    }

    /// An announcer whose one connection takes nothing until it is asked to, and the queue in between.
    fn announcer(room: usize) -> (Announcer, Receiver<Announcement>) {
        let (sender, queue) = bounded(room);
        let waker = Arc::new(Waker::new().unwrap());
        (Announcer::new(vec![(sender, waker)], Arc::default()), queue)
    }

    /// Takes all that there is, as the connection's thread does.
    fn hear(queue: &Receiver<Announcement>, open: &mut HashSet<FlowKey>) {
        for announcement in queue.try_iter() {
            match announcement {
                Announcement::Open(flow) => _ = open.insert(flow),
                Announcement::Close(flow) => _ = open.remove(&flow),
            }
        }
    }

    #[test]
    fn a_connection_that_is_late_hears_of_every_end() {
        let (mut announcer, queue) = announcer(2);
        let mut open = HashSet::new();
        announcer.open(flow(1));
        announcer.open(flow(2));
        announcer.close(flow(1));
        announcer.open(flow(3));
        announcer.open(flow(4));
        announcer.close(flow(4));
        announcer.close(flow(2));
        announcer.open(flow(2));
        for _ in 0..4 {
            hear(&queue, &mut open);
            announcer.flush();
        }
        assert_eq!(open, HashSet::from([flow(2), flow(3)]));
    }
}
