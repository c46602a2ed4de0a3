//! Two threads: `recorder` copies records out of the ring, `file-writer` writes them. Between them is a bounded queue: where the
//! disk does not keep up, it fills, then the ring does, and then packets are lost for the file, which the programs count. Nobody
//! else waits.
//!
//! The recorder is never woken by a packet: that would cost the online server something for each. It looks every few milliseconds.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use abi::record::{KIND_CLIENT, KIND_ONLINE, RECORD_HEADER_LEN, RecordHeader};
use crossbeam_channel::{Receiver, Sender, bounded};
use nix::net::if_::if_indextoname;
use process::confinement::{self, Trade};
use process::rights;
use recording::{Error, Writer, Written};
use ring::Entries;
use signal_hook::iterator::Signals;
use tracing::warn;

use crate::args::Priority;
use crate::worker::duplicates::Duplicates;

/// Bytes of records that are handed over at a time, about.
const BATCH_LEN: usize = 256 << 10;
/// Batches that wait for the writer.
const BATCHES_MAX: usize = 64;
/// How long a record waits at most until it is handed over.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// How often the ring is looked at, and how often one that is shorter than [`RING_SHORT`].
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(1));
/// Bytes of a ring that a fast network could fill within the longer of both times.
const RING_SHORT: u32 = 16 << 20;
/// How often the end looks whether the threads are at theirs.
const LOOK_FOR_END: Duration = Duration::from_millis(10);

/// What the threads and the rest of the process tell each other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Nothing is recorded any more: what is in the ring is all.
    is_over: AtomicBool,
    /// Packets that found the ring full.
    pub(super) lost: AtomicU64,
    /// Packets that a second device showed.
    pub(super) duplicates: AtomicU64,
}

/// Records, and names of devices that are new.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    names: Vec<(u32, String)>,
}

/// How the writer has ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) written: Written,
    /// Why it could not go on, in words.
    pub(super) failure: Option<String>,
}

/// Both threads.
pub(super) struct Threads {
    shared: Arc<Shared>,
    recorder: JoinHandle<nix::Result<()>>,
    writer: JoinHandle<Outcome>,
}

impl Threads {
    /// Starts them.
    pub(super) fn start(
        ring: Entries,
        writer: Writer,
        shared: &Arc<Shared>,
        priority: Priority,
        ring_len: u32,
    ) -> io::Result<Self> {
        let (batches, to_write) = bounded(BATCHES_MAX);
        let of_writer = Arc::clone(shared);
        let writer = start("file-writer", priority, move || {
            rights::keep_only(rights::FILES);
            write(writer, &to_write, &of_writer)
        })?;
        let (usual, short) = LOOK_EVERY;
        let look_every = if ring_len < RING_SHORT { short } else { usual };
        let mut recorder = Recorder {
            ring,
            batch: Batch::default(),
            since: Instant::now(),
            names: BTreeSet::new(),
            clients: Duplicates::new(),
            online: Duplicates::new(),
            batches,
            shared: Arc::clone(shared),
        };
        let recorder = start("recorder", priority, move || {
            confinement::confine(Trade::Works);
            recorder.run(look_every)
        })?;
        Ok(Self {
            shared: Arc::clone(shared),
            recorder,
            writer,
        })
    }

    /// Whether one has ended before its time.
    pub(super) fn have_failed(&self) -> bool {
        self.recorder.is_finished() || self.writer.is_finished()
    }

    /// Lets them write what is there. `None` where a signal came before that was done.
    pub(super) fn finish(self, signals: &mut Signals) -> Option<Outcome> {
        self.shared.is_over.store(true, Ordering::Release);
        while !self.recorder.is_finished() || !self.writer.is_finished() {
            if signals.pending().any(process::signals::hurries) {
                return None;
            }
            thread::sleep(LOOK_FOR_END);
        }
        let ended = self.recorder.join();
        let mut outcome = self.writer.join().unwrap_or_else(|_| Outcome {
            written: Written::default(),
            failure: Some("the thread that writes the file failed".to_owned()),
        });
        let unread = match ended {
            Ok(Ok(())) => None,
            Ok(Err(errno)) => Some(format!("cannot read the ring: {errno}")),
            Err(_) => Some("the thread that reads the ring failed".to_owned()),
        };
        outcome.failure = outcome.failure.or(unread);
        Some(outcome)
    }
}

