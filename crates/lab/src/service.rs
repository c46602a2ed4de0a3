//! The built-in HTTP/1.1 service: one thread, one epoll, keep-alive, pipelining, bodies of any length.
//!
//! It is the yardstick of demo and tests, so it must cost little; it is not a server for the world. `/1000` answers
//! 1000 bytes, `?delay=30` answers after 30 ms, `?id=` or `X-Request-Id` (hexadecimal) names the request. The response
//! names the request's id and the digest of its body. Chunked bodies are refused.

mod connection;
mod record;
mod request;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::digest::Digest;
use crate::error::{Result, Tried};
use crate::interrupt;
use connection::{Connection, Next};
use record::write_record;

pub use record::{Entry, read_record};

/// What the service is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where to listen.
    #[arg(long)]
    pub listen: SocketAddr,
    /// Length of a response body where the path does not say, in bytes.
    #[arg(long, default_value_t = 600)]
    pub size: usize,
    /// Each response body is longer by a random number of bytes from 0 to this.
    #[arg(long, default_value_t = 0)]
    pub size_spread: usize,
    /// Delay of each response where the query does not say, in milliseconds: 0.2, say.
    #[arg(long = "delay-ms", value_name = "MS", default_value = "0", value_parser = milliseconds)]
    pub delay: Duration,
    /// Resets the connection instead of each so manieth response; 0 for none.
    #[arg(long, default_value_t = 0)]
    pub reset_every: u64,
    /// Leaves each so manieth request without a response, and the connection open; 0 for none.
    #[arg(long, default_value_t = 0)]
    pub silent_every: u64,
    /// Cuts each so manieth response off in the middle of its body, whatever its head says; 0 for none.
    #[arg(long, default_value_t = 0)]
    pub truncate_every: u64,
    /// Every so many-th request, of all connections together, is answered with an error of the server; 0 for none.
    #[arg(long, default_value_t = 0)]
    pub fail_every: u64,
    /// Most bytes of one write to a client, each of which is a segment of its own; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    pub write_bytes: usize,
    /// How often what was seen is printed, in milliseconds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub every_ms: u64,
    /// Where to write, at the end, a line for each request: id, length and digest of its body.
    #[arg(long)]
    pub record: Option<PathBuf>,
}

/// What is planted in the place of a right response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Reset,
    Silent,
    Truncated,
}

impl Options {
    /// How many bytes the response to the request of this number is longer than it was asked to be. As good as random, and
    /// the same in each run.
    fn spread(&self, number: u64) -> usize {
        let mut digest = Digest::new();
        digest.update(&number.to_be_bytes());
        let most = self.size_spread as u64;
        usize::try_from(digest.value() % (most + 1)).unwrap_or(0)
    }

    /// What is to go wrong with the response to the request of this number, counted from 1.
    fn fault(&self, number: u64) -> Option<Fault> {
        let faults = [
            (self.reset_every, Fault::Reset),
            (self.silent_every, Fault::Silent),
            (self.truncate_every, Fault::Truncated),
        ];
        let due = |every: u64| every > 0 && number.is_multiple_of(every);
        faults
            .into_iter()
            .find_map(|(every, fault)| due(every).then_some(fault))
    }
}

/// What the service counts.
#[derive(Clone, Debug, Default)]
struct Tally {
    requests: u64,
    connections: u64,
    /// Connections that clients left while a response was due.
    abandoned: u64,
    /// Connections that broke.
    broken: u64,
    /// Requests that were not understood.
    bad: u64,
    keep: bool,
    entries: Vec<Entry>,
}

/// A line that the service prints. All but `second` are totals.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Line {
    /// Seconds since the start.
    pub second: u64,
    /// Requests answered.
    pub requests: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections that clients left while a response was due.
    pub abandoned: u64,
    /// Connections that broke.
    pub broken: u64,
    /// Requests that were not understood.
    pub bad: u64,
}

impl Tally {
    fn count(&mut self, id: u64, body_len: u64, digest: Digest) {
        self.requests += 1;
        if self.keep {
            self.entries.push(Entry {
                id,
                body_len,
                digest: digest.value(),
            });
        }
    }

    fn line(&self, start: Instant) -> Line {
        Line {
            second: start.elapsed().as_secs(),
            requests: self.requests,
            connections: self.connections,
            abandoned: self.abandoned,
            broken: self.broken,
            bad: self.bad,
        }
    }
}

/// Serves until a signal arrives (see [`interrupt`]); prints a [`Line`] as JSON now and then and at the end.
///
/// # Errors
///
/// Where it cannot listen or the record cannot be written.
pub fn serve(options: &Options) -> Result<()> {
    interrupt::install()?;
    let mut service = Service::listen(options)?;
    eprintln!("ready: serving on {}", options.listen);
    let start = Instant::now();
    let every = Duration::from_millis(options.every_ms);
    let mut next = start + every;
    while !interrupt::interrupted() {
        service.turn(options)?;
        if Instant::now() >= next {
            next += every;
            print(&service.tally.line(start));
        }
    }
    print(&service.tally.line(start));
    match &options.record {
        Some(file) => write_record(file, &service.tally.entries),
        None => Ok(()),
    }
}

