//! One connection to an `intercept`, from its hello to its end.
//!
//! It polls the socket and its thread's waker, so that an announcement leaves at once and a report arrives at once.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Instant;

use channel::inspection::inspect;
use channel::{Batch, Report, TcpcopyEnd, TcpcopyEvent, encode};
use crossbeam_channel::Receiver;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use process::Waker;
use tracing::info;
use wire::flow::{Endpoint, FlowKey};
use wire::segment::Segment;

use super::Channels;
use super::offset::Offset;
use super::probe::Probes;
use crate::clock;
use crate::worker::announcer::Announcement;

/// How often the thread looks around although nothing happens: for pings and for the end.
const TICK_MS: u16 = 200;
/// Most bytes that wait for the socket. Beyond, announcements wait in their queue.
const OUT_MAX: usize = 1 << 20;
/// Most reads of the socket before announcements have their turn.
const READS_MAX: usize = 16;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Broken {
    Socket(io::Error),
    Channel(channel::Error),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Talk {
    stream: TcpStream,
    end: TcpcopyEnd,
    out: Vec<u8>,
    offset: Offset,
    has_offset: bool,
    subscribed: bool,
    /// Number of the connection.
    index: usize,
    /// Number of the question of the doctor that was asked last.
    asked: u64,
}

impl Talk {
    /// A connection that was just opened, and what its end wants to say first; the socket does not block.
    pub(super) fn new(stream: TcpStream, end: TcpcopyEnd, out: Vec<u8>, index: usize) -> Self {
        Self {
            stream,
            end,
            out,
            offset: Offset::default(),
            has_offset: false,
            subscribed: false,
            index,
            asked: 0,
        }
    }

    /// Whether the subscription came about.
    pub(super) const fn is_subscribed(&self) -> bool {
        self.subscribed
    }

    /// Writes what there is to write, sleeps until there is something to do, and reads; `true` where the subscription
    /// just came about.
    pub(super) fn turn(
        &mut self,
        waker: &Waker,
        announcements: &Receiver<Announcement>,
        channels: &Channels,
        probes: &Probes,
    ) -> Result<bool, Broken> {
        let now = clock::now();
        if let Some(nonce) = self
            .end
            .on_time(Instant::now(), &mut self.out)
            .map_err(Broken::Channel)?
        {
            self.offset.pinged(nonce, now);
        }
        if self.subscribed
            && let Some(addresses) = channels.inspections.due(&mut self.asked)
        {
            let ask = |frames: &mut Vec<u8>| inspect(frames, &addresses);
            self.end.say(&mut self.out, ask);
        }
        send(&mut self.stream, &mut self.out).map_err(Broken::Socket)?;
        rest(waker, announcements, &self.stream, !self.out.is_empty()).map_err(Broken::Socket)?;
        let before = self.subscribed;
        for _ in 0..READS_MAX {
            match self.stream.read(self.end.space()) {
                Ok(0) => {
                    let eof = || Broken::Socket(ErrorKind::UnexpectedEof.into());
                    return Err(self.end.on_close().map_or_else(eof, Broken::Channel));
                }
                Ok(len) => self.end.filled(Instant::now(), len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    let is_meant = error.kind() == ErrorKind::ConnectionReset;
                    let meant = self.end.on_close().filter(|_| is_meant);
                    return Err(meant.map_or(Broken::Socket(error), Broken::Channel));
                }
            }
            self.hear(channels, probes)?;
        }
        Ok(self.subscribed && !before)
    }

    /// Announces sessions that run already.
    pub(super) fn open(&mut self, flows: impl IntoIterator<Item = FlowKey>) {
        self.end
            .say(&mut self.out, |frames| encode::open(frames, flows));
    }

    /// Announces what came into the queue.
    pub(super) fn announce(
        &mut self,
        queue: &Receiver<Announcement>,
        flows: &mut HashSet<FlowKey>,
        refused: &HashSet<Endpoint>,
    ) {
        if !self.subscribed {
            take(queue, flows, None, refused);
        } else if !queue.is_empty() && self.out.len() < OUT_MAX {
            self.end.say(&mut self.out, |frames| {
                take(queue, flows, Some(frames), refused);
            });
        }
    }

    /// Takes every event of what was read, and hands reports to their workers.
    fn hear(&mut self, channels: &Channels, probes: &Probes) -> Result<(), Broken> {
        let arrival = clock::now();
        let mut batches = channels.batches();
        while let Some(event) = self
            .end
            .next_event(&mut self.out)
            .map_err(Broken::Channel)?
        {
            match event {
                TcpcopyEvent::Subscribed => self.subscribed = true,
                TcpcopyEvent::Reports(reports) => {
                    for report in reports.iter() {
                        let stamp = self.offset.ours(report.stamp_ns, arrival);
                        let report = Report {
                            stamp_ns: stamp.as_nanos(),
                            ..report
                        };
                        sort(&report, channels, probes, &mut batches);
                    }
                }
                TcpcopyEvent::Taken(flows) => channels.taken(flows.iter()),
                TcpcopyEvent::Lost { count } => {
                    channels
                        .reports_lost_there
                        .fetch_add(count, Ordering::Relaxed);
                }
                TcpcopyEvent::Inspected(answer) => {
                    channels
                        .inspections
                        .answered(self.index, self.asked, answer.into());
                }
                TcpcopyEvent::Pong { nonce, stamp_ns } => {
                    self.offset.ponged(nonce, stamp_ns, arrival);
                    let error = self.offset.error(arrival);
                    let micros = error.map_or(0, |error| {
                        u64::try_from(error.as_micros()).unwrap_or(u64::MAX)
                    });
                    channels.clock_error_us.store(micros, Ordering::Relaxed);
                    if error.is_some() && !std::mem::replace(&mut self.has_offset, true) {
                        info!(
                            "clocks synchronised with intercept (error at most {micros} us); its timestamps are used from now on"
                        );
                    }
                }
            }
        }
        channels.deliver(&mut batches);
        Ok(())
    }
}

/// Puts a report into the batch of the worker that owns its session.
fn sort(report: &Report<'_>, channels: &Channels, probes: &Probes, batches: &mut [Batch]) {
    let segment = Segment::parse(report.headers, 0).ok();
    if segment.is_some_and(|segment| probes.take(&segment)) {
        return;
    }
    let destination = segment.as_ref().map(|segment| &segment.destination);
    channels.put(destination, report, batches);
}

/// Writes as much as the socket takes.
fn send(stream: &mut TcpStream, out: &mut Vec<u8>) -> io::Result<()> {
    let mut sent = 0;
    while sent < out.len() {
        match stream.write(&out[sent..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => sent += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    out.drain(..sent);
    Ok(())
}

/// Sleeps until the socket or the waker has something, or the tick is over.
fn rest(
    waker: &Waker,
    announcements: &Receiver<Announcement>,
    stream: &TcpStream,
    writing: bool,
) -> io::Result<()> {
    waker.fall_asleep();
    let slept = if announcements.is_empty() || writing {
        let wanted = if writing {
            PollFlags::POLLIN | PollFlags::POLLOUT
        } else {
            PollFlags::POLLIN
        };
        let mut fds = [
            PollFd::new(stream.as_fd(), wanted),
            PollFd::new(waker.fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::from(TICK_MS)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    } else {
        Ok(())
    };
    waker.wake_up();
    slept
}

/// Keeps the set of running sessions and, where there is a subscription, announces what changes; not of targets that were refused.
pub(super) fn take(
    queue: &Receiver<Announcement>,
    flows: &mut HashSet<FlowKey>,
    mut out: Option<&mut Vec<u8>>,
    refused: &HashSet<Endpoint>,
) {
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    let is_wanted = |flow: &FlowKey| !refused.contains(&flow.server);
    while out.as_ref().is_none_or(|out| out.len() < OUT_MAX) {
        let Ok(announcement) = queue.try_recv() else {
            break;
        };
        match announcement {
            Announcement::Open(flow) => {
                flows.insert(flow);
                opened.extend(Some(flow).filter(is_wanted));
            }
            Announcement::Close(flow) => {
                flows.remove(&flow);
                closed.extend(Some(flow).filter(is_wanted));
            }
        }
        // In the order in which they came: a flow may close and open again.
        if let Some(out) = &mut out
            && (opened.len() >= 1024
                || closed.len() >= 1024
                || !(opened.is_empty() || closed.is_empty()))
        {
            flush(out, announcement, &mut opened, &mut closed);
        }
    }
    if let Some(out) = out {
        encode::close(out, closed.drain(..));
        encode::open(out, opened.drain(..));
    }
}

/// Writes the kind that did not come last first.
fn flush(
    out: &mut Vec<u8>,
    last: Announcement,
    opened: &mut Vec<FlowKey>,
    closed: &mut Vec<FlowKey>,
) {
    match last {
        Announcement::Open(_) => {
            encode::close(out, closed.drain(..));
            encode::open(out, opened.drain(..));
        }
        Announcement::Close(_) => {
            encode::open(out, opened.drain(..));
            encode::close(out, closed.drain(..));
        }
    }
}
