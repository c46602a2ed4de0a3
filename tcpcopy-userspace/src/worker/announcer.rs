//! How a worker tells the connections to `intercept` which sessions it has.

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
#[derive(Debug)]
pub(crate) struct Announcer {
    connections: Vec<(Sender<Announcement>, Arc<Waker>)>,
    lost: Arc<AtomicU64>,
    dirty: bool,
}

impl Announcer {
    pub(crate) const fn new(
        connections: Vec<(Sender<Announcement>, Arc<Waker>)>,
        lost: Arc<AtomicU64>,
    ) -> Self {
        Self {
            connections,
            lost,
            dirty: false,
        }
    }

    /// Announces a session; to be followed by [`Announcer::flush`] before its first segment leaves.
    pub(crate) fn open(&mut self, flow: FlowKey) {
        self.announce(Announcement::Open(flow));
    }

    /// Announces the end of a session.
    pub(crate) fn close(&mut self, flow: FlowKey) {
        self.announce(Announcement::Close(flow));
    }

    /// Wakes the threads where there is something for them.
    pub(crate) fn flush(&mut self) {
        if std::mem::take(&mut self.dirty) {
            for (_, waker) in &self.connections {
                waker.wake();
            }
        }
    }

    fn announce(&mut self, announcement: Announcement) {
        self.dirty = true;
        for (sender, _) in &self.connections {
            // An announcement that is lost costs little: intercept gives replies of unknown sessions to everybody who
            // subscribed to their target.
            if let Err(TrySendError::Full(_)) = sender.try_send(announcement) {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