fn print(line: &Line) {
    crate::part::print_json(line);
}

fn milliseconds(text: &str) -> std::result::Result<Duration, String> {
    let milliseconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(milliseconds / 1000.0).map_err(|error| error.to_string())
}

/// Tells the listener from connections in epoll events.
const LISTENER: u64 = u64::MAX;
/// The same for the timer: an epoll by itself knows whole milliseconds only.
const TIMER: u64 = u64::MAX - 1;
/// How long the service waits for events, in milliseconds.
const WAIT_MS: u8 = 200;
/// Events that announce an end of stream.
const HANGUP: EpollFlags = EpollFlags::EPOLLRDHUP
    .union(EpollFlags::EPOLLHUP)
    .union(EpollFlags::EPOLLERR);
/// Most events taken at once.
const EVENTS_MAX: usize = 256;

struct Service {
    listener: TcpListener,
    epoll: Epoll,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// When connections want to be called; entries of closed connections do no harm.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    timer: TimerFd,
    tally: Tally,
    scratch: Vec<u8>,
    events: Vec<EpollEvent>,
}

impl Service {
    fn listen(options: &Options) -> Result<Self> {
        let listener =
            TcpListener::bind(options.listen).tried(|| format!("listen on {}", options.listen))?;
        // The standard library's backlog is 128: too short for thousands of short connections.
        nix::sys::socket::listen(
            &listener,
            nix::sys::socket::Backlog::new(4096).unwrap_or(nix::sys::socket::Backlog::MAXCONN),
        )
        .tried(|| format!("listen on {}", options.listen))?;
        listener
            .set_nonblocking(true)
            .tried(|| "make a socket non-blocking".to_owned())?;
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).tried(|| "create an epoll".to_owned())?;
        epoll
            .add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))
            .tried(|| "watch the listener".to_owned())?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)
            .tried(|| "create a timer".to_owned())?;
        epoll
            .add(
                &timer,
                EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER),
            )
            .tried(|| "watch the timer".to_owned())?;
        Ok(Self {
            listener,
            epoll,
            connections: Vec::new(),
            free: Vec::new(),
            timers: BinaryHeap::new(),
            timer,
            tally: Tally {
                keep: options.record.is_some(),
                ..Tally::default()
            },
            scratch: vec![0; 256 * 1024],
            events: vec![EpollEvent::empty(); EVENTS_MAX],
        })
    }

    /// Waits for events (200 ms at most) and handles them.
    fn turn(&mut self, options: &Options) -> Result<()> {
        if let Some(Reverse((due, _))) = self.timers.peek() {
            // Zero would disarm it.
            let wait = due
                .saturating_duration_since(Instant::now())
                .max(Duration::from_nanos(1));
            self.timer
                .set(
                    Expiration::OneShot(TimeSpec::from_duration(wait)),
                    TimerSetTimeFlags::empty(),
                )
                .tried(|| "set a timer".to_owned())?;
        }
        let mut events = std::mem::take(&mut self.events);
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(WAIT_MS)) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error).tried(|| "wait for connections".to_owned()),
        };
        for event in &events[..count] {
            if event.data() == TIMER {
                // What is due is looked for below.
            } else if event.data() == LISTENER {
                self.accept(options);
            } else if let Ok(index) = usize::try_from(event.data()) {
                if let Some(Some(connection)) = self.connections.get_mut(index) {
                    connection.set_readable(event.events().intersects(HANGUP));
                }
                self.advance(index, options);
            }
        }
        self.events = events;
        let now = Instant::now();
        while let Some(Reverse((due, index))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            self.advance(index, options);
        }
        Ok(())
    }

    fn accept(&mut self, options: &Options) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if connection::prepare(&stream).is_err() {
                        continue;
                    }
                    let index = self.free.pop().unwrap_or_else(|| {
                        self.connections.push(None);
                        self.connections.len() - 1
                    });
                    let flags = EpollFlags::EPOLLIN
                        | EpollFlags::EPOLLOUT
                        | EpollFlags::EPOLLRDHUP
                        | EpollFlags::EPOLLET;
                    if self
                        .epoll
                        .add(&stream, EpollEvent::new(flags, index as u64))
                        .is_err()
                    {
                        self.free.push(index);
                        continue;
                    }
                    self.tally.connections += 1;
                    self.connections[index] = Some(Connection::new(stream));
                    self.advance(index, options);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Out of descriptors, or nobody there any more: the epoll asks again.
                Err(_) => return,
            }
        }
    }

    fn advance(&mut self, index: usize, options: &Options) {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return;
        };
        match connection.advance(options, &mut self.tally, &mut self.scratch) {
            Next::Event => {}
            Next::Timer(due) => self.timers.push(Reverse((due, index))),
            Next::Close => {
                self.connections[index] = None;
                self.free.push(index);
            }
        }
    }
}