fn start<T: Send + 'static>(
    name: &str,
    priority: Priority,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        if priority == Priority::Low
            && let Err(error) = process::priority::yield_to_others()
        {
            warn!(
                finding = "no-priority",
                "a thread of the recorder does not wait for the online server: {error}"
            );
        }
        work()
    })
}

/// The thread that empties the ring.
struct Recorder {
    ring: Entries,
    batch: Batch,
    /// When the batch was begun.
    since: Instant,
    /// Devices whose name was told.
    names: BTreeSet<u32>,
    clients: Duplicates,
    online: Duplicates,
    batches: Sender<Batch>,
    shared: Arc<Shared>,
}

impl Recorder {
    /// Copies until nothing is recorded any more, or nobody writes.
    fn run(&mut self, look_every: Duration) -> nix::Result<()> {
        loop {
            let is_over = self.shared.is_over.load(Ordering::Acquire);
            self.read()?;
            let is_full = self.batch.bytes.len() >= BATCH_LEN;
            let is_last = !is_full && is_over && self.ring.is_empty()?;
            let is_due = !self.batch.bytes.is_empty() && self.since.elapsed() >= WAIT_MAX;
            if is_full || is_last || is_due {
                self.since = Instant::now();
                // Nobody takes it where the writer has failed, which is said by that.
                if self.batches.send(std::mem::take(&mut self.batch)).is_err() || is_last {
                    return Ok(());
                }
            }
            if !is_full {
                thread::sleep(look_every);
            }
        }
    }

    /// Copies as much as belongs into a batch.
    fn read(&mut self) -> nix::Result<()> {
        let Self {
            ring,
            batch,
            names,
            clients,
            online,
            ..
        } = self;
        ring.read(|entry| {
            let Some((header, packet)) = RecordHeader::split(entry) else {
                return true;
            };
            let stamp = session::Instant::from_nanos(header.stamp_ns);
            let is_second = match header.kind {
                KIND_CLIENT => clients.is_second(header.ifindex, stamp, packet),
                KIND_ONLINE => online.is_second(header.ifindex, stamp, packet),
                _ => true,
            };
            if is_second {
                return true;
            }
            if names.insert(header.ifindex) {
                batch.names.push((header.ifindex, name_of(header.ifindex)));
            }
            batch.bytes.extend(header.to_bytes());
            batch.bytes.extend(packet);
            batch.bytes.len() < BATCH_LEN
        })?;
        let duplicates = self.clients.found() + self.online.found();
        self.shared.duplicates.store(duplicates, Ordering::Relaxed);
        Ok(())
    }
}

/// The name of a device, or its number where it is gone.
fn name_of(ifindex: u32) -> String {
    let name = if_indextoname(ifindex).ok();
    let name = name.and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("if{ifindex}"))
}

/// The thread that writes.
fn write(mut writer: Writer, batches: &Receiver<Batch>, shared: &Shared) -> Outcome {
    let lost = || shared.lost.load(Ordering::Relaxed);
    for batch in batches {
        for (ifindex, name) in batch.names {
            writer.name(ifindex, name);
        }
        let mut rest = &batch.bytes[..];
        while let Some((header, packet)) = RecordHeader::split(rest) {
            writer.take(&header, packet);
            rest = &rest[RECORD_HEADER_LEN + packet.len()..];
        }
        if let Err(error) = writer.flush(lost()) {
            return failed(writer.so_far(), &error);
        }
    }
    let so_far = writer.so_far();
    match writer.finish(lost()) {
        Ok(written) => Outcome {
            written,
            failure: None,
        },
        Err(error) => failed(so_far, &error),
    }
}

fn failed(written: Written, error: &Error) -> Outcome {
    let words = format!("{error}; what was written before is readable");
    Outcome {
        written,
        failure: Some(words),
    }
}
