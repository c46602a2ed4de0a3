//! The thread of one connection to an `intercept`.
//!
//! It polls the socket and its own waker, so that an announcement leaves at once and a report arrives at once. When
//! the connection is lost it tries again with growing pauses, and announces every running session anew.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use channel::{TcpcopyEnd, TcpcopyEvent, encode};
use crossbeam_channel::{Receiver, Sender};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{info, warn};
use wire::flow::{Endpoint, FlowKey, owner};
use wire::segment::Segment;

use super::probe::Probes;
use super::{Announcement, Channels, ReportBatch};
use crate::clock;
use crate::worker::waker::Waker;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// First and longest pause between two attempts.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often the thread looks around although nothing happens: for pings and for the end.
const TICK_MS: u16 = 200;
/// Most bytes that wait for the socket. Beyond, announcements wait in their queue.
const OUT_MAX: usize = 1 << 20;
/// Most reads of the socket before announcements have their turn.
const READS_MAX: usize = 16;

/// Everything that the thread owns.
pub(crate) struct Connection {
    /// Its number among the `-s` entries.
    pub(crate) index: usize,
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) targets: Vec<Endpoint>,
    pub(crate) announcements: Receiver<Announcement>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) probes: Arc<Probes>,
    /// Hears how the first attempt went.
    pub(crate) first: Sender<Result<(), Failure>>,
    /// Sessions that run, to be announced anew.
    pub(crate) flows: HashSet<FlowKey>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody there (yet).
    #[error(
        "cannot connect to intercept at {address}: {cause}; start it there, or check -s and the firewall"
    )]
    Connect { address: String, cause: io::Error },
    /// It was there.
    #[error("lost the connection to intercept at {address}: {cause}")]
    Lost { address: String, cause: io::Error },
    /// It is not the intercept that is wanted.
    #[error("intercept at {address} cannot be used: {cause}")]
    Channel {
        address: String,
        cause: channel::Error,
    },
}

impl Failure {
    /// Whether trying again cannot help: another version, another program, a target that it does not serve.
    pub(crate) const fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Channel {
                cause: channel::Error::NotTheChannel(_)
                    | channel::Error::Version { .. }
                    | channel::Error::Role { .. }
                    | channel::Error::Authentication(_)
                    | channel::Error::Refused(channel::Refusal::UnknownTarget(_)),
                ..
            }
        )
    }
}

