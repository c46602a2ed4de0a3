//! A connection against an `intercept` that is a few lines on loopback.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use channel::{Batch, InterceptEnd, InterceptEvent, Report, encode};
use crossbeam_channel::{Receiver, Sender, bounded};
use process::Waker;
use wire::flow::{Addr, Endpoint, FlowKey};
use wire::hash::EndpointHash;
use wire::tcp::{Flags, Header, Options};

use super::{Connection, Failure};
use crate::assistant::Channels;
use crate::assistant::names::Names;
use crate::assistant::probe::Probes;
use crate::worker::announcer::Announcement;
use crate::worker::handle::{Inbox, WorkerHandle};
use crate::worker::link::Seen;

const PATIENCE: Duration = Duration::from_secs(10);
const PAYLOAD_MAX: u8 = 64;

fn target() -> Endpoint {
    Endpoint::new(Addr::v4([10, 0, 0, 2]), 80)
}

fn flow(port: u16) -> FlowKey {
    FlowKey {
        client: Endpoint::new(Addr::v4([10, 0, 0, 1]), port),
        server: target(),
    }
}

/// A segment of the target to the session `flow(port)`, without its link header.
fn reply(port: u16) -> Vec<u8> {
    let header = Header {
        source: target(),
        destination: flow(port).client,
        seq: 1,
        ack: 2,
        flags: Flags::ACK,
        window: 1,
        urgent: 0,
        options: Options::default(),
    };
    let mut frame = vec![0; header.payload_offset()];
    assert!(header.emit(&mut frame));
    frame.split_off(14)
}

/// What the connection's thread is surrounded by.
struct Stage {
    listener: TcpListener,
    channels: Arc<Channels>,
    announce: Sender<Announcement>,
    waker: Arc<Waker>,
    first: Receiver<Result<(), Failure>>,
    inbox: Inbox,
    worker: WorkerHandle,
    seen: Seen,
    thread: Option<thread::JoinHandle<()>>,
}

impl Stage {
    fn new() -> Self {
        Self::at(None)
    }

    /// A connection to this address, or to a listener of the stage's own.
    fn at(address: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (worker, inbox) = WorkerHandle::new(0).unwrap();
        let channels = Arc::new(Channels::new(vec![worker.clone()], EndpointHash::new(1), 1));
        let (announce, announcements) = bounded(64);
        let (first_sender, first) = bounded(1);
        let waker = Arc::new(Waker::new().unwrap());
        let connection = Connection {
            index: 0,
            address: address
                .map_or_else(|| listener.local_addr().unwrap().to_string(), str::to_owned),
            names: Names::start().unwrap(),
            is_insecure: false,
            keys: None,
            targets: vec![target()],
            whole: Vec::new(),
            refused: HashSet::new(),
            sources: Vec::new(),
            payload_max: PAYLOAD_MAX,
            announcements,
            waker: Arc::clone(&waker),
            channels: Arc::clone(&channels),
            probes: Arc::new(Probes::default()),
            first: first_sender,
            flows: HashSet::from([flow(1)]),
        };
        let thread = Some(thread::spawn(move || connection.run()));
        Self {
            listener,
            channels,
            announce,
            waker,
            first,
            inbox,
            worker,
            seen: Seen::default(),
            thread,
        }
    }

    /// Accepts and answers the subscription.
    fn accept(&self) -> Intercept {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Intercept {
            end: InterceptEnd::new(None, Instant::now()),
            stream,
        }
    }

