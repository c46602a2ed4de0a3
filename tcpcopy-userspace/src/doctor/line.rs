//! The line that probes go out by and answers come back on: the very programs, private device and port of a run, and in
//! assistant mode the very connection to `intercept`.
//!
//! Dropping it undoes everything.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use abi::record::{KIND_REPLY, KIND_TOO_BIG, RecordHeader};
use channel::Batch;
use channel::inspection::Inspected;
use crossbeam_channel::{Receiver, Sender, bounded};
use key_file::Watch;
use process::Waker;
use process::confinement::{self, Trade};
use telemetry::KernelCounters;
use tracing::warn;
use wire::flow::{Addr, FlowKey};
use wire::hash::EndpointHash;
use wire::icmp::TooBig;
use wire::segment::Segment;

use super::handshake::Via;
use crate::assistant::Channels;
use crate::assistant::connection::{Connection, Failure};
use crate::assistant::names::Names;
use crate::assistant::probe::Probes;
use crate::loader::{Error, Loaded, Parts};
use crate::plan::Plan;
use crate::worker::announcer::{ANNOUNCEMENTS_MAX, Announcement};
use crate::worker::handle::WorkerHandle;

/// How long an intercept may take to take the subscription.
const SUBSCRIBED_MAX: Duration = Duration::from_secs(3);
/// How long it may take to answer a question.
const INSPECTED_MAX: Duration = Duration::from_secs(1);

/// Something that came back.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A target's segment: its headers, and which way it came.
    Segment(Segment, Vec<u8>, Via),
    /// A router's word that a segment of ours was too long.
    TooBig(TooBig),
}

/// The programs and the private device.
pub(crate) struct Line {
    loaded: Loaded,
    parts: Parts,
}

impl Line {
    /// Sets everything up as a run does.
    ///
    /// # Errors
    ///
    /// Says which step failed; everything is undone then.
    pub(crate) fn open(plan: &Plan) -> Result<Self, Error> {
        let (mut loaded, parts) = Loaded::new(plan)?;
        loaded.attach(plan)?;
        Ok(Self { loaded, parts })
    }

    /// Sends frames through the first worker's port.
    ///
    /// # Errors
    ///
    /// Where the kernel does not take them.
    pub(crate) fn send(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) -> Result<u64, Error> {
        let Some(parts) = self.parts.workers.first_mut() else {
            return Ok(0);
        };
        let (mut frames, mut sent) = (frames.into_iter().peekable(), 0);
        while frames.peek().is_some() {
            parts.port.reap();
            let queued = parts.port.transmit_with(usize::MAX, |buffer| {
                let frame = frames.next()?;
                buffer.get_mut(..frame.len())?.copy_from_slice(&frame);
                Some(frame.len())
            });
            sent += queued as u64;
            parts.port.kick()?;
            if queued == 0 {
                break;
            }
        }
        Ok(sent)
    }

    /// Everything that came to this host since this was last asked.
    pub(crate) fn receive(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        for parts in &mut self.parts.workers {
            let read = parts.ring.read(|entry| {
                heard.extend(heard_in(entry));
                true
            });
            if let Err(errno) = read {
                warn!(
                    finding = "records-unread",
                    "the kernel does not map what the programs have recorded, so answers may be missing here: {errno}; free memory"
                );
            }
        }
        heard
    }

    /// What the programs counted.
    ///
    /// # Errors
    ///
    /// Where the kernel does not say.
    pub(crate) fn counters(&self) -> Result<KernelCounters, Error> {
        self.loaded.counters()
    }

    /// Longest packet that the private device carries, in bytes from the IP header on.
    pub(crate) fn packet_len_max(&self) -> usize {
        self.parts.frame_len_max - wire::ethernet::HEADER_LEN
    }

    /// Undoes everything, and says so where that fails.
    ///
    /// # Errors
    ///
    /// Where the kernel keeps the private device.
    pub(crate) fn close(self) -> Result<(), Error> {
        let Self { mut loaded, parts } = self;
        loaded.detach();
        drop(parts);
        loaded.remove()
    }
}

/// The connections to all intercepts.
pub(crate) struct Intercepts {
    channels: Arc<Channels>,
    wakers: Vec<Arc<Waker>>,
    threads: Vec<JoinHandle<()>>,
    reports: Receiver<Batch>,
    // Nobody announces anything: the probes are announced when the connection begins.
    _announcements: Vec<Sender<Announcement>>,
    /// What the first attempt came to, by the address of the intercept; `None` where it said nothing.
    pub(crate) firsts: Vec<(String, Option<Result<(), Failure>>)>,
}

