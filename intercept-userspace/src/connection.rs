//! One tcpcopy: the queue of what is to be written to it, and what happened to it in numbers.
//!
//! Workers put batches in and never wait; the connection's writer takes them out. What does not fit is counted, and
//! the peer is told how much it was.
//!
//! Waking the writer costs more than a short write. So a worker whose batch is short writes it itself where that takes
//! no waiting: nothing is queued, nobody else writes, and the socket has space.

use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use channel::Sealer;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};

/// Slots of a connection's queue.
const QUEUE_LEN: usize = 1024;
/// Slots that only control messages may take: reports are dropped before these are.
const QUEUE_RESERVE: usize = 16;

/// Memory of the reports in a connection's queue, in bytes: so much is what a peer can cost that pings and does not read.
const QUEUE_BYTES_MAX: usize = 4 << 20;

/// While the reports in a connection's queue take more than this, in bytes, none brings more payload than a sample: where all of it is
/// asked for, that is most of what they take, and the other half of the queue is for headers.
const QUEUE_BYTES_WHOLE_MAX: usize = QUEUE_BYTES_MAX / 2;

/// Longest batch that a worker writes itself, in bytes: with longer ones the writer's work is worth a wake-up.
const DIRECT_MAX: usize = 4096;

/// What a writer is given.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// What is said in the clear: the hello, or the proof, after which all is sealed.
    Clear(Vec<u8>, Option<Sealer>),
    /// A whole frame of reports.
    Reports { frame: Vec<u8>, count: u32 },
    /// Other frames.
    Control(Vec<u8>),
    /// A worker began to write a frame; the rest of it is [`Connection`]'s.
    Rest,
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
    /// What was put into the queue and is not written yet. While it is not 0 nobody overtakes the writer, so that reports
    /// of one worker stay in order.
    waiting: AtomicUsize,
    /// Memory of the reports among that, in bytes.
    waiting_bytes: AtomicUsize,
    /// The right to write.
    outlet: Mutex<Outlet>,
    leaving: AtomicBool,
    closed: AtomicBool,
    /// Reports that were dropped and not yet told.
    untold: AtomicU64,
    /// Totals for the closing table.
    pub(crate) totals: Totals,
}

/// The way from frames to the socket.
#[derive(Debug, Default)]
struct Outlet {
    /// What seals the frames, where there is a key.
    sealer: Option<Sealer>,
    /// What has to be written before anything else: the rest of what a worker began, or what is being sealed.
    rest: Vec<u8>,
}

/// What happened on a connection.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Whether it ever subscribed.
    pub(crate) subscribed: AtomicBool,
    /// Reports that were routed to it.
    pub(crate) routed: AtomicU64,
    /// ... of which dropped because its queue was full.
    pub(crate) lost: AtomicU64,
    /// ... of which written to its socket.
    pub(crate) written: AtomicU64,
    /// Reports that left out payload that was asked for, because much waited already.
    pub(crate) cut: AtomicU64,
    /// The same, because the packet was longer than a frame of the socket.
    pub(crate) too_long: AtomicU64,
    /// Bytes written to its socket.
    pub(crate) bytes: AtomicU64,
    /// Writes to its socket.
    pub(crate) writes: AtomicU64,
    /// Flows that it announced.
    pub(crate) flows: AtomicU64,
    /// ... of which refused: another connection has them, the table was full, or the target is none that it subscribed to.
    pub(crate) flows_refused: AtomicU64,
}

