//! One tcpcopy: the queue of what is to be written to it, and what happened to it in numbers.
//!
//! Workers put batches in and never wait; the connection's writer takes them out. What does not fit is counted, and
//! the peer is told how much it was.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// Slots of a connection's queue. With batches of [`crate::outlets::BATCH_LEN`] bytes this bounds its memory.
const QUEUE_LEN: usize = 1024;
/// Slots that only control messages may take: reports are dropped before these are.
const QUEUE_RESERVE: usize = 16;

/// What a writer is given.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A whole frame of reports.
    Reports { frame: Vec<u8>, count: u32 },
    /// Other frames, or the hello.
    Control(Vec<u8>),
    /// Nothing comes after this: write what came before and say goodbye.
    End,
}

/// A connection, shared by its reader, its writer and the workers.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Who it is.
    pub(crate) peer: SocketAddr,
    /// The socket: reader and writer each use their half.
    pub(crate) stream: TcpStream,
    queue: Sender<Outgoing>,
    leaving: AtomicBool,
    closed: AtomicBool,
    /// Reports that were dropped and not yet told.
    untold: AtomicU64,
    /// Totals for the closing table.
    pub(crate) totals: Totals,
}

/// What happened on a connection.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Reports that were routed to it.
    pub(crate) routed: AtomicU64,
    /// ... of which dropped because its queue was full.
    pub(crate) lost: AtomicU64,
    /// ... of which written to its socket.
    pub(crate) written: AtomicU64,
    /// Bytes written to its socket.
    pub(crate) bytes: AtomicU64,
    /// Writes to its socket.
    pub(crate) writes: AtomicU64,
    /// Flows that it announced.
    pub(crate) flows: AtomicU64,
    /// ... of which not taken: the table was full, or the target is none that it subscribed to.
    pub(crate) flows_refused: AtomicU64,
}

impl Connection {
    /// A connection and the end of its queue that its writer takes.
    pub(crate) fn new(peer: SocketAddr, stream: TcpStream) -> (Arc<Self>, Receiver<Outgoing>) {
        let (queue, writer) = bounded(QUEUE_LEN);
        let connection = Self {
            peer,
            stream,
            queue,
            leaving: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            untold: AtomicU64::new(0),
            totals: Totals::default(),
        };
        (Arc::new(connection), writer)
    }

    /// Hands a frame of `count` reports to the writer, or counts them as lost. Never waits.
    pub(crate) fn offer(&self, frame: Vec<u8>, count: u32) {
        let reports = u64::from(count);
        self.totals.routed.fetch_add(reports, Ordering::Relaxed);
        let fits = self.queue.len() < QUEUE_LEN - QUEUE_RESERVE && !self.is_closed();
        if !fits
            || self
                .queue
                .try_send(Outgoing::Reports { frame, count })
                .is_err()
        {
            self.totals.lost.fetch_add(reports, Ordering::Relaxed);
            self.untold.fetch_add(reports, Ordering::Relaxed);
        }
    }

    /// Batches that wait for the writer.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Hands a control message to the writer; a peer that lets these pile up is closed.
    pub(crate) fn control(&self, message: Outgoing) {
        match self.queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.close(),
        }
    }

    /// Reports that were dropped since this was asked last.
    pub(crate) fn take_untold(&self) -> u64 {
        if self.untold.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.untold.swap(0, Ordering::Relaxed)
    }

    /// Says goodbye: what waits is still written, then the peer sees the end.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.control(Outgoing::End);
    }

    /// Whether [`Connection::leave`] or [`Connection::close`] was called.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || self.is_closed()
    }

    /// Ends the connection from either side; its reader and writer notice at once.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        // Not connected any more is what is wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
        let _ = self.queue.try_send(Outgoing::End);
    }

    /// Whether [`Connection::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// A connection to nobody.
    #[cfg(test)]
    pub(crate) fn for_test() -> (Arc<Self>, Receiver<Outgoing>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(addr).expect("loopback");
        Self::new(addr, stream)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{Connection, Outgoing, QUEUE_LEN, QUEUE_RESERVE};

    #[test]
    fn a_full_queue_loses_reports_but_not_control_messages() {
        let (connection, queue) = Connection::for_test();
        for _ in 0..QUEUE_LEN {
            connection.offer(vec![1], 2);
        }
        let lost = 2 * QUEUE_RESERVE as u64;
        assert_eq!(connection.totals.lost.load(Ordering::Relaxed), lost);
        assert_eq!(connection.take_untold(), lost);
        assert_eq!(connection.take_untold(), 0);
        connection.control(Outgoing::Control(vec![2]));
        assert!(!connection.is_closed());
        assert_eq!(queue.len(), QUEUE_LEN - QUEUE_RESERVE + 1);
        for _ in 0..QUEUE_RESERVE {
            connection.control(Outgoing::Control(vec![2]));
        }
        assert!(connection.is_closed());
    }
}