impl Intercepts {
    /// Connects to all, and waits for what they say.
    ///
    /// # Errors
    ///
    /// Where this process has no descriptor or thread left.
    pub(crate) fn connect(plan: &Plan) -> std::io::Result<Self> {
        // Reports go to a worker, and this one is the doctor.
        let (ears, inbox) = WorkerHandle::new(0)?;
        let channels = Arc::new(Channels::new(
            vec![ears],
            EndpointHash::new(plan.hash_seed),
            plan.intercepts.len(),
        ));
        let flows: HashSet<FlowKey> = plan
            .probes
            .iter()
            .map(|&(client, server)| FlowKey { client, server })
            .collect();
        let mut intercepts = Self {
            channels,
            wakers: Vec::new(),
            threads: Vec::new(),
            reports: inbox.reports,
            _announcements: Vec::new(),
            firsts: Vec::new(),
        };
        let names = Names::start()?;
        let keys = plan.key_file.as_deref().map(Watch::start).transpose();
        let keys = keys.map_err(std::io::Error::other)?;
        let mut heard = Vec::new();
        for (index, address) in plan.intercepts.iter().enumerate() {
            let (sender, announcements) = bounded(ANNOUNCEMENTS_MAX);
            let (first, hears) = bounded(1);
            let waker = Arc::new(Waker::new()?);
            let connection = Connection {
                index,
                address: address.clone(),
                names: names.clone(),
                is_insecure: plan.is_insecure,
                keys: keys.clone(),
                targets: plan.targets(),
                whole: Vec::new(),
                refused: HashSet::new(),
                sources: Vec::new(),
                // Headers are enough to know an answer.
                payload_max: 0,
                announcements,
                waker: Arc::clone(&waker),
                channels: Arc::clone(&intercepts.channels),
                // None: the doctor wants to see the answers itself.
                probes: Arc::new(Probes::default()),
                first,
                flows: flows.clone(),
            };
            let thread = thread::Builder::new()
                .name(format!("channel-{index}"))
                .spawn(move || {
                    confinement::confine(Trade::Connects);
                    connection.run();
                })?;
            intercepts.threads.push(thread);
            intercepts.wakers.push(waker);
            intercepts._announcements.push(sender);
            heard.push((address.clone(), hears));
        }
        let until = Instant::now() + SUBSCRIBED_MAX;
        let firsts = heard.into_iter();
        intercepts.firsts = firsts
            .map(|(address, hears)| (address, hears.recv_deadline(until).ok()))
            .collect();
        Ok(intercepts)
    }

    /// Whether every intercept took the subscription.
    pub(crate) fn are_all_there(&self) -> bool {
        self.firsts
            .iter()
            .all(|(_, first)| matches!(first, Some(Ok(()))))
    }

    /// Asks each intercept what becomes of replies to these addresses on its host, and gives the answers, `None` where one
    /// does not come.
    pub(crate) fn inspect(&self, addresses: &[Addr]) -> Vec<Option<Inspected>> {
        let inspections = &self.channels.inspections;
        inspections.ask(addresses);
        for waker in &self.wakers {
            waker.wake();
        }
        let until = Instant::now() + INSPECTED_MAX;
        loop {
            let answers = inspections.answers();
            if answers.iter().all(Option::is_some) || Instant::now() >= until {
                return answers;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that came over the channels since this was last asked.
    pub(crate) fn receive(&self) -> Vec<Heard> {
        let mut heard = Vec::new();
        while let Ok(batch) = self.reports.try_recv() {
            for (_, bytes) in batch.segments() {
                if let Ok(segment) = Segment::parse(bytes, 0) {
                    heard.push(Heard::Segment(segment, bytes.to_vec(), Via::Channel));
                }
            }
        }
        heard
    }
}

impl Drop for Intercepts {
    fn drop(&mut self) {
        self.channels.end();
        for waker in &self.wakers {
            waker.wake();
        }
        for thread in self.threads.drain(..) {
            // A connection's thread has nothing to say.
            let _ = thread.join();
        }
    }
}

/// What a record says of a target.
fn heard_in(entry: &[u8]) -> Option<Heard> {
    let (header, packet) = RecordHeader::split(entry)?;
    match header.kind {
        KIND_REPLY => {
            let segment = Segment::parse(packet, 0).ok()?;
            Some(Heard::Segment(segment, packet.to_vec(), Via::Here))
        }
        KIND_TOO_BIG => TooBig::parse(packet, 0).ok().map(Heard::TooBig),
        _ => None,
    }
}
