//! Which TCP ports of this host are taken, by whom, and a thread that asks again and again.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nix::sys::socket::AddressFamily;
use process::rights;

use crate::{Error, sock_diag, sysctl};

/// The range that the kernel takes ports for outgoing connections from (`ip_local_port_range`).
///
/// # Errors
///
/// Where the setting cannot be read or is not two ports.
pub fn ephemeral() -> Result<RangeInclusive<u16>, Error> {
    const PATH: &str = "ipv4/ip_local_port_range";
    let text = sysctl::read(PATH)?;
    let mut ports = text.split_ascii_whitespace().map(str::parse::<u16>);
    match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok(first..=last),
        _ => Err(sysctl::senseless(PATH, &text)),
    }
}

/// The ports that the kernel never takes for outgoing connections (`ip_local_reserved_ports`): somebody wants them.
///
/// # Errors
///
/// Where the setting cannot be read or is not a list of ports.
pub fn reserved() -> Result<Vec<RangeInclusive<u16>>, Error> {
    const PATH: &str = "ipv4/ip_local_reserved_ports";
    let text = sysctl::read(PATH)?;
    parse_ranges(&text).ok_or_else(|| sysctl::senseless(PATH, &text))
}

/// The addresses and ports on which somebody listens for TCP, in both families. Costs one walk over the listening sockets
/// only, however many connections there are.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn listening() -> Result<Vec<SocketAddr>, Error> {
    let mut all = sock_diag::listening(AddressFamily::Inet)?;
    all.extend(sock_diag::listening(AddressFamily::Inet6)?);
    Ok(all)
}

/// The TCP connections of this host to any of `targets`: its own end and the other. Costs a walk over all connections.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn connections_to(targets: &[SocketAddr]) -> Result<Vec<(SocketAddr, SocketAddr)>, Error> {
    connections_from(None, targets)
}

/// The same for those whose own port lies in a range: the kernel chooses them, and the others are not copied.
fn connections_from(
    ports: Option<RangeInclusive<u16>>,
    targets: &[SocketAddr],
) -> Result<Vec<(SocketAddr, SocketAddr)>, Error> {
    let mut all = sock_diag::connections(AddressFamily::Inet, ports.clone())?;
    all.extend(sock_diag::connections(AddressFamily::Inet6, ports)?);
    all.retain(|(_, remote)| {
        // A socket of both families shows IPv4 peers as mapped addresses.
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        targets.contains(&remote)
    });
    Ok(all)
}

/// The TCP connections whose end on this host has this port: its own end and the other, IPv4 as such. Costs a walk over all
/// connections, of which the kernel hands out these.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn connections_of(port: u16) -> Result<Vec<(SocketAddr, SocketAddr)>, Error> {
    let mut all = sock_diag::connections(AddressFamily::Inet, Some(port..=port))?;
    all.extend(sock_diag::connections(
        AddressFamily::Inet6,
        Some(port..=port),
    )?);
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    Ok(all
        .into_iter()
        .map(|(local, remote)| (plain(local), plain(remote)))
        .collect())
}

/// The TCP connections of other hosts, or of this one, to those of its ports that `is_meant`: its own end and the other, IPv4 as
/// such. Costs a walk over all connections.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn connections_at(
    is_meant: impl Fn(u16) -> bool,
) -> Result<Vec<(SocketAddr, SocketAddr)>, Error> {
    let mut all = sock_diag::connections(AddressFamily::Inet, None)?;
    all.extend(sock_diag::connections(AddressFamily::Inet6, None)?);
    all.retain(|(local, _)| is_meant(local.port()));
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    Ok(all
        .into_iter()
        .map(|(local, remote)| (plain(local), plain(remote)))
        .collect())
}

/// Who has ports of this host, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// See [`ephemeral`].
    pub ephemeral: RangeInclusive<u16>,
    /// See [`reserved`].
    pub reserved: Vec<RangeInclusive<u16>>,
    /// See [`listening`].
    pub listening: Vec<SocketAddr>,
    /// This host's own connections to the targets, from the ports asked for: its own end and the other.
    pub connections: Vec<(SocketAddr, SocketAddr)>,
}

