//! Which TCP ports of this host are taken.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use nix::sys::socket::AddressFamily;

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
    let mut all = sock_diag::connections(AddressFamily::Inet)?;
    all.extend(sock_diag::connections(AddressFamily::Inet6)?);
    all.retain(|(_, remote)| {
        // A socket of both families shows IPv4 peers as mapped addresses.
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        targets.contains(&remote)
    });
    Ok(all)
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
    let mut all = sock_diag::connections(AddressFamily::Inet)?;
    all.extend(sock_diag::connections(AddressFamily::Inet6)?);
    all.retain(|(local, _)| is_meant(local.port()));
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    Ok(all
        .into_iter()
        .map(|(local, remote)| (plain(local), plain(remote)))
        .collect())
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
    }

    #[test]
    fn the_ephemeral_range_is_read() {
        let range = ephemeral().unwrap();
        assert!(range.start() < range.end(), "{range:?}");
        reserved().unwrap();
    }
}
