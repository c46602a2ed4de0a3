//! The built-in HTTP clients: one thread, one epoll, a unique id in every request, every response checked.
//!
//! The load is open: each request has the time when it should leave, whatever the server does, and latency is kept
//! from that time and from the actual one. A request that fails is counted and not sent again, so that each id is
//! seen at most once by an honest server.

mod client;
mod outgoing;
mod report;
mod response;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::error::{Result, Tried};
use crate::interrupt;
use client::{Answered, Client, Outcome, Request};
use report::Tally;
pub use report::{Latency, Line, Report};

/// Who closes a short connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Closer {
    /// The client, right after the response.
    Client,
    /// The server, because the request says `Connection: close`.
    Server,
}

/// What the load is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The server.
    #[arg(long)]
    pub to: SocketAddr,
    /// Connections; with --short, the most at one time.
    #[arg(long, default_value_t = 50)]
    pub connections: usize,
    /// Requests per second; 0 for as many as the server takes.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// How long requests are sent, in seconds.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Most requests.
    #[arg(long)]
    pub requests: Option<u64>,
    /// A connection for each request, and who closes it.
    #[arg(long)]
    pub short: Option<Closer>,
    /// Path of the requests.
    #[arg(long, default_value = "/")]
    pub path: String,
    /// Length of a body that is posted with each request, in bytes.
    #[arg(long, default_value_t = 0)]
    pub body: usize,
    /// How long a response may take, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    pub timeout_ms: u64,
    /// Length that each response body must have, in bytes.
    #[arg(long)]
    pub expect_length: Option<u64>,
    /// Id of the first request, hexadecimal; default: derived from the process and the time.
    #[arg(long, value_parser = parse_id)]
    pub first_id: Option<u64>,
    /// Print nothing while running.
    #[arg(long)]
    pub quiet: bool,
}

fn parse_id(text: &str) -> std::result::Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|error| error.to_string())
}

/// Runs the load to its end (or to a signal, see [`interrupt`]).
///
/// # Errors
///
/// Where the system refuses an epoll or a timer; failed requests are counted, not returned.
pub fn run(options: &Options) -> Result<Report> {
    Load::new(options)?.run()
}

/// Tells the timer from connections in epoll events.
const TIMER: u64 = u64::MAX;
/// Most events taken at once.
const EVENTS_MAX: usize = 256;
/// How often timeouts are looked for.
const TIMEOUT_CHECK: Duration = Duration::from_millis(100);

struct Load<'a> {
    options: &'a Options,
    epoll: Epoll,
    timer: TimerFd,
    clients: Vec<Option<Client>>,
    /// Keep-alive: clients without a request. Short: free places.
    idle: VecDeque<usize>,
    /// Requests whose time has come and that wait for a client: when they should have left.
    backlog: VecDeque<Instant>,
    start: Instant,
    /// Requests that were due so far.
    due: u64,
    in_flight: usize,
    next_id: u64,
    /// Digest of a right response body, known after the first.
    body: Option<u64>,
    filler: Vec<u8>,
    tally: Tally,
    scratch: Vec<u8>,
}