impl Connection {
    /// Connects and reconnects until the run ends.
    pub(crate) fn run(mut self) {
        let mut pause = RETRY_FIRST;
        let mut said = None;
        while !self.channels.stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let failure = match self.connect() {
                Ok(stream) => self.talk(stream),
                Err(failure) => Some(failure),
            };
            self.channels.set_up(self.index, false);
            let Some(failure) = failure else { break };
            // The same complaint is made once, not once per attempt.
            let words = failure.to_string();
            if said.as_ref() != Some(&words) {
                warn!("{words}; copying pauses, trying again");
                said = Some(words);
            }
            let _ = self.first.try_send(Err(failure));
            if began.elapsed() > RETRY_MAX {
                (pause, said) = (RETRY_FIRST, None);
            }
            self.wait(pause);
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    fn connect(&self) -> Result<TcpStream, Failure> {
        let failed = |cause| Failure::Connect {
            address: self.address.clone(),
            cause,
        };
        // Looked up each time: an assistant that was replaced may have another address.
        let addresses = self.address.to_socket_addrs().map_err(failed)?;
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                Ok(stream) => {
                    stream
                        .set_nodelay(true)
                        .and_then(|()| stream.set_nonblocking(true))
                        .map_err(failed)?;
                    return Ok(stream);
                }
                Err(cause) => last = cause,
            }
        }
        Err(failed(last))
    }

    /// Drives one connection to its end; `None` where the run ends.
    fn talk(&mut self, mut stream: TcpStream) -> Option<Failure> {
        let mut out = Vec::new();
        let mut end = TcpcopyEnd::new(self.targets.clone(), Instant::now(), &mut out);
        let mut subscribed = false;
        let lost = |cause| {
            Some(Failure::Lost {
                address: self.address.clone(),
                cause,
            })
        };
        let broken = |cause| {
            Some(Failure::Channel {
                address: self.address.clone(),
                cause,
            })
        };
        let address = self.address.clone();
        let result = loop {
            if self.channels.stop.load(Ordering::Relaxed) {
                break None;
            }
            if let Err(cause) = send(&mut stream, &mut out) {
                break lost(cause);
            }
            if let Err(cause) = rest(&self.waker, &self.announcements, &stream, !out.is_empty()) {
                break lost(cause);
            }
            match self.read(&mut stream, &mut end, &mut out, &mut subscribed) {
                Ok(true) => {
                    subscribed = true;
                    info!(
                        "connected to intercept at {address}, {} sessions announced",
                        self.flows.len()
                    );
                    encode::open(&mut out, self.flows.iter().copied());
                    let _ = self.first.try_send(Ok(()));
                    self.channels.set_up(self.index, true);
                }
                Ok(false) => {}
                Err(Broken::Socket(cause)) => break lost(cause),
                Err(Broken::Channel(cause)) => break broken(cause),
            }
            take_announcements(
                &self.announcements,
                &mut self.flows,
                subscribed.then_some(&mut out),
            );
            if let Err(cause) = end.on_time(Instant::now(), &mut out) {
                break broken(cause);
            }
        };
        if subscribed && result.is_some() {
            self.channels.lost.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Takes what the socket has and hands reports to their workers; `true` where the subscription just came about.
    fn read(
        &self,
        stream: &mut TcpStream,
        end: &mut TcpcopyEnd,
        out: &mut Vec<u8>,
        subscribed: &mut bool,
    ) -> Result<bool, Broken> {
        let mut came_about = false;
        for _ in 0..READS_MAX {
            match stream.read(end.space()) {
                Ok(0) => return Err(Broken::Socket(ErrorKind::UnexpectedEof.into())),
                Ok(len) => end.filled(Instant::now(), len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Broken::Socket(error)),
            }
            let arrival = clock::now();
            let workers = self.channels.workers.len();
            let mut batches: Vec<_> = (0..workers).map(|_| ReportBatch::new(arrival)).collect();
            while let Some(event) = end.next_event(out).map_err(Broken::Channel)? {
                match event {
                    TcpcopyEvent::Subscribed => came_about = !*subscribed,
                    TcpcopyEvent::Reports(reports) => {
                        for report in reports.iter() {
                            self.sort(report.headers, &mut batches);
                        }
                    }
                    TcpcopyEvent::Lost { count } => {
                        self.channels
                            .reports_lost_there
                            .fetch_add(count, Ordering::Relaxed);
                    }
                    TcpcopyEvent::Pong { .. } => {}
                }
            }
            self.channels.deliver(&mut batches, arrival);
        }
        Ok(came_about)
    }

    /// Puts a report into the batch of the worker that owns its session.
    fn sort(&self, headers: &[u8], batches: &mut [ReportBatch]) {
        let worker = match Segment::parse(headers, 0) {
            Ok(segment) if self.probes.take(&segment) => return,
            Ok(segment) => owner(
                &segment.destination,
                u32::try_from(batches.len()).unwrap_or(1),
            ),
            // The engine counts it as malformed.
            Err(_) => 0,
        };
        if let Some(batch) = batches.get_mut(worker as usize) {
            batch.push(headers);
        }
    }

    /// Lets time pass, taking announcements meanwhile.
    fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.channels.stop.load(Ordering::Relaxed) {
            take_announcements(&self.announcements, &mut self.flows, None);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

enum Broken {
    Socket(io::Error),
    Channel(channel::Error),
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

/// Keeps the set of running sessions and, where there is a subscription, announces what changes.
fn take_announcements(
    queue: &Receiver<Announcement>,
    flows: &mut HashSet<FlowKey>,
    mut out: Option<&mut Vec<u8>>,
) {
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    while out.as_ref().is_none_or(|out| out.len() < OUT_MAX) {
        let Ok(announcement) = queue.try_recv() else {
            break;
        };
        match announcement {
            Announcement::Open(flow) => {
                flows.insert(flow);
                opened.push(flow);
            }
            Announcement::Close(flow) => {
                flows.remove(&flow);
                closed.push(flow);
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

#[cfg(test)]
mod tests;
