//! Servers and clients whose every word a test decides, and what such a server heard and when.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lab::Host;
use lab::copier::{Copier, Summary};
use lab::net::ONLINE;
use tests::copying::{check_books, finish};
use tests::{PORT, Stand};

/// Something that a client said to a server.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// Number of the server's connection, from 0.
    pub(super) connection: usize,
    /// What was said.
    pub(super) text: String,
    /// When it was read.
    pub(super) at: Instant,
}

/// What a server heard, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    heard: Arc<Mutex<Vec<Heard>>>,
    connections: Arc<AtomicUsize>,
}

impl Journal {
    /// Everything that was heard so far.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }

    /// The texts, sorted.
    pub(super) fn texts(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.heard().into_iter().map(|heard| heard.text).collect();
        texts.sort();
        texts
    }

    /// Connections that were accepted.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How much later than the online server this server heard the same text at the latest. Texts must differ from each other.
    ///
    /// # Panics
    ///
    /// Where a text was heard by one of them only, or more often.
    pub(super) fn lag_behind(&self, online: &Self) -> Duration {
        let times = |heard: Vec<Heard>| -> BTreeMap<String, Instant> {
            let count = heard.len();
            let times: BTreeMap<_, _> = heard.into_iter().map(|one| (one.text, one.at)).collect();
            assert_eq!(times.len(), count, "a text was heard twice");
            times
        };
        let (online, target) = (times(online.heard()), times(self.heard()));
        let missing: Vec<_> = online
            .keys()
            .filter(|text| !target.contains_key(*text))
            .collect();
        assert!(
            missing.is_empty(),
            "{} of {} never came: {missing:?}",
            missing.len(),
            online.len()
        );
        assert_eq!(online.len(), target.len(), "the target heard other texts");
        let lags = online
            .iter()
            .map(|(text, at)| target[text].saturating_duration_since(*at));
        lags.max().unwrap_or_default()
    }
}

/// One connection's entry in the journal.
#[derive(Clone, Debug)]
pub(super) struct Ear {
    journal: Journal,
    connection: usize,
}

impl Ear {
    /// Writes down what was said just now.
    pub(super) fn hears(&self, text: impl Into<String>) {
        let heard = Heard {
            connection: self.connection,
            text: text.into(),
            at: Instant::now(),
        };
        self.journal.heard.lock().expect("no panic").push(heard);
    }

    /// Writes down each line until the client's end.
    pub(super) fn hears_lines(&self, stream: TcpStream) {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            self.hears(line);
        }
    }
}

/// A server on a host at [`PORT`], with a thread for each connection; it ends with the process.
pub(super) fn serve(
    stand: &Stand,
    host: Host,
    handle: impl Fn(TcpStream, &Ear) + Clone + Send + 'static,
) -> Journal {
    serve_at(stand, (host, PORT), handle)
}

/// The same at another port.
pub(super) fn serve_at(
    stand: &Stand,
    (host, port): (Host, u16),
    handle: impl Fn(TcpStream, &Ear) + Clone + Send + 'static,
) -> Journal {
    let address = SocketAddr::from((host.address().expect("an address"), port));
    let listener = stand
        .lab
        .namespace(host)
        .enter(|| TcpListener::bind(address))
        .expect("the namespace")
        .expect("a free port");
    let journal = Journal::default();
    let written = journal.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = written.connections.fetch_add(1, Ordering::Relaxed);
            let (handle, journal) = (handle.clone(), written.clone());
            // What is written leaves at once, as one segment of its own.
            let _ = stream.set_nodelay(true);
            std::thread::spawn(move || {
                handle(
                    stream,
                    &Ear {
                        journal,
                        connection,
                    },
                );
            });
        }
    });
    journal
}

/// A client's connection to the online server. What it waits for must come within 10 s.
///
/// # Panics
///
/// Where there is none.
pub(super) fn connect(stand: &Stand) -> TcpStream {
    let stream = stand
        .lab
        .namespace(Host::Client)
        .enter(|| TcpStream::connect((ONLINE, PORT)))
        .expect("the namespace")
        .expect("a connection");
    let limit = Some(Duration::from_secs(10));
    stream.set_nodelay(true).expect("an open socket");
    stream.set_read_timeout(limit).expect("an open socket");
    stream
}

/// Reads so many bytes and forgets them.
pub(super) fn skip(stream: &mut TcpStream, mut len: usize) -> std::io::Result<()> {
    let mut scratch = [0; 4096];
    while len > 0 {
        let most = scratch.len().min(len);
        match stream.read(&mut scratch[..most])? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => len -= read,
        }
    }
    Ok(())
}

/// Reads a line, byte by byte: what stands behind it stays in the socket. `None` at the end.
pub(super) fn line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        if byte == *b"\n" {
            return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        line.extend(byte);
    }
    None
}

/// Whether something stands to be read that nobody has read yet.
pub(super) fn is_readable(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let readable = stream.peek(&mut [0]).is_ok_and(|len| len > 0);
    let _ = stream.set_nonblocking(false);
    readable
}

/// Waits until a condition holds, for so many seconds at most; says whether it does.
pub(super) fn within(seconds: u64, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    holds()
}

/// Whether the long form is asked for.
pub(super) fn long() -> bool {
    std::env::var_os("TCPCOPY_LONG").is_some_and(|value| value == "1")
}

/// The copy ends; whatever the clients said has reached the target, and nothing later than this.
pub(super) fn check_lag(
    mut copier: Copier,
    online: &Journal,
    target: &Journal,
    most: Duration,
) -> Summary {
    let summary = finish(&mut copier);
    check_books(&summary);
    let context = format!("{}; {}", summary.ledger(), summary.value()["sessions"]);
    eprintln!(
        "{} of {} heard; {context}; lag {}",
        target.heard().len(),
        online.heard().len(),
        summary.value()["latency_us"]["lag"]
    );
    assert!(!online.heard().is_empty(), "the clients said nothing");
    let lag = target.lag_behind(online);
    assert!(lag < most, "{lag:?} late; {context}");
    assert_eq!(summary.outcome("timed_out"), 0, "{context}");
    summary
}
