//! A tiny tcpcopy: it subscribes, announces flows, and keeps the reports it gets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use channel::{Error, Key, TcpcopyEnd, TcpcopyEvent, encode};
use wire::flow::{Endpoint, FlowKey, PoolRange};
use wire::segment::Segment;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(5);

/// A report that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) stamp_ns: u64,
    pub(crate) packet_len: u32,
    pub(crate) headers: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) segment: Segment,
}

/// A connection to `intercept`.
pub(crate) struct Client {
    stream: TcpStream,
    end: TcpcopyEnd,
    pub(crate) subscribed: bool,
    closed: bool,
    pub(crate) error: Option<Error>,
    pub(crate) reports: Vec<Seen>,
    /// Whether reports are kept, or counted only.
    pub(crate) keep: bool,
    pub(crate) count: u64,
    pub(crate) pongs: u64,
    pub(crate) lost: u64,
    /// Announced sessions that another client has.
    pub(crate) taken: Vec<FlowKey>,
}

impl Client {
    /// Connects and asks for the replies of `targets`; does not wait for the answer.
    pub(crate) fn connect(to: SocketAddr, targets: &[Endpoint]) -> Self {
        Self::connect_for(to, targets, 0)
    }

    /// The same, and for so many bytes of their payload.
    pub(crate) fn connect_for(to: SocketAddr, targets: &[Endpoint], payload_max: u8) -> Self {
        Self::connect_with(to, targets, payload_max, None, Vec::new())
    }

    /// The same, proving a key.
    pub(crate) fn connect_with(
        to: SocketAddr,
        targets: &[Endpoint],
        payload_max: u8,
        key: Option<Key>,
        sources: Vec<PoolRange>,
    ) -> Self {
        let stream = TcpStream::connect(to).expect("intercept listens");
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        let mut out = Vec::new();
        let end = TcpcopyEnd::new(targets.to_vec(), payload_max, key, Instant::now(), &mut out);
        let end = end.with_sources(sources);
        Self::over(stream, end, &out)
    }

    /// Connects for whole replies of `targets`, and waits until the subscription stands.
    pub(crate) fn subscribe_whole(to: SocketAddr, targets: &[Endpoint]) -> Self {
        let stream = TcpStream::connect(to).expect("intercept listens");
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        let mut out = Vec::new();
        let end = TcpcopyEnd::new(targets.to_vec(), 0, None, Instant::now(), &mut out);
        let mut client = Self::over(stream, end.with_whole(targets), &out);
        client.until("the subscription", |client| client.subscribed);
        client
    }

    fn over(stream: TcpStream, end: TcpcopyEnd, out: &[u8]) -> Self {
        let mut client = Self {
            stream,
            end,
            subscribed: false,
            closed: false,
            error: None,
            reports: Vec::new(),
            keep: true,
            count: 0,
            pongs: 0,
            lost: 0,
            taken: Vec::new(),
        };
        client.send(out);
        client
    }

    /// Connects, and waits until the subscription stands.
    pub(crate) fn subscribe(to: SocketAddr, targets: &[Endpoint]) -> Self {
        Self::subscribe_for(to, targets, 0)
    }

    /// The same, with so many bytes of their payload.
    pub(crate) fn subscribe_for(to: SocketAddr, targets: &[Endpoint], payload_max: u8) -> Self {
        let mut client = Self::connect_for(to, targets, payload_max);
        client.until("the subscription", |client| client.subscribed);
        client
    }

    /// Announces sessions; they are known when this returns.
    pub(crate) fn open(&mut self, flows: impl IntoIterator<Item = FlowKey>) {
        let mut out = Vec::new();
        self.end.say(&mut out, |frames| {
            encode::open(frames, flows);
            // The answer to a ping shows that what came before was read.
            encode::ping(frames, u64::MAX);
        });
        let pongs = self.pongs;
        self.send(&out);
        self.until("a pong", |client| client.pongs > pongs);
    }

    /// Reads until `done`.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "{what} did not come in {PATIENCE:?}"
            );
            self.read();
        }
    }

    /// Reads for a while what may come.
    pub(crate) fn idle(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline && !self.is_closed() {
            self.read();
        }
    }

    /// Whether `intercept` closed the connection, or said something that ends it.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed || self.error.is_some()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).is_err() {
            self.closed = true;
        }
    }

    fn read(&mut self) {
        match self.stream.read(self.end.space()) {
            Ok(0) => {
                self.closed = true;
                self.error = self.error.or(self.end.on_close());
            }
            Ok(len) => self.end.filled(Instant::now(), len),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.closed = true,
        }
        let mut out = Vec::new();
        loop {
            match self.end.next_event(&mut out) {
                Ok(None) => break,
                Ok(Some(TcpcopyEvent::Subscribed)) => self.subscribed = true,
                Ok(Some(TcpcopyEvent::Pong { .. })) => self.pongs += 1,
                Ok(Some(TcpcopyEvent::Lost { count })) => self.lost += count,
                Ok(Some(TcpcopyEvent::Taken(flows))) => self.taken.extend(flows.iter()),
                Ok(Some(TcpcopyEvent::Inspected(_))) => panic!("nobody asked"),
                Ok(Some(TcpcopyEvent::Reports(reports))) => {
                    self.count += reports.len() as u64;
                    if !self.keep {
                        continue;
                    }
                    self.reports.extend(reports.iter().map(|report| Seen {
                        stamp_ns: report.stamp_ns,
                        packet_len: report.packet_len,
                        headers: report.headers.to_vec(),
                        payload: report.payload.to_vec(),
                        segment: Segment::parse(report.headers, 0).expect("headers of a segment"),
                    }));
                }
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        if let Err(error) = self.end.on_time(Instant::now(), &mut out) {
            self.error = Some(error);
        }
        if !out.is_empty() {
            self.send(&out);
        }
    }
}