impl Totals {
    fn wrote(&self, reports: u64, bytes: usize) {
        self.written.fetch_add(reports, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Connection {
    /// A connection and the end of its queue that its writer takes.
    pub(crate) fn new(peer: SocketAddr, stream: TcpStream) -> (Arc<Self>, Receiver<Outgoing>) {
        let (queue, writer) = bounded(QUEUE_LEN);
        let connection = Self {
            peer,
            stream,
            queue,
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            outlet: Mutex::default(),
            leaving: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            untold: AtomicU64::new(0),
            totals: Totals::default(),
        };
        (Arc::new(connection), writer)
    }

    /// Takes a frame of `count` reports: writes it, hands it to the writer, or counts its reports as lost. Never waits.
    pub(crate) fn offer(&self, frame: Vec<u8>, count: u32) {
        let reports = u64::from(count);
        self.totals.routed.fetch_add(reports, Ordering::Relaxed);
        if self.is_closed() {
            self.lose(reports);
            return;
        }
        if frame.len() <= DIRECT_MAX && self.write_directly(&frame, reports) {
            return;
        }
        let memory = frame.capacity();
        // Several workers may pass the limit by a frame each.
        let bytes = self.waiting_bytes.fetch_add(memory, Ordering::Relaxed) + memory;
        let fits = bytes <= QUEUE_BYTES_MAX && self.waiting() < QUEUE_LEN - QUEUE_RESERVE;
        if !fits || !self.put(Outgoing::Reports { frame, count }) {
            self.waiting_bytes.fetch_sub(memory, Ordering::Relaxed);
            self.lose(reports);
        }
    }

    /// Writes as much of the frame as the socket takes at once; `false` where nothing was written.
    fn write_directly(&self, frame: &[u8], reports: u64) -> bool {
        if self.waiting() > 0 {
            return false;
        }
        let Ok(mut outlet) = self.outlet.try_lock() else {
            return false;
        };
        let Outlet { sealer, rest } = &mut *outlet;
        if !rest.is_empty() {
            return false;
        }
        let is_sealed = sealer.is_some();
        let bytes = match sealer {
            Some(sealer) => {
                sealer.seal(frame, rest);
                &rest[..]
            }
            None => frame,
        };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent = match send(self.stream.as_raw_fd(), bytes, flags) {
            Ok(len) => len,
            Err(Errno::EAGAIN | Errno::EINTR) => 0,
            Err(_) => {
                drop(outlet);
                self.close();
                return false;
            }
        };
        // What is sealed has its number, and nothing else can go out in its place.
        if sent == 0 && !is_sealed {
            return false;
        }
        self.totals.wrote(reports, bytes.len());
        if is_sealed {
            rest.drain(..sent);
        } else {
            rest.extend_from_slice(&frame[sent..]);
        }
        if !rest.is_empty() {
            drop(outlet);
            self.control(Outgoing::Rest);
        }
        true
    }

    /// Writes what a worker left, then `frames`: for the writer, who has taken `items` out of the queue for it.
    pub(crate) fn write(&self, frames: &[u8], reports: u64, items: usize) -> io::Result<()> {
        let mut outlet = self.outlet.lock().unwrap_or_else(PoisonError::into_inner);
        let Outlet { sealer, rest } = &mut *outlet;
        let mut stream = &self.stream;
        let before = rest.len();
        let frames = match sealer {
            Some(sealer) => {
                sealer.seal(frames, rest);
                &[]
            }
            None => frames,
        };
        let sealed = rest.len() - before;
        stream.write_all(rest)?;
        rest.clear();
        stream.write_all(frames)?;
        self.totals.wrote(reports, sealed + frames.len());
        self.waiting.fetch_sub(items, Ordering::Release);
        Ok(())
    }

    /// Writes bytes as they are; what comes after them is sealed where `sealer` says so. For the writer, who has taken them out of the
    /// queue.
    pub(crate) fn write_clear(&self, bytes: &[u8], sealer: Option<Sealer>) -> io::Result<()> {
        let mut outlet = self.outlet.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = &self.stream;
        stream.write_all(bytes)?;
        self.totals.wrote(0, bytes.len());
        if sealer.is_some() {
            outlet.sealer = sealer;
        }
        self.waiting.fetch_sub(1, Ordering::Release);
        Ok(())
    }

    /// Says that a frame of reports is out of the queue.
    pub(crate) fn taken(&self, frame: &Vec<u8>) {
        self.waiting_bytes
            .fetch_sub(frame.capacity(), Ordering::Relaxed);
    }

    /// Whether so much waits that payload has to be left out.
    pub(crate) fn is_behind(&self) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed) > QUEUE_BYTES_WHOLE_MAX
    }

    /// What waits for the writer, or is with it.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Hands a control message to the writer; a peer that lets these pile up is closed.
    pub(crate) fn control(&self, message: Outgoing) {
        if !self.put(message) {
            self.close();
        }
    }

    fn put(&self, message: Outgoing) -> bool {
        self.waiting.fetch_add(1, Ordering::Release);
        match self.queue.try_send(message) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.waiting.fetch_sub(1, Ordering::Release);
                false
            }
        }
    }

    fn lose(&self, reports: u64) {
        self.totals.lost.fetch_add(reports, Ordering::Relaxed);
        self.untold.fetch_add(reports, Ordering::Relaxed);
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
        let _ = self.put(Outgoing::End);
    }

    /// Whether [`Connection::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// A connection whose peer reads what the second result gives; nobody writes what stands in the queue.
    #[cfg(test)]
    pub(crate) fn for_test() -> (Arc<Self>, TcpStream, Receiver<Outgoing>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(addr).expect("loopback");
        let (peer, _) = listener.accept().expect("it connected");
        let (connection, queue) = Self::new(addr, stream);
        (connection, peer, queue)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::atomic::Ordering;

    use super::{Connection, DIRECT_MAX, Outgoing, QUEUE_LEN, QUEUE_RESERVE};

    #[test]
    fn a_full_queue_loses_reports_but_not_control_messages() {
        let (connection, _peer, queue) = Connection::for_test();
        for _ in 0..QUEUE_LEN {
            connection.offer(vec![1; DIRECT_MAX + 1], 2);
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

    #[test]
    fn short_batches_are_written_at_once_but_never_overtake() {
        let (connection, mut peer, queue) = Connection::for_test();
        connection.offer(vec![1; 10], 1);
        connection.offer(vec![2; DIRECT_MAX + 1], 1);
        connection.offer(vec![3; 10], 1);
        let mut seen = [0; 10];
        peer.read_exact(&mut seen).expect("it was written");
        assert_eq!((seen, queue.len()), ([1; 10], 2));
        for _ in 0..2 {
            let Ok(Outgoing::Reports { frame, .. }) = queue.try_recv() else {
                panic!("two were queued");
            };
            connection.offer(vec![4; 10], 1);
            connection.write(&frame, 1, 1).expect("it is written");
        }
        // What was offered meanwhile came behind.
        assert_eq!(queue.len(), 2);
        let mut seen = [0; DIRECT_MAX + 11];
        peer.read_exact(&mut seen).expect("it was written");
        assert!(seen.is_sorted() && seen.ends_with(&[3; 10]));
    }

    #[test]
    fn what_a_full_socket_does_not_take_is_kept_in_order() {
        let (connection, mut peer, queue) = Connection::for_test();
        let mut offered = 0u32;
        while queue.is_empty() {
            connection.offer(offered.to_be_bytes().repeat(DIRECT_MAX / 4), 1);
            offered += 1;
        }
        connection.offer(offered.to_be_bytes().repeat(DIRECT_MAX / 4), 1);
        offered += 1;
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).map(|_| all)
        });
        while let Ok(outgoing) = queue.try_recv() {
            let frame = match outgoing {
                Outgoing::Reports { frame, .. } => frame,
                _ => Vec::new(),
            };
            connection.write(&frame, 1, 1).expect("it is written");
        }
        connection.close();
        let all = reader.join().expect("no panic").expect("it reads");
        let words: Vec<u32> = all
            .as_chunks::<4>()
            .0
            .iter()
            .map(|w| u32::from_be_bytes(*w))
            .collect();
        assert_eq!(all.len(), offered as usize * DIRECT_MAX);
        assert!(words.is_sorted() && words.last() == Some(&(offered - 1)));
    }
}