impl<'a> Load<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).tried(|| "create an epoll".to_owned())?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )
        .tried(|| "create a timer".to_owned())?;
        epoll
            .add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))
            .tried(|| "watch the timer".to_owned())?;
        let filler = (0..options.body)
            .map(|index| b'a' + u8::try_from(index * 7 / 3 % 26).unwrap_or(0))
            .collect();
        Ok(Self {
            options,
            epoll,
            timer,
            clients: (0..options.connections.max(1)).map(|_| None).collect(),
            idle: VecDeque::new(),
            backlog: VecDeque::new(),
            start: Instant::now(),
            due: 0,
            in_flight: 0,
            next_id: options.first_id.unwrap_or_else(outgoing::fresh_id),
            body: None,
            filler,
            tally: Tally::new(),
            scratch: vec![0; 256 * 1024],
        })
    }

    fn run(mut self) -> Result<Report> {
        for index in 0..self.clients.len() {
            if self.options.short.is_none() {
                self.open(index);
            }
            self.idle.push_back(index);
        }
        self.start = Instant::now();
        let length = Duration::from_secs_f64(self.options.seconds);
        let (mut next_line, mut next_check) = (Duration::from_secs(1), TIMEOUT_CHECK);
        loop {
            let elapsed = self.start.elapsed();
            let over = elapsed >= length || interrupt::interrupted() || self.exhausted();
            if over {
                self.backlog.clear();
                if self.in_flight == 0 {
                    break;
                }
            } else {
                self.schedule(elapsed)?;
            }
            self.dispatch();
            self.wait()?;
            let elapsed = self.start.elapsed();
            if elapsed >= next_check {
                next_check = elapsed + TIMEOUT_CHECK;
                self.time_out();
            }
            if elapsed >= next_line {
                next_line += Duration::from_secs(1);
                let line = self.tally.line(elapsed.as_secs());
                if !self.options.quiet {
                    crate::part::print_json(&line);
                }
            }
        }
        Ok(self.tally.finish(
            self.start
                .elapsed()
                .min(length)
                .max(Duration::from_millis(1)),
        ))
    }

    fn exhausted(&self) -> bool {
        self.options
            .requests
            .is_some_and(|most| self.tally.report.sent >= most)
    }

    /// Puts the requests whose time has come into the backlog, and sets the timer for the next one.
    fn schedule(&mut self, elapsed: Duration) -> Result<()> {
        if self.options.rate <= 0.0 {
            while self.backlog.len() < self.idle.len() {
                self.backlog.push_back(Instant::now());
            }
            return Ok(());
        }
        let time_of = |number: u64| Duration::from_secs_f64(number as f64 / self.options.rate);
        while time_of(self.due) <= elapsed {
            self.backlog.push_back(self.start + time_of(self.due));
            self.due += 1;
        }
        let left = time_of(self.due)
            .saturating_sub(self.start.elapsed())
            .max(Duration::from_micros(1));
        self.timer
            .set(
                Expiration::OneShot(TimeSpec::from_duration(left)),
                TimerSetTimeFlags::empty(),
            )
            .tried(|| "set a timer".to_owned())
    }

    /// Gives waiting requests to idle clients.
    fn dispatch(&mut self) {
        while !self.backlog.is_empty() && !self.exhausted() {
            let Some(index) = self.idle.pop_front() else {
                return;
            };
            let Some(intended) = self.backlog.pop_front() else {
                return;
            };
            let id = self.next_id;
            self.next_id += 1;
            self.tally.report.sent += 1;
            if self.clients[index].is_none() && !self.open(index) {
                self.tally.failed(id, "cannot connect");
                self.idle.push_back(index);
                continue;
            }
            let digest = outgoing::body_digest(id, &self.filler);
            let request = Request {
                id,
                intended,
                sent: Instant::now(),
                digest,
            };
            let (options, filler) = (self.options, &self.filler);
            let Some(client) = &mut self.clients[index] else {
                continue;
            };
            self.in_flight += 1;
            let outcome = client.submit(request, |output| {
                outgoing::write(output, options, id, filler);
            });
            self.handle(index, outcome);
        }
    }

    fn wait(&mut self) -> Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        // The timer ends the wait when a request is due; this bound is for time-outs and the end.
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(50u8)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error).tried(|| "wait for responses".to_owned()),
        };
        for event in &events[..count] {
            if event.data() == TIMER {
                // Its only use is to end the wait; reading re-arms the event.
                let mut expirations = [0; 8];
                let _ = nix::unistd::read(&self.timer, &mut expirations);
                continue;
            }
            let Ok(index) = usize::try_from(event.data()) else {
                continue;
            };
            let hangup = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
            if let Some(Some(client)) = self.clients.get_mut(index) {
                let outcome = client.advance(event.events().intersects(hangup), &mut self.scratch);
                self.handle(index, outcome);
            }
        }
        Ok(())
    }

    fn handle(&mut self, index: usize, outcome: Outcome) {
        match outcome {
            Outcome::Waiting => {}
            Outcome::Answered(answered) => {
                self.in_flight -= 1;
                self.check(&answered);
                match self.options.short {
                    Some(Closer::Client) => {
                        self.clients[index] = None;
                        self.idle.push_back(index);
                    }
                    // The place is free when the server has closed.
                    Some(Closer::Server) => {
                        let again = self.clients[index]
                            .as_mut()
                            .map(|c| c.advance(true, &mut self.scratch));
                        if let Some(outcome) = again {
                            self.handle(index, outcome);
                        }
                    }
                    None => {
                        if answered.close {
                            self.clients[index] = None;
                        }
                        self.idle.push_back(index);
                    }
                }
            }
            Outcome::Closed => {
                self.clients[index] = None;
                if self.options.short.is_some() {
                    self.idle.push_back(index);
                }
            }
            Outcome::Failed(request, reason) => {
                self.clients[index] = None;
                match request {
                    Some(request) => {
                        self.in_flight -= 1;
                        self.tally.failed(request.id, reason);
                        self.idle.push_back(index);
                    }
                    None => {
                        // Short: the place of a request that was answered already. Keep-alive: it is idle, and
                        // the next request opens a new connection.
                        self.tally.failed(0, reason);
                        if self.options.short.is_some() {
                            self.idle.push_back(index);
                        }
                    }
                }
            }
        }
    }

    fn check(&mut self, answered: &Answered) {
        let (request, head) = (&answered.request, &answered.head);
        let right = *self.body.get_or_insert(answered.body);
        let wrong = if head.status != 200 {
            Some("status is not 200")
        } else if self
            .options
            .expect_length
            .is_some_and(|length| length != answered.bytes)
        {
            Some("wrong length")
        } else if head.id.is_some_and(|id| id != request.id) {
            Some("the response to another request")
        } else if head.digest.is_some_and(|digest| digest != request.digest) {
            Some("the server got another body")
        } else if answered.body != right {
            Some("wrong contents")
        } else {
            None
        };
        match wrong {
            Some(reason) => self.tally.failed(request.id, reason),
            None => self.tally.completed(
                answered.bytes,
                request.sent.elapsed(),
                request.intended.elapsed(),
            ),
        }
    }

    fn open(&mut self, index: usize) -> bool {
        let Ok(client) = Client::connect(self.options.to) else {
            return false;
        };
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        if self
            .epoll
            .add(&client.stream, EpollEvent::new(flags, index as u64))
            .is_err()
        {
            return false;
        }
        self.tally.report.connections += 1;
        self.clients[index] = Some(client);
        true
    }

    fn time_out(&mut self) {
        let limit = Duration::from_millis(self.options.timeout_ms);
        for index in 0..self.clients.len() {
            let Some(request) = self.clients[index].as_ref().and_then(Client::request) else {
                continue;
            };
            if request.sent.elapsed() > limit {
                let id = request.id;
                self.clients[index] = None;
                self.in_flight -= 1;
                self.tally.failed(id, "timed out");
                self.idle.push_back(index);
            }
        }
    }
}

#[cfg(test)]
mod tests;