impl Taken {
    /// Asks the kernel; of connections for those from one of `ports` to one of `targets`.
    ///
    /// # Errors
    ///
    /// Where the kernel does not answer, or a setting makes no sense.
    pub fn ask(ports: RangeInclusive<u16>, targets: &[SocketAddr]) -> Result<Self, Error> {
        Ok(Self {
            ephemeral: ephemeral()?,
            reserved: reserved()?,
            listening: listening()?,
            connections: connections_from(Some(ports), targets)?,
        })
    }

    /// Whether the kernel takes no port for outgoing connections although it lies in the range for that.
    #[must_use]
    pub fn is_reserved(&self, port: u16) -> bool {
        self.reserved.iter().any(|range| range.contains(&port))
    }
}

/// The running thread that asks who has ports; dropping it ends the thread.
#[derive(Debug)]
pub struct PortWatcher {
    answers: Receiver<Taken>,
    /// Its end is the signal; nothing is ever sent.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl PortWatcher {
    /// How often the kernel is asked, at most.
    pub const ASK_EVERY: Duration = Duration::from_secs(3);
    /// How long the thread rests in proportion to the time that asking took: with hundreds of thousands of connections it
    /// still takes a hundredth of a core at most.
    const REST_PER_WORK: u32 = 99;

    /// Starts to ask for what [`Taken::ask`] says.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread.
    pub fn start(ports: RangeInclusive<u16>, targets: Vec<SocketAddr>) -> Result<Self, Error> {
        let (sender, answers) = bounded(1);
        let (stop, stopped) = bounded::<()>(0);
        let ask = move || {
            rights::keep_only(rights::NOTHING);
            let mut rest = Self::ASK_EVERY;
            while stopped.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
                let asked = Instant::now();
                // What fails is asked again; a reader that is late gets the answer of another time.
                if let Ok(taken) = Taken::ask(ports.clone(), &targets) {
                    let _ = sender.try_send(taken);
                }
                rest = Self::ASK_EVERY.max(asked.elapsed() * Self::REST_PER_WORK);
            }
        };
        let thread = thread::Builder::new().name("ports".into()).spawn(ask);
        let thread = thread.map_err(|cause| Error::Refused {
            what: "start the thread that watches ports".into(),
            cause,
        })?;
        Ok(Self {
            answers,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where the answers arrive.
    #[must_use]
    pub fn answers(&self) -> &Receiver<Taken> {
        &self.answers
    }
}

impl Drop for PortWatcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads `8080,9000-9100`; nothing at all is an empty list.
fn parse_ranges(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ports_are_read() {
        assert_eq!(parse_ranges(""), Some(vec![]));
        assert_eq!(
            parse_ranges("8080,9000-9100"),
            Some(vec![8080..=8080, 9000..=9100])
        );
        assert_eq!(parse_ranges("8080,x"), None);
    }

    #[test]
    fn a_listener_is_seen() {
        let v4 = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = v4.local_addr().unwrap();
        assert!(listening().unwrap().contains(&address), "{address} listens");
        if let Ok(v6) = std::net::TcpListener::bind("[::1]:0") {
            let address = v6.local_addr().unwrap();
            assert!(listening().unwrap().contains(&address), "{address} listens");
        }
    }

    #[test]
    fn a_connection_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let stream = std::net::TcpStream::connect(remote).unwrap();
        let expected = (stream.local_addr().unwrap(), remote);
        assert!(connections_to(&[remote]).unwrap().contains(&expected));
        let (_served, peer) = listener.accept().unwrap();
        let at = connections_at(|port| port == remote.port()).unwrap();
        assert!(at.contains(&(remote, peer)), "{at:?}");
        let port = expected.0.port();
        for (ports, seen) in [
            (port..=port, true),
            (1..=port, true),
            (port..=u16::MAX, true),
            (1..=port - 1, false),
            (port + 1..=u16::MAX, false),
        ] {
            let taken = Taken::ask(ports.clone(), &[remote]).unwrap();
            assert_eq!(taken.connections.contains(&expected), seen, "{ports:?}");
        }
    }

    #[test]
    fn a_watcher_tells_and_ends() {
        let watcher = PortWatcher::start(1..=u16::MAX, Vec::new()).unwrap();
        let answer = watcher.answers().recv_timeout(PortWatcher::ASK_EVERY * 3);
        assert!(answer.is_ok());
    }

    #[test]
    fn the_ephemeral_range_is_read() {
        let range = ephemeral().unwrap();
        assert!(range.start() < range.end(), "{range:?}");
        reserved().unwrap();
    }
}