    /// Waits until the worker would hear that reports can arrive, or that they cannot.
    fn hears(&mut self, is_up: bool) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.worker.shared.link.news(&mut self.seen).last() == Some(is_up) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.channels.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Intercept {
    end: InterceptEnd,
    stream: TcpStream,
}

impl Intercept {
    /// Reads on until an event has been turned into something.
    fn hear<T>(&mut self, mut take: impl FnMut(InterceptEvent<'_>) -> Option<T>) -> T {
        loop {
            let mut said = Vec::new();
            self.end.greet(&mut said).unwrap();
            self.stream.write_all(&said).unwrap();
            while let Some(event) = self.end.next_event().unwrap() {
                if let Some(taken) = take(event) {
                    return taken;
                }
            }
            let len = self.stream.read(self.end.space()).unwrap();
            assert!(len > 0, "the connection was closed");
            self.end.filled(Instant::now(), len);
        }
    }

    fn subscribe(&mut self) {
        let targets: Vec<Endpoint> = self.hear(|event| match event {
            InterceptEvent::Subscribe(wanted) => {
                assert_eq!(wanted.payload_max, PAYLOAD_MAX);
                Some(wanted.targets.iter().collect())
            }
            _ => None,
        });
        assert_eq!(targets, [target()]);
        let mut out = Vec::new();
        encode::subscribed(&mut out);
        self.stream.write_all(&out).unwrap();
    }

    fn opened(&mut self) -> HashSet<FlowKey> {
        self.hear(|event| match event {
            InterceptEvent::Open(flows) => Some(flows.iter().collect()),
            _ => None,
        })
    }
}

#[test]
fn sessions_are_announced_reports_arrive_and_a_lost_connection_comes_back() {
    let mut stage = Stage::new();
    let mut intercept = stage.accept();
    intercept.subscribe();
    assert!(stage.hears(true), "connected");
    assert!(stage.first.recv_timeout(PATIENCE).unwrap().is_ok());
    assert_eq!(intercept.opened(), HashSet::from([flow(1)]));

    stage.announce.send(Announcement::Open(flow(2))).unwrap();
    stage.waker.wake();
    assert_eq!(intercept.opened(), HashSet::from([flow(2)]));

    let (mut batch, segment) = (Batch::new(), reply(2));
    assert!(batch.push(&Report {
        stamp_ns: 5,
        packet_len: 40,
        headers: &segment,
        payload: b"HTTP/1.1",
    }));
    intercept.stream.write_all(&batch.take()).unwrap();
    let received = stage.inbox.reports.recv_timeout(PATIENCE).unwrap();
    let received: Vec<_> = received
        .segments()
        .map(|(_, segment)| segment.to_vec())
        .collect();
    // One piece again, as a program would record it.
    assert_eq!(received, [[&segment[..], b"HTTP/1.1"].concat()]);

    drop(intercept);
    assert!(
        stage.hears(false),
        "the engines hear that reports cannot arrive"
    );
    stage.announce.send(Announcement::Close(flow(1))).unwrap();
    let mut intercept = stage.accept();
    intercept.subscribe();
    assert!(stage.hears(true));
    let mut announced = intercept.opened();
    // Flow 1 may have been announced before its end was heard of.
    announced.remove(&flow(1));
    assert_eq!(announced, HashSet::from([flow(2)]));
    assert_eq!(stage.channels.lost.load(Ordering::Relaxed), 1);
}

#[test]
fn garbage_is_a_permanent_failure_and_the_thread_goes_on() {
    let mut stage = Stage::new();
    let (mut stream, _) = stage.listener.accept().unwrap();
    stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .unwrap();
    let failure = stage.first.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert!(failure.is_permanent(), "{failure}");
    assert!(
        failure
            .to_string()
            .contains("does not speak tcpcopy's channel"),
        "{failure}"
    );
    drop(stream);
    let mut intercept = stage.accept();
    intercept.subscribe();
    assert!(stage.hears(true));
}

/// A name may mean another host by the time that it is connected to: without `--insecure` no word is said to it.
#[test]
fn another_host_is_not_talked_to_without_a_key() {
    for address in ["192.0.2.1:36524", "[::ffff:192.0.2.1]:36524"] {
        let stage = Stage::at(Some(address));
        let failure = stage.first.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert!(matches!(failure, Failure::Insecure { .. }), "{failure}");
        assert!(failure.to_string().contains("--insecure"));
    }
}
