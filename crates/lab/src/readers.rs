//! Slow readers: clients that ask for a long response and take little of it at a time, so that their server's queue
//! stays full.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};
use serde::{Deserialize, Serialize};

use crate::error::{Result, Tried};
use crate::interrupt;

/// Receive buffer of each reader, in bytes: what it has not read must wait at the server, not here.
const RECEIVE_BUFFER: usize = 16 * 1024;
/// How many times a second each of them reads.
const TURNS_PER_SECOND: u32 = 20;

/// What the readers are told.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The server.
    #[arg(long)]
    pub to: SocketAddr,
    /// Readers, each with a connection of its own.
    #[arg(long, default_value_t = 100)]
    pub readers: usize,
    /// Bytes that each of them takes per second.
    #[arg(long, default_value_t = 20_000)]
    pub bytes_per_second: u32,
    /// How long they read, in seconds.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
}

/// What they got; the last line that they print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Bytes of all of them, heads included.
    pub bytes: u64,
    /// Readers that lost their connection, or got to its end.
    pub ended: usize,
}

/// Reads until the time is over or a signal arrives (see [`interrupt`]), then closes all connections.
///
/// # Errors
///
/// Where a connection cannot be made.
pub fn run(options: &Options) -> Result<Report> {
    let mut readers = (0..options.readers)
        .map(|_| ask(options.to).tried(|| format!("ask {}", options.to)))
        .collect::<Result<Vec<TcpStream>>>()?;
    let share = usize::try_from((options.bytes_per_second / TURNS_PER_SECOND).max(1)).unwrap_or(1);
    let mut piece = vec![0; share];
    let mut report = Report::default();
    let begun = Instant::now();
    let length = Duration::from_secs_f64(options.seconds);
    let mut turns = 0;
    while begun.elapsed() < length && !interrupt::interrupted() {
        let before = readers.len();
        readers.retain_mut(|reader| match reader.read(&mut piece) {
            Ok(0) => false,
            Ok(taken) => {
                report.bytes += taken as u64;
                true
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        });
        report.ended += before - readers.len();
        turns += 1;
        let next = begun + Duration::from_secs(1) * turns / TURNS_PER_SECOND;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(report)
}

/// A connection with a small receive buffer, and a request on it.
fn ask(to: SocketAddr) -> std::io::Result<TcpStream> {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Before the handshake: afterwards the large window has been offered already.
    setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    connect(
        std::os::fd::AsRawFd::as_raw_fd(&socket),
        &SockaddrStorage::from(to),
    )?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET /?id=51 HTTP/1.1\r\nHost: lab\r\n\r\n")?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::{Options, run};

    #[test]
    fn they_take_no_more_than_they_are_told() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a server");
        let to = server.local_addr().expect("its address");
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().expect("a reader");
            let _ = stream.read(&mut [0; 1000]);
            while stream.write_all(&[0; 100_000]).is_ok() {}
        });
        let report = run(&Options {
            to,
            readers: 1,
            bytes_per_second: 20_000,
            seconds: 0.3,
        })
        .expect("they read");
        assert_eq!(report.ended, 0);
        assert!(
            (1..=7_000).contains(&report.bytes),
            "{} bytes in 0.3 s",
            report.bytes
        );
    }
}
