//! Raw TCP bulk transfer: a sender with several streams, and a sink that counts.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Result, Tried};
use crate::interrupt;

/// Bytes written or read at once.
const CHUNK_LEN: usize = 256 * 1024;

/// What the sink is told.
#[derive(Clone, Debug, clap::Args)]
pub struct SinkOptions {
    /// Where to listen.
    #[arg(long)]
    pub listen: SocketAddr,
}

/// What the sender is told.
#[derive(Clone, Debug, clap::Args)]
pub struct SendOptions {
    /// The sink.
    #[arg(long)]
    pub to: SocketAddr,
    /// Streams at the same time.
    #[arg(long, default_value_t = 2)]
    pub streams: usize,
    /// How long to send, in seconds.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
}

/// What went through, printed once a second and at the end. All are totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Seconds since the start.
    pub seconds: f64,
    /// Bytes sent or received.
    pub bytes: u64,
    /// Streams opened.
    pub streams: u64,
    /// Streams that broke.
    pub broken: u64,
}

impl Line {
    /// Throughput, in Gb/s.
    #[must_use]
    pub fn gigabits_per_second(&self) -> f64 {
        self.bytes as f64 * 8.0 / 1e9 / self.seconds.max(1e-9)
    }
}

#[derive(Default)]
struct Tally {
    bytes: AtomicU64,
    streams: AtomicU64,
    broken: AtomicU64,
}

impl Tally {
    fn line(&self, start: Instant) -> Line {
        Line {
            seconds: start.elapsed().as_secs_f64(),
            bytes: self.bytes.load(Ordering::Relaxed),
            streams: self.streams.load(Ordering::Relaxed),
            broken: self.broken.load(Ordering::Relaxed),
        }
    }
}

/// Takes whatever arrives, until a signal.
///
/// # Errors
///
/// Where it cannot listen.
pub fn sink(options: &SinkOptions) -> Result<()> {
    interrupt::install()?;
    let listener =
        TcpListener::bind(options.listen).tried(|| format!("listen on {}", options.listen))?;
    listener
        .set_nonblocking(true)
        .tried(|| "make a socket non-blocking".to_owned())?;
    eprintln!("ready: sinking on {}", options.listen);
    let tally = Tally::default();
    let start = Instant::now();
    let mut next = start + Duration::from_secs(1);
    std::thread::scope(|scope| {
        while !interrupt::interrupted() {
            match listener.accept() {
                Ok((stream, _)) => {
                    tally.streams.fetch_add(1, Ordering::Relaxed);
                    let tally = &tally;
                    scope.spawn(move || drain(&stream, tally));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
            if Instant::now() >= next {
                next += Duration::from_secs(1);
                crate::part::print_json(&tally.line(start));
            }
        }
    });
    crate::part::print_json(&tally.line(start));
    Ok(())
}

fn drain(mut stream: &TcpStream, tally: &Tally) {
    // The time-out lets the thread see a signal.
    if stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(Duration::from_millis(200))))
        .is_err()
    {
        tally.broken.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let mut buffer = vec![0; CHUNK_LEN];
    while !interrupt::interrupted() {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                tally.bytes.fetch_add(length as u64, Ordering::Relaxed);
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => {
                tally.broken.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
}

/// Sends as fast as it goes, on several streams, and returns what went out.
///
/// # Errors
///
/// Where a stream cannot be opened.
pub fn send(options: &SendOptions) -> Result<Line> {
    interrupt::install()?;
    let streams = (0..options.streams)
        .map(|_| {
            let stream = TcpStream::connect(options.to)?;
            // So that the end is seen although the other side does not read.
            stream.set_write_timeout(Some(Duration::from_millis(500)))?;
            Ok(stream)
        })
        .collect::<std::io::Result<Vec<_>>>()
        .tried(|| format!("connect to {}", options.to))?;
    let tally = Tally::default();
    tally.streams.store(streams.len() as u64, Ordering::Relaxed);
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(options.seconds);
    std::thread::scope(|scope| {
        for stream in &streams {
            let tally = &tally;
            scope.spawn(move || pour(stream, end, tally));
        }
    });
    Ok(tally.line(start))
}

fn pour(mut stream: &TcpStream, end: Instant, tally: &Tally) {
    let buffer = vec![b'x'; CHUNK_LEN];
    while Instant::now() < end && !interrupt::interrupted() {
        match stream.write(&buffer) {
            Ok(length) => {
                tally.bytes.fetch_add(length as u64, Ordering::Relaxed);
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => {
                tally.broken.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
}
