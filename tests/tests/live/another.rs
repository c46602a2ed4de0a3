//! Another `tcpcopy` at the same `intercept`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use channel::{TcpcopyEnd, TcpcopyEvent, encode};
use lab::copier::{CHANNEL_PORT, Copier, start_intercept};
use lab::net::{ASSISTANT, CLIENT, TARGET};
use lab::{Host, Topology};
use tests::copying::{check_nothing_left, finish};
use tests::{Clients, PORT};
use wire::flow::{Addr, Endpoint, FlowKey};

/// How long the other one may take to subscribe.
const PATIENCE: Duration = Duration::from_secs(5);

/// A `tcpcopy` that runs until it leaves, and has a session from every port of the load's client.
struct Other {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Other {
    fn start(stand: &super::Stand) -> Self {
        let address = SocketAddr::from((ASSISTANT, CHANNEL_PORT));
        let connect = || TcpStream::connect_timeout(&address, PATIENCE);
        let stream = stand.lab.namespace(Host::Online).enter(connect);
        let mut stream = stream.expect("the namespace").expect("a connection");
        let tick = Some(Duration::from_millis(100));
        stream.set_read_timeout(tick).expect("a timeout");
        let target = Endpoint::new(Addr::v4(TARGET.octets()), PORT);
        let mut out = Vec::new();
        let mut end = TcpcopyEnd::new(vec![target], 0, None, Instant::now(), &mut out);
        let deadline = Instant::now() + PATIENCE;
        while hear(&mut stream, &mut end, &mut out).is_none() {
            assert!(Instant::now() < deadline, "it is not subscribed");
        }
        let client = Addr::v4(CLIENT.octets());
        let flows = (1024..=u16::MAX).map(|port| FlowKey {
            client: Endpoint::new(client, port),
            server: target,
        });
        encode::open(&mut out, flows);
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut reports = 0;
            while !is_over.load(Ordering::Relaxed) {
                reports += hear(&mut stream, &mut end, &mut out).unwrap_or(0);
            }
            reports
        });
        Self { stop, thread }
    }

    /// Leaves; gives how many replies it was told of.
    fn leave(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it has not failed")
    }
}

/// Says what there is to say, and hears what comes: how many reports; `None` before it is subscribed.
fn hear(stream: &mut TcpStream, end: &mut TcpcopyEnd, out: &mut Vec<u8>) -> Option<u64> {
    end.on_time(Instant::now(), out).expect("it is not silent");
    stream.write_all(out).expect("it is connected");
    out.clear();
    match stream.read(end.space()) {
        Ok(0) => panic!("intercept closed"),
        Ok(len) => end.filled(Instant::now(), len),
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            "{error}"
        ),
    }
    let mut heard = None;
    while let Some(event) = end.next_event(out).expect("a channel") {
        let reports = match event {
            TcpcopyEvent::Reports(reports) => reports.len() as u64,
            _ => 0,
        };
        heard = Some(heard.unwrap_or(0) + reports);
    }
    heard
}

/// Two `tcpcopy` whose sessions have the same sources: the second one's requests are none of the target's, are said to have met
/// another's, and the first gets no byte less. When the first is gone the second copies.
#[test]
fn sessions_with_the_same_sources_are_one_tcpcopys_alone() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = stand.options();
    let intercept = start_intercept(&stand.lab, &stand.binaries, &options).expect("intercept");
    let other = Other::start(&stand);
    let mut copier =
        Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online)
            .expect("tcpcopy");
    copier.intercept = Some(intercept);
    copier
        .tcpcopy
        .wait_for("ready", Duration::from_secs(20))
        .expect("it is ready beside the other");
    let met = Clients::short(100, 3).run(&stand);
    // The last of them may not have been told yet, and would find their sources free.
    std::thread::sleep(Duration::from_secs(1));
    assert!(other.leave() > 0, "the target answers SYNs to the other");
    std::thread::sleep(Duration::from_secs(2));
    let alone = Clients::short(100, 3).run(&stand);
    let summary = finish(&mut copier);
    let log = copier.tcpcopy.log();
    assert_eq!((met.failed(), alone.failed()), (0, 0));
    let requests = target.finish().expect("log").len() as u64;
    let outcome = |name: &str| summary.outcome(name);
    println!(
        "{} and {} requests: {}",
        met.completed,
        alone.completed,
        summary.ledger()
    );
    assert_eq!(outcome("collision"), met.completed, "{}", summary.ledger());
    assert_eq!(outcome("answered"), alone.completed, "{}", summary.ledger());
    assert_eq!(requests, alone.completed, "{}", summary.ledger());
    assert_eq!(log.matches("sources-shared").count(), 1, "{log}");
    let intercept = copier.intercept.as_ref().expect("it runs").log();
    assert!(intercept.contains("sources-shared"), "{intercept}");
    check_nothing_left(&stand);
}
